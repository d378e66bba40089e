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
# # 11 · EchoCLIP: reading a heart by asking for every answer
#
# **A model that only compares pictures with sentences was never taught to measure. How can it tell an ejection
# fraction?**
#
# *Learning goals.* You will follow a video and a sentence into one space; train the sentence's half of it; read a
# number by a sweep of prompts, in two ways that differ; see what a single frame cannot know; find devices, and find
# *people*; and ask where the model looked.
#
# Time: 45 minutes to read, about a minute to run. *Not for clinical use. Simulated patients, unless a picture says
# otherwise.*

# %%
import medvlm_lab as lab
lab.widgets.viewer(real := lab.sample("echo-cine"))

# %% [markdown]
# A real film: play it. Ultrasound from the heart's tip; the four chambers fill and empty. Now four moments of two
# simulated hearts, a strong one and a weak one:

# %%
from dataclasses import replace

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from torch.nn.functional import normalize

from medvlm_lab.models.echo_clip import DEVICES, EJECTION_FRACTION
from medvlm_lab.models.prompt_sweep import AGGREGATIONS, TOP_SHARE, binary, ranked
from medvlm_lab.train import recipe
from medvlm_lab.train.live_contrast import Cines, fit_texts

lab.style.apply()
model, heart, n = lab.load("echo-clip", device="cpu"), lab.phantom("echocardiogram"), 56
data = lab.dataset("phantom:echocardiogram", "test", n=n, size=96, wording="usual")
test = Cines.of(model, data, range(n))
truth = np.array([study.values["ejection_fraction_percent"] for study in test.studies])
weak, strong = int(truth.argmin()), int(truth.argmax())
moments = {}
for i in (weak, strong):
    film, masks = heart.image(data.scene(i), 256), heart.masks([data.scene(i)], 64)
    room = masks["left ventricle"][0].sum((1, 2))  # pixels of the cavity in each frame
    for name, at in (("fullest", room.argmax()), ("emptiest", room.argmin())):
        moments[f"LVEF {truth[i]:.0f} %, {name}"] = film.display(int(at))
lab.style.show(moments, side=2.6)

# %% [markdown]
# Ultrasound from the heart's tip, of two simulated patients: the left ventricle is the dark chamber right of the
# middle, the atria lie below. The *left ventricular ejection fraction* (LVEF) is the share of its blood that the
# ventricle throws out with a beat; below about 52 % it is reduced.
#
# ## The paper
#
# Christensen, Vukadinovic, Yuan and Ouyang, *Vision–language foundation model for echocardiogram interpretation*,
# Nature Medicine 30:1481–1488, 2024.
#
# - **Goal.** One model for many tasks of echocardiography, trained for none of them.
# - **Data.** 1,032,975 videos of 224,685 studies of 99,870 patients, each with the cardiologist's report, from one
#   hospital; to test outside, EchoNet-Dynamic's.
# - **Method.** CLIP: a ConvNeXt for pictures and a transformer for texts learn which report belongs to which video,
#   from one random frame of a video at a time. A second model, EchoCLIP-R, reads whole long reports.
# - **Result.** Devices found by prompts alone, LVEF read by a sweep of prompts, the same patient found again. The table
#   further below quotes the numbers.
# - **Conclusion.** Reports are labels enough. To come: several views, and encoders for videos rather than frames.
#
# ## 1. A video and a sentence, tensor by tensor

# %%
net = model.module
pixels = model.pixels([real])
features, frames = net.frame_features(pixels), net.encode_frames(pixels)
ids = model.tokenizer.batch([EJECTION_FRACTION[0].format(60)], net.config.context)
text = net.encode_text(ids)
steps = [
    ("image", "frames, spread over the film", pixels),
    ("image", "ConvNeXt: last map of each frame", features),
    ("image", "mean over places, norm, projection", frames),
    ("text", "tokens of the sentence", ids),
    ("text", "transformer, read at its last token", text),
    ("fusion", "mean over frames, then the cosine", normalize(frames.mean(1), dim=-1) @ normalize(text, dim=-1).T),
]
pd.DataFrame([(part, name, str(tuple(t.shape))) for part, name, t in steps], columns=["part", "step", "shape"])

