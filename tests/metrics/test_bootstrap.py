"""The bootstrap interval: known cases, determinism, properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.metrics import bootstrap_interval, paired


def test_interval_of_a_proportion_matches_the_normal_approximation():
    value, low, high = bootstrap_interval([0, 1] * 200, n=4000)
    half = 1.96 * math.sqrt(0.25 / 400)
    assert value == 0.5
    assert low == pytest.approx(0.5 - half, abs=0.006)
    assert high == pytest.approx(0.5 + half, abs=0.006)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        _, low, high = bootstrap_interval(rng.random(100) < 0.7, n=400, seed=seed)
        hits += low <= 0.7 <= high
    assert 0.89 <= hits / 200 <= 0.99


def test_same_seed_same_bounds():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_blocks_do_not_change_the_kind_of_answer(monkeypatch):
    values = np.arange(10.0)
    whole = bootstrap_interval(values, n=2000)
    monkeypatch.setattr("medvlm_lab.metrics.bootstrap.BLOCK", 50)
    blocked = bootstrap_interval(values, n=2000)
    assert blocked.value == whole.value
    assert blocked.low == pytest.approx(whole.low, abs=0.3)


def test_empty_and_bad_level():
    assert all(math.isnan(x) for x in bootstrap_interval([]))
    with pytest.raises(ValueError, match="level"):
        bootstrap_interval([1.0], level=1.0)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        bootstrap_interval([[1.0, 2.0], [3.0, 4.0]])


def test_any_statistic():
    assert bootstrap_interval([1.0, 2.0, 9.0], statistic=lambda x: np.median(x, axis=1)).value == 2.0


def test_draws_without_a_value_are_left_out():
    undefined = bootstrap_interval([1.0, 2.0], statistic=lambda x: np.where(x[:, 0] == 1, np.nan, x[:, 0]))
    assert undefined.low == undefined.high == 2.0 and math.isnan(undefined.value)
    assert math.isnan(bootstrap_interval([1.0], statistic=lambda x: np.full(len(x), np.nan)).low)


def test_pairs_are_drawn_together():
    a = np.random.default_rng(0).normal(0, 10, 100)
    assert paired(a + 0.5, a) == pytest.approx((0.5, 0.5, 0.5))  # apart, their intervals would be about ±2 wide
    worse = paired(a, a + np.arange(100) % 3, statistic=lambda x: np.median(x, axis=1))
    assert worse.low <= worse.value <= worse.high <= 0
    with pytest.raises(ValueError, match="item by item"):
        paired([1.0], [1.0, 2.0])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
def test_bounds_lie_within_the_data_and_in_order(values):
    value, low, high = bootstrap_interval(values, n=100)
    assert min(values) - 1e-6 <= low <= high <= max(values) + 1e-6
    assert min(values) - 1e-6 <= value <= max(values) + 1e-6
