"""Area under the ROC curve with its intervals; ranks of retrieval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import ScoreError
from medvlm_lab.metrics import guard
from medvlm_lab.metrics.bootstrap import Interval, bootstrap_interval, check_level

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor


def auc(
    scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray, n: int = 200, seed: int = 0
) -> Interval:
    """The chance that a positive is scored above a negative, and its bootstrap interval over `n` resamples.

    Resamples that hold one class only have no area and are left out; labels of one class only give three NaNs.
    Raises ScoreError where the two differ in length, a score is not finite, or the labels are not 0 and 1; of two other
    whole numbers the higher one is positive, as in scikit-learn. `delong` needs no resamples.
    """
    return bootstrap_interval(_pairs(scores, labels), n, seed, statistic=lambda x: areas(x[..., 0], x[..., 1]))


def areas(scores: Float[np.ndarray, "*s k"], labels: Float[np.ndarray, "*s k"]) -> Float[np.ndarray, "*s"]:
    """The area of each sample of k; NaN where one holds one class only. By ranks: Mann & Whitney 1947.

    The same as scikit-learn's `roc_auc_score`, of many samples at once. Raises ScoreError for scores that are not
    finite, and labels other than 0 and 1.
    """
    from scipy.stats import rankdata

    scores, labels = guard.finite(scores, "scores"), guard.zero_one(labels)
    there = labels.sum(-1)
    below = (rankdata(scores, axis=-1) * labels).sum(-1) - there * (there + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return below / (there * (labels.shape[-1] - there))


def delong(
    scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray, level: float = 0.95
) -> Interval:
    """The same area with DeLong's interval: DeLong et al., Biometrics 1988, by the ranks of Sun & Xu, IEEE SPL 2014.

    The interval is symmetric, cut to [0, 1]; without errors (area 0 or 1) it has no width, which says too much.
    One positive or negative alone gives no bounds, labels of one class only three NaNs. Raises as `auc`.
    """
    from scipy.stats import norm

    check_level(level)
    pairs = _pairs(scores, labels)
    there, absent = (pairs[pairs[:, 1] == kind, 0] for kind in (1, 0))
    if not len(there) or not len(absent):
        return Interval(np.nan, np.nan, np.nan)
    wins, losses = placements(there, absent)
    area = float(wins.mean())
    if min(len(there), len(absent)) < 2:
        return Interval(area, np.nan, np.nan)
    error = np.sqrt(wins.var(ddof=1) / len(wins) + losses.var(ddof=1) / len(losses))
    half = float(norm.ppf((1 + level) / 2) * error)
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def placements(
    there: Float[np.ndarray, " m"], absent: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
    """The share of `absent` below each of `there`, and of `there` above each of `absent`; equals count half.

    Raises ScoreError for scores that are not finite.
    """
    from scipy.stats import rankdata

    there, absent = (guard.finite(scores, "scores") for scores in (there, absent))
    ranks = rankdata(np.concatenate([there, absent]))  # equals share their mean rank
    below = (ranks[: len(there)] - rankdata(there)) / len(absent)
    return below, 1 - (ranks[len(there) :] - rankdata(absent)) / len(there)


def _pairs(scores: Sequence[float] | np.ndarray, labels: Sequence[bool] | np.ndarray) -> Float[np.ndarray, "k 2"]:
    found = guard.finite(scores, "scores"), guard.two_classes(labels)
    guard.rows_of_numbers(*found, ("scores", "labels"))
    return np.stack(found, axis=1)


def retrieval_ranks(similarity: Float[Tensor, "n n"]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Rank, from 1, of each row's own column and of each column's own row; equals share the worse rank.

    Raises ScoreError for what is not square, and for similarities that are not finite: NaN would rank before the first.
    """
    import torch

    if not isinstance(similarity, torch.Tensor):
        similarity = torch.from_numpy(guard.finite(similarity, "similarities"))
    if similarity.ndim != 2 or len(set(similarity.shape)) != 1 or not len(similarity):
        raise ScoreError(f"Similarities of shape {tuple(similarity.shape)} have no pairs; give n rows of n numbers.")
    if not similarity.isfinite().all():
        guard.finite(similarity, "similarities")
    own = similarity.diag()
    return (similarity >= own[:, None]).sum(1), (similarity >= own[None]).sum(0)


def mcmrr(similarity: Float[Tensor, "n n"]) -> float:
    """Mean cross-modal retrieval rank of n pairs: both directions' mean ranks, averaged; chance is (n + 1) / 2.

    Christensen et al. 2024, Methods. Rows are texts or images, columns the others, pairs on the diagonal.
    """
    there, back = retrieval_ranks(similarity)
    return float(there.double().mean() + back.double().mean()) / 2


def recall_at(ranks: Int[np.ndarray, "*shape"], k: int) -> Float[np.ndarray, "*shape"]:
    """100 where the right one is among the first k, 0 where not: recall@k in percent is their mean.

    Raises ScoreError for ranks or a k below 1.
    """
    guard.at_least(k, 1, "k")
    found = guard.finite(ranks, "ranks")
    if (found < 1).any():
        raise ScoreError(f"Ranks begin at 1, but one of them is {found.min():g}; count the first place as 1.")
    return 100.0 * (found <= k)
