"""Area under the ROC curve, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvlm_lab.metrics.bootstrap import Interval, bootstrap_interval


def auc(
    scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray, n: int = 200, seed: int = 0
) -> Interval:
    """The chance that a positive is scored above a negative, and its bootstrap interval over `n` resamples.

    Computed by scikit-learn. Resamples that hold one class only have no area and are left out.
    Raises ValueError where the two differ in length or hold one class only.
    """
    from sklearn.metrics import roc_auc_score

    pairs = np.stack([np.asarray(scores, float), np.asarray(labels, float)], axis=1)  # (k, 2)
    if len(np.unique(pairs[:, 1])) != 2:
        raise ValueError("labels hold one class only; an area under the curve needs both")

    def area(samples: np.ndarray) -> np.ndarray:  # (resamples, k, 2) -> (resamples,)
        both = [s for s in samples if s[:, 1].min() < s[:, 1].max()]
        return np.array([roc_auc_score(s[:, 1], s[:, 0]) for s in both])

    return bootstrap_interval(pairs, n, seed, statistic=area)
