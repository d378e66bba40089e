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
# # 00 · Start here
#
# **What can a model say about a radiograph, and when should you believe it?**
#
# *Learning goals.* You will open a medical image and ask a model about it; read its confidence with suspicion; and find
# out what it answers when there is nothing to see.
#
# Time: 10 minutes to read, under a minute to run. *Not for clinical use.*

# %%
import medvlm_lab as lab

image = lab.sample("chest-xray-nodules")
image

# %% [markdown]
# This is a real radiograph, read from a DICOM file, the format in which hospitals keep images. Look at it for ten
# seconds. Is the heart enlarged? (The word for that is *cardiomegaly*.) A rule of thumb for a frontal radiograph: the
# heart is enlarged if it is wider than half the chest, measured inside the ribs (a *cardiothoracic ratio* above 0.5).
#
# **Predict.** Commit to an answer before you read on. Use the arrow keys or the mouse.

# %%
import ipywidgets

guess = ipywidgets.ToggleButtons(options=["no", "yes", "cannot tell"], value=None, description="My answer:")
guess

# %% [markdown]
# **Run.** Now ask a model. It was trained on questions about radiology images, which clinicians had asked, and about
# pictures of pathology. It is small enough to run here.

# %%
model = lab.load("vit-bert-vqa")
question = "Is there cardiomegaly?"
answer = model.answer(image, question)
print(answer)

# %% [markdown]
# **Explain.** The model did not say only one thing: it weighed both answers, and gave each a number.

# %%
import matplotlib.pyplot as plt

lab.style.apply()
names, chances = zip(*answer.alternatives[:5], strict=True)
figure, axes = plt.subplots(figsize=(6, 0.5 + 0.4 * len(names)))
axes.barh(names[::-1], [100 * chance for chance in chances[::-1]])
title = f"{question}  You: {guess.value or 'no guess'}; model: {answer.text}"
axes.set(xlim=(0, 100), xlabel="confidence, percent", title=title)
plt.show()

# %% [markdown]
# A confidence is worth something only when it is *calibrated*: of all answers given with 70 %, about 70 % should be
# right. The top bar has been calibrated on held-out questions, where answers like this one were right less often than
# the network's own number says. The question is *closed*: where "no" is wrong, "yes" is right, so "yes" gets what "no"
# leaves. The network's own numbers are in `answer.probabilities`. Chapter 12 measures what is left. Nobody
# has labelled this film's heart, only its nodules are known: measure it yourself.

# %% [markdown]
# ## Where this runs
#
# On a graphics processor if there is one (CUDA is NVIDIA's, MPS is Apple's), otherwise on the ordinary processor, the
# CPU. The environment variable `MEDVLM_DEVICE=cpu` overrides the choice.

# %%
lab.device()

# %% [markdown]
# ## The images
#
# All of these are real and already on your machine. `lab.sample(name)` opens one; `lab.read(path)` opens your own
# DICOM, NIfTI, PNG, JPEG, TIFF or NumPy file. Names and dates of patients are left behind on reading.
# Plain boxes cover the edges of ultrasound pictures, where the machine may have written text.

# %%
lab.samples()

# %% [markdown]
# ## Look closer
#
# A CT slice is a table of measurements: each pixel says how much X-rays are weakened there, in Hounsfield units. An
# ordinary screen shows 256 greys, far fewer than there are values, so a *window* decides which values become grey and
# which only black or white.
#
# **Predict.** Water is 0 HU by definition. What is the value of the air around the patient? Then find it with the
# pointer, drag over the picture to change the window, and try the presets.

# %%
lab.widgets.viewer("abdomen-ct")

# %% [markdown]
# **Explain.** Air weakens X-rays hardly at all and lies near −1000 HU. Bone lies far above the soft tissues, which
# differ by a few tens of HU only: in the bone window they all look alike, in the abdomen window bone is plain white. A
# model sees one window as well, so what the window hides, no model can find.
#
# ## Five lines
#
# Everything in this book grows out of these:
#
# ```python
# import medvlm_lab as lab
# image = lab.sample("chest-xray-nodules")
# model = lab.load("vit-bert-vqa")
# model.answer(image, "Is there cardiomegaly?")
# lab.widgets.vqa(model, image)
# ```
#
# The last one is the same, live: type a question, press Enter. Change the picture, or upload yours.

# %%
lab.widgets.vqa(model, image, question="Is there cardiomegaly?")

# %% [markdown]
# ## What the model does when there is nothing to see
#
# **Predict.** What will it answer about a black picture, and how sure will it be?

# %%
black = lab.MedicalImage.from_array(image.pixels * 0, modality=image.modality)
black

# %%
import pandas as pd

asked = [question, "What imaging modality is this?"]
rows = [(q, str(model.answer(image, q)), str(model.answer(black, q))) for q in asked]
pd.DataFrame(rows, columns=["question", "radiograph", "black picture"])

# %% [markdown]
# **Explain.** The first answer stays "no", and its confidence hardly moves: 84 % with the film, 83 % without. Whatever
# the heart looks like, this "no" did not need it; the model has learnt which answer is common. The second answer
# changes, so there the picture did count. But black is called a CT with 64 %, nearly the number that the film got: the
# model cannot say that it sees nothing, and its confidence does not say it either.

# %% [markdown]
# ## How the book works
#
# - **Predict, run, explain.** Before each reveal, commit to a guess. Being wrong is when you learn.
# - Every figure is computed here, or carries its source. Simulated images say that they are simulated.
# - Exercises check themselves. Replace `None` with your answer, and run the cell.
#
# ## Exercises

# %%
lab.check("00.1", None)

# %%
lab.check("00.2", None)

# %%
lab.check("00.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>A model answers with a confidence of 95 %. What do you have to know before you rely on it?</summary>
# Whether it is calibrated on patients like this one: how often answers given with about 95 % are right. The number
# alone is the model's opinion of itself.</details>
#
# <details><summary>Why ask about a black picture, when nobody will ever send one?</summary>
# It shows what the model says without seeing. An answer that stays the same did not need the picture, so it proves
# nothing about this patient, however high its confidence.</details>
#
# <details><summary>A fracture cannot be seen in the CT picture that a model was given. Does that mean that the scan
# does not show it?</summary>
# No. The scan holds measurements, and the window decides which of them become different greys. In another window the
# fracture may be plain, but the model saw only the one that it was given.</details>
#
# **Summary.** A model ranks answers and gives each a number; it has no way of its own to say that it sees nothing, and
# may be as sure of black as of a film. Such a number means something once it has been compared with how often the
# answers are right. A question put twice, once with a black picture, shows what the picture contributed.
#
# **Further reading.** Bazi et al., *Bioengineering* 10(3):380, 2023 (the paper behind this model). Lau et al., *A
# dataset of clinically generated visual questions and answers about radiology images*, *Sci Data* 5:180251, 2018
# (VQA-RAD). Guo et al., *On calibration of modern neural networks*, ICML 2017.
#
# On to [01](01_medical_image_analysis.ipynb), how a picture becomes a diagnosis; or straight to
# [12](12_vit_bert_vqa.ipynb), which takes this model apart.
