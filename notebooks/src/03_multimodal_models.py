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
# # 03 · Multimodal models
#
# **How can a picture, a sound or a film be compared with a sentence?**
#
# *Learning goals.* You will say what a shared space is and how it is trained; search pictures, sounds and films with
# words, and words with pictures; and read a retrieval score against chance.
#
# Time: 25 minutes to read, about a minute to run. *Not for clinical use.*

# %%
import re
import zlib

import ipywidgets
import pandas as pd
import torch
from IPython.display import Audio
from torch import nn
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.progress import tqdm

lab.style.apply()
xray, sounds, echo = (lab.phantom(name) for name in ("chest-xray", "heart-sounds", "echocardiogram"))
patient = {"image": xray.draw(4), "sound": sounds.draw(6), "film": echo.draw(5)}
shown = {"image": xray, "sound": sounds, "film": echo}
lab.style.show({f"{kind} (simulated)": s.image(patient[kind], 256) for kind, s in shown.items()}, side=3.5)

# %% [markdown]
# A **multimodal model** processes data of several kinds and brings them together. Four types are commonly named; here
# each is trained, small and live, on simulated patients:
#
# - **image–text**: a chest X-ray and its report,
# - **audio–text**: heart sounds and what a doctor writes after listening,
# - **video–text**: a beating heart and its report,
# - **cross-modal**: asking in one kind and getting an answer in another.
#
# Listen to the sound in the middle. Its upper half is the waveform, its lower half shows which frequencies sound when.

# %%
Audio(sounds.wav(patient["sound"]))

# %%
pd.DataFrame(
    [(kind, s.report(patient[kind]).findings) for kind, s in shown.items()],
    columns=["kind", "what was written"],
).style.set_properties(**{"text-align": "left", "white-space": "normal"}).hide()

# %% [markdown]
# ## One space for all
#
# The idea (CLIP, Radford et al. 2021): two encoders, one for each kind, put out vectors of the same length. Training
# pulls a picture and *its* sentence together and pushes away the other sentences of the *batch*, the few dozen pairs of
# one training step. Afterwards the angle between two vectors says how well they belong together. Training of this kind
# is called *contrastive*.
#
# The three encoders below (*towers* in the code) differ in their data alone: a picture and a spectrogram, the drawing
# of a sound's frequencies, go through the same small convolutional network; of a film every frame does, and their
# vectors are averaged, as EchoCLIP does.


# %%
class SeeingTower(nn.Module):
    """(n, frames, h, w) → unit vectors (n, 64); frames are encoded one by one and averaged."""

    def __init__(self):
        super().__init__()
        widths, layers = (1, 24, 48, 72, 96), []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(96 * 16, 64))

    def forward(self, x):
        n, frames = x.shape[:2]
        each = self.net(x.flatten(0, 1)[:, None])  # (n * frames, 64)
        return F.normalize(each.view(n, frames, -1).mean(1), dim=-1)


