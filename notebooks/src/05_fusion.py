# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   medvlm:
#     timeout: 90
# ---

# %% [markdown]
# # 05 · Fusion
#
# **Where in a model should a picture and a note meet?**
#
# *Learning goals.* You will tell early, late and hybrid fusion apart; say which questions late fusion cannot learn, and
# why; check what a model says when a modality is noisy or missing; and write a fusion of your own.
#
# Time: 30 minutes to read, about a minute to run. Every patient here is simulated. *Not for clinical use.*

# %%
import inspect
from dataclasses import replace

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown
from sklearn.metrics import roc_auc_score
from torch import nn

import medvlm_lab as lab
from medvlm_lab.nn.fusion import EarlyFusion, Fusion, HybridFusion, LateFusion, Reader
from medvlm_lab.phantoms.admissions import LABELS, admissions, limits
from medvlm_lab.train.admission_pairs import note_numbers, pairs, picture_cells, sizes_for
from medvlm_lab.train.fit import fit, predict
from medvlm_lab.widgets.fusion_diagram import fusion_diagram

lab.style.apply()
xray, four = lab.phantom("chest-xray"), admissions(seed=9, n=4)
lab.style.show({f"patient {k} (simulated)": xray.image(a.scene, 256) for k, a in enumerate(four)}, side=3)
table = [(k, a.note(), *("yes" if label else "no" for label in a.labels)) for k, a in enumerate(four)]
pd.DataFrame(table, columns=["patient", "note", *LABELS]).style.hide()

# %% [markdown]
# A patient comes with a chest X-ray and a line from the ward. Each holds what the other lacks. Three questions, and
# what they take:
#
# - **heart failure**: a large heart in the picture *or* trouble lying flat in the note. Either sign is found in four of
#   five patients with heart failure and in one of five without. Two uncertain hints, which add up.
# - **pneumonia**: a consolidation in the picture *and* fever in the note. Fever alone may come from elsewhere.
# - **other side**: the pain is on one side and the fluid on the other, so somebody should look again, at the patient
#   and at the side marker. The note does not know where the fluid is, nor the picture where it hurts.
#
# All of this, frequencies included, is a simulation made for this chapter: `medvlm_lab/phantoms/admissions.py` states
# it in full. Its results say how fusions behave, nothing about hospitals.
#
# ## Three places to meet
#
# Three kinds of **fusion** are commonly told apart:
#
# - **early**: modalities are combined early in the process, often before features are extracted;
# - **late**: each is processed by itself, and the outputs are combined;
# - **hybrid**: both; some features are combined early, others are fused later.
#
# Here a picture is 9 tokens (features of the bundled [chexzero](../medvlm_lab/weights/chexzero/README.md), which stays
# *frozen*: it is used and not trained further) and a
# note about 18. The three models get equal tokens and have equal numbers of layers. Only `fuse` differs:

# %%
kinds = (EarlyFusion, LateFusion, HybridFusion)
Markdown("```python\n" + "\n".join(f"# {k.__name__}\n{inspect.getsource(k.fuse)}" for k in kinds) + "```")

# %% [markdown]
# `see` reads the picture, `read` the note, `joint` both: each has a summary token that gathers, layer by layer, what
# the others hold, and ends in one *logit* per question: a number from minus to plus infinity, above zero for yes.
# `seen` and `read` say which tokens are there.
#
# The models as drawings, read from the modules themselves:

# %%
groups = {"train": admissions(0, 1000, "train"), "test": admissions(0, 400, "test")}  # no patient in common
tower = lab.load("chexzero", device="cpu").module  # networks this small are as quick there
data = {part: pairs(group, tower) for part, group in groups.items()}
sizes = sizes_for(data["test"])
fusion_diagram([kind(sizes) for kind in kinds])
plt.show()

# %% [markdown]
# The drawing of hybrid fusion is the two others laid over each other: the joint layers take the simple tokens early,
# and three predictions are added late.
#
# ## Same task, same budget
#
# **Predict.** One of the three questions is out of reach for late fusion, however long it trains. Which?

# %%
hopeless = ipywidgets.ToggleButtons(options=LABELS, value=None, description="It is:")
hopeless

# %% tags=["parameters"]
seed = 0  # another one: `medvlm-lab chapters run 05 --param seed=3`

# %%
def trained(kind, **options):
    """A new model, always from the same seed, trained for the same steps on the same batches."""
    torch.manual_seed(seed)
    return fit(kind(sizes), data["train"], **options)