# %% [markdown]
# Nothing crosses between the towers before the cosine. So every picture and every sentence is encoded once, and any
# question afterwards is a product of two tables. Try sentences: the bars say among how many of 56 simulated
# patients a film agrees more.

# %%
films = {"real": model.encode_images([real])[0], "weakest": test.unit()[weak], "strongest": test.unit()[strong]}


def ask(prompt="The left ventricular ejection fraction is severely reduced."):
    towards = model.encode_texts([prompt or "nothing"])[0]
    below = {name: float((test.unit() @ towards < row @ towards).float().mean()) for name, row in films.items()}
    share = "share of the patients who agree less"
    pd.Series(below).plot.barh(figsize=(6, 1.6), xlim=(0, 1), color=lab.style.BLUE, xlabel=share)
    plt.show()


_ = ipywidgets.interact(ask, prompt=ipywidgets.Text(ask.__defaults__[0], continuous_update=False))

# %% [markdown]
# ## 2. The training, and a part of it now
#
# The bundled weights went through the stages of their recipe. The first stands in for the ImageNet weights that the
# paper starts from; the contrast of videos and reports is the paper's own. The third is this workbook's: short
# sentences told from their denials, and each ejection fraction from every other. So this small model *was* taught what
# section 3 asks of it; the paper's learned it from a million videos and their reports alone.

# %%
columns = ["learns", "frozen", "epochs", "batch_size", "frames_per_step"]
pd.DataFrame(recipe("echo-clip")["stages"]).T[columns].fillna("–")

# %% [markdown]
# Live: the image tower stays as it is, and a *new* text tower learns from 56 patients' reports which belongs to which
# film. The paper shows it one random frame of a film in each step. **Predict.** Will that be worse than showing the
# mean of all frames?

# %%
train = Cines.of(model, lab.dataset("phantom:echocardiogram", "train", n=n, size=96), range(n))
curves = {"one random frame": fit_texts(model, train, test, True), "mean of all": fit_texts(model, train, test, False)}
curves["chance"] = dict.fromkeys(curves["mean of all"], 50)
pd.DataFrame(curves).plot(marker="o", xlabel="steps of 32 patients", ylabel="MCMRR, % of the patients", ylim=(0, None))
plt.show()

# %% [markdown]
# **Explain.** The score is the *mean cross-modal retrieval rank* (MCMRR): at which place the right report comes for a
# film, and the right film for a report, here in percent of all. Random frames do not harm: each step shows the same
# patient a little differently, which keeps the tower from learning 56 films by heart. To *measure*, all frames are
# averaged either way, and reports are worded as in training: a tower this young reads no new words.
# The whole recipe, with thousands of patients, takes about an hour on one core.
#
# ## 3. A number from sentences
#
# To read an LVEF, ask for every value: "… is estimated at 0%", "… at 1%", up to 100, in two wordings. Each frame ranks
# the 202 sentences.

# %%
values = torch.arange(101.0).repeat(len(EJECTION_FRACTION))
prompts = [template.format(i) for template in EJECTION_FRACTION for i in range(101)]
unit = normalize(test.frames, dim=-1)
similarity = unit @ model.encode_texts(prompts).T  # (patients, frames, prompts)
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for axis, i in zip(axes, (weak, strong), strict=True):
    axis.imshow(similarity[i, :, :101], aspect="auto", cmap="cividis")
    axis.axvline(truth[i], color=lab.style.VERMILION)
    axis.set(title=f"true LVEF {truth[i]:.0f} % (line)", xlabel="per cent in the sentence", ylabel="frame")
    axis.grid(False)
plt.show()

# %% [markdown]
# Yellow: the frame agrees with the sentence. A band, not a peak: sentences that differ by one per cent are nearly the
# same to the text tower. So not the best sentence decides, but the best fifth of them, which vote:
#
# - **code**: average the votes of all frames at each rank, then take the median of the ranks;
# - **paper**: take the median of each frame's votes, then average over frames.
#
# **Predict.** Which of the two will be nearer to the truth: or will they agree?

# %%
ipywidgets.ToggleButtons(options=["code", "paper", "no difference"], value=None, description="Nearer:")

