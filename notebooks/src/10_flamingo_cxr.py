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
# # 10 · Flamingo-CXR: a frozen language model opens its eyes
#
# **Show a model four reports by one author, and it writes like that author. What does it learn from the examples:
# medicine, or manners?**
#
# *Learning goals.* You will follow pictures and words through a resampler and gated cross-attention; prove that closed
# gates change nothing; watch gates open; take few-shot prompts apart until only what matters is left; and read a reader
# study's headline with its threshold.
#
# Time: 45 minutes to read, about a minute to run. *Not for clinical use. Simulated patients, unless a picture says
# otherwise.*

# %%
import medvlm_lab as lab
lab.style.apply()
data = lab.dataset("phantom:chest-xray", "test", n=250, size=128, wording="usual", authors=50)
cases = [data.study(i) for i in range(20)]
images, shots = [case.image() for case in cases], [data.examples(i, 4) for i in range(20)]
image, examples, real = images[3], shots[3], lab.sample("chest-xray-nodules")
lab.style.show({"the patient": image, "example 1": examples[0][0], "example 2": examples[1][0], "real": real})

# %%
import copy

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from medvlm_lab.metrics import paired
from medvlm_lab.models.flamingo_cxr import few_shot
from medvlm_lab.models.generative import lesson
from medvlm_lab.published import Scoreboard
from medvlm_lab.tasks.report import report_rows
from medvlm_lab.train.contrastive import Studies
from medvlm_lab.train.documents import DocumentTask
from medvlm_lab.train.lessons import Lessons
from medvlm_lab.train.loop import keep_freed_memory

flamingo, half = (lab.load("flamingo-cxr", device="cpu") for _ in range(2))  # taken apart by hand below
texts = {"example 1, by the same author": examples[0][1], "without examples": flamingo.report(image),
         "after four examples": flamingo.report(image, shots=examples), "what the author wrote": cases[3].headed,
         "the real radiograph": flamingo.report(real)}  # fmt: skip
pd.Series(texts, name="report").map(str).to_frame().style.set_properties(**{"text-align": "left"})

# %% [markdown]
# Compare the second row with the third: no weight has changed between them, the examples stand in the prompt. This
# author measures the heart; the patient was chosen because the habit is easy to see. Whether findings get better or
# worse, one patient cannot tell: section 5 counts. The model has never seen a real radiograph, so believe nothing that
# it says about one.
#
# ## 1. The paper
#
# Tanno, Barrett, Sellergren and others, *Collaboration between clinicians and vision–language models in radiology
# report generation*, Nat Med 31:599–608, 2025.
#
# - **Goal.** Write chest X-ray reports, and have radiologists judge them, alone and as drafts for clinicians.
# - **Data.** MIMIC-CXR (intensive care, United States) and IND1 (in- and outpatients, India).
# - **Method.** Flamingo (Alayrac et al. 2022), fine-tuned: pictures enter a *frozen* language model through a Perceiver
#   resampler and gated cross-attention.
# - **Evaluation.** Word and finding scores; then a panel of radiologists, who prefer one of two reports, or neither,
#   and mark errors in either.
# - **Result.** Often found equal or better than the clinician's report by at least half of the panel, most often where
#   nothing is abnormal; both kinds of report contain errors, and not the same ones. Figures: section 6.
# - **Conclusion.** A draft to be corrected by a clinician, rather than a replacement.
#
# ## 2. Tensor by tensor
#
# The prompt holds two pictures: one example, and the patient. Each `<image>` is a mark between the words.

# %%
net, prompt = flamingo.module, few_shot([examples[0][1]])
with torch.inference_mode():
    pixels = torch.cat([flamingo.pixels([picture]) for picture in (examples[0][0], image)], 1)
    patches, ids = net.patches(pixels), torch.tensor([flamingo.ids(prompt)])
    maps = []
    seen = net.look(patches, ids, ids > 0, maps)
    words = net.language.embedding(ids)
    looked = net.gated[1](words, seen.media, seen.sees)