models = {kind.__name__: trained(kind) for kind in kinds}
colors = dict(zip(models, (lab.style.SKY, lab.style.VERMILION, lab.style.PURPLE), strict=True))


# %%
def row(model):
    """Parameters, and each question's AUC on the test patients with its 95 % interval."""
    scores, found = predict(model, data["test"]), [f"{sum(p.numel() for p in model.parameters()):,}"]
    for k in range(len(LABELS)):
        found.append("{:.2f} ({:.2f}–{:.2f})".format(*lab.metrics.auc(scores[:, k], data["test"].labels[:, k])))
    return found


rows = {name: row(model) for name, model in models.items()}
both, one = ([f"{value:.2f}" for value in limits()[key]] for key in ("both", "one"))
print(f"You: {hopeless.value or 'no guess'}.")
reach = {"best possible": ["", *both], "best with one modality": ["", *one]}
results = pd.DataFrame.from_dict(rows | reach, orient="index", columns=["numbers learned", *LABELS])
results

# %% [markdown]
# AUC on 400 other patients, with 95 % intervals from 200 bootstrap samples; the limits follow from the simulation's own
# frequencies. (An interval 1.00–1.00, as further chapters have them, is not certainty: every bootstrap of a perfect
# sample is perfect. No error in n patients is compatible with a rate of about 3/n.)
#
# **Explain.** *Heart failure* and *pneumonia*: nobody is ahead. Evidence that adds up, and even an *and*, can be ranked
# by a sum, and adding two predictions is what late fusion does. *Other side*: late fusion throws a coin. Call its two
# predictions $a$ and $b$. Then
#
# $$[a(\text{left}) + b(\text{right})] + [a(\text{right}) + b(\text{left})] =
# [a(\text{left}) + b(\text{left})] + [a(\text{right}) + b(\text{right})],$$
#
# so what it adds for the two mismatches it adds for the two matches as well. It is not a matter of training. A question
# about how the modalities *fit* each other needs layers that see both.
#
# ## Noise
#
# Two ways to spoil what arrives, in the test patients only. In the note, each statement is, with the given probability,
# decided by a coin. To the picture, random grey values are added: at 0.2 they scatter by a fifth of the way from black
# to white.

# %%
test, people = data["test"], groups["test"]
notes = {level: replace(test, note=note_numbers(people, level)) for level in (0.25, 0.5, 0.75, 1.0)}
pictures = {level: replace(test, image=picture_cells(people, tower, level)) for level in (0.05, 0.2)}
spoilt = {"noise in the note": {0.0: test} | notes, "noise in the picture": {0.0: test} | pictures}


def mean_auc(model, some):
    """The mean over the three questions."""
    return roc_auc_score(some.labels, predict(model, some))


figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, (title, levels) in zip(axes, spoilt.items(), strict=True):
    for name, model in models.items():
        values = [mean_auc(model, some) for some in levels.values()]
        axis.plot(list(levels), values, marker="o", color=colors[name], label=name)
    axis.axhline(sum(limits()["one"]) / 3, color="grey", ls=":", label="best with one modality")
    axis.set(title=title, xlabel="noise")
axes[0].set_ylabel("mean AUC")
figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", bbox_to_anchor=(0.5, -0.12), ncol=4)
plt.show()

# %% [markdown]
# **Explain.** With a note of nothing but coins, every model does worse than one that reads no note at all could do
# (dotted): it never met a note that lies, so it believes each. A little grain in the picture does no harm, more of it
# does. Late fusion loses least, because it had least to lose.
#
# ## When one of them is missing
#
# The note has not been written yet; the picture is still in another hospital. The masks hide what is missing exactly:
# it gets no weight, whatever stands in its place. But a model trained on complete patients has never met a gap.
# **Modality dropout** shows it gaps in training: here two patients in ten lose their picture or their note, others in
# each batch.
#
# **Predict.** All pictures are gone. How many of the hybrid model's answers will be *sure* (above 90 %) and wrong?

# %%
sure = ipywidgets.ToggleButtons(options=["1 in 100", "1 in 20", "1 in 5"], value=None, description="Sure, wrong:")
sure

# %%
models["HybridFusion, modality dropout"] = trained(HybridFusion, drop=0.2)


def sure_and_wrong(model, some):
    """The percentage of answers that give the truth less than 10 %."""
    return 100 * ((predict(model, some) - some.labels.float()).abs() > 0.9).float().mean()