# %%
errors = {}
for k in (1, 2, 3, 4, 6, 12):
    at = [round(j * 12 / k) for j in range(k)]  # spread over the film
    read = {way: vote(similarity[:, at], values).numpy() for way, vote in AGGREGATIONS.items()}
    errors[k] = {way: np.abs(r - truth).mean() for way, r in read.items()}
    errors[k]["guessing the mean"] = np.abs(truth - truth.mean()).mean()
pd.DataFrame(errors).T.plot(marker="o", xlabel="frames looked at", ylabel="mean absolute error, points", ylim=(0, None))
plt.show()
print(f"code and paper, at most apart: {np.abs(read['code'] - read['paper']).max():.1f} points")

# %% [markdown]
# **Explain.** With one frame the two are one rule; with more they part. What a paper says and what its code does are
# two methods, and a number is one of them: say which.
#
# ## 4. What a single frame cannot know
#
# LVEF compares the full ventricle with the empty one. One frame shows one of the two. Here is what each frame of three
# patients reads by itself.

# %%
votes = ranked(similarity, values)[..., : int(len(values) * TOP_SHARE)].median(-1).values  # (patients, frames)
for i, color in zip((weak, int(np.abs(truth - 45).argmin()), strong), lab.style.CYCLE, strict=False):
    plt.plot(votes[i], "o-", color=color, label=f"true LVEF {truth[i]:.0f} %")
    plt.axhline(truth[i], color=color, linewidth=0.8)
plt.gca().set(xlabel="frame of 12", ylabel="LVEF read from that frame, %", ylim=(0, 100))
plt.legend()
plt.show()

# %% [markdown]
# **Explain.** A small cavity looks like a strong ventricle, whenever it is small. In a heart that moves, the reading
# swings with the beat; the mean over the beat is what is left to trust. The paper averages ten frames of a film for
# the same reason, and names encoders for video as the next step.
#
# ## 5. Devices
#
# The score of a device is the mean cosine over frames and a few sentences. No negative sentence, no softmax.

# %%
has = {name: np.array([name in study.findings for study in test.studies]) for name in DEVICES}
scores = {name: binary(unit @ model.encode_texts(said).T).numpy() for name, said in DEVICES.items()}
figure, axes = plt.subplots(1, 3, figsize=(10, 2.6))
for axis, (name, score) in zip(axes, scores.items(), strict=True):
    axis.hist([score[~has[name]], score[has[name]]], 16, density=True, label=["without", "with"])
    axis.set(title=f"{name}: AUC {roc_auc_score(has[name], score):.2f}", xlabel="mean cosine", yticks=[])
axes[0].legend()
plt.show()

# %% [markdown]
# **Explain.** Each device has its own range of cosines. The score orders *patients* for one device; it never says which
# device a patient has, nor, without a threshold found on other patients, whether. With few devices among 56 patients
# the areas are rough; the card has them on 2,000 with intervals.
#
# ## 6. The same person again
#
# **Predict.** Two dozen patients come back: function has drifted, the probe is held anew. How often does the nearest of
# all earlier films belong to the same person?

# %%
lab.evaluate("identification", model, data, n=24, progress=False)

# %% [markdown]
# **Explain.** Nobody trained it to know people. Anatomy and devices stay, so films of one person stay near each other.
# The paper shows this as a use: finding a patient's earlier study, noticing a change. It is also a warning: an
# embedding without a name is not anonymous.
#
# ## 7. Where it looked
#
# PromptCAM weighs the last map's channels by how fast the agreement with a sentence grows with them (chapter 13 does it
# by hand). Orange speaks for the sentence that names the device.