steps = {"two pictures": pixels, "frozen ViT: patches of each": patches, "learned latents": net.resampler.latents,
         "their weights on patches and latents (heads)": maps[-1], "resampled, both in a row": seen.media,
         "the prompt's words": words, "which latent each word sees": seen.sees,
         "words after one gated block": looked}  # fmt: skip
print(prompt[:90], "…", prompt[-40:])
pd.Series({name: str(tuple(t.shape)) for name, t in steps.items()}, name="shape").to_frame()

# %% [markdown]
# **Explain.** The resampler turns any number of patches into the same few latents. Unlike the queries of chapter 08,
# the latents read no prompt: they ask every picture the same. They stay *beside* the words: the sequence gets no
# longer, and every gated block can look again.
#
# **Predict.** Which latents does a word of the patient's report see: those of both pictures?

# %%
axis = plt.figure(figsize=(8, 2.6)).add_subplot(xlabel="token of the prompt", ylabel="latent", title="dark: is seen")
axis.imshow(seen.sees[0].T, cmap="Blues", vmin=-0.3, vmax=1.3, aspect="auto")
plt.show()

# %% [markdown]
# **Explain.** The upper half are the example's latents, the lower half the patient's. A word sees the *latest*
# picture only; the words before the first mark see none. What an example's picture showed reaches the patient's
# report through the example's words, or not at all. Keep this in mind for section 5.
#
# ## 3. Gates, closed
#
# A block adds tanh(g) times what it saw. At g = 0 it adds nothing: the language model is exactly the one that it was.
# Here the same words are read beside two pictures, and without any.

# %%
gates = lambda net: [g for block in net.gated for g in (block.attention_gate, block.mlp_gate)]  # noqa: E731


# %%
def open_gates(share):
    for gate, trained in zip(gates(half.module), gates(net), strict=True):
        gate.copy_(share * trained)


# %%
one, rows = torch.tensor([flamingo.ids("<image> report: findings: the heart is")]), {}
open_gates(0)
with torch.inference_mode():
    for name, n in {"gates closed": half.module, "as trained": net}.items():
        views = [n.see(flamingo.pixels([picture]), one, one > 0) for picture in (image, real)]
        first, second = (n.language(one, before_layer=n.hooks(view)) for view in views)
        rows[name] = [(first - other).abs().max().item() for other in (second, n.language(one))]
pd.DataFrame(rows, index=["one picture or the other", "picture or none"]).T.style.set_caption("change of the logits")

# %% [markdown]
# **Explain.** Not nearly nothing: exactly 0. So training begins with a language model that still writes well, and
# learns to look from there.
#
# Now open all gates step by step, up to a little more than training did. The curve is the loss of 20 true reports, with
# each patient's own picture and with that of the next patient.
#
# **Predict.** What will the wrong picture do, as the gates open?

# %%
authored = [own[0] for own in shots]
asked, written = flamingo.ids("<image> report:"), [[*flamingo.tokenizer.words(text)] for _, text in authored]
batch = lesson([asked] * len(written), written, flamingo.tokenizer.pad, net.config.context)
own, shares = flamingo.pixels([picture for picture, _ in authored]), np.linspace(0, 1.25, 6)
curves = {"own picture": [], "another patient's": []}
for share in shares:
    open_gates(share)
    for curve, pixels in zip(curves.values(), (own, own.roll(1, 0)), strict=True):
        curve.append(half.module.loss(half.module.see(pixels, *batch[:2]), *batch).item())
axis = pd.DataFrame(curves, index=shares).plot(figsize=(6, 3), marker="o", style=["-", "--"])
axis.set(xlabel="share of the trained gates", ylabel="loss of true reports, nats a token")
plt.show()

# %% [markdown]
# **Explain.** At 0 the pictures do not exist. Opened, the right picture helps and the wrong one harms: the model
# believes what it sees. Try it, on the simulated patient and on the real radiograph.


# %%
def report_at(share=0.0, picture=image):
    open_gates(share)
    print(half.report(picture))


# %%
report_at()
widget = ipywidgets.interact(report_at, share=(0.0, 1.25, 0.25), picture={"simulated": image, "real": real})

