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
# *Learning goals.* You will read a folder of your own files, put your own model behind the book's calls in a dozen
# lines, and take from it a map, a zero-shot score, an explanation, an evaluation and figures for a paper.
#
# Time: 30 minutes to read, about half a minute to run. *Not for clinical use.*

# %%
import tempfile
from pathlib import Path

import ipywidgets
import matplotlib.pyplot as plt
import open_clip
import pandas as pd
import pydicom
import torch
import transformers
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.image import SIMULATED_NOTE
from medvlm_lab.models.trace import Trace, record_map
from medvlm_lab.models.view import View, by_shorter_side
from medvlm_lab.phantoms.export import Export
lab.style.apply()
work = Path(tempfile.mkdtemp())  # stands for your own folder
lab.style.show({name: lab.sample(name) for name in ("chest-xray-nodules", "liver-mr", "retina")}, side=3)

# %% [markdown]
# ## 1. Your own files
#
# `lab.read` opens DICOM, NIfTI, PNG, JPEG, TIFF and NumPy. Of a DICOM file it keeps pixels, window, spacing and
# modality, and no name, no date, no number of a patient: a tag enters only with a term that the standard defines, or
# with a plausible number. Files are often named after patients, so an image is named by a hash of its content wherever
# it is stored; the files' own names lie in `private-names.csv` beside the output. Do not pass that file on.
#
# Text that is burned into the pixels (ultrasound, secondary captures) is not in the header. Plain boxes cover where it
# mostly stands: around the scan of an ultrasound, or the upper tenth of a picture whose header says that it holds text.
# They are in every saved picture, but models get every pixel. Look at each picture before you pass it on.
#
# Here a simulated hospital writes one DICOM file.

# %%
path = next(Export("chest-xray", 1, work / "hospital", "dicom", masks=False).run(progress=False).rglob("*.dcm"))
dicom, file = lab.read(path), pydicom.dcmread(path, stop_before_pixels=True)
print(path.name, dicom, sep="\n")
rows = [(t, str(file[t].value), dicom.tags.get(t, "–")) for t in ("PatientName", "PatientID", "Modality")]
pd.DataFrame(rows, columns=["tag", "in the file", "after reading"]).set_index("tag")

# %% [markdown]
# The same picture as a PNG, as it is so often passed on. **Predict.** Can a length still be measured in it?

# %%
plt.imsave(work / "mine.png", dicom.display())
shown = {"DICOM": dicom, "PNG": lab.read(work / "mine.png", modality="X-ray")}
facts = {name: [str(i.resolve_window()), str(i.spacing_mm or "–")] for name, i in shown.items()}
pd.DataFrame.from_dict(facts, orient="index", columns=["window (centre, width)", "spacing, mm"])

# %% [markdown]
# **Explain.** A PNG has lost the original values (Hounsfield units in CT) and the spacing: whoever saved it chose the
# window for ever, and no length can be measured. Keep the DICOM file.
#
# A *data set* is a folder with pictures in one sub-folder for each class, or a question file as VQA-RAD has one, or one
# of the published layouts (`medvlm-lab data list`). Here the hospital writes such a folder. A comment inside each PNG
# says that it is simulated, so all that is made of it says so, too.

# %%
chest, note = lab.phantom("chest-xray"), {"Comment": SIMULATED_NOTE}
for scene in chest.sample(3, 160):
    kinds = {finding.kind for finding in scene.all_findings}
    group = work / "classes" / ("pleural effusion" if "pleural effusion" in kinds else "no pleural effusion")
    group.mkdir(parents=True, exist_ok=True)
    if len(list(group.iterdir())) < 20:
        plt.imsave(group / f"{scene.seed}.png", chest.image(scene, 128).display(), metadata=note)
own = lab.dataset(work / "classes", "all")
print(own, "| classes:", dict(own.classes))

# %% [markdown]
# ## 2. Your own model, in a dozen lines
#
# Tasks, widgets and explanations know no model, only *capabilities*: a class that has `encode_images` and
# `encode_texts`, both returning rows of length 1, is an `ImageTextEncoder`. Nothing has to be inherited or registered.
# Below, an open_clip model. It is built here with random weights, so that nothing is downloaded; the commented line
# loads a published one, and all that follows stays as it is. For `prepare` is the model's own: size, crop and the
# scaling of the grey values are those that it was trained with. `requires_grad_(False)` says that no weight is trained
# here: then torch keeps nothing for gradients.

# %%
# network, _, prepare = open_clip.create_model_and_transforms("ViT-B-16", pretrained="/path/to/weights.safetensors")
torch.manual_seed(0)
both = {"layers": 2, "width": 64}
network = open_clip.CLIP(64, both | {"image_size": 96, "patch_size": 16}, both | {"context_length": 77})
prepare = open_clip.image_transform(network.visual.image_size, is_train=False)
print(f"{sum(p.numel() for p in network.parameters()):,} weights", prepare, sep="\n")


# %%
class Mine:
    name = "my-open-clip"

    def __init__(self, network, prepare, tokenizer):
        self.module, self.prepare, self.tokenizer = network.eval().requires_grad_(False), prepare, tokenizer

    def pixels(self, images):
        return torch.stack([self.prepare(image.pil()) for image in images])  # (n, 3, s, s)

    def encode_images(self, images):
        return F.normalize(self.module.encode_image(self.pixels(images)), dim=-1)

    def encode_texts(self, texts):
        return F.normalize(self.module.encode_text(self.tokenizer(list(texts))), dim=-1)


