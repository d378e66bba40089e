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
# # 04 · Anatomy of a vision–language model
#
# **What happens between a picture, a question and the first word of the answer?**
#
# *Learning goals.* You will name the four parts of a vision–language model; say what a token is on either side; and
# find out what a part does by cutting its wire.
#
# Time: 30 minutes to read, half a minute to run. *Not for clinical use.*

# %%
import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import torch

import medvlm_lab as lab
from medvlm_lab.widgets.anatomy_state import cells_of, colours

lab.style.apply()
model = lab.load("vit-bert-vqa", device="cpu")  # taken apart by hand below, so all is on one device
chest, belly, head = (lab.sample(name) for name in ("chest-xray-nodules", "abdomen-ct", "head-ct"))
question = "Which organ system is imaged?"
lab.widgets.anatomy(model, chest, question)

# %% [markdown]
# Every vision–language model of this book has the four parts of this drawing: an **image encoder** (blue), a **text
# encoder** (orange), a **fusion** of the two (purple) and, where it writes, a **decoder** (green). The boxes are read
# from the loaded model and the numbers are those of this picture and this question. Press the buttons from left to
# right once, then type a question of your own.
#
# ## Image encoder: from pixels to tokens
#
# A transformer reads a sequence, so the picture has to become one. It is cut into cells, and each cell is described
# by a vector, a list of some hundred numbers. Such a vector, one element of the sequence, is called a *token*. Below,
# the vectors' three main directions are painted as red, green and blue: cells of equal colour have alike vectors.
#
# **Predict.** The network behind the cells was trained on photographs of dogs, cars and cups. Will it tell lung from
# background?

# %%
useful = ipywidgets.ToggleButtons(options=["no", "a little", "clearly"], value=None, description="It will:")
useful

# %%
pictures = {}
for name, image in (("chest", chest), ("belly", belly), ("head", head)):
    stages = {stage.name: stage for stage in model.stages(image, question)}
    pictures[name] = stages["pixels"].tensor.permute(1, 2, 0).numpy()
    pictures[f"{name}: cells"] = colours(cells_of(stages["cells"]))
lab.style.show(pictures, columns=6, side=2)

# %% [markdown]
# **Explain.** A little. Edges and textures are the same in every kind of picture, so a network for photographs serves
# here too, and the body stands out. But neighbours look alike and the background is not one colour: each cell's vector
# has seen most of the picture, and also knows where it lies. What the textures mean it cannot know.
#
# ## Text encoder: from words to tokens
#
# A word's first vector is looked up in a table, so it is the same in every sentence. The layers above let the words of
# a question look at each other: this is *attention*, a weighted sum over the other tokens. The *cosine* of the angle
# between two vectors says how alike they are; 1 is equal direction. Take *left* in three questions:


# %%
def word(question, which, stage):
    """The vector of one word of a question at a stage."""
    found = {s.name: s for s in model.stages(chest, question)}[stage]
    return found.tensor[found.words.index(which)]


asked = {
    "side": "Is the nodule in the left lung?",
    "other side word": "Is the left diaphragm elevated?",
    "not a side": "What is left to be seen?",
}
rows = {}
for stage in ("word vectors", "question tokens"):
    vectors = torch.stack([word(text, "left", stage) for text in asked.values()])
    likeness = torch.cosine_similarity(vectors[:1], vectors)  # with the first question's "left"
    rows[stage] = [f"{value:.2f}" for value in likeness]
pd.DataFrame.from_dict(rows, orient="index", columns=list(asked.values()))

# %% [markdown]
# **Explain.** In the table of vectors the three are one and the same: cosine 1. After the layers, *left* has become
# another word where it means "remaining".
#
# ## Fusion: words that have seen the picture
#
# Up to here no word knows of any picture. Now both sequences are put into one, and the joint layers mix them. What
# does a picture do to a word? The same question, asked about two pictures:
#
# **Predict.** Which word of the question changes most when the chest is replaced by the belly?

# %%
changed = ipywidgets.ToggleButtons(options=["which", "organ", "system", "image"], value=None, description="Word:")
changed

# %%
memories = [{s.name: s for s in model.stages(image, question)}["memory"] for image in (chest, belly)]
words = memories[0].words
one, two = (memory.tensor[-len(words) :] for memory in memories)
moved = 1 - torch.cosine_similarity(one, two)  # one number a word
figure, axes = plt.subplots(figsize=(7, 2.6))
axes.bar(range(len(words)), moved, color=lab.style.COLORS["fusion"])
axes.set_xticks(range(len(words)), words)
axes.set(ylabel="1 − cosine", title="How far each word moved")
plt.show()
print(f"You: {changed.value or 'no guess'}. Most: {words[int(moved[1:-1].argmax()) + 1]}.")

# %% [markdown]
# ## Decoder: one word after the other
#
# The decoder starts from a mark and looks back at the memory. Out comes a number for each word of the vocabulary; the
# best is written and becomes part of what it reads next. Choose *next word* in the drawing at the top to see the
# candidates. Their bars are the network's own probabilities of one word; the answer's confidence, which stands beside
# them, is that of the whole answer, calibrated on questions that it was not trained on (chapter 12).
#
# ## Cut the wires
#
# A part shows what it does when it is gone. The memory is put together by hand: without the picture's tokens, without
# the question, or with the cells in random order.

