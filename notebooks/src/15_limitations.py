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
# # 15 · Limitations
#
# **Five ways in which a good score can mislead: how do you find them before a patient does?**
#
# *Learning goals.* You will draw a learning curve; count a model's cost without owning it; and test for new hospitals,
# invented findings and shortcuts.
#
# Time: 35 minutes to read, about a minute to run. *Not for clinical use.*

# %%
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import medvlm_lab as lab
from medvlm_lab.metrics import auc, exact_match
from medvlm_lab.nn.convnext import ConvNeXt
from medvlm_lab.nn.llama import Llama, LlamaConfig
from medvlm_lab.progress import tqdm
from medvlm_lab.published import twins

lab.style.apply()
chest = lab.phantom("chest-xray")
blip, zero = lab.load("clinical-blip"), lab.load("chexzero")
real = lab.sample("chest-xray-nodules")
black = lab.MedicalImage.from_array(np.zeros((256, 256)), modality="X-ray", window=(0.5, 1.0))
lab.style.show({"another hospital": chest.image(chest.draw(8, hospital=1), 256), "black": black, "real": real}, side=3)

# %% [markdown]
# Each of these pictures will be shown to a model that scores well on the patients it was trained for.
#
# ## 1. Data hunger
#
# A small network learns to see pleural effusion, fluid around a lung, from 50, 200, 800 or 3,200 simulated radiographs:
# the same network, the same number of steps, tested on the same 500 other patients. AUC is the chance that a sick
# patient is ranked above a healthy one.
#
# **Predict.** How many radiographs does it need for an AUC of 0.9?

# %%
ipywidgets.ToggleButtons(options=["50", "200", "800", "3,200", "more"], value=None, description="Needed:")


# %%
def pictures(scenes):
    """Radiographs as a network sees them, and which of them show an effusion."""
    return chest.render(scenes, 48), torch.tensor([bool(s.find("pleural effusion")) for s in scenes])


