"""Smooth patterns in space: one periodic block of random fields, read at any point with an offset of the patient's own.

Three slices of the same patient read the same block at the same points, and so agree wherever they cross.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import grid_sample

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

CELLS, CELL_MM = 96, 3.0
FOLD_MM = 20.0  # two gyri: the wavelength of the folds
FOLDS, WARP_X, WARP_Y, WARP_Z, COARSE, FINE = range(6)


def _band(rng: np.random.Generator, wavelength_mm: float, width: float) -> np.ndarray:
    """Random field of variance 1 whose wavelengths lie around one length, as those of cortical folds do."""
    f = np.fft.fftfreq(CELLS, CELL_MM)
    k = np.sqrt(f[:, None, None] ** 2 + f[None, :, None] ** 2 + f[None, None, :] ** 2)
    keep = np.exp(-0.5 * ((k * wavelength_mm - 1) / width) ** 2)
    field = np.fft.ifftn(np.fft.fftn(rng.standard_normal((CELLS,) * 3)) * keep).real
    return (field / field.std()).astype(np.float32)


@lru_cache(maxsize=4)
def _block(device: str) -> Float[Tensor, "1 6 d h w"]:
    rng = np.random.default_rng((9, 0))
    fields = [_band(rng, FOLD_MM, 0.16)]
    fields += [_band(rng, 36.0, 0.35) for _ in range(3)]
    fields += [_band(rng, 48.0, 0.4), _band(rng, 11.0, 0.25)]
    block = np.pad(np.stack(fields), ((0, 0), (0, 1), (0, 1), (0, 1)), mode="wrap")
    return torch.from_numpy(block)[None].to(device)


def read(
    x: Float[Tensor, "n h w"], y: Float[Tensor, "n h w"], z: Float[Tensor, "n h w"], offset: Float[Tensor, "n 1 1 3"],
    first: int, last: int,
) -> Float[Tensor, "fields n h w"]:
    """Fields `first` to `last` of the block at points in mm; `offset` in mm, of each picture."""
    block = _block(str(x.device))[:, first : last + 1]
    at = torch.stack([x, y, z], -1) + offset
    at = at * (1 / (CELLS * CELL_MM))
    at = (at - at.floor()) * 2 - 1  # (n, h, w, 3) in [-1, 1): the block repeats
    n, h, w, _ = at.shape
    out = grid_sample(block, at.reshape(1, n * h, w, 1, 3), align_corners=True)
    return out[0].reshape(-1, n, h, w)
