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
# # 06 · Families of vision–language models
#
# **Five ways to join a picture and a question: what does each cost, and what does it buy?**
#
# *Learning goals.* You will tell the five families apart by where the picture enters; say what each of them costs; and
# build the cheapest one yourself.
#
# Time: 30 minutes to read, about a minute to run. *Not for clinical use.*

# %%
import matplotlib.pyplot as plt

import medvlm_lab as lab
from medvlm_lab.widgets.family_diagram import family_diagram

lab.style.apply()
names = "chexzero", "vit-bert-vqa", "clinical-blip", "flamingo-cxr"
clip, encdec, blip, flamingo = (lab.load(name, device="cpu") for name in names)  # their parts are put together by hand
tokens = {"encoder–decoder": encdec.module.image_encoder.grid**2 + 1, "Q-Former": blip.module.config.queries,
          "gated cross-attention": flamingo.module.config.latents, "projector": blip.module.vision.grid**2}  # fmt: skip
figure = family_diagram(tokens)
plt.show()

# %%
import ipywidgets
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch.utils.flop_counter import FlopCounterMode

from medvlm_lab.models.generative import MEAN, STD, Seen, SeeingLanguageModel, lesson
from medvlm_lab.models.writer import Writer
from medvlm_lab.nn.connector import Projector
from medvlm_lab.progress import tqdm
from medvlm_lab.tasks.presence import presence
from medvlm_lab.train.contrastive import Studies
from medvlm_lab.train.lessons import Lessons

# %% [markdown]
# - **Contrastive** (CheXzero, EchoCLIP): two encoders and an angle. It writes nothing; it ranks sentences.
# - **Encoder–decoder** (ViT + BERT VQA): the tokens of both are mixed, and a decoder reads the mixture.
# - **Q-Former** (ClinicalBLIP): a few *queries*, vectors that are learned as weights are, read the question, look at
#   the picture, and go before the words of a language model.
# - **Gated cross-attention** (Flamingo-CXR): the words stay alone; between the layers of a *frozen* language model (its
#   weights stay as they are), gates let in what the picture shows.
# - **Projector** (LLaVA-Med; PathologyVLM's connector is its refined kin): every patch, a square of the
#   picture, becomes a token, through two layers.
#
# ## The same picture, the same question
#
# A simulated patient, so that the truth is known.

# %%
chest = lab.phantom("chest-xray")
image = chest.image(patient := chest.draw(40), 256)
lab.style.show({"simulated": image}, side=3)
print(chest.report(patient, 0))

# %% [markdown]
# **Predict.** Four of the five are trained. Looking for pleural effusion and pacemaker, how many find both?

# %%
ipywidgets.ToggleButtons(options=["none", "1", "2", "3", "all 4"], value=None, description="Find both:")


# %%
families = {"contrastive": clip, "encoder–decoder": encdec, "Q-Former": blip, "gated cross-attention": flamingo}
findings = ("cardiomegaly", "pleural effusion", "pacemaker", "consolidation")
found = {name: [f"{presence(model, [image], f)[0]:.2f}" for f in findings] for name, model in families.items()}
pd.DataFrame.from_dict(found, orient="index", columns=findings)

# %% [markdown]
# **Explain.** Three: CheXzero, the Q-Former and the gated model. The encoder–decoder learned from
# *real* pictures, VQA-RAD's and PathVQA's, and has never seen a simulated one, so its pacemaker is a guess; the others
# learned from 20,000 simulated patients. A comparison of families has to hold the data fixed, or it compares data. So
# the fifth family is trained here, on the same kind of patients.
#
# ## Build the fifth: a projector
#
# LLaVA's recipe is the shortest: take an image encoder and a language model that others have trained, freeze both, and
# learn two layers that turn each patch into something the language model takes for a word.


# %%
class ProjectorNet(SeeingLanguageModel):
    """ClinicalBLIP's own image encoder and language model, frozen, with two new layers between them."""
    def __init__(self, parts):
        super().__init__()
        self.config, self.vision, self.language = parts.config, parts.vision, parts.language
        self.requires_grad_(False)
        self.projector = Projector(parts.config.width, parts.config.width)
    def patches(self, pixels):
        return self.vision(((pixels - MEAN) / STD)[:, None])
    def look(self, patches, ids, keep, maps=None):
        return Seen(prefix=self.projector(patches))  # 64 soft tokens before the words


