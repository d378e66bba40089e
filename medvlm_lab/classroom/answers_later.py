"""The exercises of the chapters from 07 on; see `answers`."""

from __future__ import annotations

import math

from medvlm_lab.classroom.exercises import Exercise

LATER: dict[str, Exercise] = {
    "07.1": Exercise(
        question="A program calls 8 of 10 patients with an effusion sick, and 18 of 90 without. Of those that it calls "
        "sick, how many percent are?",
        answer=100 * 8 / 26,
        why="8 of 26, 31 %: where most people are healthy, most alarms are false, although it finds 80 % of the sick.",
        hint="It calls 8 + 18 people sick. How many of them are?",
        mistakes={80: "That is its sensitivity, the share of the sick that it finds.", 8: "Out of how many alarms?"},
    ),
    "07.2": Exercise(
        question="A report names 3 findings. 2 of them are there, and 2 more that are there are not named. Its F1?",
        answer=4 / 7,
        why="F1 = 2 · 2 / (3 named + 4 there) = 0.571: the harmonic mean of precision 2/3 and recall 2/4.",
        hint="Twice the findings that are both there and named, over all named plus all there.",
        mistakes={0.667: "That is the precision: 2 of 3 named.", 0.5: "That is the recall: 2 of 4 there."},
    ),
    "07.3": Exercise(
        question="A segmenter leaves the mask of a structure that is there empty. What is its Dice score?",
        answer=0,
        why="Nothing overlaps: 2 · 0 / (0 + size) = 0. An empty mask is right only where nothing is there.",
        hint="Twice the overlap, over the sum of both sizes.",
        mistakes={1: "Only if the true mask is empty, too.", 0.5: "How many pixels overlap?"},
    ),
    "12.1": Exercise(
        question="A ViT cuts a 224 × 224 image into patches of 32 × 32. How many image tokens, without a class token?",
        answer=49,
        why="(224 / 32)² = 7 × 7 = 49 patches, each one token.",
        hint="Count the patches along one side, then square.",
        mistakes={
            7: "That is one side of the grid.",
            50: "That counts a class token too.",
            196: "That is for patches of 16 × 16.",
        },
    ),
    "12.2": Exercise(
        question="A question is padded to the longest of its batch. What attention weight must each padding token get?",
        answer=0,
        why="Its score is −∞ before the softmax, so its weight is exactly 0 and an answer cannot depend on the batch.",
        hint="What weight makes the answer the same alone and in a batch?",
        mistakes={"-inf": "That is the score before the softmax; the weight comes after."},
    ),
    "12.3": Exercise(
        question="Reference 'left lower lobe', answer 'left lobe'. What is BLEU-1, in percent?",
        answer=100 * math.exp(1 - 3 / 2),
        why="Both words are in the reference (precision 1), but 2 words for 3 cost exp(1 − 3/2) = 0.607: 60.7 %.",
        hint="BLEU-1 is the unigram precision times the brevity penalty exp(1 − reference length / answer length).",
        mistakes={
            100: "That is the precision alone; the answer is shorter than the reference, so a penalty applies.",
            66.67: "That is the recall, 2 of 3; BLEU takes the precision and a brevity penalty.",
            0: "Exact match would be 0; BLEU-1 rewards the words that are there.",
        },
    ),
    "15.1": Exercise(
        question="A language model has 7 billion parameters, kept as bfloat16. How many GB do they fill?",
        answer=14,
        why="Two bytes each: 14 GB, before the first word is read. Activations and the key-value cache come on top.",
        hint="A bfloat16 number has 16 bits.",
        mistakes={7: "That is one byte each, as int8 has.", 28: "That is four bytes each, as float32 has."},
    ),
    "15.2": Exercise(
        question="A model answers 71 % of closed questions right, its blinded twin 68 %, the commonest answer 55 %. "
        "How many points does the picture add?",
        answer=3,
        why="71 - 68 = 3: what the words of the question alone give away is not the picture's merit.",
        hint="The twin read the same questions and saw nothing.",
        mistakes={16: "That also counts what the question gives away.", 71: "The twin is right in 68 of 100 unseen."},
    ),
    "15.3": Exercise(
        question="All sick patients of a study come from one hospital, all healthy ones from another. On held-out "
        "patients of that study its model has an AUC of 1.0. Does it surely see the disease: 'yes' or 'no'?",
        answer="no",
        why="The test patients share the flaw: hospital and disease are one in them, so the hospital is enough.",
        hint="What else tells the two groups apart, in training and in the test?",
        mistakes={"yes": "Held out, but from the same two hospitals: reading the detector scores 1.0 as well."},
    ),
}