# %%
scene = data.scene(int(has["pacemaker lead"].argmax()))
film = heart.image(scene, 256)
look = lambda film, name: lab.explain.explain("prompt-cam", model, film, DEVICES[name][0]).overlay()  # noqa: E731
pictures = {"true place of the lead": 255.0 * heart.masks([scene], 256)["pacemaker lead"][0, film.frames // 2]}
pictures |= {name: look(film, name) for name in DEVICES} | {"real: pacemaker lead": look(real, "pacemaker lead")}
lab.style.show(pictures, columns=5, side=2.3, vmax=255)

# %% [markdown]
# **Explain.** This patient has a pacemaker. Does its map lie on the lead? A high score does not make a map right. And
# every sentence gets a map with a largest place, also one whose device is not there, and also on the real film, of
# which nobody here knows the truth: is its orange on the heart? (The boxes cover what the machine wrote beside it. The
# model got those letters, too.) A map says where, never whether.
#
# ## 8. The space as a map

# %%
flat = lab.embed.project(lab.embed.embed(model, test.images, progress=False))
plt.scatter(*flat.coordinates.T, c=truth, cmap="cividis", s=30)
plt.colorbar(label="LVEF, %")
for (name, there), mark in zip(has.items(), "x+1", strict=True):
    plt.scatter(*flat.coordinates[there].T, marker=mark, s=70, color=lab.style.VERMILION, label=name)
plt.title(f"UMAP, trustworthiness {flat.trustworthiness:.2f}")
plt.legend(loc="center left", bbox_to_anchor=(1.25, 0.5))
plt.show()

# %% [markdown]
# Each dot is a patient, its colour the function, the orange marks devices. Which of them made the map's large parts?
# UMAP keeps neighbours, not distances; chapter 14 shows what it makes up.
#
# ## 9. The paper's table, and what was measured here

# %%
replace(lab.scoreboard(), figures=tuple(f for f in lab.scoreboard().figures if f.system == "EchoCLIP"))

# %% [markdown]
# And the real film. Nobody here knows its LVEF, so this is a reading, not a result:

# %%
pd.DataFrame({"LVEF read, %": {way: round(model.ejection_fraction(real, way)) for way in AGGREGATIONS}})

# %% [markdown]
# ## 10. Where text, code and talk disagree
#
# - **LVEF**: paper and code aggregate differently (section 3).
# - **Devices**: 0.97, which is often quoted, is the best of three. The abstract gives 0.84 for pacemakers, 0.92 for
#   mitral valve repair and 0.97 for artificial aortic valves.
# - **"7.1 % MAE on external data"** (talk): these are percentage *points*, and the internal error is larger, 8.4.
# - **Retrieval and identification** are EchoCLIP-R's, which reads long reports; the talk credits one model with all.
# - **"Text encoder: transformer-based decoder"** (talk): it decodes nothing. Its attention is causal, as a decoder's,
#   and its last token is the sentence's vector.
#
# **Limits.** One view of the heart and one simulator; 96 pixels; 12 frames, whose order is lost in the mean; sentences
# worded as its reports were; cosines without a common zero.
#
# ## The published checkpoint, on a GPU
#
# It is free for academic use. It is published as a pickle, which could run code; `fetch` takes the tensors out of it,
# runs nothing and says in which FOLDER they are. A laptop's GPU is enough (0.6 GB), and the tasks are the same:
#
#     medvlm-lab models fetch echo-clip
#     medvlm-lab evaluate regression --model echo-clip --checkpoint FOLDER --data echonet_dynamic --split test
#
# ## Exercises

# %%
lab.check("11.1", None)

# %%
lab.check("11.2", None)

# %%
lab.check("11.3", None)

# %%
lab.check("11.4", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Why a fifth of the sentences, and not the best one?</summary>
# Neighbouring sentences are nearly equal to the text tower, so which one wins is chance; the middle of the best ones is
# steadier.</details>
#
# <details><summary>The 12 frames are shuffled. What changes?</summary>
# Nothing: a mean has no order. The model knows that the cavity is now large and now small, not which came
# first.</details>
#
# <details><summary>A hospital shares embeddings instead of films. Is that anonymous?</summary>
# No: the same person's films lie near each other, so whoever holds one film can find the others.</details>
#
# **Summary.** Two towers and a cosine read numbers, find devices and recognise people; the paper's were taught none of
# it, this chapter's small ones the first two. A number read by prompts is a vote; how the votes are counted is part of
# the method; and a still cannot show motion.
#
# **Further reading.** Christensen et al., *Nat Med* 30:1481, 2024. Ouyang et al., *EchoNet-Dynamic*, Nature 580:252,
# 2020. Radford et al., *CLIP*, ICML 2021. Liu et al., *ConvNeXt*, CVPR 2022. Lang et al., *Chamber quantification*, J
# Am Soc Echocardiogr 28:1, 2015.
#
# Back to [10](10_flamingo_cxr.ipynb), on to [12](12_vit_bert_vqa.ipynb).
