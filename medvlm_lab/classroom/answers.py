"""The exercises of each chapter: `NN.k` is the k-th one of chapter NN."""

from __future__ import annotations

from medvlm_lab.classroom.answers_chest import CHEST
from medvlm_lab.classroom.answers_later import LATER
from medvlm_lab.classroom.answers_tissue import TISSUE
from medvlm_lab.classroom.exercises import Exercise


def _radiograph():
    from medvlm_lab.catalogue import sample

    return sample("chest-xray-nodules")


def _size_mistakes() -> dict[int, str]:
    image = _radiograph()
    return {} if image.width == image.height else {image.width: "That is the number of columns, image.width."}


EXERCISES: dict[str, Exercise] = {
    "00.1": Exercise(
        question='How many rows of pixels does lab.sample("chest-xray-nodules") have?',
        answer=lambda: _radiograph().height,
        why="image.height counts rows and image.width columns; the model sees a much smaller copy.",
        hint="Look at image.height.",
        mistakes=_size_mistakes,
    ),
    "00.2": Exercise(
        question="A calibrated model gives 100 answers with a confidence of 70 % each. How many are wrong, on average?",
        answer=30,
        why="Calibrated means that 70 of 100 such answers are right: 30 are wrong, though none of them looked it.",
        hint="Calibrated: among the answers with confidence p, a share p is right. The question asks for the others.",
        mistakes={70: "That many are right; the question asks for the wrong ones.", 0.3: "As a share, yes; of 100?"},
    ),
    "00.3": Exercise(
        question="The picture is turned to black. Does the model still give an answer: 'yes' or 'no'?",
        answer="yes",
        why="It always ranks the answers it knows. Seeing nothing need not even lower its confidence.",
        hint="Try it: lab.MedicalImage.from_array(image.pixels * 0), then model.answer.",
        mistakes={"no": "It has no way to refuse: the decoder always ranks some words first."},
    ),
    "01.1": Exercise(
        question="A threshold finds 80 pixels of lung; the true lung has 120; 60 are in both. What is the Dice score?",
        answer=0.6,
        why="Dice = 2 · 60 / (80 + 120) = 0.6: twice the overlap over both sizes.",
        hint="Dice is twice the overlap, divided by the sum of both sizes.",
        mistakes={
            0.3: "Twice the overlap: both areas are counted below the line, so the overlap counts twice above it.",
            0.429: "That is the Jaccard index, overlap over union: 60 / 140.",
            0.75: "That is the precision: the share of what was found that is lung.",
            0.5: "That is the recall: the share of the lung that was found.",
        },
    ),
    "01.2": Exercise(
        question="A classifier ranks at random. What is its AUC, whatever the share of sick patients?",
        answer=0.5,
        why="AUC is the chance that a sick patient is ranked above a healthy one; at random, one in two.",
        hint="AUC: the chance that a random sick patient gets a higher score than a random healthy one.",
        mistakes={0: "An AUC of 0 ranks every pair the wrong way round, which is as informative as 1."},
    ),
    "01.3": Exercise(
        question="10 of 200 patients have an effusion. A program says 'no effusion' always. Its accuracy in percent?",
        answer=95,
        why="190 of 200 are right, and no effusion is ever found: accuracy alone hides it, so AUC is reported here.",
        hint="How many of its 200 answers are right?",
        mistakes={0: "That is its sensitivity: it finds none of the sick.", 5: "That is its error."},
    ),
    "02.1": Exercise(
        question="A nodule spans 30 columns of an image whose pixels are 0.4 mm apart. How wide is it, in mm?",
        answer=12,
        why="30 · 0.4 mm = 12 mm. Without the spacing in the header, no size can be told from pixels.",
        hint="Columns times the distance between columns.",
        mistakes={75: "That divides by the spacing; each column is 0.4 mm wide.", 30: "That is in pixels."},
    ),
    "02.2": Exercise(
        question="A CT window has center 50 HU and width 400 HU. From which value downwards is everything black?",
        answer=-150,
        why="center − width / 2 = 50 − 200 = −150 HU; from 250 HU upwards everything is white.",
        hint="The window reaches half its width to both sides of its center.",
        mistakes={250: "From there upwards everything is white.", -350: "That takes the whole width downwards."},
    ),
    "02.3": Exercise(
        question="A region of a bone scan has 400 counts. By how many percent does such a count scatter?",
        answer=5,
        why="√400 = 20 counts, and 20 / 400 = 5 %. With a quarter of the dose it would be 10 %.",
        hint="n counts scatter by √n.",
        mistakes={20: "That is the scatter in counts; as a share of 400?", 0.05: "As a share, yes; in percent?"},
    ),
    "03.1": Exercise(
        question="A batch holds 64 pairs. How many wrong sentences is each picture pushed away from?",
        answer=63,
        why="All other sentences of the batch: 64 − 1. A larger batch makes the task harder and the space finer.",
        hint="Every sentence of the batch but its own.",
        mistakes={64: "One of them is its own.", 4032: "That is for the whole batch; per picture?"},
    ),
    "03.2": Exercise(
        question="200 reports, ranked at random. What is the expected mean rank of the right one?",
        answer=100.5,
        why="(1 + 200) / 2 = 100.5: ranks begin at 1.",
        hint="The mean of the ranks 1 to 200.",
        mistakes={100: "Nearly: ranks begin at 1, not at 0."},
        tolerance=1e-6,
    ),
    "03.3": Exercise(
        question="Three queries find their partner at ranks 1, 2 and 9. What is the recall at 5, in percent?",
        answer=200 / 3,
        why="Two of three ranks are 5 or better: 67 %, or more exactly 66.7 %.",
        hint="The share of queries whose partner is among the first five.",
        mistakes={33.33: "That is the recall at 1.", 4: "That is the mean rank."},
    ),
    "04.1": Exercise(
        question="A picture of 448 × 448 pixels, cells of 32 × 32, one class token: how many image tokens?",
        answer=197,
        why="448 / 32 = 14 cells a side, 14 · 14 = 196 cells, and the class token.",
        hint="How many cells fit along one side? The picture has that many rows of them.",
        mistakes={196: "The class token comes on top.", 15: "One side has 14 cells; the picture has 14 rows of them."},
    ),
    "04.2": Exercise(
        question="The question is zeroed. Can the decoder still name the organ of any picture: 'yes' or 'no'?",
        answer="no",
        why="The picture's tokens are all there, but nothing says which of its properties is wanted.",
        hint="Look at the row 'no question' of the table: do the answers fit what was asked?",
        mistakes={"yes": "It writes something, but what is wanted stands in the question alone."},
    ),
    "04.3": Exercise(
        question="Position vectors are left out and the cells shuffled. Does the answer change: 'yes' or 'no'?",
        answer="no",
        why="Attention treats its tokens as a set: without position vectors, order is nowhere in the numbers.",
        hint="Attention is a weighted sum over tokens. Does a sum depend on the order of what is added?",
        mistakes={"yes": "With position vectors it may; without them a weighted sum does not know the order."},
    ),
    "05.1": Exercise(
        question="A sign is there in 80 % of the sick and in 20 % of the healthy. What is the AUC of this sign alone?",
        answer=0.8,
        why="A sick patient ranks higher with 0.8 · 0.8 = 0.64; 0.32 are ties and count half: 0.64 + 0.16 = 0.80.",
        hint="Sick with the sign against healthy without it wins; both with it, or both without it, count half.",
        mistakes={0.64: "Those are the pairs that are won; ties count half.", 0.96: "Ties count half, not whole."},
    ),
    "05.2": Exercise(
        question="Late fusion adds a(picture) + b(note). It gives 3 for fluid left and pain right, 1 for fluid right "
        "and pain left, 2 when both are left. What does it give when both are right?",
        answer=2,
        why="The two mismatches add up to 4, so do the two matches: 4 − 2 = 2. Mismatches are not told from matches.",
        hint="Add the two mismatches: which a and b occur in the sum? Then add the two matches.",
        mistakes={4: "That is the sum of both matches; one of them is 2.", 0: "Both sums must be 4: 3 + 1 = 2 + ?"},
    ),
    "05.3": Exercise(
        question="The note's noise is 0.4: each statement is, with this probability, decided by a coin. In how many "
        "percent of the notes is the side of the pain wrong?",
        answer=20,
        why="In 40 % a coin decides, and in half of these it falls on the true side all the same.",
        hint="A coin is right half of the time.",
        mistakes={40: "That is how often the coin decides; is it always wrong?", 0.2: "As a share, yes; in percent?"},
    ),
    "05.4": Exercise(
        question="Modality dropout of 0.2: two patients in ten lose either the picture or the note, as a coin says. "
        "What percentage of the training examples has both?",
        answer=80,
        why="20 % lose one of the two, never both: 10 % have no picture, 10 % no note, 80 % have everything.",
        hint="Nobody loses both.",
        mistakes={90: "So many have a picture; some of them lack the note.", 64: "That would be two separate draws."},
    ),
    "06.1": Exercise(
        question="A language model reads 64 patch tokens of a projector and a question of 12. How many tokens does it "
        "save, in all, with a Q-Former of 16 queries?",
        answer=48,
        why="It reads 16 + 12 = 28 instead of 64 + 12 = 76 tokens: 48 fewer, in every layer, for every word it writes.",
        hint="The question is read either way. Which part of the sequence becomes shorter?",
        mistakes={28: "That is what it reads with the Q-Former.", 36: "The question is read in both cases."},
    ),
    "06.2": Exercise(
        question="All gates of a Flamingo are at g = 0, and the picture is replaced. By how much, in nats, does the "
        "log-probability of a report change?",
        answer=0,
        why="tanh(0) = 0: nothing of the picture enters, and the language model's output is exactly its own.",
        hint="x + tanh(g) · attention(x, picture): what remains of the second term?",
    ),
    "06.3": Exercise(
        question="A projector joins two frozen parts by two linear layers, 192 features to 192, each with biases. How "
        "many numbers are learned?",
        answer=2 * (192 * 192 + 192),
        why="Two times 192 · 192 weights and 192 biases: 74,112, two in a hundred of the parts that it joins.",
        hint="A linear layer has in · out weights and out biases.",
        mistakes={73728: "The biases are learned, too.", 37056: "That is one of the two layers."},
    ),
} | CHEST | TISSUE | LATER
