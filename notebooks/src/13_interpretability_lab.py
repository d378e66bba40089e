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
# # 13 · Interpretability lab
#
# **A coloured map says where a model looked. Who checks the map?**
#
# *Learning goals.* You will compute a PromptCAM by hand; try eleven methods on one picture; grade them against the true
# place of a finding; break them on purpose; and know three things that no map tells.
#
# Time: 45 minutes to read, about a minute and a half to run. *Not for clinical use. Simulated patients, unless a
# picture says otherwise.*

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

import medvlm_lab as lab

lab.style.apply()
zero, blip = (lab.load(name, device="cpu") for name in ("chexzero", "clinical-blip"))  # taken apart by hand below
chest = lab.phantom("chest-xray")
there = {"pleural effusion", "pacemaker"}
patient = next(s for s in chest.sample(11, 600, part="test") if {f.kind for f in s.all_findings} == there)
image, masks = chest.image(patient, 256), chest.masks([patient], 256)
lab.widgets.explain(zero, image, "pleural effusion", masks=masks)

# %% [markdown]
# Two methods, side by side, on the same picture, with the true place of the effusion as an outline: on both sides, for
# the text names no side. Choose other methods, move the layer, type another finding or "left effusion": the place
# follows the text, and where the text names nothing that is there, no map is graded. Orange speaks for the text, blue
# against it. Where the methods disagree, at most one of them can be right: this chapter is about finding out which.
#
# ## 1. One map, by hand
#
# CheXzero's image tower turns a picture into a map *A* of features, averages it, normalises it, and projects it to the
# vector *f* that is compared with the text's vector *t*. CheXzero weighs a sentence against its denial, so *t* is here
# the difference of the two. Follow the shapes.

# %%
said, denied = "There is pleural effusion.", "There is no pleural effusion."
trace = zero.trace(image, said)
trace = trace.towards(said, trace.text_embedding - zero.encode_texts([denied])[0])
A, tower = trace.activations[0], zero.module.image_encoder
print("A", tuple(A.shape), "  f", tuple(trace.embedding.shape), "  t", tuple(trace.text_embedding.shape))

# %% [markdown]
# **Predict.** Each of A's channels is a small picture. How would you weigh them, so that their sum shows what speaks
# for the text?
#
# PromptCAM (Christensen et al. 2024) weighs a channel by how fast *f · t* grows with it: by its gradient. Behind a
# mean, a LayerNorm and a linear layer that gradient can be written down, without any automatic differentiation.

# %%
mean = A.mean((1, 2))
spread = (mean.var(correction=0) + tower.norm.eps).sqrt()
unit = (mean - mean.mean()) / spread
pulled = (trace.text_embedding @ tower.projection.weight) * tower.norm.weight  # back through projection and scale
alpha = (pulled - pulled.mean() - unit * (pulled * unit).mean()) / spread  # back through the normalisation
by_hand = torch.einsum("c,chw->hw", alpha, A) / A[0].numel()
automatic = torch.einsum("c,chw->hw", trace.gradients().mean((0, 2, 3)), A)
print(f"largest difference to automatic differentiation: {(by_hand - automatic).abs().max():.1e}")
shown = lab.explain.explain("prompt-cam", zero, image, said, against=[denied])
lab.style.show({"A's cells, weighed": by_hand.detach().numpy(), "PromptCAM": shown.overlay()}, side=3)

# %% [markdown]
# **Explain.** The whole method is one weighted sum over a coarse grid, enlarged to the picture, with what is negative
# cut off. A cell of that grid is all it can resolve: no enlargement makes a tube's map finer.
#
# **Predict.** Move the picture by a quarter of a cell, and the tube lies otherwise on the grid. What do the maps of
# sixteen such pictures, each moved back and all averaged, know that one does not?