class ProjectorModel(Writer):
    name, modality, report_batch = "projector", "X-ray", None  # it learns to answer only


# %%
torch.manual_seed(0)
net, lessons, rng = ProjectorNet(blip.module), Lessons(blip.tokenizer), np.random.default_rng(0)
studies = Studies(chest, "train", 500, 1, net.config.image_size, seed=7)
with torch.inference_mode():
    patches = torch.cat([net.patches(p[:, 0].float() / 255) for p in studies.pixels.split(100)])
optimizer = torch.optim.AdamW(net.projector.parameters(), lr=3e-3)
for _ in tqdm(range(60), desc="training the projector", unit="step"):
    rows = rng.choice(len(studies), 32)
    pairs = [lessons.pair(studies, int(row), rng, True) for row in rows]
    prompts, targets = [lessons.prompt(q) for q, _ in pairs], [lessons.target(a) for _, a in pairs]
    batch = lesson(prompts, targets, lessons.tokenizer.pad, net.config.context)
    loss = net.loss(net.look(patches[rows].clone(), *batch[:2]), *batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
families["projector"] = ProjectorModel(net, blip.tokenizer)

# %% [markdown]
# ## One table
#
# Two dozen new patients, four findings each. The score is the area under the ROC curve, averaged over the findings; for
# a report, which says yes or no, it is the mean of the share of sick patients found and of healthy ones left alone. A
# coin scores 0.5. GFLOP are billions of operations, and the *join* is the part between picture and words.

# %%
cases = [*map(lab.dataset("phantom:chest-xray", "test", n=24, size=128).study, range(24))]
images = [case.image() for case in cases]
there = np.array([[name in case.findings for name in findings] for case in cases])


def area(scores, there):
    return np.mean([roc_auc_score(there[:, k], scores[:, k]) for k in range(4) if 0 < there[:, k].sum() < 24])


def measure(model):
    """Mean area with its interval over patients; operations for one picture."""
    scores = np.array([presence(model, images, name) for name in findings]).T
    draws = [np.random.default_rng(i).choice(24, 24) for i in range(200)]
    low, high = np.percentile([area(scores[d], there[d]) for d in draws], [2.5, 97.5])
    with FlopCounterMode(display=False) as counter:
        presence(model, images[:1], "consolidation")
    return [f"{area(scores, there):.2f} ({low:.2f}–{high:.2f})", f"{counter.get_total_flops() / 1e9:.1f}"]


size = lambda *parts: f"{sum(p.numel() for part in parts for p in part.parameters()) / 1e6:.1f}"  # noqa: E731
joins = {"contrastive": [size(clip.module), "–"],
    "encoder–decoder": [size(encdec.module), size(encdec.module.fusion)],
    "Q-Former": [size(blip.module), size(blip.module.qformer, blip.module.to_language)],
    "gated cross-attention": [size(flamingo.module), size(flamingo.module.resampler, flamingo.module.gated)],
    "projector": [size(net), size(net.projector)]}
rows = {name: [*measure(model), *joins[name], tokens.get(name, "–")] for name, model in families.items()}
columns = ["mean AUC", "GFLOP a picture", "million numbers", "of these in the join", "tokens of the picture"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# **Explain.** The model that learned elsewhere guesses, whatever its family. Contrastive, Q-Former and gated model, all
# trained on the same 20,000 patients, find nearly everything; that the gated one misses some here says little, for its
# interval reaches up to the others' (and two dozen patients without an error are no proof of perfection). The
# projector, half a minute old, is on its way, because others had trained both parts that it joins. What the families
# differ in is price. The Q-Former's join has more than thirty times the projector's numbers, but it hands the language
# model a quarter of the tokens, and every word that is written has to read them again.
#
# ## What only a Q-Former can do: ask according to the question
#
# Its queries read the question before they look. The maps show where they look, for two questions about the same
# picture.

# %%
asked = ("Is there a pacemaker?", "Is there a pleural effusion?")
blip.tagged = False  # the question alone
looks = []
for question in asked:
    trace = blip.trace(image, question)
    weights = torch.stack([layer.mean((0, 1, 2)) for layer in trace.attentions]).mean(0)  # (p,): all heads and queries
    looks.append(trace.to_image(weights.unflatten(0, trace.grid)))
blip.tagged = True
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
for axis, look, title in zip(axes, looks, asked, strict=True):
    axis.imshow(image.display().mean(-1))
    axis.imshow(look, cmap="magma", alpha=0.55)
    axis.set_title(title, fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# **Explain.** They hardly differ (bright: more attention, all queries together, each map scaled to itself). That a
# model *can* listen to the question before it looks does not mean that it does: this one reads the picture much the
# same way whatever is asked, and the answers differ because the language model reads the question, too. Look before you
# believe a drawing. Chapter [08](08_clinical_blip.ipynb) shows where single queries look.
#
# ## What only gates do: leave the language model as it was
#
# A gate is one number, tanh(g), and starts at zero: on its first day a Flamingo writes word for word what its language
# model writes. Training opens the gates as far as looking helps.

# %%
gates = [[float(torch.tanh(g)) for g in (block.attention_gate, block.mlp_gate)] for block in flamingo.module.gated]
pd.DataFrame(gates, columns=["attention gate", "feed-forward gate"], index=[f"before layer {i}" for i in range(4)])

# %% [markdown]
# Because the words stay words, pictures and texts can be *interleaved*: show a few examples, then ask. Here are four
# reports by one author, and then the patient from above.

# %%
author = lab.dataset("phantom:chest-xray", "test", n=40, authors=8, wording="usual", size=128)
shots = author.examples(1, 4)
before, after = flamingo.report(image), flamingo.report(image, shots=shots)
pd.DataFrame(
    {"an example by the author": [shots[0][1]], "without examples": [str(before)], "after four examples": [str(after)]}
).T.style.set_properties(**{"text-align": "left", "white-space": "normal"}).hide(axis=1)

# %% [markdown]
# **Explain.** Nothing was trained, no weight has changed; the examples are in the prompt. What is learned *in context*
# here is the author's way of writing, not medicine: compare the finding words of both columns.
#
# ## Who can do what
#
# | family | classify | answer | report | retrieve | few examples | new words for an old thing |
# |---|---|---|---|---|---|---|
# | contrastive | by ranking prompts | – | – | yes | – | yes, any sentence |
# | encoder–decoder | – | yes | short | – | – | – |
# | Q-Former | by its tags | yes | yes | by its first stage | – | – |
# | gated cross-attention | by answering | yes | yes | – | yes | – |
# | projector | by answering | yes | yes | – | where the language model can | – |
#
# ## Exercises

# %%
lab.check("06.1", None)

# %%
lab.check("06.2", None)

# %%
lab.check("06.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>A paper compares its Q-Former with another group's projector and wins. What do you ask
# first?</summary>
# What each was trained on. With different patients, images or reports the comparison is one of data; only equal data
# and an equal test compare families.</details>
#
# <details><summary>Why can a projector be trained in a minute, and an image encoder not?</summary>
# Both sides are ready: the encoder already tells patches apart, and the language model already writes. The projector
# only has to translate between two vector spaces, with few numbers.</details>
#
# <details><summary>All gates of a Flamingo are still at zero. What does it write about a picture?</summary>
# What its language model writes without any picture: tanh(0) = 0, so nothing of what was seen is let in. Training opens
# the gates as far as looking lowers the loss.</details>
#
# **Summary.** The families differ in where the picture enters: beside the text, into one sequence, through a few
# queries, through gates, or patch by patch as words. That decides what they can do and what they cost. Which one scores
# best depends first on what it was trained on.
#
# **Further reading.** Radford et al., ICML 2021 (CLIP). Li et al., *BLIP-2*, ICML 2023, and Dai et al., *InstructBLIP*,
# NeurIPS 2023 (Q-Former). Alayrac et al., *Flamingo*, NeurIPS 2022. Liu et al., *Visual instruction tuning*, NeurIPS
# 2023 (LLaVA), and Li et al., *LLaVA-Med*, NeurIPS 2023. Bazi et al., *Bioengineering* 10(3):380, 2023.
#
# Back to [05](05_fusion.ipynb), on to [07](07_applications.ipynb).
