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
# # 01 · Medical image analysis
#
# **How does a picture become a diagnosis, and what did computers do before they learnt to see?**
#
# *Learning goals.* You will name the steps from an image to a diagnosis; segment lungs with a threshold and say where
# it fails; and compare classifiers fairly: on patients that none of them has seen, with an interval, at several
# hospitals.
#
# Time: 25 minutes to read, about a minute to run. *Not for clinical use.*

# %%
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from skimage import exposure, filters, measure

import medvlm_lab as lab

lab.style.apply()
xray = lab.phantom("chest-xray")
patient = xray.draw(seed=10)
lab.style.show({"real": lab.sample("chest-xray-nodules"), "simulated": xray.image(patient)}, side=4)

# %% [markdown]
# *Medical imaging* makes pictures of the inside of the body. *Medical image analysis* gets information out of them:
#
# **input**, an image → **processing** → **output**, a diagnosis, a measurement, a report.
#
# It matters because a finding seen early can be treated early, because a plan needs measurements, and because there are
# more pictures than readers. On the right you see a *simulated* patient: an image made from a description. That has one
# great use here: the truth is known exactly, so everything below can be scored.

# %%
print(xray.report(patient))

# %% [markdown]
# ## Reading by hand
#
# Radiologists read by experience: they compare what they see with thousands of images that they remember.
#
# **Predict.** Six simulated patients. Which of them have fluid around a lung (a pleural effusion)? Look at the corners
# where diaphragm and ribs meet: fluid fills them. Choose several with Ctrl or Cmd.

# %%
scenes = xray.sample(seed=3, n=200)
with_fluid = [s for s in scenes if s.find("pleural effusion") and s.find("pleural effusion").amount > 0.4][:3]
without = [s for s in scenes if not s.all_findings][:3]
reading = [with_fluid[0], without[0], without[1], with_fluid[1], without[2], with_fluid[2]]
pixels = xray.render(reading, 256)[:, 0].numpy()
lab.style.show({f"patient {k}": picture for k, picture in enumerate(pixels, start=1)}, columns=3, vmax=1)
mine = ipywidgets.SelectMultiple(options=[f"patient {k}" for k in range(1, 7)], rows=6, description="Fluid in:")
mine

# %%
truth = [f"patient {k}" for k, s in enumerate(reading, start=1) if s.find("pleural effusion")]
right = sum((f"patient {k}" in mine.value) == (f"patient {k}" in truth) for k in range(1, 7))
print(f"Fluid is in {', '.join(truth)}.", f"You were right about {right} of 6." if mine.value else "You: no guess.")

# %% [markdown]
# **Explain.** You looked at one place and asked one question. A real reader looks everywhere, asks dozens of questions,
# and gets tired. That is what the methods below try to take over.
#
# ## Basic tools: filters and contrast
#
# They change how a picture looks and decide nothing. Smoothing takes noise away and fine vessels with it; local
# contrast shows the lungs better and makes every rib look important.

# %%
tools = {
    "as it is": pixels[3],
    "smoothed (Gaussian)": filters.gaussian(pixels[3], 2),
    "sharpened": filters.unsharp_mask(pixels[3], 3, 1.5),
    "local contrast (CLAHE)": exposure.equalize_adapthist(pixels[3], clip_limit=0.02),
}
lab.style.show(tools, vmax=1)

# %% [markdown]
# ## Segmentation by a threshold
#
# *Segmentation* says of each pixel whether it belongs to a structure; the pixels that do are its *mask*. Lungs hold air
# and are dark, so a threshold may find them. Otsu's method chooses the one that separates dark from bright best. The
# Dice score compares the result with the true lungs: 1 is perfect, 0 has nothing in common.
#
# **Predict.** The rule is made on healthy lungs. Where will it hold: at another hospital with another exposure, in a
# sick lung (with an effusion, or with *consolidation*: air spaces full of fluid or pus), in both?

# %%
hold = ipywidgets.ToggleButtons(options=["another", "sick", "both", "neither"], value=None, description="It holds:")
hold