# %%
model = Mine(network, prepare, open_clip.get_tokenizer("ViT-B-16"))
print(model.encode_images([dicom]).shape, model.encode_texts(["pleural effusion"]).shape)

# %% [markdown]
# A model of transformers differs in the names of its calls, and in nothing else. This one is random, too, and has 64
# pixels; `CLIPModel.from_pretrained(folder)` and `CLIPImageProcessor.from_pretrained(folder)` read a published one.


# %%
class Theirs(Mine):
    name = "my-transformers-clip"

    def pixels(self, images):
        return self.prepare([image.pil() for image in images], return_tensors="pt").pixel_values

    def encode_images(self, images):
        return F.normalize(self.module.get_image_features(self.pixels(images)).pooler_output, dim=-1)

    def encode_texts(self, texts):
        return F.normalize(self.module.get_text_features(self.tokenizer(list(texts))).pooler_output, dim=-1)


# %%
small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
sizes = transformers.CLIPConfig(projection_dim=64, text_config=small | {"eos_token_id": 49407},
                                vision_config=small | {"image_size": 64, "patch_size": 16})  # fmt: skip
resize = transformers.CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64})
other = Theirs(transformers.CLIPModel(sizes), resize, model.tokenizer)  # both have CLIP's words
print(other.encode_images([dicom]).shape, other.encode_texts(["pleural effusion"]).shape)

# %% [markdown]
# **Predict.** The weights are random. What should the area under the curve be?

# %%
guess = ipywidgets.ToggleButtons(options=["0", "0.5", "1"], value=None, description="The area:")
guess

# %%
print("You:", guess.value or "no guess yet")
lab.evaluate("zero-shot", model, own, progress=False)

# %% [markdown]
# **Explain.** 0.5, says theory: a random score puts the sick patient first in half of the cases. Measured is 0.67, and
# its interval ends just above 0.5. Before you believe a good score of your own model, run the same call with random
# weights. Far from chance means that something other than learning separates the classes: find out what. It need not be
# a mistake: random filters still pass brightness, and an effusion is bright. `lab.load(name, untrained=True)` does the
# same for the book's models.

# %%
zero, untrained = lab.load("chexzero"), lab.load("chexzero", untrained=True)
tried = {"mine, random": model, "theirs, random": other, "chexzero": zero, "chexzero, untrained": untrained}
results = {name: lab.evaluate("zero-shot", each, own, progress=False) for name, each in tried.items()}
pd.DataFrame({name: {k: str(r.scores[k]) for k in ("auc", "accuracy")} for name, r in results.items()}).T

# %% [markdown]
# An interval of 1.0–1.0 is not certainty: a bootstrap of a perfect sample is always perfect. No error in n is
# compatible with an error rate of about 3/n, here 3 in 40. And chexzero learned from this simulator: your hospital's
# patients are others.

# %% [markdown]
# ## 3. A map of your pictures
#
# `out=` keeps the vectors, so that a second call computes only what is new. The same from the shell:
# `medvlm-lab embed FOLDER --model chexzero --out vectors`; with `--engine ray` on a cluster.

# %%
found = lab.embed.embed(zero, own, out=work / "vectors", progress=False)
bench = lab.widgets.workbench(zero, found, text="pleural effusion", projection=lab.embed.project(found, "pca"))
bench.map.color_by = "finding: pleural effusion"
bench.map.selection = [next(i for i in range(len(own)) if "pleural effusion" in own[i].findings)]  # opens this patient
bench.map.selection = []  # and no point stands out
bench

# %% [markdown]
# ## 4. Make your model explainable
#
# An `Explainable` has `trace(image, text)`: the score, a map of activations that it was computed from, and how the
# network's grid lies on the picture. The grid is read from the model, the place from what `prepare` does: it shrinks
# the shorter side to the model's size and keeps the middle. Then all methods of chapter 13 that suit it work, and can
# be graded.


# %%
class Explained(Mine):
    @torch.enable_grad()
    def trace(self, image, text):
        tower, size, towards = self.module.visual, (image.height, image.width), self.encode_texts([text])[0]
        pixels = self.pixels([image]).requires_grad_()
        with record_map(tower.transformer.resblocks[-1], tower.grid_size) as maps:  # what enters the last block
            embedding = self.module.encode_image(pixels)[0]
        view = View.through(size, by_shorter_side(size, tower.image_size[0]), tower.image_size)
        return Trace(text, embedding @ towards, maps[0], view, pixels=pixels, embedding=embedding,
                     text_embedding=towards, again=self.module.encode_image)  # fmt: skip


# %%
explained = Explained(network, prepare, model.tokenizer)
lab.style.show({m: lab.explain.explain(m, explained, dicom, "nodule").overlay()
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
# every row, goes on after an interruption, and draws the worst errors. Keep its `private-names.csv` to yourself.

# %%
lab.evaluate("zero-shot", zero, own, out=work / "evaluation", progress=False)
figure, axis = plt.subplots(figsize=(5, 2.2))
for name, result in results.items():
    area = result.scores["auc"]
    axis.plot([area.low, area.value, area.high], [name] * 3, "o-", color=lab.style.BLUE, markevery=[1])
axis.set(xlim=(0, 1.02), ylim=(3.5, -0.5), xlabel="AUC (95 % interval)", title="Random weights as a control")
axis.axvline(0.5, color=lab.style.GREY, linestyle=":")
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