# %% [markdown]
# ## 4. Gates, opening
#
# The recipe trains resampler, blocks and gates together (log below). To see gates open within seconds, everything but
# the gates stays as trained, the gates start closed, and only they learn: eight numbers. The control gets a black
# square for every picture.
#
# **Predict.** What will the gates do when there is nothing to see?

# %%
def opening(sees):
    open_gates(0)
    model, rng, path = copy.deepcopy(half.module), np.random.default_rng(0), []
    optimizer = torch.optim.Adam([gate.requires_grad_() for gate in gates(model)], lr=0.02)
    settings = {"seed": 0, "images": 1, "batch_size": 8, "questions": 0.0, "tag_loss": 0.0, "sees": sees}
    task = DocumentTask(model, Lessons(flamingo.tokenizer), studies, studies, settings)
    for rows in task.batches(0):
        optimizer.zero_grad()
        task.loss(rows, rng).backward()
        optimizer.step()
        path.append([torch.tanh(block.attention_gate).item() for block in model.gated])
    return path


# %%
keep_freed_memory()
studies = Studies(lab.phantom("chest-xray"), "train", 128, 1, net.config.image_size, seed=7)
figure, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
for axis, sees in zip(axes, ("image", "black"), strict=True):
    course = pd.DataFrame(opening(sees)).add_prefix("before layer ")
    course.plot(ax=axis, title=f"every picture: {sees}", xlabel="step", ylabel="tanh(g)", legend=sees == "black")
plt.show()
pd.DataFrame([[torch.tanh(block.attention_gate).item() for block in net.gated]], index=["bundled weights"]).round(2)

# %% [markdown]
# **Explain.** The curves are tanh(g) of the attention gates, the table those of the bundled weights. With pictures,
# gates open, in the direction of their long training; with black squares there is little to gain: they open less, and
# not all in that direction. The sign says nothing: the layer that a gate belongs to can turn it around. The gate before
# layer 0 stays shut, in the bundled weights too: there, a word has not yet read the words before it.
#
# | stage of the recipe | learns from | trains |
# |---|---|---|
# | vision | pictures, tags, places | image encoder; frozen afterwards |
# | language | reports alone, several by one author in a row | language model; frozen afterwards |
# | look | the same documents with their pictures | resampler, gated blocks |
# | answers | the same, but mostly questions | resampler, gated blocks |
# | blind, blind_answers (control) | the same as these two, with black squares | resampler, gated blocks |

# %%
log = pd.read_json(lab.models.WEIGHTS / flamingo.name / "log.jsonl", lines=True).groupby("stage", sort=False).last()
log[["step", "loss", "tag_f1", "validation_loss"]].style.format(precision=3, na_rep="–")

# %% [markdown]
# ## 5. Examples taken apart
#
# 20 patients, each with other reports by its author. The examples are then spoilt, one property at a time: reports by
# *another* author; the right reports with the *wrong pictures*.
#
# **Predict.** Which of the two spoils more?

# %%
ipywidgets.ToggleButtons(options=["another author", "wrong pictures", "both alike"], value=None, description="Worse:")

# %%
turned = [[(own[k - 1][0], text) for k, (_, text) in enumerate(own)] for own in shots]
variants = {"no example": [()] * 20, "1 example": [own[:1] for own in shots], "4 examples": shots,
            "4, wrong pictures": turned, "4, another author": [*shots[1:], shots[0]]}  # fmt: skip
scored = {}
for name, some in variants.items():
    reports = flamingo.report_after(images, some)
    scored[name] = report_rows(cases, [f"{r.findings} {r.impression}" for r in reports])

# %%
measures = {"METEOR": lambda r: r.meteor, "findings wrong": lambda r: len({*r.findings} ^ {*r.labels})}
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6), sharey=True)
for axis, (title, of) in zip(axes, measures.items(), strict=True):
    values = [np.array([of(row) for row in rows]) for rows in scored.values()]
    gain = np.array([paired(own, values[0]) for own in values]).T
    axis.errorbar(gain[0], list(scored), xerr=abs(gain[1:] - gain[0]), fmt="o", linewidth=3)
    axis.set(title=f"mean change: {title}")
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# **Explain.** Each dot is the mean change against no example, patient by patient, with its 95 % interval. The words
# come nearer to the author's, most of it by the first example; the findings stay as right or wrong as they were (on
# the card's 300 patients a few more are missed). Wrong pictures beside the examples hardly matter: the mask of section
# 2 told why. Another author's examples give the gain away. So what is learned in context here is *manners*: how
# this author writes. It is not medicine; a new finding cannot be taught by four examples. (Min et al. 2022 found of
# labels, in the prompts of large language models, what is found here of pictures.)
#
# ## 6. The paper's table, and what was measured here

