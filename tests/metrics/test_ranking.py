"""AUC: the documented value, symmetry, its two intervals; recall@k."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import auc, delong, recall_at
from medvlm_lab.metrics.ranking import areas


def test_scikit_learns_documented_value():
    for area in (auc, delong):
        assert area([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value == 0.75


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=4, max_size=30))
def test_turning_the_scores_round_turns_the_area_round(pairs):
    scores, labels = zip(*pairs, strict=True)
    if len(set(labels)) < 2:
        assert np.isnan(auc(scores, labels)).all() and np.isnan(delong(scores, labels)).all()
        return
    assert auc(scores, labels, n=5).value == pytest.approx(1 - auc([-s for s in scores], labels, n=5).value)


def test_interval_holds_the_true_area():
    rng = np.random.default_rng(0)
    labels = rng.random(400) < 0.3
    found = auc(rng.normal(labels * 1.0, 1.0), labels)  # true area: Phi(1 / sqrt 2) = 0.760
    assert found.low < 0.76 < found.high and found.high - found.low < 0.15


PAIRS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=6, max_size=30)


@given(PAIRS)
def test_areas_are_scikit_learn_s(pairs):
    from sklearn.metrics import roc_auc_score

    scores, labels = (np.array(part, float) for part in zip(*pairs, strict=True))
    if len(set(labels)) < 2:
        assert np.isnan(areas(scores, labels))
        return
    expected = roc_auc_score(labels, scores)
    assert areas(np.stack([scores, -scores]), np.stack([labels] * 2)) == pytest.approx([expected, 1 - expected])
    assert delong(scores, labels).value == pytest.approx(expected)


def literal_delong(scores, labels):
    """The area and its variance by every pair (DeLong et al. 1988, equations 4 to 6)."""
    there, absent = [s for s, y in zip(scores, labels, strict=True) if y], [
        s for s, y in zip(scores, labels, strict=True) if not y
    ]
    wins = [[1.0 if x > y else 0.5 if x == y else 0.0 for y in absent] for x in there]
    m, n = len(there), len(absent)
    area = sum(map(sum, wins)) / (m * n)
    of_there = [sum(row) / n for row in wins]
    of_absent = [sum(row[j] for row in wins) / m for j in range(n)]
    s10 = sum((v - area) ** 2 for v in of_there) / (m - 1)
    s01 = sum((v - area) ** 2 for v in of_absent) / (n - 1)
    return area, s10 / m + s01 / n


@given(PAIRS)
def test_delong_is_its_definition(pairs):
    scores, labels = zip(*pairs, strict=True)
    if not 2 <= sum(labels) <= len(labels) - 2:
        return
    area, variance = literal_delong(scores, labels)
    found, half = delong(scores, labels), 1.959964 * variance**0.5
    assert found.value == pytest.approx(area)
    assert found.low == pytest.approx(max(0, area - half), abs=1e-6)
    assert found.high == pytest.approx(min(1, area + half), abs=1e-6)


def test_both_intervals_say_about_the_same():
    rng = np.random.default_rng(3)
    labels = rng.random(300) < 0.4
    scores = rng.normal(labels * 1.0, 1.0)
    assert delong(scores, labels) == pytest.approx(auc(scores, labels, n=2000), abs=0.01)


def test_what_has_no_area_or_no_interval():
    assert np.isnan(auc([0.1, 0.2], [1, 1])).all() and np.isnan(delong([0.1, 0.2], [0, 0])).all()
    alone = delong([0.1, 0.2, 0.3], [0, 1, 0])
    assert alone.value == 0.5 and np.isnan(alone.low)
    for area in (auc, delong):
        with pytest.raises(MedVLMError, match="2 scores cannot be measured against 1 labels; give pairs"):
            area([0.1, 0.2], [1])


def test_recall_at_k():
    assert recall_at([1, 2, 11, 10], 1).mean() == 25.0 and recall_at([1, 2, 11, 10], 10).mean() == 75.0
