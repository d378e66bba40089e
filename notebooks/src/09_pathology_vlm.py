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
# # 09 · PathologyVLM: looking at a slide without shrinking it
#
# **A micrograph has more pixels than any encoder takes. What is lost when it is shrunk, and what do tiles save?**
#
# *Learning goals.* You will follow a micrograph through whole view, tiles, connector and language model; train the
# connector with and without tiles; find by prompts; and tell what an answer owes to the picture from what it owes to
# the question.
#
# Time: 45 minutes to read, about a minute to run. *Not for clinical use. Simulated patients, unless a picture says
# otherwise.*

# %%
import medvlm_lab as lab
lab.style.apply()
real = lab.sample("colon-ihc")
lab.style.show({"real: colon, immunohistochemistry": real}, side=4)

# %% [markdown]
# A real section, stained by antibodies (brown). And a simulated one, as most that the model has learned from:

# %%
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from sklearn.metrics import roc_auc_score

from medvlm_lab.models.pathology_vlm import Views, cut, picture
from medvlm_lab.models.writer import QUESTION
from medvlm_lab.nn.connector import choose_grid, fit
from medvlm_lab.published import Scoreboard
from medvlm_lab.train import recipe
from medvlm_lab.train.live_connector import Looking, Patients, exam, fit_connector, look, shrunk

model, tissue = lab.load("pathology-vlm", device="cpu"), lab.phantom("histology")  # taken apart by hand below
net, data = model.module, lab.dataset("phantom:histology", "test", n=32)
patients = Patients.of(model, [data.scene(i) for i in range(32)])
shown = next(i for i, scene in enumerate(patients.scenes) if scene.diagnosis == 3 and scene.necrotic)
lab.widgets.vqa(model, patients.images[shown], "Is there necrosis?")

# %% [markdown]
# A simulated section of a carcinoma, stained with haematoxylin and eosin, which colour nuclei blue and the rest pink.
# Ask it something: the class, the grade, the organ, mitoses. What the simulation knows of it:

# %%
print(tissue.report(patients.scenes[shown], 0))

# %% [markdown]
# ## The paper
#
# Dai et al., *PathologyVLM: a large vision-language model for pathology image understanding* (also called PA-LLaVA),
# Artificial Intelligence Review 58:186, 2025.
#
# - **Goal.** A model that answers questions about micrographs, built from public data alone.
# - **Data.** 1.4 million pairs of pathology pictures and texts; to test, PathVQA and PMC-VQA, and for classes by prompt
#   BACH, OSCC and ColonPath.
# - **Method.** Three parts: an image encoder from a CLIP of the domain's own ("PLIP"); a *scaling-free connector*; and
#   LLaMA 3. Three stages: train the PLIP, align the connector, tune on questions (LoRA).
# - **Result.** Better than LLaVA-Med on PathVQA's closed questions; better than doctors there, worse than doctors where
#   the model was not trained on such questions. The table further below quotes the numbers.
# - **Conclusion.** A small domain of its own is worth an encoder of its own. Picture quality and the balance of the
#   data limit it, say its authors.
#
# ## 1. From slide to word, tensor by tensor
#
# The small model of this book has the same parts. It looks at the picture several times: once as a whole, squeezed into
# 192 × 192 pixels, and once in tiles of that size.

# %%
pixels, keep = cut(picture(patients.images[shown]), net.config)  # (9, 3, 192, 192), (9, 36)
titles = ["whole view", *(f"tile {k}" for k in range(1, 9))]
views = {title: view.permute(1, 2, 0).numpy() for title, view in zip(titles, pixels[keep.any(1)], strict=False)}
lab.style.show(views, columns=5, side=2, vmax=1)

# %% [markdown]
# **Predict.** Each view is cut into patches of 32 pixels. The picture has a whole view and four tiles. How many tokens
# will the language model read for it?

# %%
guess = ipywidgets.IntSlider(value=100, min=1, max=200, description="My guess:")
guess

# %%
with torch.inference_mode():
    patches = net.patches(Views(pixels[None], keep[None]))
    looked = net.look(patches, keep[None])
    seen = net.connect(looked)
    ids = torch.tensor([model.ids(QUESTION.format("Is there necrosis?"))])
    sequence, _ = net.joined(seen, ids, torch.ones_like(ids, dtype=torch.bool))