# %%
def lungs_by_threshold(picture):
    """Dark areas inside a box that a human chose: below Otsu's threshold, the two largest pieces."""
    smooth = filters.gaussian(picture, 2)
    height, width = smooth.shape
    box = np.zeros_like(smooth, dtype=bool)
    box[height // 6 : -height // 8, width // 10 : -width // 10] = True
    pieces = measure.label((smooth < filters.threshold_otsu(smooth[box])) & box)
    largest = sorted(measure.regionprops(pieces), key=lambda r: -r.area)[:2]
    return np.isin(pieces, [r.label for r in largest])


# %%
def sick(scene):
    return bool(scene.find("pleural effusion") or scene.find("consolidation"))


# %%
cases = {}
for title, hospital, wanted in (("healthy", 0, False), ("other hospital", 1, False), ("sick lung", 0, True)):
    group = [s for s in xray.sample(seed=4, n=200, hospital=hospital) if sick(s) == wanted][:24]
    images = xray.render(group, 192)[:, 0].numpy()
    masks = xray.masks(group, 192)
    scores = []
    for image, lungs in zip(images, (masks["right lung"] | masks["left lung"]).numpy(), strict=True):
        found = lungs_by_threshold(image)
        scores.append(2 * (found & lungs).sum() / (found.sum() + lungs.sum()))
        if scores[-1] == min(scores):
            worst = (image, found, lungs)
    cases[title] = (scores, worst)
figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), width_ratios=[1, 1, 1, 1.2], layout="constrained")
for axis, (title, (_, (image, found, lungs))) in zip(axes, cases.items(), strict=False):
    axis.imshow(image, vmin=0, vmax=1)
    axis.contour(found, [0.5], colors=lab.style.ORANGE)
    axis.contour(lungs, [0.5], colors=lab.style.SKY, linestyles="dashed")
    axis.set_title(f"worst: {title}")
    axis.axis("off")
axes[3].boxplot([scores for scores, _ in cases.values()], tick_labels=[name.replace(" ", "\n") for name in cases])
axes[3].set(ylabel="Dice", ylim=(0, 1), title=f"You: {hold.value or 'no guess'}")
plt.show()

# %% [markdown]
# Orange: found; blue, dashed: true. **Explain.** Otsu adapts to the exposure, so another hospital does not hurt.
# Disease does: fluid and consolidation are bright, and a rule that says "lung is dark" cuts off the very part that
# matters. It also takes the air in the stomach for lung. A threshold knows one number per pixel, and nothing about
# shape or place.
#
# ## SVM and KNN on features made by hand
#
# Before deep learning, somebody had to say what to look at: here mean, spread and texture in a coarse grid of fields.
# A *k-nearest-neighbours* classifier looks up the most similar known patients; a *support vector machine* draws the
# widest border between two groups. Beside them: a small convolutional network (CNN), layers of small filters whose
# numbers are learned, so that it makes its own features.
#
# The score is the *AUC*, the area under the ROC curve: the chance that a sick patient is ranked above a healthy one. A
# coin has 0.5. In brackets stands its 95 % interval: how far it may be off because there are only so many patients.
#
# **Predict.** Task: effusion, yes or no. Which one wins, with 700 patients to learn from? And at another hospital?

# %%
winner = ipywidgets.ToggleButtons(options=["KNN", "SVM", "CNN"], value=None, description="My guess:")
winner


# %%
def cohort(seed, n, hospital=0, size=64):
    """Images and labels: is there an effusion that is more than a trace?"""
    group = xray.sample(seed=seed, n=n, hospital=hospital)
    labels = [bool((f := s.find("pleural effusion")) and f.amount > 0.3) for s in group]
    return xray.render(group, size), np.array(labels)


