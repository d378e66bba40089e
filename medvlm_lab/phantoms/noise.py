"""Noise that belongs to a scene: windows cut out of fixed tiles at offsets that the scene's seed decides.

Counter-based in effect: a scene's noise is the same on every device and in every batch, and costs one copy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

_SPARE = 160  # offsets per axis; two tiles together give 160**4 pictures
_COARSE = 96


@lru_cache(maxsize=8)
def _white(size: int, number: int, device: str) -> Tensor:
    rng = np.random.default_rng((7, size, number))
    return torch.from_numpy(rng.standard_normal((size + _SPARE,) * 2, dtype=np.float32)).to(device)


@lru_cache(maxsize=4)
def _rough(device: str) -> Tensor:
    rng = np.random.default_rng((8, 0))
    return torch.from_numpy(rng.uniform(-1, 1, (_COARSE, _COARSE)).astype(np.float32)).to(device)


def _cut(tile: Tensor, offsets: Tensor, size: int) -> Tensor:
    windows = tile.unfold(0, size, 1).unfold(1, size, 1)  # a view: (rows, columns, size, size)
    return windows[offsets[:, 0], offsets[:, 1]]


def hashed(seeds: np.ndarray, purpose: int, count: int) -> Int[np.ndarray, "n count"]:
    """`count` whole numbers in [0, 2**31) per seed, by splitmix64 (Steele et al., 2014)."""
    with np.errstate(over="ignore"):
        steps = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(1000 * purpose)
        z = seeds.astype(np.uint64)[:, None] * np.uint64(0xD1342543DE82EF95) + steps * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(33)).astype(np.int64)


def white(seeds: np.ndarray, size: int, device: torch.device, purpose: int = 0) -> Float[Tensor, "n h w"]:
    """Gaussian noise of variance 1, independent from pixel to pixel."""
    offsets = torch.from_numpy(hashed(seeds, purpose, 4) % _SPARE).to(device)
    one = _cut(_white(size, 0, str(device)), offsets[:, :2], size)
    two = _cut(_white(size, 1, str(device)), offsets[:, 2:], size)
    return (one + two) * 0.70710678


def smooth(seeds: np.ndarray, size: int, cells: int, device: torch.device, purpose: int) -> Float[Tensor, "n h w"]:
    """Smooth noise in about [-1, 1] with `cells` points across the picture, the same shape at every size."""
    offsets = torch.from_numpy(hashed(seeds, purpose, 2) % (_COARSE - cells + 1)).to(device)
    coarse = _cut(_rough(str(device)), offsets, cells)[:, None]  # (n, 1, cells, cells)
    # smooth anyway: the costly cubic step at half the size, a linear one to the whole
    half = interpolate(coarse, ((size + 1) // 2,) * 2, mode="bicubic", align_corners=True)
    return interpolate(half, (size, size), mode="bilinear", align_corners=True)[:, 0].mul_(1.3)
