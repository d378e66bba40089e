"""Percentile bootstrap of a mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

BLOCK = 1 << 22  # resampled values held at once: 32 MiB of float64


class Interval(NamedTuple):
    """A value with the bounds of its confidence interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Interval:
    """(value, low, high): the mean of `values` and its percentile bootstrap interval.

    Args:
        values: one number per question, shape (k,), or one row per question, shape (k, columns), with `statistic`.
        n: resamples.
        seed: of the resampling; the same seed gives the same bounds.
        level: of confidence, in (0, 1).
        statistic: maps (resamples, k, ...) to (resamples,); the mean over k by default.

    An empty input gives three NaNs. Raises ValueError for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        return Interval(np.nan, np.nan, np.nan)
    score = statistic or (lambda x: x.mean(axis=1))
    rng = np.random.default_rng(seed)
    rows = max(1, BLOCK // data.size)
    draws = [score(data[rng.integers(0, len(data), (min(rows, n - i), len(data)))]) for i in range(0, n, rows)]
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(score(data[None])[0]), float(low), float(high))
