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
# # 14 · Embedding atlas
#
# **A model turns every picture into a point. What does the place of a point know, and what does a map of points make
# up?**
#
# *Learning goals.* You will read a map of images and reports; measure what a space holds instead of looking for it;
# see the gap between pictures and words; find wrong labels and duplicates; and catch UMAP drawing islands that are not
# there.
#
# Time: 40 minutes to read, about a minute to run. *Not for clinical use. The patients are simulated.*

# %% tags=["parameters"]
seed = 0  # another one: `medvlm-lab chapters run 14 --param seed=3`

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

import medvlm_lab as lab

lab.style.apply()
zero, data = lab.load("chexzero"), lab.dataset("phantom:chest-xray", "test", n=300, size=128)
images = lab.embed.embed(zero, data, progress=False)
umap = lab.embed.project(images, seed=seed)
lab.widgets.embedding_map(images, umap, color_by="finding: pleural effusion")

# %% [markdown]
# Each point is a chest X-ray of 128 × 128 pixels, turned into a vector by CheXzero's image tower and laid out by UMAP.
# Hover over points to see pictures and reports; encircle some; type "pneumothorax" into the search; change the colour.
#
# **Predict.** Which finding will gather in one place: one that changes the whole picture, or a small one?

# %%
findings = images.table["findings"].to_pylist()
kinds = sorted({kind for own in findings for kind in own})
has = {kind: np.array([kind in own for own in findings]) for kind in kinds}
figure, axes = plt.subplots(-(-len(kinds) // 5), 5, figsize=(11, 7))
for axis in axes.flat[len(kinds) :]:
    axis.axis("off")
for axis, kind in zip(axes.flat, kinds, strict=False):
    for there, color, size in ((False, lab.style.GREY, 3), (True, lab.style.VERMILION, 14)):
        axis.scatter(*umap.coordinates[has[kind] == there].T, s=size, color=color)
    axis.set(xticks=[], yticks=[])
    axis.set_title(f"{kind} ({has[kind].sum()})", fontsize=9)
plt.show()

# %% [markdown]
# ## 1. Ask the space, not the map
#
# A map shows two numbers of nearly two hundred. Whether the *space* knows a finding is asked with the simplest reader:
# a straight line through it, tested on patients that it was not fitted on. Beside it, the same reader on the map.


# %%
def known(vectors, truth):
    """Area under the curve of a linear reader, each fifth of the patients read by a line fitted on the others."""
    score = cross_val_predict(LogisticRegression(max_iter=2000), vectors, truth, cv=5, method="decision_function")
    return roc_auc_score(truth, score)


rows = {kind: [known(5 * images.vectors, t), known(umap.coordinates, t)] for kind, t in has.items() if t.sum() >= 10}
table = pd.DataFrame(rows, index=["in the space", "on the map"]).T.sort_values("in the space")
table.plot.barh(figsize=(7, 4), color=[lab.style.BLUE, lab.style.SKY], xlim=(0, 1), xlabel="area under the curve")
plt.axvline(0.5, color=lab.style.VERMILION, linestyle="--")
plt.show()

# %% [markdown]
# **Explain.** The map keeps what moves many patients far, and drops the rest. What you do not see on it may still be
# in the space; what you do see may be the layout's own.
#
# ## 2. Severity, modality, organ
#
# A finding is there or not; an ejection fraction is a number. EchoCLIP's space, read by a straight line:

# %%
echo = lab.embed.embed(lab.load("echo-clip"), lab.dataset("phantom:echocardiogram", "test", n=80, size=96),
                       progress=False)  # fmt: skip
fraction = np.array([dict(own)["ejection_fraction_percent"] for own in echo.table["numbers"].to_pylist()])
read = cross_val_predict(Ridge(0.01), echo.vectors, fraction, cv=5)
figure, axis = plt.subplots(figsize=(4, 3.4))
axis.scatter(fraction, read, s=14)
axis.plot([15, 75], [15, 75], color=lab.style.GREY, linestyle="--")
axis.set(xlabel="true ejection fraction, %", ylabel="read from the space, %")
axis.set_title(f"off by {np.abs(read - fraction).mean():.1f} points (mean)")
plt.show()

# %% [markdown]
# And a model that meets what it was never shown: heads and tissue through CheXzero, with the check of the modality
# switched off.

# %%
kept = ("chest-xray", "brain-mr", "histology")
mixed = [(name, lab.phantom(name).image(scene, 128).with_(modality="unknown"))
         for name in kept for scene in lab.phantom(name).sample(1, 20)]  # fmt: skip
strange = lab.embed.project(lab.embed.embed(zero, [image for _, image in mixed], progress=False), "pca")
for color, name in zip(lab.style.CYCLE, dict(mixed), strict=False):
    own = [i for i, (kind, _) in enumerate(mixed) if kind == name]
    plt.scatter(*strange.coordinates[own].T, color=color, s=16, label=name)
plt.legend()
plt.show()

# %% [markdown]
# **Explain.** Modality is the easiest thing to see, and a space largely separates it without having learned it. So a
# map of several modalities that falls into islands proves nothing about a model's medicine. Nor does it show organs:
# here each organ comes with a modality of its own, and nobody can say which of the two moved the points.
#
# ## 3. The gap between pictures and words
#
# CLIP puts pictures and texts "into one space". **Predict.** Will a picture's nearest neighbour be its own report?

# %%
both = images.texts()
plane, n = lab.embed.project(both, "pca").coordinates, len(images)
figure, axis = plt.subplots(figsize=(6, 3.6))
axis.scatter(*plane[:n].T, s=6, color=lab.style.COLORS["image"], label="images")
axis.scatter(*plane[n:].T, s=6, color=lab.style.COLORS["text"], label="their reports")
for i in range(0, n, 30):
    axis.plot(*plane[[i, n + i]].T, color=lab.style.GREY, linewidth=0.6)
axis.legend()
axis.set_title(f"distance between the mean image and the mean text: {both.gap():.2f}")
plt.show()
nearest = [both.nearest(i, 1)[0].kind for i in range(0, n, 3)]
print(f"nearest to an image is another image in {nearest.count('image')} of {len(nearest)} cases")

# %% [markdown]
# **Explain.** The loss only asks that a picture's own text be nearer than *other texts*. Two separate cones satisfy it
# (Liang et al. 2022). So search images among images, or texts among texts, or let both be ranked apart:

# %%
lab.evaluate("retrieval", zero, data, progress=False)

# %%
hits = images.nearest("There is a large pleural effusion.", k=6)
found = ["there" if "pleural effusion" in findings[h.row] else "missing" for h in hits]
lab.style.show({f"{i + 1}. {h.cosine:.2f}, {found[i]}": images.image(h.row) for i, h in enumerate(hits)}, side=1.9)

# %% [markdown]
# ## 4. Wrong labels and duplicates
#
# Twelve labels "pleural effusion" are now flipped, and four pictures come twice, the copy brightened. Can the space
# find them?

# %%
rng = np.random.default_rng(0)
flipped, label = rng.choice(n, 12, replace=False), has["pleural effusion"].copy()
label[flipped] ^= True
score = cross_val_predict(LogisticRegression(max_iter=2000), 5 * images.vectors, label, cv=5, method="predict_proba")
doubt = np.abs(score[:, 1] - label)  # how much the other patients disagree with a label
suspects = np.argsort(-doubt)[:12]
found = len({*suspects} & {*flipped})
print(f"of the 12 most doubtful labels {found} are the flipped ones; by chance {12 * 12 / n:.1f}")

# %%
copied = [images.image(i) for i in range(4)]
brighter = [image.with_(pixels=image.pixels * 1.05) for image in copied]
more = lab.embed.embed(zero, [*(images.image(i) for i in range(60)), *brighter], progress=False)
pairs = more.duplicates(threshold=0.0)[:6]
pd.DataFrame([(a, b, f"{c:.4f}", b == a + 60) for a, b, c in pairs], columns=["row", "row", "cosine", "planted"])

# %% [markdown]
# ## 5. A patient over time
#
# Forty patients come a second time: the same anatomy, findings that have grown, shrunk or gone. **Predict.** Is a
# patient's second picture the nearest of all to the first?

# %%
visits = [(i, study) for i in range(40) for study in (data.study(i), data.later(i))]
twice = lab.embed.embed(zero, [study.image() for _, study in visits], patients=[f"patient {i}" for i, _ in visits],
                        progress=False)  # fmt: skip
place = lab.embed.project(twice, "pca").coordinates
for i in range(40):
    changed = visits[2 * i][1].findings != visits[2 * i + 1][1].findings
    plt.annotate("", place[2 * i + 1], place[2 * i], arrowprops={
        "arrowstyle": "->", "color": lab.style.VERMILION if changed else lab.style.GREY})  # fmt: skip
plt.scatter(*place.T, s=6, color=lab.style.BLUE)
plt.title("from the first picture to the second; orange: a finding has come or gone")
plt.show()
again = [twice.nearest(2 * i, 1)[0].row == 2 * i + 1 for i in range(40)]
print(f"the second picture is nearest to the first in {sum(again)} of 40 patients; by chance in {40 / 79:.1f}")
lab.widgets.embedding_map(twice, color_by="patient")

# %% [markdown]
# **Explain.** The steps are short where no finding has come or gone, and long where one has: a follow-up can be read as
# a way through the space. And anatomy stays in it, although the reports that it learned from speak of findings and not
# of persons. A model that nobody taught faces may know people again, which is a matter of privacy (chapter 11 measures
# it). In the widget, click a point: a line leads from each picture of a patient to the next.
#
# ## 6. What UMAP makes up
#
# **Predict.** Below are three maps of *pure noise*: 300 random directions, without any structure. What will you see?

# %%
noise = np.random.default_rng(1).normal(size=images.vectors.shape).astype(np.float32)
noise /= np.linalg.norm(noise, axis=1, keepdims=True)
blank = images.from_rows([row | {"vector": v} for row, v in zip(images.table.to_pylist(), noise, strict=True)], "", "")
maps = {f"noise, {k} neighbours": lab.embed.project(blank, n_neighbors=k) for k in (3, 15, 60)}
maps |= {"CheXzero, 15 neighbours": umap, "CheXzero, another seed": lab.embed.project(images, seed=seed + 7)}
figure, axes = plt.subplots(1, 5, figsize=(14, 3))
for axis, (title, shown) in zip(axes, maps.items(), strict=True):
    axis.scatter(*shown.coordinates.T, s=4, color=lab.style.PURPLE)
    axis.set(title=f"{title}\ntrust {shown.trustworthiness:.2f}", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# **Explain.** With few neighbours UMAP tears noise into clumps. Sizes of islands, the space between them and their
# shape mean little; neighbourhood means something, as far as *trustworthiness* is high (1: nobody is a neighbour on
# the map who is none in truth). State it with every map.
#
# ## Exercises

# %%
lab.check("14.1", None)

# %%
lab.check("14.2", None)

# %%
lab.check("14.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Two islands lie far apart on a UMAP. Are their patients very different?</summary>
# Not known: UMAP keeps neighbours, not distances between islands. Measure the distance in the space itself.</details>
#
# <details><summary>A search for a text returns only texts. What happened?</summary>
# The modality gap: every text is nearer to other texts than to any image. Search among images only.</details>
#
# <details><summary>A map colours by hospital and falls into two islands. Good news?</summary>
# No: the model tells hospitals apart, and will use that as a shortcut wherever disease and hospital go together
# (chapter 15).</details>
#
# **Summary.** The space holds more than a map shows, and a map shows more than the space holds. Test with a simple
# reader on held-out patients; look at the pictures behind the points; state trustworthiness.
#
# **Further reading.** McInnes, Healy and Melville, *UMAP*, 2018. Venna and Kaski 2001 (trustworthiness, continuity).
# Liang et al., *Mind the gap*, NeurIPS 2022. Wattenberg et al., *How to use t-SNE effectively*, Distill 2016. Northcutt
# et al., *Pervasive label errors*, NeurIPS 2021.
#
# Back to [13](13_interpretability_lab.ipynb), on to [15](15_limitations.ipynb).
