"""How well two masks agree."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool


def dice(a: Bool[np.ndarray, "*shape"], b: Bool[np.ndarray, "*shape"]) -> float:
    """2 |a ∩ b| / (|a| + |b|) in [0, 1] (Dice 1945); NaN where both are empty. Raises ValueError for unlike shapes."""
    if a.shape != b.shape:
        raise ValueError(f"masks of shapes {a.shape} and {b.shape} cannot be compared")
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")
