"""Depth fields over a field of view: how far each pixel lies inside glands and lumens, and which way fibres run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.tissue_layout import Glands, Warp

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

PAD_UM = 32.0  # depths are known this far outside glands
CELLS, FINE = 64, 8  # the noise tile repeats after 64 cells, each sampled 8 times: powers of two
HALF = 2**13  # makes cell numbers positive; larger would cost float32 its fractions


@dataclass(frozen=True)
class View:
    """The pixels of a field of view around (0, 0). x (1, w) and y (h, 1) in µm."""

    field_um: float
    size: int
    device: torch.device

    @property
    def pixel_um(self) -> float:
        return self.field_um / self.size

    @property
    def axis(self) -> Float[Tensor, " w"]:
        at = torch.arange(self.size, device=self.device, dtype=torch.float32) + 0.5
        return at * self.pixel_um - self.field_um / 2

    @property
    def x(self) -> Float[Tensor, "1 w"]:
        return self.axis[None]

    @property
    def y(self) -> Float[Tensor, "h 1"]:
        return self.axis[:, None]


@lru_cache(maxsize=4)
def _tile(device: str) -> Tensor:
    from scipy.ndimage import zoom

    rough = np.random.default_rng((9, 0)).standard_normal((CELLS, CELLS))
    fine = zoom(rough, FINE, order=3, mode="grid-wrap", grid_mode=True)
    return torch.from_numpy((fine / fine.std()).astype(np.float32)).to(device).flatten()


def noise(u: Float[Tensor, "h w"], v: Float[Tensor, "h w"], between: bool = False) -> Float[Tensor, "h w"]:
    """Smooth noise of variance 1 at points given in cells; the same everywhere it is asked for.

    between: interpolate along v, for a tile stretched so far that its samples would show as steps.
    """
    side, tile = CELLS * FINE, _tile(str(u.device))
    column, at = (u * FINE + HALF).int() & (side - 1), v * FINE + HALF
    row = at.int()
    first = tile.index_select(0, ((row & (side - 1)) * side + column).flatten()).view(u.shape)
    if not between:
        return first
    second = tile.index_select(0, ((row + 1 & (side - 1)) * side + column).flatten()).view(u.shape)
    return first + (second - first) * (at - row)


@dataclass
class Depths:
    """Depth in µm inside all glands, inside the filled ones, and inside lumens; negative outside. (h, w) each.

    u, v: the bent plane's coordinates. flow: what is constant along a fibre, in µm across it.
    """

    u: Tensor
    v: Tensor
    gland: Tensor
    solid: Tensor
    lumen: Tensor
    flow: Tensor


def depths(view: View, warp: Warp, glands: Glands, rough_um: float, away: tuple[float, float]) -> Depths:
    """Depths of every pixel. rough_um: unevenness of outlines. away: offset of this patient's noise, in cells."""
    u, v = _bent(view, warp)
    gland, solid, lumen = (torch.from_numpy(k).to(u) for k in _capsules(view, warp, glands, u, v))
    if rough_um:
        uneven = rough_um * noise(u / 26 + away[0], v / 26 + away[1])
        gland, solid = gland + uneven, solid + uneven
    return Depths(u, v, gland, solid, lumen, _flow(view, gland, away))


def _capsules(view: View, warp: Warp, glands: Glands, u: Tensor, v: Tensor) -> tuple[np.ndarray, ...]:
    """Depths in glands, filled glands and lumens. In NumPy: of many small pieces, which cost torch thrice the time."""
    u, v = u.cpu().numpy(), v.cpu().numpy()
    gland, solid, lumen = (np.full_like(u, -PAD_UM) for _ in range(3))
    wx, wy = warp.back(glands.x, glands.y)
    half, px = view.field_um / 2, view.pixel_um
    slack = 1.25 * glands.r + 0.2 * glands.half + PAD_UM
    wide, tall = (1.25 * glands.half * np.abs(k) + slack for k in (glands.c, glands.s))
    low_x, high_x = (((wx + k * wide + half) / px).astype(int).clip(0, view.size) for k in (-1, 1))
    low_y, high_y = (((wy + k * tall + half) / px).astype(int).clip(0, view.size) for k in (-1, 1))
    for i in np.flatnonzero((low_x < high_x) & (low_y < high_y)):
        part = (slice(low_y[i], high_y[i] + 1), slice(low_x[i], high_x[i] + 1))
        x, y, c, s, long, r = (float(getattr(glands, k)[i]) for k in ("x", "y", "c", "s", "half", "r"))
        du, dv = u[part] - x, v[part] - y
        along, across = du * c + dv * s, dv * c - du * s
        along -= np.clip(along, -long, long)
        depth = r - np.sqrt(along * along + across * across)
        np.maximum(gland[part], depth, out=gland[part])
        if glands.solid[i]:
            np.maximum(solid[part], depth, out=solid[part])
            continue
        inner = max(r - float(glands.t[i]), 1.5)
        if glands.star[i]:
            angle = np.arctan2(dv, du) * np.float32(glands.folds[i]) + (x + 0.07 * (du - dv))
            inner = inner + inner * float(glands.star[i]) * np.sin(angle)
        np.maximum(lumen[part], depth + (inner - r), out=lumen[part])
    return gland, solid, lumen


def _bent(view: View, warp: Warp) -> tuple[Tensor, Tensor]:
    """u and v of each pixel; a wave over the plane is a sum of two products of waves along its axes."""
    axis = view.axis.double()
    to = lambda a: torch.from_numpy(a).to(axis)[:, None]  # noqa: E731
    a, b = to(warp.kx) * axis, to(warp.ky) * axis + to(warp.phase)  # (8, w), (8, h)
    down, across = torch.cat([b.cos(), b.sin()]), torch.cat([a.sin(), a.cos()])  # (16, h), (16, w)
    size = to(np.tile(warp.size, 2))
    first = torch.tensor([k % 8 < 4 for k in range(16)], device=axis.device)
    wu, wv = ((down[m] * size[m]).T @ across[m] for m in (first, ~first))
    return (axis[None] + wu).float(), (axis[:, None] + wv).float()


def _flow(view: View, gland: Tensor, away: tuple[float, float]) -> Tensor:
    """Fibres wave across the field; those next to a gland run around it."""
    turn = away[0]
    c, s = np.cos(turn), np.sin(turn)
    along, across = view.x * c + view.y * s, view.y * c - view.x * s
    wave = 14 * torch.sin(along / 62 + 0.012 * across + away[1]) + 3.5 * torch.sin(along / 15 + across / 40)
    wave = wave + 4 * noise(along / 30 + away[1], across / 18) + 1.3 * noise(along / 9, across / 9 + away[0])
    far = across + wave
    return torch.where(gland > -11 + 0.35 * torch.remainder(far, 16) - 0.1 * wave, gland, far)
