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
# # 17 · Grand round
#
# **All models see the same patients. Where do they agree, who is right when they do not, and what would you have
# written?**
#
# *Learning goals.* You will put one question to five models; measure agreement beyond chance; build an ensemble and
# find what it cannot mend; and have a report of your own scored like a model's.
#
# Time: 35 minutes to read, about a minute to run. *Not for clinical use. The patients are simulated.*

# %%
from functools import partial

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from sklearn.metrics import cohen_kappa_score, roc_curve

import medvlm_lab as lab
from medvlm_lab.tasks.report import report_rows
from medvlm_lab.text.labeller import positive

lab.style.apply()
FINDINGS = ("pleural effusion", "cardiomegaly", "pneumothorax", "consolidation", "pacemaker", "nodule")
everybody = lab.dataset("phantom:chest-xray", "test", n=400, size=128)
sick = [i for i in range(400) if everybody.study(i).findings & {*FINDINGS}]
rounds = [everybody.study(i) for i in sick[:20]] + [everybody.study(i) for i in range(400) if i not in sick][:8]
images = [study.image() for study in rounds]
lab.style.show({f"patient {i + 1}": images[i] for i in range(6)}, side=2)

# %% [markdown]
# Twenty patients with a finding, eight without any of these six: more sick people than a screening would meet, so that
# there is something to disagree about. **Predict.** Look at patient 1. Is there an effusion, a large heart, a
# pacemaker, or something else?
#
# ## 1. One question, many ways to answer
#
# The models answer in different ways, so each needs a rule that turns what it says into yes or no. CheXzero's
# thresholds are set on *other* patients; a mask that is not empty counts as yes; of a report counts what the rule
# labeller reads in it. ClinicalBLIP takes part twice: with its reports, and asked finding by finding.

# %%
zero, segmenter = lab.load("chexzero"), lab.load("prompt-segmenter")
writers = {name: lab.load(name) for name in ("clinical-blip", "flamingo-cxr", "vit-bert-vqa")}
others = [lab.dataset("phantom:chest-xray", "validation", n=150, size=128).study(i) for i in range(150)]
seen, calibration = zero.score_findings(images), zero.score_findings([study.image() for study in others])


def threshold(finding):
    """Where sensitivity and specificity add up to the most, on patients who are not in the round."""
    false, true, cuts = roc_curve([finding in study.findings for study in others], calibration[finding])
    return cuts[np.argmax(true - false)]


def outlined(finding):
    phrases = [finding] if finding == "cardiomegaly" else [f"left {finding}", f"right {finding}"]
    masks = [segmenter.segment_batch([image] * len(phrases), phrases) for image in images]
    return [any(not mask.empty for mask in own) for own in masks]


def answered(name, finding):
    answers = writers[name].answer_batch(images, [f"Is there {finding}?"] * len(images))
    return [answer.text.lower().startswith("yes") for answer in answers]


reports = {name: [str(r) for r in writers[name].report_batch(images)] for name in ("clinical-blip", "flamingo-cxr")}
read = {name: [positive(text) for text in written] for name, written in reports.items()}

says = {"chexzero": lambda f: (seen[f].numpy() >= threshold(f)).tolist(), "prompt-segmenter": outlined}
says |= {f"{name}, report": lambda f, own=own: [f in labels for labels in own] for name, own in read.items()}
says |= {f"{name}, asked": partial(answered, name) for name in ("clinical-blip", "vit-bert-vqa")}
votes = {name: np.array([say(finding) for finding in FINDINGS]) for name, say in says.items()}  # findings × patients
truth = np.array([[finding in study.findings for study in rounds] for finding in FINDINGS])

# %%
figure, axes = plt.subplots(len(votes) + 1, 1, figsize=(9, 9), sharex=True)
for axis, (name, table) in zip(axes, {"truth": truth, **votes}.items(), strict=True):
    picture = np.where(table, 1.0, 0.0) if name == "truth" else np.where(table == truth, table, 2 + table)
    colors = plt.matplotlib.colors.ListedColormap(["white", lab.style.GREEN, lab.style.SKY, lab.style.VERMILION])
    axis.imshow(picture, cmap=colors, vmin=0, vmax=3, aspect="auto")
    axis.set(yticks=range(len(FINDINGS)), title=name, xticks=[])
    axis.set_yticklabels(FINDINGS, fontsize=7)
    axis.grid(False)
axes[-1].set(xticks=range(0, 28, 3), xticklabels=range(1, 29, 3))
axes[-1].set_xlabel("patients.  green: there and found, blue: missed, orange: false alarm")
plt.tight_layout()
plt.show()

# %% [markdown]
# Patient 1 is the first column: read what is true of him in the uppermost table. A finding without a green or white
# cell in its row of truth is one that nobody here has, where only false alarms can be seen.
#
# ## 2. Agreement beyond chance
#
# Two readers who say "no" to nearly everything agree nearly always. *Cohen's kappa* takes off the agreement that the
# two would have by chance: 0 is chance, 1 is perfect.

