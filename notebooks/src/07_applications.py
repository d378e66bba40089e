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
# # 07 · Applications
#
# **Diagnosis, reports, answers, outlines: what can one model after the other do for the same patient, and where does
# each fail?**
#
# *Learning goals.* You will run diagnosis, report writing, question answering and segmentation on any model that has
# the capability; score each of them; and say for each how it fails.
#
# Time: 35 minutes to read, about a minute to run. *Not for clinical use.*

# %%
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, roc_curve

import medvlm_lab as lab

lab.style.apply()
zero, blip, segmenter = map(lab.load, ("chexzero", "clinical-blip", "prompt-segmenter"))
chest = lab.phantom("chest-xray")
data = lab.dataset("phantom:chest-xray", "test", n=120, size=128)
patient = next(s for s in chest.sample(5, 200, part="test") if s.find("pleural effusion") and len(s.all_findings) == 3)
image = chest.image(patient, 256)
lab.style.show({"the patient": image, "a real radiograph": lab.sample("chest-xray-nodules")}, side=3.4)
print(chest.report(patient, 0))

# %% [markdown]
# On the left a simulated patient, whose truth stands in the report. It will meet three models. Each application is
# shown *live*, then *scored* on other patients, then shown *failing*.
#
# ## 1. Automated diagnosis
#
# CheXzero has no output for any finding. One is called present as far as the picture agrees more with "There is
# pneumothorax" (air beside the lung) than with "There is no pneumothorax". A softmax turns the two agreements into
# shares of one. The paper calls this *zero-shot*, for its model learned from reports alone and never saw a label in
# training; the small one here was also shown outlines, and sentences told from their denials
# ([card](../medvlm_lab/weights/chexzero/README.md)).
#
# **Predict.** Will the three findings of this patient be the three with the highest scores?

# %%
ipywidgets.ToggleButtons(options=["all three", "two", "one", "none"], value=None, description="On top:")

# %%
scores = pd.Series(zero.classify(image)).sort_values()
there = {finding.kind for finding in patient.all_findings}
figure, axis = plt.subplots(figsize=(6, 3.4))
colors = {True: lab.style.VERMILION, False: lab.style.SKY}
axis.barh(scores.index, scores, color=[colors[name in there] for name in scores.index])
axis.set(title="CheXzero on the patient (orange: there)", xlabel="softmax of positive and negative prompt")
plt.show()

# %%
result = lab.evaluate("zero-shot", zero, data, progress=False)
result

# %% [markdown]
# **Explain.** What stands on top is not all that is there, and a score above one half is not yet a finding: each
# finding needs a threshold of its own. A mean hides the rest: look for the areas near 0.5, or below. The model hardly
# sees these findings, and with few patients who have them the interval is wide.
#
# The area under the curve compares patients *within* one finding. It does not say that 0.6 for a nodule
# means what 0.6 for an effusion means: the scores of different findings lie in different ranges, which is why the bars
# above are not to be read against each other.
#
# **Where it fails.** To *decide*, somebody has to choose a threshold. Here it is the highest at which at least
# nine of ten consolidations are found; move it.

# %%
name = "consolidation"
truth = np.array([name in row.findings for row in result.rows])
score = np.array([row.scores[name] for row in result.rows])
_, sensitivity, thresholds = roc_curve(truth, score, drop_intermediate=False)
start = float(thresholds[np.argmax(sensitivity >= 0.9)])


def decide(threshold=start):
    (healthy, alarms), (missed, found) = confusion_matrix(truth, score >= threshold)
    print(f"{name}: found {found} of {found + missed}; false alarms: {alarms} among {healthy + alarms} without it; "
          f"{100 * found / max(found + alarms, 1):.0f} % of the alarms are right")  # fmt: skip


_ = ipywidgets.interact(decide, threshold=(float(score.min()), float(score.max()), 0.01))

# %% [markdown]
# ## 2. Report writing
#
# ClinicalBLIP looks through a Q-Former (chapter 06), tells itself the *tags*, the names of findings, that its
# classifier finds, and writes.

# %%
print("Written:", blip.report(image), "", "True:", chest.report(patient, 0), sep="\n")

# %%
written = lab.evaluate("report", blip, data, n=40, progress=False)
written

# %% [markdown]
# **Explain.** METEOR, ROUGE-L and BLEU compare words; the F1 of the findings (one number for both: findings missed and
# findings invented) compares what the words say. Two true reports of one patient differ in their words, too, so the
# first kind hardly ever reaches 1. And the F1 knows only whether a finding is named: size, side and a contradiction
# between findings and impression cost nothing. Read the report above against the truth with that in mind.
#
# **Where it fails.** The report with the fewest words in common with its reference, and the one with the most findings
# wrong, need not be the same.

# %%
wrong = lambda row: len({*row.findings} ^ {*row.labels})  # noqa: E731
worst = {"fewest words": min(written.rows, key=lambda r: r.meteor), "most findings wrong": max(written.rows, key=wrong)}
shown = {title: [r.reference, r.report, f"{r.meteor:.2f}", wrong(r)] for title, r in worst.items()}
table = pd.DataFrame(shown, index=["reference", "written", "METEOR", "findings wrong"])
table.style.set_properties(**{"text-align": "left", "white-space": "normal"})

# %% [markdown]
# ## 3. Visual question answering
#
# Ask your own question: the patient, and a model that learned from 20,000 simulated ones.

# %%
lab.widgets.vqa(blip, image, "Is there a pleural effusion?")