# %%
class ReadingTower(nn.Module):
    """Word numbers (n, t) → unit vectors (n, 64): words, their neighbours, and the strongest response over the text."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(2048, 128, padding_idx=0)
        self.pairs, self.out = nn.Conv1d(128, 128, 3, padding=1), nn.Linear(128, 64)

    def forward(self, ids):
        x = self.words(ids).transpose(1, 2)  # (n, 128, t)
        x = F.relu(self.pairs(x) + x).masked_fill((ids == 0)[:, None], -1e4).amax(2)
        return F.normalize(self.out(x), dim=-1)


# %%
def numbers(texts, limit=96):
    """Words as numbers by a hash, padded with 0."""
    out = torch.zeros(len(texts), limit, dtype=torch.long)
    for row, text in zip(out, texts, strict=True):
        words = re.findall(r"[a-z0-9]+", text.lower())[:limit]
        row[: len(words)] = torch.tensor([1 + zlib.crc32(word.encode()) % 2047 for word in words])
    return out

# %% tags=["parameters"]
seed = 0  # another one: `medvlm-lab chapters run 03 --param seed=3`

# %%
def train(seen, texts, epochs, batch=64):
    """Both towers, trained with the symmetric contrastive loss."""
    torch.manual_seed(seed)
    see, read, scale = SeeingTower(), ReadingTower(), nn.Parameter(torch.tensor(2.3))
    optimizer = torch.optim.AdamW([*see.parameters(), *read.parameters(), scale], lr=1e-3, weight_decay=0.05)
    ids = numbers(texts)
    for _ in tqdm(range(epochs), desc="training", unit="epoch"):
        for rows in torch.randperm(len(seen)).split(batch):
            frames = torch.randperm(seen.shape[1])[:3]  # of a film a few, others in each step, as EchoCLIP does
            score = scale.exp() * see(seen[rows][:, frames]) @ read(ids[rows]).T  # (n, n): pairs lie on the diagonal
            right = torch.arange(len(rows))
            loss = (F.cross_entropy(score, right) + F.cross_entropy(score.T, right)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return see.eval(), read.eval()


# %% [markdown]
# **Predict.** A hundred new patients, a hundred reports, shuffled. By chance the right report is among the first five
# in 5 % of cases. Which kind will do best?

# %%
best = ipywidgets.ToggleButtons(options=["image", "sound", "film"], value=None, description="My guess:")
best


# %%
def cohort(simulator, seed, n):
    """Small pictures or films, and reports."""
    scenes = simulator.sample(seed=seed, n=n)
    pixels = torch.cat([simulator.render(scenes[i : i + 50], 64) for i in range(0, n, 50)])
    if pixels.shape[1] > 1:
        pixels = pixels[:, :: pixels.shape[1] // 6]  # six frames of a film are enough here
    return pixels, [simulator.report(scene).findings for scene in scenes]


# %%
plan = {"image": (xray, 800, 8), "sound": (sounds, 480, 10), "film": (echo, 240, 14)}
towers, tests = {}, {}
for kind, (simulator, n, epochs) in plan.items():
    seen, texts = cohort(simulator, 1, n)
    middle, spread = seen.mean(), seen.std()
    towers[kind] = train((seen - middle) / spread, texts, epochs)
    seen, texts = cohort(simulator, 2, 100)
    tests[kind] = ((seen - middle) / spread, seen, texts)

# %%
rows = {}
for kind, (see, read) in towers.items():
    seen, _, texts = tests[kind]
    with torch.inference_mode():
        score = see(seen) @ read(numbers(texts)).T  # (100, 100)
    own = score.diag()
    to_text, to_seen = 1 + (score > own[:, None]).sum(1), 1 + (score > own[None]).sum(0)
    first_five = [f"{100 * (rank <= 5).float().mean():.0f} %" for rank in (to_text, to_seen)]
    rows[kind] = [*first_five, f"{(to_text.float().mean() + to_seen.float().mean()) / 2:.1f}"]
rows["chance"] = ["5 %", "5 %", "50.5"]
print(f"You: {best.value or 'no guess'}")
columns = ["seen → text, right one in the first 5", "text → seen, right one in the first 5", "mean rank of 100 (MCMRR)"]
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# **Explain.** None of the towers was told what an effusion or a murmur (the noise of turbulent blood) is: they only
# learnt which sentence came with which picture. Many patients have the same findings, and then even the right report
# cannot be told from another one: a mean rank of 1 is out of reach for anyone. *MCMRR*, the mean of the mean ranks in
# both directions, is the measure of the EchoCLIP paper.
#
# ## Ask in words, get a picture
#
# Cross-modal retrieval: your sentence goes through the reading tower, and the nearest pictures come back. Change the
# words and run the cell again: another side, "no", a device.

# %%
question = "There is a large right pleural effusion. A pacemaker is in place."
see, read = towers["image"]
normal, pixels, texts = tests["image"]
with torch.inference_mode():
    order = (see(normal) @ read(numbers([question])).T)[:, 0].argsort(descending=True)[:5]
lab.style.show({f"patient {int(i)}": pixels[i, 0] for i in order}, vmax=1)
pd.DataFrame({"patient": order.tolist(), "report": [texts[i] for i in order]}).style.hide()

# %% [markdown]
# ## Ask with a picture, get a sentence
#
# The other way round: the nearest *report of another patient*. That is how the first report generators worked, and why
# they wrote fluent sentences about the wrong patient.

# %%
with torch.inference_mode():
    score = see(normal) @ read(numbers(texts)).T - 2 * torch.eye(len(texts))  # its own report would be too easy
found = [(i, texts[i], texts[int(score[i].argmax())]) for i in (0, 1, 2, 3)]
pd.DataFrame(found, columns=["patient", "own report", "nearest report of another patient"]).style.hide()

# %% [markdown]
# Read two or three of them side by side: which findings are shared, which are lost or invented? A vector of 64
# numbers holds the gist, and "left" is easily lost.
#
# ## Exercises

# %%
lab.check("03.1", None)

# %%
lab.check("03.2", None)

# %%
lab.check("03.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Two patients of a batch have the same report. What does the contrastive loss do to them, and is that
# right?</summary>
# It pushes each picture away from the other patient's report, although that report is true of it. Such false negatives
# are common in medicine, where most patients of a ward are alike, and they blur the space.</details>
#
# <details><summary>The right report is among the first five for 30 % of the pictures. Is that good?</summary>
# It depends on how many reports there are: with 10, chance gives 50 %; with 100, it gives 5 %; with 20,000 nearly
# nothing. And on how many of them say the same.</details>
#
# <details><summary>A nearest report is fluent and names the correct finding on the wrong side. How can that
# happen?</summary>
# It was written about another patient. The vectors keep what tells most patients apart, and one word, left or right,
# changes little of them.</details>
#
# **Summary.** Two encoders and a contrastive loss bring pictures, sounds or films into one space with sentences,
# without a label for any finding. Nearness there serves search in both directions. Retrieval has to be read against
# chance and against duplicates among the reports, and it returns what was written about somebody else.
#
# **Further reading.** Radford et al., *Learning transferable visual models from natural language supervision*, ICML
# 2021 (CLIP). Zhang et al., *Contrastive learning of medical visual representations from paired images and text*, MLHC
# 2022 (ConVIRT). Christensen et al., *Nat Med* 30:1481, 2024 (EchoCLIP). Elizalde et al., *CLAP: learning audio
# concepts from natural language supervision*, ICASSP 2023.
#
# Back to [02](02_imaging_modalities.ipynb), on to [04](04_anatomy_of_a_vlm.ipynb).
