"""Area under the ROC curve with its interval; ranks of cross-modal retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.metrics.bootstrap import Interval, bootstrap_interval

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor


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


def retrieval_ranks(similarity: Float[Tensor, "n n"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Rank, from 1, of each row's own column and of each column's own row; equals share the worse rank."""
    own = similarity.diag()
    return (similarity >= own[:, None]).sum(1), (similarity >= own[None]).sum(0)


def mcmrr(similarity: Float[Tensor, "n n"]) -> float:
    """Mean cross-modal retrieval rank of n pairs: both directions' mean ranks, averaged; chance is (n + 1) / 2.

    Christensen et al. 2024, Methods. Rows are texts or images, columns the others, pairs on the diagonal.
    """
    there, back = retrieval_ranks(similarity)
    return float(there.double().mean() + back.double().mean()) / 2