# %%
tubed = next(s for s in chest.sample(11, 600, part="test") if {f.kind for f in s.all_findings} == {"nasogastric tube"})
xray, tube = chest.image(tubed, 256), chest.masks([tubed], 256)["nasogastric tube"][0].numpy()
words = "There is a nasogastric tube.", ["There is no nasogastric tube."]
coarse, fine = (lab.explain.explain("prompt-cam", zero, xray, words[0], against=words[1], shifts=n) for n in (1, 4))
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8))
for axis, (title, found) in zip(axes, {"the tube": None, "one pass": coarse, "sixteen": fine}.items(), strict=True):
    axis.imshow(found.overlay() if found else xray.display(), cmap="gray")
    axis.contour(tube, [0.5], colors="white", linewidths=0.6)
    if found:
        axis.plot(*found.peak[::-1], "+", color=lab.style.ORANGE, markersize=12, markeredgewidth=2)
    axis.set_title(title)
    axis.axis("off")
plt.show()

# %% [markdown]
# **Explain.** How a line crosses a cell decides how much of that cell it fills, so every move measures it anew. Long et
# al. (2015) call this shift-and-stitch. It costs sixteen passes; *Finer* in
# the widget above does the same, and section 3 grades what it brings.
#
# ## 2. Eleven methods, one picture
#
# CheXzero, a convolutional network that writes nothing, can run the first seven. The others need a transformer or a
# writer: ClinicalBLIP is both, and is asked a question instead of compared with a sentence.
#
# | method | idea | needs |
# |---|---|---|
# | Grad-CAM | channels weighed by the mean gradient of a score | a map of features |
# | Grad-CAM++ | the same, but each place weighs by its own gradient | a map of features |
# | PromptCAM | Grad-CAM of the similarity with a prompt | an embedding |
# | Score-CAM | a channel counts as much as the picture masked by it scores | many passes |
# | integrated gradients | gradients summed on the way from a black picture | many passes |
# | occlusion | how the score falls when a patch is covered | very many passes |
# | patch similarity | each patch compared with the text for itself | a space of patches |
# | attention rollout | the image's attention, multiplied through all layers; no text | a transformer |
# | Chefer | attention times its gradient, summed over the layers | attention |
# | LeGrad | that gradient alone | attention |
# | cross-attention | where each written word looked | a model that writes |

# %%
place = lab.explain.place(masks, "pleural effusion")  # both sides
written = ["grad-cam", "attention-rollout", "chefer", "legrad", "cross-attention"]
seen = {m: lab.explain.explain(m, zero, image, said, against=[denied]) for m in lab.explain.methods(zero)}
seen |= {f"{m} *": lab.explain.explain(m, blip, image, "Is there pleural effusion?") for m in written}
figure, axes = plt.subplots(3, 4, figsize=(11, 9.1), layout="constrained")
for axis, (name, found) in zip(axes.flat, seen.items(), strict=True):
    axis.imshow(found.overlay())
    axis.contour(place, [0.5], colors="white", linewidths=1)
    axis.plot(*found.peak[::-1], "+", color=lab.style.ORANGE, markersize=12, markeredgewidth=2)
    axis.set_title(f"{name}: {'inside' if place[found.peak] else 'outside'}", fontsize=9)
    axis.axis("off")
plt.show()

# %% [markdown]
# White: the true effusion. Cross: the map's largest value. Whether it lies inside is the *pointing game*. The star
# marks ClinicalBLIP's maps. One picture proves nothing, so grade.
#
# ## 3. Graded
#
# **Predict.** A finding covers a tenth of a picture on average. How often does a blind guess win the pointing game?

# %%
data = lab.dataset("phantom:chest-xray", "test", n=40, size=128)
tried = [(zero, m, {}) for m in lab.explain.methods(zero)] + [(zero, "prompt-cam", {"shifts": 4})]
grades = {}
for model, method, options in tried + [(blip, m, {}) for m in written]:
    scores = lab.explain.grade(method, model, data, n=10, progress=False, **options).scores
    grades[model.name, method + ", moved" * bool(options)] = scores
columns = ("pointing", "pointing_large", "pointing_near", "iou", "insertion", "deletion")
pd.DataFrame({m: {c: str(g[c]).split(", n")[0] + ")" for c in columns} for m, g in grades.items()}).T