# %%
Scoreboard(tuple(f for f in lab.scoreboard().figures if f.system == "Flamingo-CXR"))

# %% [markdown]
# The [card](../medvlm_lab/weights/flamingo-cxr/README.md) has every score on 300 patients beside the blinded twin, and
# of questions, too. These have a stage of their own, "answers", in which four documents of five are questions: what a
# model can see and what it can be asked are learned apart.
#
# ## 7. Where paper, preprint and talk differ
#
# - **The threshold makes the headline.** The paper counts cases in which *at least half of the panel* found the model's
#   report equal or better. Its preprint (arXiv 2311.18260) counted *at least one radiologist of two*, and has other
#   figures for the same study. "Equal" counts for the model in both.
# - **"Clinician and AI outperform AI alone."** The talk sets 71.2 % and 53.6 % beside 77.7 % and 56.1 %, which are
#   higher. The two pairs are of different cases: the assistive setting was for reports that contain *errors*. They are
#   not to be compared.
# - **Errors.** The abstract's shares of in- and outpatients with significant errors (24.8 % in both reports, 22.8 % in
#   the model's only, 14.0 % in the clinician's only) mean that the model's reports err more often: exercise 10.3.
# - **CIDEr** is printed in percent; the scoreboard turns it back.
# - **Few-shot prompts** are the original Flamingo's skill. The paper fine-tunes instead.
# - Neither weights nor code were published.
#
# The paper's own question, for you and your class: which of two reports is better? One of each pair is this model's.

# %%
lab.widgets.reader_study()

# %% [markdown]
# ## 8. Limits
#
# One simulated hospital, one view, a vocabulary of a few hundred words. Authors differ in habits of wording only. The
# panel of the paper judged reports, not patients: a pleasant report can be wrong.
#
# **With a GPU.** `lab.load("idefics", download=True, dtype="bfloat16")` fetches IDEFICS, an open Flamingo (36 GB on
# disk), which has the same capabilities, and has never been trained on radiographs. `medvlm-lab train flamingo-cxr`
# repeats the training of the bundled weights: about an hour and a half of one core.
#
# ## Exercises

# %%
lab.check("10.1", None)

# %%
lab.check("10.2", None)

# %%
lab.check("10.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Why do gates start at zero, and not at a small random number?</summary>
# Because the language model is then exactly what it was: training starts from good language and adds sight, instead of
# repairing both at once.</details>
#
# <details><summary>After four examples METEOR rises and the F1 of the findings does not. Is the model a better
# radiologist?</summary>
# No. It sees what it saw before, and words it as this author does. METEOR measures words.</details>
#
# <details><summary>A study finds AI reports "equal or preferred" in 56 % of the cases. What do you ask first?</summary>
# By how many of how many readers, how ties are counted, and in which patients: where nothing is abnormal, a standard
# sentence is enough.</details>
#
# **Summary.** A frozen language model learns to look through gates that start closed. A word sees the latest picture
# only. Examples in the prompt teach this model how to write, not what to see. A preference rate is worth as much as its
# threshold.
#
# **Further reading.** Tanno et al., *Nat Med* 31:599, 2025, and its preprint arXiv 2311.18260. Alayrac et al.,
# *Flamingo*, NeurIPS 2022. Jaegle et al., *Perceiver*, ICML 2021. Laurençon et al., *OBELICS* (IDEFICS), NeurIPS 2023.
# Min et al., *Rethinking the role of demonstrations*, EMNLP 2022.
#
# Back to [09](09_pathology_vlm.ipynb), on to [11](11_echo_clip.ipynb).