steps = [
    ("image", "whole view and up to 8 tiles", pixels[None]),
    ("image", "frozen stem: features of each patch", patches),
    ("image", "ViT of the PLIP: class token and patches", looked.tokens),
    ("image", "PLIP: the picture among texts", net.embed(looked)),
    ("fusion", "connector: soft tokens", seen.prefix),
    ("text", "the question's tokens", ids),
    ("decoder", "what LLaMA reads", sequence),
]
print(f"You: {guess.value}; the model: {seen.prefix.shape[1]}.")
pd.DataFrame([(part, name, str(tuple(t.shape))) for part, name, t in steps], columns=["part", "step", "shape"])

# %% [markdown]
# **Explain.** As many as *one* view has patches. In the connector the whole view's patches are the queries; they look
# at the patches of all tiles (cross-attention) and take from them what the squeezed view has lost. More tiles make the
# looking longer, never the text.
#
# ## 2. How free of scaling is it?
#
# The paper's tiles are 224 pixels wide, and there are four to eight. **Predict.** Of a slide of 2,000 × 2,000 pixels,
# which share is kept?

# %%
area = np.arange(0.05, 4, 0.05)  # million pixels
for tile, color in ((224, lab.style.BLUE), (192, lab.style.ORANGE)):
    for wide, line in ((1, "-"), (2, "--")):
        sizes = [(round(h), round(wide * h)) for h in np.sqrt(1e6 * area / wide)]
        grids = [choose_grid(*size, tile) for size in sizes]
        kept = [np.prod(fit(*size, r * tile, c * tile)) for size, (r, c) in zip(sizes, grids, strict=True)]
        label = f"tiles of {tile}, {'square' if wide == 1 else 'twice as wide as high'}"
        plt.plot(area, np.minimum(100, 1e-4 * np.array(kept) / area), line, color=color, label=label)
plt.plot(area, np.minimum(100, 1e-4 * 224**2 / area), ":", color=lab.style.GREY, label="one view of 224")
plt.gca().set(xlabel="size of the picture, million pixels", ylabel="pixels kept, %", yscale="log", ylim=(1, 110))
plt.yticks([1, 2, 5, 10, 20, 50, 100], [1, 2, 5, 10, 20, 50, 100])
plt.legend()
plt.show()

# %% [markdown]
# **Explain.** "Scaling-free" means *less* scaling. A picture is still enlarged or reduced to fit the best grid of at
# most eight tiles, and a square one fits only two by two. What the tiles buy is a factor: four times a single view's
# pixels for a square picture, up to eight for an oblong one.
#
# Two properties of the connector can be tested outright: the order of the tiles means nothing to it, and padding must
# not reach it. In the authors' public code the mask lets one tile of padding through; here it lets none.

# %%
tokens, real_tiles = looked.tokens[:, :, 1:], looked.keep
ask = lambda tiles, keep: net.connector(tokens[:, 0], tiles, keep)  # noqa: E731
with torch.inference_mode():
    usual = ask(tokens[:, 1:], real_tiles[:, 1:])
    turned = ask(tokens[:, 1:5].flip(1), real_tiles[:, 1:5].flip(1))
    leaking = ask(tokens[:, 1:6], torch.ones_like(real_tiles[:, 1:6]))
change = {"four tiles in another order": turned, "one tile of padding let through": leaking}
pd.Series({name: f"{100 * (other - usual).norm() / usual.norm():.4f} %" for name, other in change.items()},
          name="change of the soft tokens").to_frame()  # fmt: skip

# %% [markdown]
# ## 3. Three stages, and one of them now
#
# What the bundled weights went through, out of their recipe:

# %%
pd.DataFrame(recipe("pathology-vlm")["stages"]).T[["learns", "sees", "trains", "lora", "epochs"]].fillna("–")

# %% [markdown]
# `plip`, `align` and `vqa` are the paper's three. `language` stands in for LLaMA's own training, `wording` asks in
# other forms, and the two `blind` stages make the twin of section 5. "lora" names the parts that small adapters change.
# In `plip` every patch learns from the simulator's masks which findings reach into it, and the whole how much of each
# there is, besides contrast: of what is as small as a mitosis, contrast alone told nothing. PathVQA's micrographs pass
# through `plip`, too, each beside one of its answers ("liver"): an encoder that has seen simulated tissue alone hardly
# tells real organs apart. The whole recipe takes about two hours on one core.
#
# Now stage `align`, small enough to watch: encoder and language model stay frozen, and a *new* connector learns from
# questions about 48 patients. Twice, for the ablation that it calls for: once it may look at the tiles, once it has to
# make do with the whole view. **Predict.** How far apart will the two curves end?

# %%
learners = Patients.of(model, tissue.sample(0, 48))
tiles, whole = slice(1, None), slice(0, 1)
curves = {"new, with tiles": fit_connector(model, learners, patients, tiles),
          "new, whole view alone": fit_connector(model, learners, patients, whole)}  # fmt: skip
