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
# # 12 · ViT + BERT: answering questions about an image
#
# **How does a picture and a sentence become a word, and how often is it the right word?**
#
# *Learning goals.* You will name the four parts of a published model and follow the shapes through them; read a score
# with its interval, its split and its protocol; and tell an answer that was read from the picture from one that was
# not.
#
# Time: 30 minutes to read, about a minute to run. *Not for clinical use.*

# %%
from dataclasses import asdict

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown

import medvlm_lab as lab

lab.style.apply()
image = lab.sample("chest-xray-nodules")
model = lab.load("vit-bert-vqa")
lab.widgets.vqa(model, image, question="Is there cardiomegaly?")

# %% [markdown]
# ## The paper
#
# Bazi, Rahhal, Bashmal and Zuair, *Vision–Language Model for Visual Question Answering in Medical Imagery*,
# Bioengineering 10(3):380, 2023.
#
# - **Goal.** Answer clinical questions in words, not by choosing from a fixed list.
# - **Method.** A Vision Transformer turns the image into tokens, a BERT-like transformer the question. Both token
#   sequences are *concatenated*; a decoder attends to them and writes the answer, one token after the other.
# - **Data.** VQA-RAD (radiology) and PathVQA (pathology): questions about images with their answers, in short *VQA*
#   (visual question answering). *Closed* questions imply a short list of answers, mostly yes and no; *open* ones are
#   answered in words.
# - **Result.** The table near the end of this chapter quotes it beside what is measured here.
#
# The model below has the same four parts at a laptop's size. Its image encoder is a *hybrid* ViT: a small
# convolutional network, trained on ImageNet (a million labelled photographs), cuts the image into tokens. Its question
# encoder is the lower layers of MiniLM, a BERT-like network trained on text.

# %% [markdown]
# ## One image and one question, block by block
#
# **Predict.** The picture is 224 × 224 pixels and one token covers 32 × 32. One more, the *class token*, stands for no
# cell and gathers what the picture says as a whole. How many image tokens in all?

# %%
tokens = ipywidgets.IntSlider(value=10, min=1, max=100, description="My guess:")
tokens

# %%
question = "Is there cardiomegaly?"
module, tokenizer = model.module, model.tokenizer
with torch.inference_mode():
    pixels = model.pixels([image])
    patches = module.image_encoder.stem(pixels).flatten(2).transpose(1, 2)
    image_tokens = module.image_encoder.encode_patches(patches)
    ids = tokenizer.batch([question], module.config.question_context)
    question_tokens, real = module.encode_question(ids)
    memory, keep = module.fuse(image_tokens, question_tokens, real)
    logits = module.decode(torch.tensor([[tokenizer.start]]), memory, keep)

steps = [
    ("image", "pixels", pixels),
    ("image", "stem: one feature vector per cell", patches),
    ("image", "ViT layers: class token + cells", image_tokens),
    ("text", "question ids", ids),
    ("text", "BERT layers", question_tokens),
    ("fusion", "concatenated, after the joint layers", memory),
    ("decoder", "logits of the first answer token", logits),
]
print(f"You: {tokens.value} image tokens; the model: {image_tokens.shape[1]}.")
pd.DataFrame([(part, name, str(tuple(t.shape))) for part, name, t in steps], columns=["part", "step", "shape"])

# %% [markdown]
# **Explain.** 7 × 7 cells and a class token make 50 image tokens. The question's tokens follow them, so the decoder's
# memory is one sequence, and a word can look at a region as easily as at another word.
#
# The same path as a drawing. Widths and parameter counts are read from the loaded module.

# %%
parts = [
    ("image", "ViT", module.image_encoder, len(image_tokens[0])),
    ("text", "BERT", module.question_encoder, ids.shape[1]),
    ("fusion", "joint layers", module.fusion, len(memory[0])),
    ("decoder", "decoder", module.decoder, 1),
]
places = {"image": (0, 1), "text": (0, 0), "fusion": (1.5, 0.5), "decoder": (3, 0.5)}
figure, axes = plt.subplots(figsize=(8, 2.6))
for part, name, block, count in parts:
    x, y = places[part]
    size = sum(p.numel() for p in block.parameters()) / 1e6
    axes.text(
        x, y, f"{name}\n{len(block.layers) if hasattr(block, 'layers') else len(block)} layers, {size:.1f} M\n"
        f"{count} tokens", ha="center", va="center", color="white",
        bbox={"boxstyle": "round,pad=0.6", "facecolor": lab.style.COLORS[part], "edgecolor": "none"},
    )  # fmt: skip
for start, end in (("image", "fusion"), ("text", "fusion"), ("fusion", "decoder")):
    (x0, y0), (x1, y1) = places[start], places[end]
    arrow = {"arrowstyle": "->", "color": "grey", "shrinkA": 45, "shrinkB": 48, "lw": 2}
    axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
axes.set(xlim=(-0.7, 3.7), ylim=(-0.5, 1.5))
axes.axis("off")
plt.show()

# %% [markdown]
# ## What the tokens see
#
# Each image token stands for one cell. The picture as the model gets it, with the cells drawn in:

# %%
grid, side = module.image_encoder.grid, module.config.image_size
figure, axes = plt.subplots(figsize=(3.6, 3.6))
axes.imshow(pixels[0].permute(1, 2, 0).numpy())
for k in range(1, grid):
    axes.axvline(k * side / grid - 0.5, color=lab.style.COLORS["image"], lw=0.6)
    axes.axhline(k * side / grid - 0.5, color=lab.style.COLORS["image"], lw=0.6)
axes.axis("off")
plt.show()

