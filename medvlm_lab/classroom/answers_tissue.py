"""The exercises of the chapters on PathologyVLM and EchoCLIP; see `answers`."""

from __future__ import annotations

from medvlm_lab.classroom.exercises import Exercise


def _points() -> float:
    """How far the model's card puts it above its blinded twin, closed questions about real micrographs."""
    from medvlm_lab.published import cell

    row = "pathology-vlm less its twin, question by question"
    return float(cell("pathology-vlm", row, "closed", "real micrographs").split()[0])


def _kept() -> float:
    """Percent of a square slide of 2,000 pixels that the paper's tiles keep."""
    from medvlm_lab.nn.connector import choose_grid

    rows, columns = choose_grid(2000, 2000, 224)
    return 100 * (min(rows, columns) * 224 / 2000) ** 2


TISSUE: dict[str, Exercise] = {
    "09.1": Exercise(
        question="A slide of 2,000 × 2,000 pixels goes into four to eight tiles of 224, whole and in proportion. How "
        "many percent of its pixels are left?",
        answer=_kept,
        why="A square fills two by two tiles at best: 448 × 448 of 2,000 × 2,000 pixels are 5 %.",
        hint="How large can a square be inside a grid of at most eight tiles? Compare the areas.",
        mistakes={
            10: "That fills all eight tiles; a square in a grid of two by four leaves half of them empty.",
            1.25: "That is a single view's share.",
            22.4: "That compares the sides; pixels fill an area.",
        },
        tolerance=0.02,
    ),
    "09.2": Exercise(
        question="Views of 224 pixels, patches of 16. How many tokens does the connector spare the language model, if "
        "otherwise it read the patches of the whole view and of eight tiles?",
        answer=8 * 196,
        why="Each view has 14 · 14 = 196 patches. Nine views have 1,764, the connector passes on 196: 1,568 fewer.",
        hint="How many patches has a view? The connector passes on as many as one view has.",
        mistakes={1764: "That is what it would read; it still reads those of one view.", 196: "That is what it reads."},
    ),
    "09.3": Exercise(
        question="By how many points is the model better than its blinded twin in closed questions about real "
        "micrographs, in the card's table above? (Negative where the twin is better.)",
        answer=_points,
        why="So much is what seeing the picture adds to having read the question; chance can explain it.",
        hint="The first two rows, column 'closed', without the intervals: the model's less the twin's.",
        mistakes=lambda: {-_points(): "The other way round: the model's less the twin's."},
        tolerance=0.05,  # the first two rows are rounded to one digit, their difference is not
    ),
    "09.4": Exercise(
        question="A field of 400 µm is shown in 256 pixels and then shrunk to half the width. How many pixels wide is "
        "a nucleus of 8 µm?",
        answer=2.56,
        why="400 µm in 128 pixels are 3.125 µm a pixel, and 8 / 3.125 = 2.56: too few to see a chromosome in.",
        hint="How many µm is one pixel, after shrinking?",
        mistakes={5.12: "That is before shrinking.", 3.125: "That is the width of a pixel in µm."},
    ),
    "11.1": Exercise(
        question="Two frames, two votes each, best first: frame A says 60, 50; frame B says 40, 70. By the code's way "
        "(mean over frames at each rank, then the lower median): which ejection fraction?",
        answer=50,
        why="Ranks average to (60 + 40) / 2 = 50 and (50 + 70) / 2 = 60; the lower median is 50.",
        hint="First average the two best votes, and the two second ones.",
        mistakes={
            45: "That is the paper's way: lower medians 50 and 40, then their mean.",
            60: "That is the upper of the two averages.",
            55: "The mean of all four votes; the code takes a lower median of the ranks' averages.",
        },
    ),
    "11.2": Exercise(
        question="EchoCLIP-R finds the right one of 21,484 reports at a mean rank of 206. What rank does chance give?",
        answer=21485 / 2,
        why="(N + 1) / 2 = 10,742.5: ranks from 1 to N, all equally likely.",
        hint="The mean of the numbers from 1 to N.",
        mistakes={10742: "Ranks begin at 1, so half a place more."},
        tolerance=1e-5,
    ),
    "11.3": Exercise(
        question="40 patients come back for a second study. How many percent of them does a model that has learned "
        "nothing of the person put first, on average?",
        answer=2.5,
        why="One in forty: what is more than that tells of the person, or of what stays with the person.",
        hint="It draws one of forty at random.",
        mistakes={50: "That would be an area under the curve by chance."},
    ),
    "11.4": Exercise(
        question="A cine scores 0.48 for 'pacemaker lead' and 0.42 for 'MitraClip'. Does that say that a lead is "
        "likelier than a clip: 'yes' or 'no'?",
        answer="no",
        why="Each prompt has its own level, whatever the picture: compare patients for one prompt, never two prompts.",
        hint="Look at the same two scores of a patient who has neither.",
        mistakes={"yes": "Every patient scores higher for some prompts: cosines have no common zero."},
    ),
}