soft = patients.soft(net.connector, range(32), tiles)
levels = {"no picture": None, "another patient's picture": soft.roll(1, 0), "the bundled connector": soft}
for (name, curve), color in zip(curves.items(), (lab.style.PURPLE, lab.style.ORANGE), strict=True):
    plt.plot(list(curve), list(curve.values()), marker="o", color=color, label=name)
for (name, prefix), line in zip(levels.items(), (":", "--", "-"), strict=True):
    plt.axhline(exam(model, patients, prefix), color=lab.style.GREY, linestyle=line, label=name)
plt.gca().set(xlabel="steps", ylabel="loss on new patients, nats a token", ylim=(0, None))
plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# **Explain.** In seconds a connector learns about half of what there is to learn, because others trained what it joins.
# With tiles it ends a little lower; give `seed=1` and see how much of what parts the curves is luck. The questions hang
# on glands and sheets of tumour, hundreds of micrometres wide, and one view shows these. And a wrong picture costs more
# than none: the model believes what it is shown.
#
# ## 4. What one view loses
#
# So take detail away, step by step. The same patients, the same trained model and all its tiles; but each picture was
# first shrunk to a quarter, then to a sixteenth of its pixels, as a model without tiles would shrink a larger slide.
# Every finding is looked for by prompt ("There is necrosis." against "There is no necrosis."), and the data set's
# questions are asked.


