"""Many small ellipses onto one picture: patches of one size are drawn together, and the larger value stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.tissue_fields import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, Int
    from torch import Tensor

    from medvlm_lab.phantoms.tissue_cells import Cells

SIDES = (5, 7, 11, 17, 25, 37, 53, 77, 111, 163, 251)  # pixels of a patch
ELEMENTS = 2**20  # pixels drawn together


def patches(view: View, cells: Cells, reach: float = 1.0):
    """Yields (indices of the cells, flat pixel index, distance q, along, across) for batches of cells.

    q is 1 on the outline. reach: how far beyond the outline a patch goes, relative to the long half axis.
    """
    px = view.pixel_um
    if not len(cells.x):
        return
    need = 2 * np.ceil((np.maximum(cells.a, cells.b) * reach) / px + 1) + 1
    which = np.searchsorted(SIDES, need).clip(max=len(SIDES) - 1)
    column, row = ((np.floor((k + view.field_um / 2) / px)).astype(np.int64) for k in (cells.x, cells.y))
    for k in np.unique(which):
        side = SIDES[k]
        chosen = np.flatnonzero(which == k)
        step = max(1, ELEMENTS // side**2)
        for start in range(0, len(chosen), step):
            yield _patch(view, cells, chosen[start : start + step], side, column, row)


def _patch(view: View, cells: Cells, chosen: np.ndarray, side: int, column: np.ndarray, row: np.ndarray):
    device, px = view.device, view.pixel_um
    at = torch.from_numpy(np.stack([row[chosen], column[chosen]])).to(device)[:, :, None, None]
    spread = torch.arange(side, device=device) - side // 2
    i, j = at[0] + spread[:, None], at[1] + spread  # (k, side, 1), (k, 1, side)
    c, s, a, b = cells.c, cells.s, cells.a, cells.b
    numbers = np.stack([k[chosen] for k in (cells.x, cells.y, c / a, s / a, c / b, s / b, cells.irregular)])
    table = torch.from_numpy(numbers.astype(np.float32)).to(device)
    x, y, ca, sa, cb, sb, irregular = table[:, :, None, None]
    dx, dy = (j + 0.5) * px - (x + view.field_um / 2), (i + 0.5) * px - (y + view.field_um / 2)
    u, v = dx * ca + dy * sa, dy * cb - dx * sb
    uu, vv = u * u, v * v
    q = (uu + vv).sqrt()
    if cells.irregular.any():  # lobes: three and two to a turn
        qq = q.clamp(min=0.3)
        q = q + (irregular / (qq * qq)) * u * (uu - 3 * vv + 0.7 * v * qq)
    inside = (i >= 0) & (i < view.size) & (j >= 0) & (j < view.size)
    flat = torch.where(inside, i * view.size + j, view.size**2)
    return torch.from_numpy(chosen).to(device), flat, q, u, v


def paint(view: View, cells: Cells, value: Callable, reach: float = 1.0) -> Float[Tensor, "h w"]:
    """The largest `value(indices, q, u, v, edge)` at each pixel; edge: q's change over a pixel."""
    picture = torch.zeros(view.size**2 + 1, device=view.device)
    size = torch.from_numpy(np.sqrt(cells.a * cells.b)).to(view.device).float()
    for chosen, flat, q, u, v in patches(view, cells, reach):
        edge = view.pixel_um / size[chosen][:, None, None]
        drawn = value(chosen, q, u, v, edge)
        picture.scatter_reduce_(0, flat.flatten(), drawn.expand(flat.shape).flatten(), "amax")
    return picture[:-1].view(view.size, view.size)


def cover(q: Tensor, edge: Tensor) -> Tensor:
    """How much of a pixel the ellipse covers."""
    return ((1 - q) / edge + 0.5).clamp(0, 1)


def filled(view: View, cells: Cells) -> Float[Tensor, "h w"]:
    """Cover of all cells together."""
    return paint(view, cells, lambda chosen, q, u, v, edge: cover(q, edge))


def labels(view: View, cells: Cells) -> Int[Tensor, "h w"]:
    """Which cell owns each pixel, -1 for none: the one in which it lies deepest; a cell's middle is always its own."""
    n = len(cells.x)
    best = torch.full((view.size**2 + 1,), -1, dtype=torch.int64, device=view.device)
    for chosen, flat, q, _, _ in patches(view, cells):
        middle = q == q.flatten(1).amin(1)[:, None, None]
        key = ((1 - q).clamp(min=0) * 4096).long() * n + chosen[:, None, None]
        key = torch.where((q < 1) | middle, key + middle.long() * 8192 * n, -1)
        best.scatter_reduce_(0, flat.flatten(), key.flatten(), "amax")
    owner = torch.where(best >= 0, best.remainder(max(n, 1)), -1)
    return owner[:-1].view(view.size, view.size)
