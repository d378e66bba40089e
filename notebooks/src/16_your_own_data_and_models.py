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
# # 16 · Your own data and models
#
# **How do your pictures and your model get everything that this book's models have?**
#
# *Learning goals.* You will read a folder of your own files, put your own model behind the book's calls in ten lines,
# and take from it a map, a zero-shot score, an explanation, an evaluation and figures for a paper.
#
# Time: 30 minutes to read, about half a minute to run. *Not for clinical use.*

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.models.preprocess import to_square
from medvlm_lab.models.trace import Trace, record_map
from medvlm_lab.models.view import fitted

lab.style.apply()
work = Path(tempfile.mkdtemp())  # stands for your own folder
lab.style.show({name: lab.sample(name) for name in ("chest-xray-nodules", "liver-mr", "retina")}, side=3)

# %% [markdown]
# ## 1. Your own files
#
# `lab.read` opens DICOM, NIfTI, PNG, JPEG, TIFF and NumPy. Of a DICOM file it keeps pixels, window, spacing and
# modality, and no name, no date, no number of a patient: what is not on its list of harmless tags never enters.

# %%
image = lab.sample("chest-xray-nodules")
plt.imsave(work / "mine.png", image.display())
mine = lab.read(work / "mine.png", modality="X-ray")
print(mine, f"\nwindow of the DICOM file: {image.resolve_window()}, of the PNG: {mine.resolve_window()}", sep="")

# %% [markdown]
# A PNG has lost its physical units: whoever saved it chose the window for ever. Keep the DICOM file.
#
# A *data set* is a folder with pictures in one sub-folder for each class, or a question file as VQA-RAD has one, or one
# of the published layouts (`medvlm-lab data list`). Here a simulated hospital writes such a folder.

# %%
chest = lab.phantom("chest-xray")
for scene in chest.sample(3, 160):
    kinds = {finding.kind for finding in scene.all_findings}
    group = "pleural effusion" if "pleural effusion" in kinds else "no pleural effusion"
    (work / "classes" / group).mkdir(parents=True, exist_ok=True)
    if len(list((work / "classes" / group).iterdir())) < 20:
        plt.imsave(work / "classes" / group / f"{scene.seed}.png", chest.image(scene, 128).display())
own = lab.dataset(work / "classes", "all")
print(own, "| classes:", dict(own.classes))

# %% [markdown]
# ## 2. Your own model, in ten lines
#
# Tasks, widgets and explanations know no model, only *capabilities*: a class that has `encode_images` and
# `encode_texts`, both returning rows of length 1, is an `ImageTextEncoder`. Nothing has to be inherited or registered.
# Below, an open_clip model. It is built here with random weights, so that nothing is downloaded; the commented line
# loads a published one.

# %%
import open_clip

# network, _, prepare = open_clip.create_model_and_transforms("ViT-B-16", pretrained="/path/to/weights.safetensors")
torch.manual_seed(0)
network = open_clip.CLIP(
    64, {"image_size": 96, "layers": 2, "width": 64, "patch_size": 16}, {"context_length": 77, "width": 64, "layers": 2}
).eval()
print(f"{sum(p.numel() for p in network.parameters()):,} weights")


# %%
class Mine:
    name = "my-open-clip"

    def __init__(self, network):
        self.module, self.tokenizer = network, open_clip.get_tokenizer("ViT-B-16")

    @torch.inference_mode()
    def encode_images(self, images):
        pixels = torch.stack([to_square(image.display(), 96) for image in images])  # (n, 3, 96, 96), padded
        return F.normalize(self.module.encode_image(pixels), dim=-1)

    @torch.inference_mode()
    def encode_texts(self, texts):
        return F.normalize(self.module.encode_text(self.tokenizer(list(texts))), dim=-1)


model = Mine(network)
lab.evaluate("zero-shot", model, own, progress=False)

# %% [markdown]
# **Predict.** The weights are random. What should the area under the curve be, and does the interval agree?
#
# **Explain.** Before you believe a good score of your own model, run the same call with random weights. A score far
# from chance there is a mistake in the data or in the code. `lab.load(name, untrained=True)` does the same for the
# book's models.

# %%
rows = {}
for name, tried in {"mine, random": model, "chexzero": lab.load("chexzero"),
                    "chexzero, untrained": lab.load("chexzero", untrained=True)}.items():  # fmt: skip
    rows[name] = lab.evaluate("zero-shot", tried, own, progress=False).scores
