"""Simulated admissions: a frontal chest X-ray, a short note, and what the patient has, which takes both to tell.

Every number below is invented for teaching. Each patient has fluid on one side; fair coins decide the side, the side of
the pain, fever, consolidation of the other lung, and heart failure. Heart failure turns an enlarged heart (picture) and
trouble lying flat (note) from one in five to four in five, each independently of the other. Hence the labels:

- heart failure: picture and note each give uncertain evidence, and the evidence adds up;
- pneumonia: consolidation (picture) and fever (note), both needed;
- other side: the pain (note) and the fluid (picture) are on different sides. Neither alone says anything about it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.chest_scene import CLEAR, LOBES, SIDES, ChestScene
from medvlm_lab.phantoms.language import choose, fill, forms
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN

AGES = range(40, 90)
LABELS = ("heart failure", "pneumonia", "other side")
SIGN = {True: 0.8, False: 0.2}  # how often each sign of heart failure is there, with and without it

WORDING = {
    "patient": ("(man|woman), <age>",),
    "pain": ("[sharp ]pain on the <side>", "<side> chest pain", "stitch on the <side>"),
    "fever": ("fever[ and chills]", "febrile", "temperature (38.6|39.1)"),
    "no fever": ("no fever[ or chills]", "afebrile", "temperature (36.4|36.9)"),
    "orthopnea": ("cannot lie flat", "sleeps upright", "needs three pillows"),
    "no orthopnea": ("can lie flat", "sleeps flat", "needs one pillow"),
}


@dataclass(frozen=True)
class Admission:
    """One patient.

    Attributes:
        scene: of the radiograph. fever, orthopnea (cannot lie flat), pain (its side): what is true of the patient.
        labels: whether each of `LABELS` applies.
    """

    scene: ChestScene
    fever: bool
    orthopnea: bool
    pain: str
    labels: tuple[bool, bool, bool]

    def note(self, noise: float = 0.0) -> str:
        """What was written down: age, pain, fever, lying flat, in any order.

        With probability `noise`, for each of the last three alone, a fair coin decides what is written: with 1 the
        note tells nothing. Raises MedVLMError for a noise outside [0, 1].
        """
        if not 0 <= noise <= 1:
            raise MedVLMError(f"noise is {noise!r}; it must be a probability, from 0 to 1.")
        rng = rng_of(self.scene.seed, 22)
        guessed, coin = rng.random(3) < noise, rng.random(3) < 0.5
        right, fever, orthopnea = np.where(guessed, coin, [self.pain == "right", self.fever, self.orthopnea])
        kinds = ["pain", "fever" if fever else "no fever", "orthopnea" if orthopnea else "no orthopnea"]
        facts = {"age": str(int(rng.choice(AGES))), "side": "right" if right else "left"}
        order = ["patient", *(kinds[i] for i in rng.permutation(3))]
        patterns = [WORDING[kind][int(rng.integers(len(WORDING[kind])))] for kind in order]
        return " ".join(f"{fill(choose(pattern, rng), facts)}." for pattern in patterns)


def admissions(seed: int, n: int, part: str = "train") -> list[Admission]:
    """`n` patients of stream `seed`; parts (train, validation, test) never share one.

    Raises SceneError for a seed or n out of range, UnknownNameError for another part.
    """
    return [_admit(scene) for scene in phantom("chest-xray").sample(seed, n, part=part)]


def _admit(scene: ChestScene) -> Admission:
    """The anatomy, exposure and devices as they were drawn; the diseases anew."""
    rng = rng_of(scene.seed, 21)
    failing, consolidated, fever = (rng.random(3) < 0.5).tolist()
    pain, fluid = (SIDES[i] for i in rng.integers(2, size=2))
    large, orthopnea = (rng.random(2) < SIGN[failing]).tolist()
    found = [f for f in scene.findings if scene.kinds[f.kind].device]
    found.append(Finding("pleural effusion", fluid, amount=rng.uniform(0.4, 0.9)))
    if consolidated:
        other = "left" if fluid == "right" else "right"
        lobe = LOBES[other][int(rng.integers(3))]
        found.append(Finding("consolidation", other, lobe, amount=rng.uniform(0.5, 1.0), at=tuple(rng.random(2))))
    ratio = rng.uniform(0.56, 0.66) if large else rng.uniform(0.38, CLEAR)
    changed = scene.with_(findings=tuple(found), cardiothoracic_ratio=ratio, inflation=0.0)
    return Admission(changed, fever, orthopnea, pain, (failing, consolidated and fever, pain != fluid))


def limits() -> dict[str, tuple[float, float, float]]:
    """The AUC of each of `LABELS` that the frequencies allow: with both modalities, and with the better one alone."""
    p, q = SIGN[True], SIGN[False]
    two = [((1 - x) ** 2, 2 * x * (1 - x), x**2) for x in (p, q)]  # how many of two signs are there
    # whoever has no pneumonia has, of three equally likely combinations, one with the sign that is looked at
    return {
        "both": (_area(*two), _area((0, 1), (1, 0)), 1.0),
        "one": (_area((1 - p, p), (1 - q, q)), _area((0, 1), (2 / 3, 1 / 3)), 0.5),
    }


def _area(sick: Sequence[float], healthy: Sequence[float]) -> float:
    """AUC of a score whose values, from low to high, have these probabilities."""
    pairs = [(i, j, a * b) for i, a in enumerate(sick) for j, b in enumerate(healthy)]
    return sum(p * (1.0 if i > j else 0.5 if i == j else 0.0) for i, j, p in pairs)


def note_vocabulary() -> list[str]:
    """Tokens of all notes, special tokens first, for a `Tokenizer`."""
    slots = {"age": " ".join(map(str, AGES)), "side": " ".join(SIDES)}
    texts = [fill(form, slots) for patterns in WORDING.values() for pattern in patterns for form in forms(pattern)]
    words = {word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())}
    return [PAD, UNKNOWN, START, END, ".", *sorted(words - {"."})]