# %%
everyone = {"truth": truth, **votes}
kappa = np.array([[cohen_kappa_score(a.ravel(), b.ravel()) for b in everyone.values()] for a in everyone.values()])
figure, axis = plt.subplots(figsize=(5.4, 4.4))
axis.imshow(kappa, cmap="cividis", vmin=0, vmax=1)
for (i, j), value in np.ndenumerate(kappa):
    axis.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black", fontsize=8)
ticks = range(len(everyone))
axis.set(yticks=ticks, yticklabels=everyone, title="Cohen's kappa")
axis.set_xticks(ticks, list(everyone), rotation=40, ha="right")
axis.grid(False)
plt.show()

# %% [markdown]
# **Explain.** The first row says how far each can be trusted; the others, who errs alike. ClinicalBLIP's report and its
# answers come from the same weights, and need not agree. vit-bert-vqa learned from real pictures and was never shown a
# simulated one: what it says here is what a model may say about pictures unlike any it learned from.
#
# ## 3. An ensemble
#
# **Predict.** Four of them know this hospital: CheXzero, the segmenter, and the two reports. Will their majority be
# better than the best of them?


# %%
def scored(table):
    sensitivity, specificity = table[truth].mean(), 1 - table[~truth].mean()
    return {"sensitivity": sensitivity, "specificity": specificity, "mean of both": (sensitivity + specificity) / 2}


four = sum(votes[name].astype(int) for name in votes if "asked" not in name)
together = {**votes, "three of the four": four >= 3, "any of the four": four >= 1}
pd.DataFrame({name: scored(table) for name, table in together.items()}).T.style.format("{:.2f}")

# %%
missed = truth & (four < 2)
for f, p in np.argwhere(missed)[:4]:
    print(f"at most one of the four found {FINDINGS[f]} in patient {p + 1}")
print(f"that happened to {missed.sum()} of {truth.sum()} findings")

# %% [markdown]
# **Explain.** A vote mends errors that are not shared, and no others; where one of them is better than the rest, the
# rest outvote it. "Any of them" finds more and raises more false alarms: which of the two errors is worse is a question
# about the patient, not about the model.
#
# ## 4. Your own report
#
# Write what you see in the patient below, findings and impression, as a report. It is scored like a model's: against
# the simulator's report in words, against the truth in findings.

# %%
case = [i for i, study in enumerate(rounds) if len(study.findings) >= 2][1]
texts = {name: written[case] for name, written in reports.items()}
lab.style.show({f"patient {case + 1}": images[case]}, side=4)


def score(report=""):
    """Compares your report with those of two models."""
    rows = report_rows([rounds[case]] * 3, [report or "Nothing.", *texts.values()])
    shown = {who: {"findings named": ", ".join(row.labels) or "none", "METEOR": round(row.meteor, 2),
                   "missed": ", ".join({*row.findings} - {*row.labels}) or "none",
                   "invented": ", ".join({*row.labels} - {*row.findings}) or "none"}
             for who, row in zip(("you", *texts), rows, strict=True)}  # fmt: skip
    display(pd.DataFrame(shown))


hint = "The heart is … No … Impression: …"
_ = ipywidgets.interact_manual(score, report=ipywidgets.Textarea(placeholder=hint, layout={"width": "80%"}))

# %% [markdown]
# **Explain.** The rule labeller reads your report as it reads a model's: it knows negation ("no effusion") and doubt
# ("may be"), and misses what it has no words for. Read the reference now:

# %%
print(rounds[case].headed)

# %% [markdown]
# ## Exercises

# %%
lab.check("17.1", None)

# %%
lab.check("17.2", None)

# %%
lab.check("17.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>Two models have a kappa of 0.9 with each other and 0.4 with the truth. What does it mean?</summary>
# They make the same errors: from one source of data, or from one shortcut. A vote of the two adds nothing.</details>
#
# <details><summary>Why were CheXzero's thresholds not set on the patients of the round?</summary>
# They would have been the best for just these patients, and the comparison with the other models unfair.</details>
#
# <details><summary>A model agrees with the radiologist in 95 % of cases. Is it good?</summary>
# Not known before you hear how often either says no: with rare findings, always saying no agrees as often.</details>
#
# **Summary.** Ask several models, of several kinds, trained on several sources; measure agreement beyond chance; look
# where they disagree, and call a human there first. What all of them miss, only a human reader can find.
#
# **Further reading.** Cohen, *Educ Psychol Meas* 20:37, 1960 (kappa). Dietterich, *Ensemble methods in machine
# learning*, 2000. Tanno et al., *Nat Med* 31:599, 2025 (Flamingo-CXR: clinicians and models together).
#
# You have reached the end of the book. Back to [16](16_your_own_data_and_models.ipynb), or to
# [the start](00_start_here.ipynb).