# %%
def measure(images, looked):
    """Area under the curve of every finding; share of right answers among closed and open questions, percent."""
    before = Looking(model, images, looked)
    scores = {name: roc_auc_score([name in there for there in truth], value.numpy())
              for name, value in before.score_findings(images).items()}  # fmt: skip
    answers = before.answer_batch([images[i // 6] for i in range(len(data))], [item.question for item in data])
    right = pd.Series([100.0 * (a.text == item.answer) for a, item in zip(answers, data, strict=True)])
    kinds = right.groupby(["closed %" if item.closed else "open %" for item in data])
    return scores | kinds.mean().to_dict()


truth = [data.study(i).findings for i in range(32)]
found = {"384 pixels": measure(patients.images, patients.looked)}
for side in (192, 96):
    small = [shrunk(image, side) for image in patients.images]
    found[f"{side} pixels"] = measure(small, look(model, small))
pd.DataFrame(found).round(2)

# %%
quarters = {f"{s} pixels": shrunk(patients.images[shown], s).display()[: s // 2, : s // 2] for s in (384, 192, 96)}
lab.style.show(quarters, side=2.6)

# %% [markdown]
# **Explain.** The upper left quarter of one picture, at the three sizes. At half the width a nucleus is about four
# pixels wide, and specks and single cells go first; what is drawn in glands survives. With 32 patients an area is
# uncertain by about a tenth: read the column, not the cell.
#
# One line is suspicious. At 96 pixels a nucleus is about two pixels wide, and nobody can see it divide; yet mitoses are
# still found, if less surely. **Predict.** How can that be?

# %%
scenes = tissue.sample(1, 300, part="test")
company = roc_auc_score([bool(s.find("mitoses")) for s in scenes], [s.diagnosis > 1 for s in scenes])
seen = found["96 pixels"]["mitoses"]
print(f"area for mitoses: from knowing only who has a cancer {company:.2f}, from pictures of 96 pixels {seen:.2f}")

# %% [markdown]
# **Explain.** Dividing nuclei keep company: with most cancers, with little else. A model that knows a cancer when it
# sees one has a good guess about mitoses without having seen any, and an area under the curve does not tell the two
# apart. Ask among the cancers alone, or take the finding out of the picture (chapter 13), before you believe that a
# finding is *seen*.
#
# ## 5. Real micrographs, and the twin that sees nothing
#
# PathVQA's questions stand with textbook figures. **Predict.** A twin of this model was trained on the same questions
# with a black picture for each, and as often. How many points below the model will it be, on real micrographs, where
# the answer is yes or no?

# %%
ipywidgets.ToggleButtons(options=["50", "25", "10", "none"], value=None, description="Points:")

# %%
card = (lab.models.WEIGHTS / model.name / "README.md").read_text(encoding="utf-8")
Markdown(card[card.index("## Answers on real") : card.index("## Zero-shot")].replace("## Answers", "#### Answers"))

# %% [markdown]
# **Explain.** Hardly any, and the interval of the difference holds zero: nearly as many closed questions are answered
# right without the picture. "Is the tumour present?" is mostly answered with yes, by the way such questions are
# written, and a few thousand questions about six hundred textbook figures teach that sooner than they teach to see.
# Open questions cannot be guessed so well: most ask for an organ, and there the model is right about three times as
# often as its twin, though still seldom. On simulated patients, where yes and no are balanced, the picture is worth
# much (the card's first table). Stop the twin's training early, and it falls behind: then the picture seems useful
# everywhere, and only the comparison is unfair. So a score needs its question-only twin, trained alike.
#
# Ask the real picture. It is a colon, stained by antibodies (brown) and not with eosin: of a kind that the
# simulator never makes. Whatever it answers, look at how sure it is.

# %%
lab.widgets.vqa(model, real, "What organ is this?")

# %% [markdown]
# ## 6. The paper's table, and what was measured here

# %%
Scoreboard(tuple(figure for figure in lab.scoreboard().figures if figure.system == "PathologyVLM"))

# %% [markdown]
# ## 7. Where text, code and talk disagree
#
# - **"Avoiding scaling"** (talk), "scaling-free" (paper): section 2 shows how much is scaled all the same.
# - **The mask of padding**: the text masks it, the authors' public code lets one tile through (section 2).
# - **"PLIP"** is the authors' own encoder, not the published model of that name (Huang et al. 2023, `vinid/plip`).
# - **"Beats doctors"**: 92.51 % against 71.15 % on PathVQA's closed questions, after training on that data set, whose
#   habits the doctors did not know; without such training it is 62.98 % against 83.30 %. The talk blames the image
#   quality. The twin above shows another reason: much of the first number can be had without any image.
# - **"67.43 % recall (overall)"** counts words found in the answer: it is no accuracy, and not to be set beside 92.51.
#
# ## 8. Another laboratory's stain
#
# The same patients, cut and stained elsewhere: a paler stain, a softer lens, a noisier camera. Nothing else changed.

# %%
elsewhere = [tissue.image(tissue.draw(scene.seed, hospital=3), 384) for scene in patients.scenes]
found["stained elsewhere"] = measure(elsewhere, look(model, elsewhere))
lab.style.show({"trained on": patients.images[shown], "stained elsewhere": elsewhere[shown]}, side=2.6)
pd.DataFrame(found)[["384 pixels", "stained elsewhere"]].round(2)

# %% [markdown]
# **Explain.** An eye sees the difference at once; the scores hardly notice. Training pictures were varied in the
# strength of the stain, and what is varied in training is ignored later. That is no promise for other stains: the
# simulator has none like the brown one of section 5.
#
# **Limits.** One simulator and one stain to learn from; pictures of 384 pixels, where a slide has a hundred thousand;
# answers of a few words; confidence that is not calibrated.
#
# ## The published checkpoint, on a GPU
#
# The authors' weights (`OpenFace-CQUPT/Pathology-LLaVA`, LLaMA 3 with 8 billion numbers, about 16 GB as bfloat16) have
# no loader here. Its nearest relatives have: LLaVA-Med, after conversion (see `medvlm-lab models`), and the other PLIP
# for classes by prompt. On a GPU of 24 GB:
#
#     medvlm-lab models fetch llava-med
#     medvlm-lab data fetch path_vqa
#     medvlm-lab evaluate vqa --model llava-med --checkpoint FOLDER --data path_vqa --split validation
#
# ## Exercises

# %%
lab.check("09.1", None)

# %%
lab.check("09.2", None)

# %%
lab.check("09.3", None)

# %%
lab.check("09.4", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Why are the whole view's patches the queries, and not learned vectors?</summary>
# Their number and order are those of a grid, so each soft token stands for a place, and fills up what that place has
# lost. Learned queries (a Q-Former's) stand for no place.</details>
#
# <details><summary>A paper reports 90 % on closed questions. Which two numbers do you ask for?</summary>
# The question-only twin's and that of always giving the commonest answer.</details>
#
# <details><summary>Why does the connector not know which tile a patch came from?</summary>
# Tiles go in as one heap of keys without a sign of their place: turning their order changes nothing. It has to find a
# patch's place by what it looks like.</details>
#
# **Summary.** Tiles keep more pixels at a constant number of tokens; they do not keep them all. Whether that pays is
# decided by the questions: measure it by taking detail away. And the picture's share of an answer is the distance to
# the twin.
#
# **Further reading.** Dai et al., *Artif Intell Rev* 58:186, 2025. He et al., *PathVQA*, 2020. Huang et al., *Nat Med*
# 29:2307, 2023 (the other PLIP). Li et al., *LLaVA-Med*, NeurIPS 2023. Goyal et al., *Making the V in VQA matter*,
# CVPR 2017 (why a twin is needed).
#
# Back to [08](08_clinical_blip.ipynb), on to [10](10_flamingo_cxr.ipynb).
