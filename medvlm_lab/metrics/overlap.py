"""How well two masks agree: by area, and by the distance of their outlines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool


def dice(a: Bool[np.ndarray, "*shape"], b: Bool[np.ndarray, "*shape"]) -> float:
    """2 |a ∩ b| / (|a| + |b|) in [0, 1] (Dice 1945); NaN where both are empty. Raises ValueError for unlike shapes."""
    if a.shape != b.shape:
        raise ValueError(f"masks of shapes {a.shape} and {b.shape} cannot be compared")
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

    NaN where both are empty, infinite where one is: there is no distance to nothing. Raises ValueError for unlike
    shapes. Outlines are the mask's own pixels with a neighbour outside it, or outside the picture.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt

    if a.shape != b.shape:
        raise ValueError(f"masks of shapes {a.shape} and {b.shape} cannot be compared")
    if not a.any() or not b.any():
        return float("nan") if not a.any() and not b.any() else float("inf")
    edges = [mask & ~binary_erosion(mask) for mask in (a, b)]
    away = [distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    return float(max(np.percentile(away[1][edges[0]], percentile), np.percentile(away[0][edges[1]], percentile)))
