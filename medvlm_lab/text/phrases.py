"""How a reader may ask for a structure: "left lung", "segment the lung on the left", "where is the pneumothorax?"

A name is that of a phantom's mask. What exists on both sides ("left lung", "right lung") may also be asked for without
a side ("lungs") and then is the union. No held-out pattern or place is ever used in training; the names themselves are,
for a small text tower knows only words that it has read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.phantoms.language import WORDINGS, choose, forms, insert

SIDES = ("left", "right")
CHAMBERS = ("ventricle", "atrium")  # "left" and "right" are part of their names, wherever they lie
PLURAL = {
    "lung": "(lungs|both lungs)", "kidney": "(kidneys|both kidneys)", "hemisphere": "(hemispheres|both hemispheres)",
}  # fmt: skip
SPOKEN = {  # other words for a name or kind, all of them in use
    "heart": "(heart|cardiac silhouette)",
    "cardiomegaly": "(cardiomegaly|enlarged heart)",
    "pulmonary edema": "(pulmonary edema|lung edema)",
    "nodule": "(nodule|lung nodule)",
    "consolidation": "(consolidation|lung consolidation)",
    "hepatic steatosis": "(hepatic steatosis|fatty liver)",
    "splenomegaly": "(splenomegaly|enlarged spleen)",
    "lymphadenopathy": "(lymphadenopathy|enlarged lymph nodes)",
    "liver cyst": "(liver cyst|cyst in the liver)",
    "vasogenic oedema": "(vasogenic oedema|vasogenic edema|oedema|edema)",
    "subdural haematoma": "(subdural haematoma|subdural hematoma)",
    "intracerebral haemorrhage": "(intracerebral haemorrhage|intracerebral hemorrhage|brain haemorrhage)",
    "brain tumour": "(brain tumour|brain tumor)",
    "grey matter": "(grey matter|gray matter)",
    "hemisphere": "(hemisphere|cerebral hemisphere)",
    "left ventricular wall": "(left ventricular wall|myocardium)",
}
PATTERNS = {
    "usual": (
        "<it>", "the <it>", "[please ]segment [the ]<it>", "(show me|find|outline|highlight) the <it>",
        "where is the <it>?", "where do you see <it>?", "<it> in this (image|picture|study)", "is there <it>?",
    ),
    "held-out": (
        "delineate the <it>", "draw a line around the <it>", "can you point out the <it>?", "<it>, please",
        "all pixels of the <it>", "i am looking for <it>", "mark <it> for me",
    ),
}  # fmt: skip
PLACED = {
    "usual": ("<side> <kind>", "<side> <kind>", "<kind> on the <side>", "<side> sided <kind>"),
    "held-out": ("<side> <kind>", "<kind> on the <side> side", "<side>-sided <kind>"),
}


def kind_of(name: str, names: Iterable[str]) -> str:
    """The name without its side, where both sides are among `names`: "left lung" → "lung"; else the name itself."""
    side, _, kind = name.partition(" ")
    both = side in SIDES and kind not in CHAMBERS and {f"{s} {kind}" for s in SIDES} <= set(names)
    return kind if both else name


def spoken(name: str, kind: str, wording: str) -> list[str]:
    """Patterns for a structure: `name` with or without a side; the kind for both sides together."""
    if name == kind:
        return [SPOKEN.get(kind, kind)]
    facts = {"side": name.split()[0], "kind": SPOKEN.get(kind, kind)}
    return [insert(place, facts) for place in PLACED[wording]]


def both_sides(kind: str) -> str:
    """The pattern for the union of both sides."""
    return PLURAL.get(kind, SPOKEN.get(kind, kind))


def phrase(
    name: str, names: Iterable[str], rng: np.random.Generator, wording: str = "usual", union: bool = False
) -> str:
    """One way to ask for `name`, a mask among `names`; with `union`, for both sides together.

    Raises UnknownNameError for another wording.
    """
    if wording not in WORDINGS:
        raise UnknownNameError("wording", wording, WORDINGS)
    kind, patterns = kind_of(name, names), PATTERNS[wording]
    options = [both_sides(kind)] if union else spoken(name, kind, wording)
    pattern = patterns[int(rng.integers(len(patterns)))]
    return choose(insert(pattern, {"it": options[int(rng.integers(len(options)))]}), rng)


@lru_cache(maxsize=2**10)
def said_so(text: str, name: str, names: tuple[str, ...]) -> bool:
    """Whether a text names a mask, one among `names`, in words that phrases have for it, its side included."""
    bare = lambda said: f" {' '.join(re.findall(r'[a-z]+', said.lower()))} "  # noqa: E731
    patterns = [pattern for wording in WORDINGS for pattern in spoken(name, kind_of(name, names), wording)]
    return any(bare(form) in bare(text) for pattern in patterns for form in forms(pattern))


def all_names(names: Iterable[str]) -> Iterator[str]:
    """Every usual form of every name, sides apart and together, without what is said around it."""
    names = list(names)
    for name in names:
        kind = kind_of(name, names)
        for pattern in [*spoken(name, kind, "usual"), both_sides(kind)]:
            yield from forms(pattern)