# %%
asked = lab.evaluate("vqa", blip, data, n=200, progress=False)
asked

# %% [markdown]
# **Where it fails.** Most findings that one can ask for are absent. Of each question whether one is present, the truth
# (rows) and what the model said (columns):

# %%
present = [(row.reference, row.prediction) for row in asked.rows if row.question_type == "PRES"]
pd.crosstab(*pd.DataFrame(present, columns=["truth", "answer"]).T.to_numpy(), rownames=["truth"], colnames=["answer"])

# %% [markdown]
# **Explain.** Most of these questions have "no" for an answer, so that always saying no scores well, and a model that
# is trained on such questions alone learns just that. This one was asked more often for what is there (chapter 08). The
# share of the lower row that it affirms is its *sensitivity*, the share of the upper row that it denies its
# *specificity*; one accuracy for both hides which of the two is wanting.
#
# And the same question in other words. A model that understood would not care. Of words that it never read it says so.

# %%
ways = ["Is there a pleural effusion?", "Do you see a pleural effusion?", "Pleural effusion present?",
        "Any fluid around the lungs?", "I wonder whether fluid surrounds a lung."]  # fmt: skip
answers = blip.answer_batch([image] * len(ways), ways)
sure = [a.note.partition(":")[0] or f"{a.confidence:.2f}" for a in answers]
pd.DataFrame({"question": ways, "answer": [a.text for a in answers], "confidence, or why there is none": sure})

# %% [markdown]
# ## 4. Segmentation by a prompt
#
# The prompt says what to outline. Type a structure, or something that is not there.


# %%
def outline(phrase="right lung"):
    mask = segmenter.segment(image, phrase)
    plt.imshow(image.display().mean(-1))
    if not mask.empty:
        plt.contour(mask.pixels, [0.5], colors=lab.style.ORANGE)
    why = mask.note.partition(";")[0]
    plt.title(why or f"{phrase}: {'nothing' if mask.empty else f'{mask.pixels.mean():.1%} of the picture'}")
    plt.axis("off")
    plt.show()


_ = ipywidgets.interact(outline, phrase=ipywidgets.Text("right lung", continuous_update=False))

# %%
asked = ["heart", "right lung", "left pleural effusion", "right pleural effusion", "right nodule", "nasogastric tube"]
masks = lab.evaluate("segmentation", segmenter, data, n=30, structures=asked, progress=False)
masks

# %% [markdown]
# **Explain.** What is thin is hard: of a tube, one pixel beside the truth costs half the overlap. "Dice 0.85 for
# tumours" means little without the tumours' size and shape. With a few patients for a finding a row is only a hint; the
# [card](../medvlm_lab/weights/prompt-segmenter/README.md) has all of them.
#
# **Where it fails.** Two ways to say heart that it knows, words that it never read, and an organ that it learned in CT
# only. Where it knows nothing of the kind it outlines nothing, and `mask.note` says why. Bright: the mask.

# %%
words = ["heart", "cardiac silhouette", "what pumps blood", "gallbladder", "the moon"]
found = segmenter.segment_batch([image] * len(words), words)
lit = [np.where(mask.pixels, 1.0, 0.5) * image.display().mean(-1) / 255 for mask in found]
lab.style.show(dict(zip(words, lit, strict=True)), columns=5, side=2.3, vmax=1)

# %% [markdown]
# ## What the papers report, and what was measured here
#
# Talks like to quote one number. Here is each reviewed system's number, where it comes from, what this workbook
# measured instead, on what; and the claims for which no source could be found.

# %%
lab.scoreboard()

# %% [markdown]
# ## Exercises

# %%
lab.check("07.1", None)

# %%
lab.check("07.2", None)

# %%
lab.check("07.3", None)

# %% [markdown]
# ## Quiz
#
# <details><summary>A zero-shot model has an AUC of 0.95 for a finding that one patient in a hundred has. Can you switch
# on its alarms?</summary>
# Not from that number. Somebody has to choose a threshold, and with so few sick patients most alarms may be false. Look
# at what share of the alarms is right at the sensitivity that you need.</details>
#
# <details><summary>A report shares nearly all words with its reference and is dangerous. How?</summary>
# One word is wrong: "left" for "right", or a missing "no". Scores that count words hardly notice; a score of the
# findings does.</details>
#
# <details><summary>A segmenter outlines "the moon" in a radiograph. What does that say about its heart
# outlines?</summary>
# Little about their quality, but much about trust: an outline alone is no sign that the words were understood or that
# the thing is there. A structure that is absent has to be part of the test.</details>
#
# **Summary.** The same patient can be classified, described, asked about and outlined, and each task needs a score of
# its own. A score that averages hides the failures that matter: the threshold, the one wrong word, the rephrased
# question, the small structure. Quote a number together with its source and what it was measured on.
#
# **Further reading.** Tiu et al., *Nat Biomed Eng* 6:1399, 2022 (CheXzero). *JMIR Form Res* 8:e32690, 2024
# (ClinicalBLIP). Papineni et al., ACL 2002 (BLEU). Banerjee and Lavie, ACL workshop 2005 (METEOR). Lüddecke and Ecker,
# *Image segmentation using text and image prompts*, CVPR 2022. Maier-Hein et al., *Metrics reloaded*, *Nat Methods*
# 21:195, 2024.
#
# Back to [06](06_families_of_vlms.ipynb), on to [08](08_clinical_blip.ipynb); what can go wrong is the subject of
# [15](15_limitations.ipynb).
