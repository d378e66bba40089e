"""Phrases for structures: sides, unions, wordings that never meet."""

import re

import numpy as np
import pytest

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.phantoms.language import forms
from medvlm_lab.text.phrases import PATTERNS, SIDES, all_names, kind_of, phrase

NAMES = ("left lung", "right lung", "heart", "left ventricle", "right ventricle", "left nodule", "right nodule")


def test_sides_are_told_from_names():
    assert kind_of("left lung", NAMES) == "lung" and kind_of("heart", NAMES) == "heart"
    assert kind_of("left ventricle", NAMES) == "left ventricle"  # a chamber's name, not a side
    assert kind_of("left lung", ("left lung",)) == "left lung"


@pytest.mark.parametrize("wording", ["usual", "held-out"])
def test_the_side_is_always_said_and_never_the_other(wording):
    rng = np.random.default_rng(0)
    for name in NAMES:
        side, other = name.split()[0], {"left": "right", "right": "left"}.get(name.split()[0], "left")
        for _ in range(40):
            words = re.findall("[a-z]+", phrase(name, NAMES, rng, wording))
            assert other not in words and (side in words or side not in SIDES)
    for _ in range(40):
        union = phrase("left lung", NAMES, rng, wording, union=True)
        assert "lungs" in union and "left" not in union and "right" not in union


def test_held_out_patterns_are_never_usual():
    usual, held = ({form for p in PATTERNS[w] for form in forms(p)} for w in ("usual", "held-out"))
    assert not usual & held
    with pytest.raises(UnknownNameError):
        phrase("heart", NAMES, np.random.default_rng(0), "other")


def test_names_are_listed_in_every_usual_form():
    listed = set(all_names(NAMES))
    assert {"left lung", "lung on the left", "both lungs", "cardiac silhouette", "left ventricle"} <= listed
    assert "ventricle on the left" not in listed
