"""How well two masks agree: by area, and by the distance of their outlines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from medvlm_lab.errors import ScoreError
from medvlm_lab.metrics import guard


def dice(a: Bool[np.ndarray, "*shape"], b: Bool[np.ndarray, "*shape"]) -> float:
    """2 |a ∩ b| / (|a| + |b|) in [0, 1] (Dice 1945); NaN where both are empty.

    Whatever is not 0 belongs to a mask. Raises ScoreError for unlike shapes, NaN and probabilities.
    """
    a, b = guard.two_masks(a, b)
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def hausdorff(
    a: Bool[np.ndarray, "*shape"], b: Bool[np.ndarray, "*shape"], spacing: Sequence[float] | float = 1.0,
    percentile: float = 100.0,
) -> float:
    """Hausdorff distance of two outlines: how far the farthest point of either lies from the other.

    Args:
        spacing: distance between pixel centres along each axis; in mm it gives mm, by default pixels.
        percentile: of the distances, taken each way, the larger one counts; 95 gives the 95 % Hausdorff distance,
            which a few stray pixels do not decide.

    NaN where both are empty, infinite where one is: there is no distance to nothing. Outlines are the mask's own pixels
    with a neighbour outside it, or outside the picture. Raises ScoreError as `dice`, for a spacing that is not positive
    or has not one number for each axis, and for a percentile outside [0, 100].
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt

    a, b = guard.two_masks(a, b)
    steps = guard.finite(np.atleast_1d(spacing), "distances between pixels")
    if steps.shape not in ((1,), (a.ndim,)) or (steps <= 0).any():
        raise ScoreError(f"spacing is {spacing}; give one positive number for all axes, or one for each.")
    if not 0 <= percentile <= 100:
        raise ScoreError(f"percentile is {percentile}; it must lie between 0 and 100.")
    if not a.any() or not b.any():
        return float("nan") if not a.any() and not b.any() else float("inf")
    edges = [mask & ~binary_erosion(mask) for mask in (a, b)]
    away = [distance_transform_edt(~edge, sampling=np.broadcast_to(steps, a.ndim)) for edge in edges]
    return float(max(np.percentile(away[1][edges[0]], percentile), np.percentile(away[0][edges[1]], percentile)))
