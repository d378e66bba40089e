"""Do 95 % intervals hold the truth 95 % of the time? 2,000 simulated studies for each: chance adds ± 1 point (2 σ)."""

import numpy as np
import pytest
from scipy.stats import norm

from medvlm_lab.metrics import bootstrap_interval, delong, paired
from medvlm_lab.tasks.identification import patient_areas

STUDIES, RESAMPLES = 2000, 500


def covered(interval, draw, truth, studies=STUDIES):
    """The share of simulated studies whose interval holds the truth."""
    rng = np.random.default_rng(0)
    found = (interval(*draw(rng), i) for i in range(studies))
    return np.mean([x.low <= truth <= x.high for x in found])


def mean(values, seed):
    return bootstrap_interval(values, RESAMPLES, seed)


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda rng: (rng.beta(2, 5, 30),), 2 / 7),  # METEOR of 30 reports
        (lambda rng: (rng.random(50) < 0.8,), 0.8),  # accuracy of 50 answers
        (lambda rng: (rng.random(100) < 0.9,), 0.9),
        (lambda rng: (rng.normal(0, 1, 30),), 0.0),
        (lambda rng: (rng.exponential(1, 200),), 1.0),  # ranks and absolute errors: a few are large
    ],
    ids=["scores", "accuracy", "high accuracy", "normal", "skewed"],
)
def test_bootstrap_of_a_mean(draw, truth):
    assert 0.93 <= covered(mean, draw, truth) <= 0.97


def test_paired_difference():
    def draw(rng):
        b = rng.beta(2, 5, 40)
        return b + rng.normal(0.03, 0.1, 40), b

    assert 0.93 <= covered(lambda a, b, seed: paired(a, b, RESAMPLES, seed), draw, 0.03) <= 0.97


@pytest.mark.parametrize(("positive", "negative", "apart"), [(30, 70, 1.0), (50, 450, 1.5)])
def test_delong(positive, negative, apart):
    labels = np.repeat([1, 0], [positive, negative])

    def draw(rng):
        return (rng.normal(labels * apart, 1.0),)

    share = covered(lambda scores, seed: delong(scores, labels), draw, norm.cdf(apart / 2**0.5))
    assert 0.93 <= share <= 0.97


def test_area_of_pairs_that_share_patients():
    # a pair is alike by its patients' own parts u and v and by chance; another visit of the same patient by 1.2 more
    def draw(rng):
        u, v = rng.normal(0, 0.5, (2, 80))
        return (u[:, None] + v[None] + rng.normal(0, 1, (80, 80)) + 1.2 * np.eye(80),)

    truth = norm.cdf(1.2 / (2 * (1 + 2 * 0.25)) ** 0.5)
    share = covered(lambda pairs, seed: mean(patient_areas(pairs), seed), draw, truth)
    assert 0.93 <= share <= 0.97
