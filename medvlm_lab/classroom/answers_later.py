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
    "13.1": Exercise(
        question="A finding covers 4 % of a picture. How often, in percent, does a map whose maximum lies anywhere by "
        "chance win the pointing game?",
        answer=4,
        why="The maximum falls on each pixel equally often, so on the finding as often as its share of the picture.",
        hint="What share of all pixels lies inside the finding?",
        mistakes={50: "Inside or outside are two outcomes, but not equally likely.", 0.04: "Right, but in percent."},
    ),
    "13.2": Exercise(
        question="A map's rank correlation with that of the same network with all weights shuffled is 0.92. Does the "
        "method pass the randomisation test: 'yes' or 'no'?",
        answer="no",
        why="The map hardly changed although the network forgot everything: it shows the picture, not the model.",
        hint="What should become of a map of what was learned, once nothing is?",
        mistakes={"yes": "A high correlation says that the map stayed. It should not have."},
    ),
    "13.3": Exercise(
        question="You remove a map's best pixels first and follow the model's score. For a map that is true to the "
        "model, should the area under that curve be 'small' or 'large'?",
        answer="small",
        why="Taking away what the score rests on makes it fall at once, so the area stays small; for insertion, large.",
        hint="Does the score fall early or late?",
        mistakes={"large": "That is insertion, where pixels are shown instead of removed."},
    ),
    "14.1": Exercise(
        question="The mean image vector is (0.6, 0.0), the mean text vector (0.0, 0.8). How wide is the modality gap?",
        answer=1.0,
        why="The length of their difference: √(0.6² + 0.8²) = 1.",
        hint="The Euclidean distance between the two means.",
        mistakes={0.0: "Their dot product is 0; the gap is a distance.", 1.4: "That adds the two coordinates."},
    ),
    "14.2": Exercise(
        question="100 labels, 12 of them wrong. How many of 12 labels drawn by chance are wrong, on average?",
        answer=1.44,
        why="Each drawn label is wrong with probability 12/100: 12 · 0.12 = 1.44. A search has to beat that.",
        hint="How likely is a single drawn label wrong?",
        mistakes={12: "Only if the search were perfect.", 0.12: "That is for a single label."},
    ),
    "14.3": Exercise(
        question="A UMAP shows two islands. In the space, neighbours of each point lie in both. Is its trustworthiness "
        "'low' or 'high'?",
        answer="low",
        why="Points that are neighbours on the map are not neighbours in the space: the islands are the layout's own.",
        hint="Trustworthiness is 1 where every neighbour on the map is one in the space.",
        mistakes={"high": "High would mean that the map's neighbours are true ones."},
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
    "16.1": Exercise(
        question="A model returns the rows (3, 4) and (0, 2) for two pictures, not yet of length 1. What is the cosine "
        "between them?",
        answer=0.8,
        why="3 · 0 + 4 · 2 = 8, divided by the lengths 5 and 2: 0.8. Rows of length 1 spare the division.",
        hint="The dot product, divided by both lengths.",
        mistakes={8: "That is the dot product; divide by both lengths.", 1.6: "The second length is 2, divide by it."},
    ),
    "16.2": Exercise(
        question="With random weights, what area under the ROC curve do you expect of a zero-shot classifier?",
        answer=0.5,
        why="A random score orders a sick and a healthy patient rightly in half of the cases.",
        hint="How often does a random score put the sick patient first?",
        mistakes={0: "That would be a perfect score, the wrong way round.", 1: "That is a perfect score."},
    ),
    "16.3": Exercise(
        question="A picture of 400 × 200 pixels is fitted into 96 × 96 with its proportions kept. How many rows of the "
        "square are padding?",
        answer=48,
        why="Width 400 becomes 96, so height 200 becomes 48, and 96 - 48 = 48 rows are padding.",
        hint="By which factor is the picture shrunk, and how high is it then?",
        mistakes={0: "Only if it were stretched, and a heart with it.", 24: "That is the padding of one side."},
    ),
    "17.1": Exercise(
        question="Three models are each right in 80 % of the cases, independently of one another. How often, in "
        "percent, is their majority right?",
        answer=100 * (0.8**3 + 3 * 0.8**2 * 0.2),
        why="All three right: 0.512; exactly two: 3 · 0.64 · 0.2 = 0.384. Together 89.6 %, if errors are independent.",
        hint="Add the chance that all three are right and that exactly two are.",
        mistakes={80: "That is one model alone.", 51.2: "That is all three; two right ones are enough."},
    ),
    "17.2": Exercise(
        question="Two models agree in 85 of 100 cases; from how often each says yes, they would in 70 by chance. "
        "What is Cohen's kappa?",
        answer=0.5,
        why="(0.85 - 0.70) / (1 - 0.70) = 0.5: half of the agreement that chance leaves open.",
        hint="Agreement beyond chance, divided by what chance leaves open.",
        mistakes={0.85: "That is the raw agreement.", 0.15: "Divide by what chance leaves open: 0.30."},
    ),
    "17.3": Exercise(
        question="All five models miss the same fracture. Does an ensemble of them find it: 'yes' or 'no'?",
        answer="no",
        why="An ensemble removes errors that its members do not share. A shared blind spot stays.",
        hint="Write down the five votes about that fracture. Is there a yes among them?",
        mistakes={"yes": "From five times no, no vote makes a yes."},
    ),
}