# %%
figure, axis = plt.subplots(figsize=(7, 4.6))
for row, ((model, _), found) in enumerate(grades.items()):
    score, colour = found["pointing"], {"chexzero": lab.style.BLUE, "clinical-blip": lab.style.GREEN}[model]
    axis.plot([score.low, score.high], [row, row], color=colour, linewidth=3)
    axis.plot(score.value, row, "o", color=colour, label=model if row in (0, len(tried)) else None)
axis.axvline(found["chance"].value, color=lab.style.VERMILION, linestyle="--", label="blind guess")
axis.set(yticks=range(len(grades)), yticklabels=[method for _, method in grades], ylim=(len(grades) - 0.5, -0.5))
axis.set(xlabel="pointing game, % (95 % interval)", xlim=(-2, 102))
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# **Explain.** Two bars hold the blind guess. One is attention rollout's, which never hears the question. Chefer's lies
# well to the right of the line, and the two methods' intervals of IoU do not even meet: of the same model, asked the
# same, one map finds the finding; that the other does, nothing shows. The second bar, of integrated gradients, is too
# wide to tell, but their IoU lies below that of every CAM of CheXzero: scattered pixels fill no area. With a dozen
# findings in six patients the other intervals overlap, and no ranking follows. Even the gain of moved pictures is not
# proven here; `bench/pointing.py` grades it on 400 patients.
#
# `pointing_large` counts only findings of at least 1 % of the picture: a cell of the map is about that
# size. `pointing_near` lets a map miss by 3 % of the picture's side, as the game's inventors do (Zhang et al. 2018).
# IoU is the overlap divided by the union. Higher is better, but for deletion. This CheXzero was taught where findings
# are, the paper's was not: its maps are better than reports alone would make them. So compare methods, not models.
#
# Insertion and deletion ask the *model*: does its score rise when the map's best pixels are shown first, and fall
# when they are removed first? CheXzero's score is a similarity, ClinicalBLIP's the probability of the answer that it
# gave, right or wrong. Here these two grades tell no two methods of a model apart: all their intervals overlap.
# The two kinds of grade answer two questions: is the map true to the *model*, and is the model true to the *patient*?
#
# ## 4. Broken on purpose
#
# Adebayo et al. (2018) replace a model's weights by random ones, the top layers first; here each layer's are shuffled.
# The model now knows nothing. A map that stays
# as it was never showed what the model had learned.


# %%
def broken(method, model):
    test = lab.explain.randomisation(method, model, data, n=4, groups=5, resamples=100)
    return [1.0, *(score.value for score in test.scores.values())], test.passes


figure, axis = plt.subplots(figsize=(7, 3.4))
for method, model in [("prompt-cam", zero), ("patch-similarity", zero), ("legrad", blip), ("cross-attention", blip)]:
    curve, passes = broken(method, model)
    axis.plot(curve, marker="o", label=f"{method} of {model.name}: {'passes' if passes else 'fails'}")
axis.set(xlabel="layers shuffled, from the top (fifths)", ylabel="rank correlation with the map before")
axis.axhline(0, color=lab.style.GREY, linewidth=0.8)
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# **Explain.** A curve that stays high while the upper layers forget belongs to a map that never depended on them.
# Cross-attention, which papers like to show, stays until the lower layers go; the others fall at once. Four studies are
# few: [explanations.md](../docs/explanations.md) has every method on every model of this book.
#
# ## 5. Attention is not explanation
#
# ClinicalBLIP writes words, and while it writes each, its Q-Former attends to the picture. Such maps are shown in many
# papers. Here are those of two questions.

# %%
questions = ["Is there a pleural effusion?", "Is there a pacemaker?"]
looks = {q: lab.explain.explain("cross-attention", blip, image, q) for q in questions}
lab.style.show({f"{q} {e.answer}": e.overlay() for q, e in looks.items()}, side=3.2)
one, two = (e.values.ravel() for e in looks.values())
Markdown(f"Correlation of the two maps: **{np.corrcoef(one, two)[0, 1]:.2f}**")

