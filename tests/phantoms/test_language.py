"""The grammar: choices, options, slots, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.phantoms import names, phantom
from medvlm_lab.phantoms.language import TAUGHT, WORDINGS, Grammar, choose, fill, forms, listed

PATTERN = "(There is|Note [is made ]of) (a|one) <size> effusion[ (here|there)]."


def test_forms_are_every_combination_once():
    found = list(forms(PATTERN))
    assert len(found) == len(set(found)) == 3 * 2 * 3
    assert "Note of one <size> effusion there." in found


@given(st.integers(0, 2**32))
def test_a_choice_is_one_of_the_forms(seed):
    assert choose(PATTERN, np.random.default_rng(seed)) in set(forms(PATTERN))


def test_sentences_are_tidied():
    assert fill("there is a <size>  effusion .", {"size": "enormous"}) == "There is an enormous effusion."
    assert fill("a <n> nodule", {"n": "11 mm"}) == "An 11 mm nodule"
    assert fill("a <n> nodule", {"n": "12 mm"}) == "A 12 mm nodule"
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b or c"


def test_a_slot_without_a_fact_is_named():
    with pytest.raises(MedVLMError, match="<where>.*known: size"):
        fill("It is <where>.", {"size": "small"})


@pytest.mark.parametrize("pattern", ["(a|b", "a]", "[a", "a|b"])
def test_open_groups_are_refused(pattern):
    with pytest.raises(MedVLMError, match="close every group"):
        list(forms(pattern))


def test_unknown_wording():
    with pytest.raises(UnknownNameError, match="did you mean 'held-out'"):
        Grammar.of("chest-xray").patterns(("absent", "list"), "heldout")


@pytest.mark.parametrize("name", names())
def test_every_modality_says_it_in_five_hundred_ways(name):
    grammar = Grammar.of(name)
    branches = ("present", "absent", "normal", "change", "impression")
    counted = {w: {f for b in branches for p in grammar.all_patterns(w, b) for f in forms(p)} for w in WORDINGS}
    assert len(counted["usual"]) >= 500 and len(counted["held-out"]) >= 100
    assert set(grammar.data["nouns"]) == set(phantom(name).scene.kinds)


@pytest.mark.parametrize("name", names())
def test_held_out_forms_are_never_trained_on(name):
    grammar = Grammar.of(name)
    usual, held, taught = ({f for p in grammar.all_patterns(w) for f in forms(p)} for w in (*WORDINGS, TAUGHT))
    assert usual and held and not (usual | taught) & held

    def walk(node):
        if isinstance(node, dict):
            assert ("usual" in node) == ("held-out" in node) and ("usual" in node or TAUGHT not in node)
            for child in node.values():
                walk(child)

    walk(grammar.data)