# %%
module, tokenizer = model.module, model.tokenizer


@torch.inference_mode()
def answer(image, question, picture=True, words=True, shuffled=False):
    """The most probable answer, some wires cut."""
    cells = module.image_encoder.stem(model.pixels([image])).flatten(2).transpose(1, 2)  # (1, 49, 320)
    if shuffled:
        cells = cells[:, torch.randperm(49, generator=torch.Generator().manual_seed(1))]
    seen = module.image_encoder.encode_patches(cells) * float(picture)
    read, keep = module.encode_question(tokenizer.batch([question], 40))
    memory, keep = module.fuse(seen, read * float(words), keep)
    written = [tokenizer.start]
    while written[-1] != tokenizer.end and len(written) < 10:
        written.append(int(module.decode(torch.tensor([written]), memory, keep)[0, -1].argmax()))
    return tokenizer.decode(written)


# %%
cuts = {
    "all wires": {}, "no picture": {"picture": False}, "no question": {"words": False},
    "cells shuffled": {"shuffled": True},
}  # fmt: skip
tests = [(chest, question), (belly, question), (head, question), (chest, "Is there cardiomegaly?")]
columns = ["chest: organ system?", "belly: organ system?", "head: organ system?", "chest: cardiomegaly?"]
rows = {name: [answer(*test, **cut) for test in tests] for name, cut in cuts.items()}
pd.DataFrame.from_dict(rows, orient="index", columns=columns)

# %% [markdown]
# **Explain.** Without the picture the three organ systems get one answer, and it still answers: a model
# that does not see speaks on. Without the question it does not know what is wanted. Shuffling the cells changed none of
# the four answers: where a cell lay hardly mattered for these. The models that write, and the segmenter, are compared
# with a *blind twin*, the same network trained without any picture ([15](15_limitations.ipynb) has the table).
#
# ## Where the numbers are
#
# **Predict.** Which part holds most of what was learned?

# %%
part = ipywidgets.ToggleButtons(options=["image", "text", "fusion", "decoder"], value=None, description="Part:")
part

# %%
learned = pd.Series(0, index=["image", "text", "fusion", "decoder"])
for stage in model.stages(chest, question):
    learned[stage.part] += stage.parameters
figure, axes = plt.subplots(figsize=(6, 2))
axes.barh(learned.index, learned / 1e6, color=[lab.style.COLORS[name] for name in learned.index])
axes.invert_yaxis()
axes.set(xlabel="million numbers")
plt.show()

# %% [markdown]
# **Explain.** More than half of them read the question, though it is the picture that is hard: the text layers came
# ready-made and language models are large. In the published systems it is more lopsided still.
#
# ## The same four parts in the systems of this book
#
# | system | image encoder | text | fusion | what it puts out |
# |---|---|---|---|---|
# | ViT + BERT VQA ([12](12_vit_bert_vqa.ipynb)) | ViT | BERT | one sequence, joint layers | a few words |
# | EchoCLIP | ConvNeXt | transformer | none: an angle between two vectors | a similarity |
# | CheXzero | ViT | transformer | none | a similarity, for and against |
# | ClinicalBLIP | ViT | language model | a *Q-Former* asks the picture 32 questions | a report |
# | Flamingo-CXR | vision encoder | frozen language model | *gated cross-attention* between its layers | a report |
# | PathologyVLM | ViT on tiles | language model | a *connector* turns cells into words | an answer |
#
# Sources: Bazi et al. 2023; Christensen et al. 2024; Tiu et al. 2022; JMIR Form Res 2024;8:e32690; Nat Med
# 31:599–608, 2025; Artif Intell Rev 58:186, 2025.
#
# ## Exercises

# %%
lab.check("04.1", None)

# %%
lab.check("04.2", None)

# %%
lab.check("04.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>The picture's tokens are set to zero, and the model still answers in a firm voice. Why?</summary>
# The decoder always ranks its vocabulary and writes the best word. Nothing in it says "I saw nothing": what remains is
# the answer that is common for such a question.</details>
#
# <details><summary>The same word has one vector in the table, and different ones after the text layers. What is the use
# of that?</summary>
# A word's meaning depends on its neighbours: "left" is a side, or what remains. The layers let it look at them, so that
# the later parts get the meaning and not the spelling.</details>
#
# <details><summary>Half of a model's numbers lie in its text encoder. Does that show that the text is the harder
# half?</summary>
# No. Numbers show what was built in, often because a ready-made part was at hand. What matters for a task is found by
# removing or replacing the part, and measuring.</details>
#
# **Summary.** Pictures and questions both become sequences of tokens; fusion lets them look at each other, and the
# decoder writes word after word. A drawing shows where the parts are; only a cut wire shows what each contributes. A
# model without its picture goes on speaking.
#
# **Further reading.** Vaswani et al., *Attention is all you need*, NeurIPS 2017. Devlin et al., *BERT*, NAACL 2019.
# Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021 (ViT). Bazi et al., *Bioengineering* 10(3):380, 2023.
#
# Back to [03](03_multimodal_models.ipynb), on to [05](05_fusion.ipynb).