# %%
def features(images):
    """Mean, spread and edge strength in each field of an 8 x 8 grid, scaled per image."""
    flat = images[:, 0] - images.mean((1, 2, 3))[:, None, None]
    edges = (flat.diff(dim=1)[:, :, 1:].abs() + flat.diff(dim=2)[:, 1:].abs()) / 2
    edges = torch.nn.functional.pad(edges, (0, 1, 0, 1))
    stack = torch.stack([flat, flat**2, edges], 1)
    return torch.nn.functional.avg_pool2d(stack, images.shape[-1] // 8).flatten(1).numpy()


# %%
train_images, train_labels = cohort(5, 2500)
chosen = np.concatenate([np.flatnonzero(train_labels)[:350], np.flatnonzero(~train_labels)[:350]])  # half and half
train_images, train_labels = train_images[chosen], train_labels[chosen]
tests = {"same hospital": cohort(6, 500), "hospital 1": cohort(6, 500, 1), "hospital 3": cohort(6, 500, 3)}

# %%
from sklearn import neighbors, pipeline, preprocessing
from sklearn import svm as machines
from torch import nn

torch.manual_seed(0)
cnn = nn.Sequential(
    nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
    nn.Conv2d(32, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
    nn.Dropout(0.3), nn.Linear(64 * 16, 1),
)  # fmt: skip
optimizer = torch.optim.AdamW(cnn.parameters(), lr=2e-3, weight_decay=1e-2)
goal = torch.tensor(train_labels, dtype=torch.float32)
for _ in range(10):
    for rows in torch.randperm(len(goal)).split(50):
        loss = nn.functional.binary_cross_entropy_with_logits(cnn(train_images[rows])[:, 0], goal[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
cnn.eval()
known, rows = (features(train_images), train_labels), {}
knn = pipeline.make_pipeline(preprocessing.StandardScaler(), neighbors.KNeighborsClassifier(15)).fit(*known)
svm = pipeline.make_pipeline(preprocessing.StandardScaler(), machines.SVC()).fit(*known)

with torch.inference_mode():
    for place, (images, labels) in tests.items():
        rows[place] = {
            "KNN": lab.metrics.auc(knn.predict_proba(features(images))[:, 1], labels),
            "SVM": lab.metrics.auc(svm.decision_function(features(images)), labels),
            "CNN": lab.metrics.auc(cnn(images)[:, 0].numpy(), labels),
        }
table = pd.DataFrame(rows).map(lambda x: f"{x.value:.2f} ({x.low:.2f} to {x.high:.2f})")
table.rename_axis(f"AUC, 500 patients each; you: {winner.value or 'no guess'}")

# %% [markdown]
# **Explain.** All three see the same pixels. The hand-made features throw away what nobody thought of; the network
# keeps what helped on its own hospital. The columns to the right are the real test: what was learnt at one place is
# used at another. All three lose there, and the order can change: being better at home does not mean being better
# abroad, a theme of this book.
#
# ## One-dimensional
#
# None of these methods can be *asked* anything. Each answers the one question that it was built for, in one number; a
# new finding needs a new method. They read pixels, and nothing of what is written beside them: the reason for the
# examination, the earlier report, the doctor's question. Joining pictures and words is what the rest of this book is
# about.
#
# ## Exercises

# %%
lab.check("01.1", None)

# %%
lab.check("01.2", None)

# %%
lab.check("01.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>A threshold outlines healthy lungs fairly well. Why may it fail in the patients who need
# it?</summary>
# It knows one rule, lung is dark, and disease breaks just that rule: fluid and consolidation are bright. A method has
# to be tested on the sick, not on the healthy alone.</details>
#
# <details><summary>Two classifiers have AUCs of 0.90 (0.86 to 0.94) and 0.92 (0.88 to 0.95). Which one is
# better?</summary>
# These patients cannot tell: each value lies well inside the other's interval. Take more patients, or compare both on
# the same ones, pair by pair.</details>
#
# <details><summary>Why is a test at another hospital harder than one on other patients of the same hospital?</summary>
# Patients of the same hospital share its machines, exposure and habits, so whatever the classifier learned about these
# still helps. Elsewhere only what it learned about the disease remains.</details>
#
# **Summary.** Filters change how a picture looks, thresholds find what has a brightness of its own, and classifiers
# decide from features, made by hand or learned. Each of them answers the one question that it was built for. What
# counts is a score on unseen patients, with its interval, and at another hospital.
#
# **Further reading.** Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans SMC 9:62, 1979.
# Cortes and Vapnik, *Support-vector networks*, Machine Learning 20:273, 1995. Litjens et al., *A survey on deep
# learning in medical image analysis*, Med Image Anal 42:60, 2017. Zech et al., PLoS Med 15:e1002683, 2018 (a network
# for pneumonia at other hospitals).
#
# Back to [00](00_start_here.ipynb), on to [02](02_imaging_modalities.ipynb).