def learned(pixels, labels, steps=150):
    """A small convolutional network after training; always from the same seed."""
    torch.manual_seed(0)
    block = lambda a, b: (nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())  # noqa: E731
    net = nn.Sequential(*block(1, 16), *block(16, 32), *block(32, 64), *block(64, 64), nn.Flatten(), nn.Linear(576, 1))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer := torch.optim.AdamW(net.parameters()), 1e-2, steps)
    for _ in tqdm(range(steps), desc=f"{len(pixels):,} radiographs", unit="step", leave=False):
        rows = torch.randint(len(pixels), (48,))
        loss = nn.functional.binary_cross_entropy_with_logits(net(pixels[rows])[:, 0], labels[rows].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


@torch.inference_mode()
def area(net, pixels, labels):
    return auc(net(pixels)[:, 0].numpy(), labels.numpy())


# %%
train, test = pictures(chest.sample(1, 3200)), pictures(chest.sample(1, 500, part="test"))
curve = {n: area(learned(train[0][:n], train[1][:n]), *test) for n in (50, 200, 800, 3200)}
value, low, high = np.array(list(curve.values())).T
plt.errorbar([*map(str, curve)], value, [value - low, high - value], marker="o", capsize=3)
plt.gca().set(xlabel="radiographs in training", ylabel="AUC on 500 other patients", ylim=(0.45, 1.02))
plt.show()

# %% [markdown]
# **Explain.** The curve crosses 0.9 between 200 and 800 radiographs. About one patient in six has an effusion: of 50
# radiographs, eight or so do. The interval is drawn over the test patients only; another draw of 50 training patients
# would move the first point by more than its bar. EchoCLIP saw a million videos. Rare diseases do not come by the
# million.
#
# ## 2. Cost
#
# A model's price is known before it is built: parameters to be stored, and floating-point operations (FLOP) for one
# picture or one word. On PyTorch's *meta* device tensors have a shape and no numbers, so even a model that would not
# fit this machine can be counted on it.


# %%
def count(make, shape, **options):
    """Parameters in millions, memory of their bfloat16 numbers in GB, GFLOP of one pass; nothing is computed."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = make()
        model(torch.zeros(shape, **options))
    numbers = sum(p.numel() for p in model.parameters())
    return [f"{numbers / 1e6:,.1f}", f"{2 * numbers / 1e9:.3f}", f"{counter.get_total_flops() / 1e9:,.1f}"]


small, side, text = zero.module.config, zero.module.config.image_size, blip.module.language.config
large = LlamaConfig(128256, 4096, 32, 32, 8, 14336, tied=False)  # as large as LLaMA-3-8B
costs = {
    f"CheXzero here, {side} pixels":
        count(lambda: ConvNeXt(small.embedding, small.depths, small.widths, 1), (1, 1, side, side)),
    "EchoCLIP's ConvNeXt-Base, 224 pixels": count(ConvNeXt, (1, 3, 224, 224)),
    "ClinicalBLIP's language model here, 100 words": count(lambda: Llama(text), (1, 100), dtype=torch.long),
    "one as large as PathologyVLM's, 100 words": count(lambda: Llama(large), (1, 100), dtype=torch.long),
}  # fmt: skip
pd.DataFrame.from_dict(costs, orient="index", columns=["million parameters", "GB", "GFLOP"])

# %% [markdown]
# **Explain.** A word costs about two operations per parameter, whatever the architecture. At two bytes a number
# (*bfloat16*) the large language model needs sixteen gigabytes before it has read anything, which takes a large
# graphics card; where a hospital rents one instead, the picture leaves the hospital.
#
# ## 3. Generalisation
#
# CheXzero learned at hospital 0. The others have different detectors, exposures and noise; their patients are alike.

# %%
areas = {}
for hospital in range(4):
    data = lab.dataset("phantom:chest-xray", "test", n=120, size=side, hospital=hospital)
    areas[f"hospital {hospital}"] = lab.evaluate("zero-shot", zero, data, progress=False).scores["auc"]
wording = {}
for kind in ("usual", "held-out"):
    data = lab.dataset("phantom:chest-xray", "test", n=60, size=128, wording=kind)
    wording[f"{kind} wording"] = lab.evaluate("vqa", blip, data, n=200, progress=False).scores["closed"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), width_ratios=[2, 1])
for axis, scores, title in ((axes[0], areas, "CheXzero: mean AUC"), (axes[1], wording, "ClinicalBLIP: closed, %")):
    value, low, high = (np.array([getattr(s, k) for s in scores.values()]) for k in ("value", "low", "high"))
    axis.bar(scores.keys(), value, yerr=[value - low, high - value], capsize=4, color=lab.style.SKY)
    axis.set(title=title, ylim=(0.5 if axis is axes[0] else 0, None))
plt.show()

# %% [markdown]
# **Explain.** Neither another hospital nor another wording matters much. The hospitals differ in exposure and noise,
# which training varied, too; and training asked in hundreds of forms, so that most which it never used are understood
# (chapter 07 shows some that are not). What is varied in training is ignored later. What never was is what hurts: the
# model has seen nothing but simulated patients. Here is the real radiograph from above, with nodules in both lungs:

# %%
print(blip.report(real))

# %% [markdown]
# **Explain.** Each sentence is fluent. Does the whole agree with itself? Compare its findings with its impression, and
# look for the nodules. No sentence says "I am guessing".
#
# ## 4. Hallucination
#
# A *hallucination* names a finding that is not there. Simulated patients make it countable: the truth is known.
#
# **Predict.** Which will be more frequent in ClinicalBLIP's reports: findings invented, or findings missed?

# %%
ipywidgets.ToggleButtons(options=["invented", "missed"], value=None, description="More often:")

# %%
rows = lab.evaluate("report", blip, lab.dataset("phantom:chest-xray", "test", n=120, size=128), progress=False).rows
names = sorted({name for row in rows for name in (*row.findings, *row.labels)})
count_of = lambda test: [sum(test(n in row.findings, n in row.labels) for row in rows) for n in names]  # noqa: E731
tally = pd.DataFrame({
    "found": count_of(lambda there, said: there and said), "missed": count_of(lambda there, said: there > said),
    "invented": count_of(lambda there, said: said > there)}, index=names)  # fmt: skip
pd.concat([tally, tally.sum().to_frame("all together").T])

# %%
print(blip.report(black))

# %% [markdown]
# **Explain.** More are missed than invented; a wrong size or side counts as found. From black the model still writes: a
# language model continues text, and there is no sentence for "I see nothing". Ask for a black picture's report whenever
# somebody shows you a good one.
#
# ## 5. Shortcuts
#
# A network learns whatever separates sick from healthy in *its* pictures. Suppose that the sick were examined in the
# emergency department of hospital 1, the healthy in hospital 0.

# %%
def mixed(seed, count, sick_at, part="train"):
    """Half of them sick; the sick come from hospital `sick_at`, the healthy from the other one."""
    drawn = {h: chest.sample(seed, 6 * count, part=part, hospital=h) for h in (0, 1)}
    sick = [s for s in drawn[sick_at] if s.find("pleural effusion")][: count // 2]
    return pictures(sick + [s for s in drawn[1 - sick_at] if not s.find("pleural effusion")][-count // 2 :])


cheat = learned(*mixed(2, 800, sick_at=1))
tests = {"tested as trained": mixed(3, 300, 1, "test"), "hospitals swapped": mixed(3, 300, 0, "test")}
shown = {title: area(cheat, *data) for title, data in tests.items()} | {"800 from hospital 0, tested there": curve[800]}
pd.DataFrame(shown, index=["AUC", "low", "high"]).T.round(3)

# %% [markdown]
# **Explain.** Tested the way it was trained, the cheat looks perfect. Swap the hospitals and it is worse than a coin:
# it reads the detector, not the lung. No test set from the same source can reveal it.
#
# Language offers shortcuts, too: a question may give away its answer. The remedy is a *blinded twin*, which answers
# without the picture. Here the same model, its picture turned black:

# %%
closed = [item for item in lab.dataset("phantom:chest-xray", "test", n=120, size=128) if item.closed][:300]
asked = [item.question for item in closed]
right = {}
for title, image in (("sees the picture", lambda item: item.image()), ("sees black", lambda item: black)):
    answers = blip.answer_batch([image(item) for item in closed], asked)
    right[title] = [exact_match(a.text, item.answer) for a, item in zip(answers, closed, strict=True)]
commonest = max({item.answer for item in closed}, key=[item.answer for item in closed].count)
right[f"always says {commonest!r}"] = [item.answer == commonest for item in closed]
shown = {title: lab.metrics.bootstrap_interval(100 * np.array(hits, float)) for title, hits in right.items()}
pd.DataFrame(shown, index=["right, %", "low", "high"]).T.round(1)

# %% [markdown]
# **Explain.** Only what the picture adds to the blinded score is medicine. A model that is suddenly shown black is
# surprised, though; a fairer twin is *trained* blind, and as long. Here is every model of this book beside its own,
# from the model cards. CheXzero and EchoCLIP need none: without a picture they give every patient the same score, and
# the area is 0.5.

# %%
pd.DataFrame(twins(), index=["with the picture", "blinded twin"]).T

# %% [markdown]
# **Explain.** On simulated patients each model sees what its twin guesses. On real pictures, look again: where the
# intervals overlap, much of the score was in the question.
#
# ## Exercises

# %%
lab.check("15.1", None)

# %%
lab.check("15.2", None)

# %%
lab.check("15.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>A model is tested at three other hospitals and loses nothing. Does it generalise?</summary>
# To what differs between these hospitals. If training had already varied that, the test was an easy one. Ask what was
# never varied: wording, population, a device that nobody had then.</details>
#
# <details><summary>A report model invents few findings. Is it safe?</summary>
# Not yet: it may write little at all. Count what it misses as well, and see what it writes about a black
# picture.</details>
#
# <details><summary>You suspect a shortcut through the hospital. Which test shows it?</summary>
# Break the link between hospital and disease: test on sick patients from the healthy ones' hospital and the other way
# round. A model that sees the disease does not care; one that reads the detector falls below a coin.</details>
#
# **Summary.** A good score holds for the patients, words and machines it was measured on. Data hunger, cost, a new
# hospital or wording, invention and shortcuts each have a test of their own, and most of them need only a changed test
# set. The black picture and the blinded twin are the cheapest: what they also get right is no merit of the image.
#
# **Further reading.** Zech et al., PLoS Med 15:e1002683, 2018 (other hospitals). DeGrave, Janizek and Lee, *AI for
# radiographic COVID-19 detection selects shortcuts over signal*, Nat Mach Intell 3:610, 2021. Geirhos et al., *Shortcut
# learning in deep neural networks*, Nat Mach Intell 2:665, 2020. Rohrbach et al., *Object hallucination in image
# captioning*, EMNLP 2018. Goyal et al., *Making the V in VQA matter*, CVPR 2017 (blind answers).
#
# Back to [14](14_embedding_atlas.ipynb), on to [16](16_your_own_data_and_models.ipynb).
