"""Patterns that are drawn once and bent onto each patient: bones, shoulder girdle, vessels and airway.

A handful of variants, projected from three-dimensional curves (`thorax_bones`, `thorax_vessels`), are kept at three
resolutions; a batch with any mixture of variants is sampled in one call.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import grid_sample

from medvlm_lab.phantoms.thorax_bones import bones, shoulders
from medvlm_lab.phantoms.thorax_shape import A_RANGE, B_RANGE
from medvlm_lab.phantoms.thorax_vessels import airway, vessels

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

VARIANTS = {"bones": 6, "shoulders": 4, "vessels": 10}
TIERS = (192, 384, 768)  # rows; the smallest that is not coarser than the picture


def tier(size: int) -> int:
    """Rows of the pattern that suits a picture of `size` pixels."""
    return next((rows for rows in TIERS if rows >= 1.4 * size), TIERS[-1])


@lru_cache(maxsize=256)
def _variant(kind: str, variant: int, rows: int) -> np.ndarray:
    if kind == "bones":
        return bones(variant, rows)[None]
    if kind == "shoulders":
        return shoulders(variant, rows)[None]
    blood = vessels(variant, rows)
    # vessels that cross lie behind each other only in part
    return np.stack([blood / (1 + blood / 22.0), airway(rows)])  # (2, rows, columns)


@lru_cache(maxsize=12)
def _stack(kind: str, variants: tuple[int, ...], rows: int, device: str) -> Tensor:
    picked = np.stack([_variant(kind, v, rows) for v in variants])  # (variants, c, rows, columns)
    return torch.from_numpy(picked.astype(np.float32)).to(device)


def place(a: Float[Tensor, "n h w"], b: Float[Tensor, "n h _"]) -> Float[Tensor, "n h w 2"]:
    """Canonical coordinates as `sample` wants them; kept for every pattern that lies at the same place."""
    at = torch.empty(*a.shape, 2, device=a.device)
    at[..., 0] = a * (2 / (A_RANGE[1] - A_RANGE[0]))
    at[..., 1] = (b - (B_RANGE[0] + B_RANGE[1]) / 2) * (2 / (B_RANGE[1] - B_RANGE[0]))
    return at


def sample(
    kind: str, variant: Int[np.ndarray, " n"], at: Float[Tensor, "n h w 2"], size: int
) -> Float[Tensor, "n c h w"]:
    """The pattern at these places, each scene its own variant."""
    rows = tier(size)
    # all variants where they are small: the stack then stays the same from batch to batch
    variants = tuple(range(VARIANTS[kind])) if rows == TIERS[0] else tuple(sorted(set(variant.tolist())))
    own = torch.from_numpy(np.searchsorted(variants, variant)).to(at.device)
    return grid_sample(_stack(kind, variants, rows, str(at.device))[own], at, align_corners=False)
