"""Panel statistics against panels counted by hand, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from medvlm_lab.errors import MedVLMError
from medvlm_lab.reader import Mark, Reading, agreement, collaborate, evaluate, panel, readings
from medvlm_lab.reader.scores import overlap, rows

SOURCES = ("human", "AI")


def reading(reader, case, preference, errors="", significant=""):
    """`errors` and `significant`: sources with such an error, by their first letters."""
    marks = [Mark(s, 0, 1, "other", s[0] in significant) for s in SOURCES if s[0] in errors + significant]
    return Reading(reader, case, SOURCES, preference, marks=tuple(marks), corrected=dict.fromkeys(SOURCES, ""))


#: two readers, four cases
PANEL = [
    reading("r1", "c1", 2, "h", "h"), reading("r2", "c1", -1, "", ""),
    reading("r1", "c2", -1, "A"), reading("r2", "c2", -2, "A", "A"),
    reading("r1", "c3", 0), reading("r2", "c3", 1),
    reading("r1", "c4", -2, "", "hA"), reading("r2", "c4", -1, "", "A"),
]  # fmt: skip


def test_a_panel_counted_by_hand():
    result = evaluate(PANEL)
    value = {name: score.value for name, score in result.scores.items()}
    assert value["accepted"] == 50  # c1 by one of two, c3 by both
    assert value["errors_AI"] == value["significant_AI"] == 50  # c2, c4
    assert value["errors_human"] == value["significant_human"] == 50  # c1, c4
    assert [value[k] for k in ("both", "AI_only", "human_only", "neither")] == [25, 25, 25, 25]
    assert result.model == "2 readers" and result.scores["accepted"].n == 4
    assert result.scores["accepted"].low < 50 < result.scores["accepted"].high
    assert overlap(result.rows, SOURCES)["both"] == [False, False, False, True]


def test_half_of_the_panel_is_enough_and_less_is_not():
    three = [reading(f"r{i}", "c", p) for i, p in enumerate((0, -1, -1))]
    assert evaluate(three).scores["accepted"].value == 0
    assert evaluate([*three, reading("r3", "c", 2)]).scores["accepted"].value == 100
    assert rows(three)[0].accepted == pytest.approx(1 / 3)


def test_one_reader_has_no_agreement_and_simulated_ones_are_named():
    alone = evaluate(PANEL[::2])
    assert alone.scores["kappa_preference"].n == 0 and "nothing to score" in str(alone)
    assert alone.model == "1 reader"


def test_agreement_is_scikit_learns():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-2, 3, (2, 40))
    expected = cohen_kappa_score(a, b, labels=range(-2, 3), weights="quadratic")
    assert agreement(np.stack([a, b], -1)[:, None].astype(float)) == pytest.approx(expected)
    yes, no = rng.integers(0, 2, (2, 40))
    assert agreement(np.stack([yes, no], -1)[:, None].astype(float)) == pytest.approx(cohen_kappa_score(yes, no))


def test_agreement_by_hand():
    """Cohen's example of two readers: 20 both yes, 15 both no, 5 and 10 apart; kappa .4."""
    pairs = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    assert agreement(np.array(pairs, float)[:, None]) == pytest.approx(0.4)
    assert agreement(np.array([[1, 1, np.nan], [0, 0, 1], [1, 1, 0.0]])[:, None]) == pytest.approx((1 - 1 - 1) / 3)
    assert np.isnan(agreement(np.ones((3, 1, 2)))) and np.isnan(agreement(np.ones((3, 1, 1))))


READINGS = st.lists(
    st.tuples(st.sampled_from("pqr"), st.sampled_from(["c1", "c2", "c3"]), st.integers(-2, 2),
              st.sampled_from(["", "h", "A", "hA"]), st.sampled_from(["", "h", "A"])),
    min_size=1, max_size=9, unique_by=lambda r: r[:2],
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(READINGS, st.randoms())
def test_order_of_readers_and_cases_changes_nothing(made, random):
    found = [reading(*row) for row in made]
    mixed = random.sample(found, len(found))
    one, two = evaluate(found, 50), evaluate(mixed, 50)
    assert one.to_json(rows=True) == two.to_json(rows=True)
    shares = [one.scores[name].value for name in ("both", "AI_only", "human_only", "neither")]
    assert sum(shares) == pytest.approx(100)
    assert one.scores["both"].value + one.scores["AI_only"].value == pytest.approx(one.scores["significant_AI"].value)


def test_what_cannot_be_evaluated_is_a_sentence():
    with pytest.raises(MedVLMError, match="no readings"):
        evaluate([])
    with pytest.raises(MedVLMError, match="read the same case twice"):
        evaluate([PANEL[0], PANEL[0]])
    with pytest.raises(MedVLMError, match="different sources"):
        evaluate([PANEL[0], Reading("r", "c", ("human", "other"), 0)])


def test_corrections_towards_the_truth_help(cases):
    truth = {"c1": cases[0].reports["human"], "c2": cases[1].reports["human"], "c4": "Findings: Right nodule."}
    own = [
        Reading("r", case.name, SOURCES, 0, corrected={**case.reports, "AI": truth.get(case.name, case.reports["AI"])})
        for case in cases
    ]
    scores = collaborate(cases, own, panel(5)).scores
    assert scores["f1_before"].value == pytest.approx(2 * 2 / (2 + 3)) and scores["f1_after"].value == 1
    assert scores["f1_gain"].value == pytest.approx(0.2) and scores["accepted_gain"].value > 0
    untouched = [Reading("r", case.name, SOURCES, 0, corrected=case.reports) for case in cases]
    same = collaborate(cases, untouched, panel(5)).scores
    assert same["f1_gain"].value == same["accepted_gain"].value == 0
    with pytest.raises(MedVLMError, match="one reader at a time"):
        collaborate(cases, readings(panel(2), cases))
