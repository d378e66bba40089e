"""AUC: the documented value, symmetry, an interval that holds the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.metrics import auc, delong


def test_scikit_learns_documented_value():
    assert auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value == 0.75


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