shares = (0.0, 0.25, 0.5, 0.75, 1.0)
figure, axes = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey="row")
for modality, column in zip(("image", "note"), axes.T, strict=True):
    for name, model in models.items():
        style = {"marker": "o", "ls": "--" if "dropout" in name else "-", "color": colors[name.split(",")[0]]}
        for axis, measure in zip(column, (mean_auc, sure_and_wrong), strict=True):
            values = [measure(model, test.without(modality, share)) for share in shares]
            axis.plot([100 * share for share in shares], values, label=name, **style)
    column[0].set_title({"image": "picture missing", "note": "note missing"}[modality])
    column[1].set_xlabel("% of patients who lack it")
axes[0, 0].set_ylabel("mean AUC")
axes[1, 0].set_ylabel("% sure and wrong")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", bbox_to_anchor=(0.5, -0.06), ncol=4)
plt.show()
alone = [sure_and_wrong(models[name], test.without("image")) for name in list(models)[2:]]
print(f"You: {sure.value or 'no guess'}. Hybrid without any picture: {alone[0]:.0f} % sure and wrong; "
      f"with dropout {alone[1]:.0f} %.")  # fmt: skip

# %% [markdown]
# **Explain.** With all of a modality gone, every AUC falls to what the other one can tell: what is not there cannot be
# known. While only some patients lack it, the model with dropout also *ranks* better, for it gives those a cautious
# score instead of a false sure one. The lower row shows that directly: joint layers that never met a gap go on
# answering as if they had seen everything. Late fusion is more careful by design, since the missing half adds nothing.
#
# ## The fourth fusion is yours
#
# A fusion is a class with one method: tokens in, logits out. In the one below each modality ends in a vector instead of
# logits, and the two are multiplied, number by number (Kim et al., ICLR 2017). It runs as it is; change it and run both
# cells. Ideas: words that look at cells (`Attention` in `medvlm_lab/nn/layers.py` takes a `memory`), a joint layer
# after each modality's own, fewer layers.


# %%
class MyFusion(Fusion):
    """Each modality for itself; then the product of what they found."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.see, self.read = Reader(sizes, 2, out=sizes.width), Reader(sizes, 2, out=sizes.width)
        self.out = nn.Linear(sizes.width, sizes.labels)

    def fuse(self, image, note, seen, read):
        return self.out(self.see(image, seen) * self.read(note, read))


# %%
mine = trained(MyFusion)
pd.concat([results, pd.DataFrame([row(mine)], index=["MyFusion"], columns=results.columns)])

# %% [markdown]
# **Explain.** A product can hold what a sum cannot, although no layer sees the tokens of both. Two things it cannot do:
# look closer at a place because of a word, for which tokens have to meet; and say anything when one modality is
# missing, for zero times a vector is zero.
#
# ## Exercises

# %%
lab.check("05.1", None)

# %%
lab.check("05.2", None)

# %%
lab.check("05.3", None)

# %%
lab.check("05.4", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>"Is the tube where the note says it is?" Which fusion would you not choose?</summary>
# Late fusion. The question is about how picture and note fit each other; a sum of two separate opinions is the same for
# the matches as for the mismatches, however long it trains.</details>
#
# <details><summary>Two fusions have the same AUC when the picture is missing. Are they equally safe?</summary>
# Not yet known. AUC asks for the ranking alone; one of them may still give its wrong answers with 99 % certainty. Count
# the answers that are sure and wrong.</details>
#
# <details><summary>Modality dropout does not raise the AUC without pictures. What is it good for?</summary>
# What is not there cannot be known, so ranking cannot gain. But the model has met gaps in training, and lowers its
# certainty to what one modality can tell.</details>
#
# **Summary.** Late fusion adds opinions, and is enough where evidence adds up; early and hybrid fusion let tokens meet,
# and can learn how the modalities fit each other. No fusion is best for every question. How a model behaves when a
# modality is noisy or missing has to be trained for and measured apart from its score.
#
# **Further reading.** Baltrušaitis, Ahuja and Morency, *Multimodal machine learning: a survey and taxonomy*, IEEE TPAMI
# 41:423, 2019. Huang et al., *Fusion of medical imaging and electronic health records using deep learning*, npj Digit
# Med 3:136, 2020. Neverova et al., *ModDrop*, IEEE TPAMI 38:1692, 2016 (modality dropout). Kim et al., *Hadamard
# product for low-rank bilinear pooling*, ICLR 2017.
#
# Back to [04](04_anatomy_of_a_vlm.ipynb), on to [06](06_families_of_vlms.ipynb).