# %% [markdown]
# **Explain.** Two questions, and nearly one map. (The second answer is wrong; chapter 07 counts how often.) Attention
# says where a layer *took* values from, not what it did with them; the answer is decided later. A map that does not
# change with the question cannot explain the answer (Jain and Wallace 2019 discuss the same for text). In section 3
# its bar lay to the right of the blind guess, if barely: where a model looks and why it answers are two things.
#
# ## 6. Take the finding away
#
# Only a simulation can do this: the same patient, the same noise, without the effusion. A true map goes with it.

# %%
lab.explain.counterfactual("prompt-cam", zero, chest, "pleural effusion", n=12, resamples=200)

# %%
bare = patient.with_(findings=tuple(f for f in patient.findings if f.kind != "pleural effusion"))
pair = {"with the effusion": image, "without": chest.image(bare, 256)}
maps = {k: lab.explain.explain("prompt-cam", zero, i, said, against=[denied]) for k, i in pair.items()}
most = max(e.values.max() for e in maps.values())  # one scale for both
lab.style.show({f"{k}: score {e.score:.1f}": e.overlay(full=most) for k, e in maps.items()}, side=3.2)

# %% [markdown]
# **Explain.** The score falls and the map leaves the bases of the lungs. But look at how much of it lay elsewhere even
# with the effusion. Now take things away yourself: ClinicalBLIP answers and writes, CheXzero's space shows the place.

# %%
lab.widgets.counterfactual(
    blip, text="Is there a pleural effusion?", seed=29, change="pleural effusion", encoder=zero
)

# %% [markdown]
# ## 7. What no map tells
#
# 1. **Whether the finding is there.** Every map has a largest value, and colours are scaled to it. Below, the patient,
#    who has no pneumothorax, is asked for one; beside it the real radiograph, of which only the nodules are known.
# 2. **Whether the model is right.** A model that reads the hospital's marker gets a map on the marker, at best.
# 3. **Why.** Where is not why: a heart can be looked at for its size, its place or its brightness.

# %%
asked = {"simulated, none there": image, "a real radiograph": lab.sample("chest-xray-nodules")}
texts = "There is pneumothorax.", ["There is no pneumothorax."]
empty = {k: lab.explain.explain("prompt-cam", zero, i, texts[0], against=texts[1]) for k, i in asked.items()}
lab.style.show({f"{k}: score {e.score:.1f}": e.overlay() for k, e in empty.items()}, side=3.2)

# %% [markdown]
# **Explain.** The real film scores higher than the patient without the finding. On pictures unlike those of its
# training, a score means nothing, and the map beside it no more.

# %% [markdown]
# ## Exercises

# %%
lab.check("13.1", None)

# %%
lab.check("13.2", None)

# %%
lab.check("13.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>A colleague shows you a sharp, convincing map. Which one test would you ask for first?</summary>
# The randomisation test: if the map of a network with shuffled weights looks the same, it shows the picture's edges
# and not the model.</details>
#
# <details><summary>A map wins the pointing game and fails deletion. What does that tell?</summary>
# It lies on the finding, but the model's score does not depend on it: the map is true to the patient and not to the
# model.</details>
#
# <details><summary>Why can PromptCAM not outline a 3 mm nodule?</summary>
# It is a weighted sum over a grid of which one cell is larger than the nodule.</details>
#
# **Summary.** A map is a claim. Grade it against the truth (pointing game, overlap), against the model (insertion,
# deletion, randomisation) and against the counterfactual; report the interval, and what a blind guess scores.
#
# **Further reading.** Christensen et al., *Nat Med* 30:1481, 2024 (PromptCAM). Selvaraju et al., ICCV 2017 (Grad-CAM).
# Adebayo et al., *Sanity checks for saliency maps*, NeurIPS 2018. Chefer et al., ICCV 2021 (relevance of attention).
# Petsiuk et al., BMVC 2018 (insertion, deletion). Jain and Wallace, *Attention is not explanation*, NAACL 2019.
#
# Back to [12](12_vit_bert_vqa.ipynb), on to [14](14_embedding_atlas.ipynb).