# %% [markdown]
# A nodule that fills half a cell is one number among many in one token. That is one reason why small findings are
# missed.
#
# ## How it was trained
#
# The log of the training run that made the bundled weights: the loss, which training makes small, and the *exact match*
# on held-out questions: the share of answers that are the reference word for word, but for case and punctuation. Closed
# answers come early: "yes" and "no" are soon learnt. Open ones need words, and come late.

# %%
log = pd.read_json(lab.models.WEIGHTS / model.name / "log.jsonl", lines=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
left.plot(log.epoch, log.loss, color=lab.style.COLORS["decoder"])
left.set(xlabel="epoch", title="training loss")
held = log.dropna(subset=["vqa_rad_open"])
right.plot(held.epoch, held.vqa_rad_closed, marker="o", color=lab.style.COLORS["image"], label="closed")
right.plot(held.epoch, held.vqa_rad_open, marker="o", color=lab.style.COLORS["text"], label="open")
right.set(xlabel="epoch", title="VQA-RAD held-out accuracy, percent", ylim=(0, 100))
right.legend()
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Measured here, beside the paper
#
# The first row quotes the paper, on the official test questions. The second is computed now, on training questions
# that were *held out* from the bundled model, when VQA-RAD is on this machine (`medvlm-lab data fetch vqa_rad`). The
# two rows are **not the same questions**, so compare them in size only. BLEU-1 gives part of the credit for an answer
# that shares words with the reference. Beside each score: its 95 % bootstrap interval.

# %%
table = [("paper (2023), official test", "84.99", "72.97", "71.03")]
try:
    held_out = lab.dataset("vqa_rad", "validation")
    result = lab.evaluate("vqa", model, held_out)
    scores = [result.scores[key] for key in ("closed", "open", "bleu1")]
    cells = [f"{s.value:.1f} ({s.low:.1f} to {s.high:.1f})" for s in scores]
    table.append((f"this model, {len(held_out)} held-out questions", *cells))
except lab.errors.MissingDataError as error:
    result = None
    print(error)
pd.DataFrame(table, columns=["source", "closed %", "open %", "BLEU-1 %"]).set_index("source")

# %% [markdown]
# ## A new question, or a new patient?
#
# **Predict.** In the split above, as in the official test, other questions about the *same image* were in training, and
# for six in ten even the same question in a template's words. How much of the open score is left when whole images are
# held out?

# %%
drop = ipywidgets.ToggleButtons(options=["nearly all", "about half", "a fifth"], description="My guess:")
drop

# %%
card = (lab.models.WEIGHTS / model.name / "README.md").read_text(encoding="utf-8")
Markdown(card[card.index("| data | split") : card.index("`by_question` imitates")])

# %% [markdown]
# **Explain.** `by_question` asks new questions about known images; `by_image` asks about images that the model has
# never met. The distance between the two rows is what the model *remembers* rather than *reads*. A published score on
# this data set is always of the first kind: before you trust one, ask how the split was made.
#
# ## Where it fails

# %%
if result is not None:
    wrong = pd.DataFrame(map(asdict, result.rows))
    wrong = wrong[~wrong.correct].sort_values("confidence", ascending=False)
    display(wrong[["question", "reference", "prediction", "confidence"]].head(8))

# %% [markdown]
# These are the most confident mistakes. Look for three kinds: an answer that is right in other words (exact match is
# strict), an answer that is common for such questions, and a finding that is simply not seen.
#
# ## Does the picture matter?
#
# **Predict.** Ask about the radiograph, then about the same radiograph turned to black. Which answers change?

# %%
black = lab.MedicalImage.from_array(image.pixels * 0, modality=image.modality)
asked = ["What imaging modality was used?", "Is the heart enlarged?", "Which organ system is shown?"]
rows = [(q, str(model.answer(image, q)), str(model.answer(black, q))) for q in asked]
pd.DataFrame(rows, columns=["question", "radiograph", "black"])

# %% [markdown]
# **Explain.** An answer that stays the same was read from the question alone.
#
# ## Exercises

# %%
lab.check("12.1", None)

# %%
lab.check("12.2", None)

# %%
lab.check("12.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Why does concatenation suffice for a word of the answer to look at a region of the
# picture?</summary>
# The decoder's attention weighs every token of its memory, and does not ask where a token came from. In one sequence, a
# cell can be reached as easily as a word.</details>
#
# <details><summary>A test set has new questions about images that were in training. What does its score tell about your
# next patient?</summary>
# Little: the model may remember the image. Ask for a split that holds out whole images, better whole patients, and
# expect a lower score.</details>
#
# <details><summary>An answer means the same as its reference and is counted as wrong. Is exact match useless?</summary>
# No, but it is strict: it is a lower bound, by one rule for all models. Read the mistakes, and report a softer score
# beside it.</details>
#
# **Summary.** A picture and a question become one sequence of tokens, and a decoder writes from it. Closed questions
# are learned early and can often be guessed from the words alone; open ones need the picture. How the test was split
# matters as much as the architecture.
#
# **Further reading.** Bazi et al., *Bioengineering* 10(3):380, 2023. Lau et al., *Sci Data* 5:180251, 2018 (VQA-RAD).
# He et al., *PathVQA*, arXiv:2003.10286, 2020. Dosovitskiy et al., ICLR 2021 (ViT). Devlin et al., *BERT*, NAACL 2019.
# Wang et al., *MiniLM*, NeurIPS 2020. Nguyen et al., MICCAI 2019 (MEVF, a small model on the same data).
#
# Back to [11](11_echo_clip.ipynb), on to [13](13_interpretability_lab.ipynb).