pd.DataFrame({name: {k: str(s) for k, s in scores.items()} for name, scores in rows.items()})

# %% [markdown]
# ## 3. A map of your pictures
#
# `out=` keeps the vectors, so that a second call computes only what is new. The same from the shell:
# `medvlm-lab embed FOLDER --model chexzero --out vectors`; with `--engine ray` on a cluster.

# %%
zero = lab.load("chexzero")
found = lab.embed.embed(zero, own, out=work / "vectors", progress=False)
lab.widgets.workbench(zero, found, text="pleural effusion", projection=lab.embed.project(found, "pca"))

# %% [markdown]
# ## 4. Make your model explainable
#
# An `Explainable` has `trace(image, text)`: the score, a map of activations that it was computed from, and how the
# network's grid lies on the picture. Then all methods of chapter 13 that suit it work, and can be graded.


# %%
class Explained(Mine):
    @torch.enable_grad()
    def trace(self, image, text):
        pixels = to_square(image.display(), 96)[None].requires_grad_()
        towards = self.encode_texts([text])[0].clone()
        with record_map(self.module.visual.transformer.resblocks[-1], (6, 6)) as maps:  # what enters the last block
            embedding = self.module.encode_image(pixels)[0]
        return Trace(text, embedding @ towards, maps[0], fitted((image.height, image.width), 96), pixels=pixels,
                     embedding=embedding, text_embedding=towards, again=self.module.encode_image)  # fmt: skip


explained = Explained(network)
lab.style.show({m: lab.explain.explain(m, explained, mine, "nodule").overlay()
                for m in ("grad-cam", "occlusion", "integrated-gradients")}, side=3)  # fmt: skip
print(lab.explain.methods(explained))

# %% [markdown]
# Random weights, and yet coloured maps. `lab.explain.randomisation` tells such maps from those that show what a model
# has learned.
#
# ## 5. Published models
#
# Behind the same calls, from a folder or the hub's local cache; safetensors only, none of their code is run.
#
#     model = lab.load("biomedclip", checkpoint="a folder", device="cuda")
#     model = lab.load("medgemma", checkpoint="hf-hub:google/medgemma-4b-it", device="cuda")
#
# ## 6. Figures and tables for a paper
#
# A figure is saved as vectors, a result as a table and as JSON with versions and seeds; `out=` of `lab.evaluate` keeps
# every row, goes on after an interruption, and draws the worst errors.

# %%
result = lab.evaluate("zero-shot", zero, own, out=work / "evaluation", progress=False)
figure, axis = plt.subplots(figsize=(4, 2.4))
scores = [s for name, s in result.scores.items() if name.startswith("auc")]
for row, score in enumerate(scores):
    axis.plot([score.low, score.high], [row, row], color=lab.style.BLUE)
    axis.plot(score.value, row, "o", color=lab.style.BLUE)
axis.set(yticks=range(len(scores)), yticklabels=[n for n in result.scores if n.startswith("auc")], xlim=(0, 1.02))
for kind in ("svg", "pdf"):
    figure.savefig(work / f"figure.{kind}")
plt.show()
print(*sorted(path.name for path in [*work.glob("figure.*"), *(work / "evaluation").iterdir()]), sep=", ")
pd.read_csv(work / "evaluation" / "table.csv")

# %% [markdown]
# ## Exercises

# %%
lab.check("16.1", None)

# %%
lab.check("16.2", None)

# %%
lab.check("16.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Your model scores 0.93 with trained weights and 0.85 with random ones. What now?</summary>
# Something other than learning separates the classes: size, border, brightness or duplicates. Find it first.</details>
#
# <details><summary>Why does `encode_images` have to return rows of length 1?</summary>
# So that a dot product is a cosine, and no picture is near everything because its vector is long.</details>
#
# <details><summary>You tuned prompts on the test pictures until the score was good. What does it say now?</summary>
# Nothing about new pictures. Choose on validation pictures, and score once on others.</details>
#
# **Summary.** A capability is a method with a known result. Give your model two methods and it can be mapped, scored
# and compared; give it a third and it can be explained. Control with random weights, keep the seeds, save the rows.
#
# **Further reading.** open_clip (github.com/mlfoundations/open_clip). Ilharco et al., *OpenCLIP*, Zenodo 2021. Zhang et
# al., *BiomedCLIP*, 2023. DICOM PS3.15, annex E, on de-identification.
#
# Back to [15](15_limitations.ipynb), on to [17](17_grand_round.ipynb).
