"""Where findings are: one function per finding, from a `Chest` to a field that renderer and masks share.

Each takes the rows (scenes) that have the finding on one side and returns, for these rows alone, a field in [0, 1] that
says how much of the finding lies in a pixel; a mask is where it exceeds `EDGE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.chest_geometry import SIGN, Chest
from medvlm_lab.phantoms.noise import hashed, smooth
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.phantoms.thorax_atlas import VARIANTS
from medvlm_lab.phantoms.thorax_bones import rib_point
from medvlm_lab.phantoms.thorax_shape import curve

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

EDGE = 0.25
#: lobe → centre and radii (a, b), and the b of the fissure that bounds it above or below
LOBE_SHAPES = {
    ("right", "upper lobe"): (0.56, 0.27, 0.36, 0.20, None, 0.47),
    ("right", "middle lobe"): (0.42, 0.78, 0.34, 0.24, 0.49, None),
    ("right", "lower lobe"): (0.62, 0.92, 0.40, 0.26, None, None),
    ("left", "upper lobe"): (0.56, 0.30, 0.36, 0.24, None, None),
    ("left", "lingula"): (0.62, 0.72, 0.32, 0.20, None, None),
    ("left", "lower lobe"): (0.66, 0.95, 0.36, 0.24, None, None),
}
ZONE_CENTERS = {"upper zone": (0.56, 0.26), "mid zone": (0.66, 0.52), "lower zone": (0.74, 0.80)}


def effusion(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Float[Tensor, "m h w"]:
    """Free fluid, upright: highest at the side wall, its upper edge a meniscus; small ones only blunt the angle."""
    amount = chest.column([f.amount for f in found])
    u = chest.ax[rows] / chest.half[rows]
    angle = 1.225 - 0.105 * chest.p["inflation"][rows] + (chest.p["left_dome"][rows] if side == "left" else 0)
    u2 = u * u
    top = angle - (0.05 + 0.62 * amount) * (0.62 + 0.42 * u2 * u2)
    depth = ((chest.b[rows] - top) * (1 / 0.055) + EDGE).clamp(0, 1)
    return depth * _on_side(chest, rows, side)


def pneumothorax_line(chest: Chest, rows: Tensor, found: list[Finding]) -> Float[Tensor, "m h w"]:
    """Distance in mm from the collapsed lung's edge, positive inside the lung."""
    amount = chest.column([f.amount for f in found])
    b = chest.b[rows]
    # the lung sinks from the apex and draws back from the side wall, most of all above
    sunk = b - (0.035 + 0.16 * amount)
    gap = (5.0 + 30.0 * amount) * (1.0 - 0.55 * (b / 1.1).clamp(0, 1))
    # continue the outline upwards as a dome, so that the lung's tip is round
    edge = chest.half[rows] * curve("costal", sunk) - gap
    inner = chest.half[rows] * curve("apex", sunk)
    over = chest.ax[rows]
    side_way = torch.minimum(edge - over, over - inner + 60 * sunk.clamp(min=0))
    return torch.minimum(side_way, sunk * chest.p["lung_mm"][rows])


def pneumothorax(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Float[Tensor, "m h w"]:
    """Air between the lung's edge and the ribs: 1 or 0, the edge is as sharp as the pleura is thin."""
    return (pneumothorax_line(chest, rows, found) < 0).float() * _on_side(chest, rows, side)


def consolidation(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Float[Tensor, "m h w"]:
    """A lobe's share of water instead of air: ragged, but cut off straight at a fissure."""
    shapes = [LOBE_SHAPES[side, f.region] for f in found]
    a0, b0, ra, rb = (chest.column([s[k] for s in shapes]) for k in range(4))
    amount = chest.column([f.amount for f in found])
    a0 = a0 + 0.06 * (chest.column([f.at[0] for f in found]) - 0.5)
    b0 = b0 + 0.06 * (chest.column([f.at[1] for f in found]) - 0.5)
    scale = 0.72 + 0.42 * amount
    ragged = smooth(chest.patients[rows.cpu().numpy()], chest.size, 14, chest.device, 21 + (side == "left"))
    u = (chest.ax[rows] / chest.half[rows] - a0) / (ra * scale)
    v = (chest.b[rows] - b0) / (rb * scale)
    field = (1 - u * u - v * v + 0.45 * ragged) * 1.5
    above = chest.column([9.0 if s[5] is None else s[5] for s in shapes])
    below = chest.column([-9.0 if s[4] is None else s[4] for s in shapes])
    bowed = chest.b[rows] - 0.03 * u  # the fissure slopes a little
    cut = torch.minimum(above - bowed, bowed - below) * 60
    return torch.minimum(field, cut).clamp(0, 1) * _on_side(chest, rows, side)


def nodule_place(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> tuple[Tensor, Tensor, Tensor]:
    """Centre (signed x, y) and radius, mm; beside the heart where there is room, always inside the ribs."""
    radius = chest.column([f.measurement / 2 for f in found])
    zone = [ZONE_CENTERS[f.region] for f in found]
    b = chest.column([z[1] + 0.10 * (f.at[1] - 0.5) for z, f in zip(zone, found, strict=True)])
    want = chest.column([z[0] + 0.16 * (f.at[0] - 0.5) for z, f in zip(zone, found, strict=True)]) * chest.half[rows]
    y = b * chest.p["lung_mm"][rows]
    # room between mediastinum and ribs over the rows that the nodule covers
    right, left = chest.silhouette
    covered = (chest.y[rows] - y).abs() <= radius + 4
    big = torch.tensor(1e4, device=chest.device)
    outer = torch.where(covered, chest.costal[rows], big).amin(1, keepdim=True)
    inner = torch.where(covered, (left if side == "left" else right)[rows], -big).amax(1, keepdim=True)
    x = torch.minimum(torch.maximum(want, inner + radius + 4), outer - radius - 4)
    return SIGN[side] * x, y, radius


def nodule(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Float[Tensor, "m h w"]:
    """Thickness of a lobulated ball as a fraction of its diameter; its outline has the area of the stated circle."""
    x, y, radius = nodule_place(chest, rows, found, side)
    dx, dy = (chest.x[rows] - x) / radius, (chest.y[rows] - y) / radius
    turns = hashed(chest.patients[rows.cpu().numpy()], 31, 2) % 628
    c1, s1 = chest.column((turns[:, 0] / 100).tolist()).cos(), chest.column((turns[:, 0] / 100).tolist()).sin()
    r2 = dx * dx + dy * dy
    # lobes: 6 % times cos(3 phi), written without an angle; they cancel in the area to second order
    wave = (dx * dx * dx - 3 * dx * dy * dy) * c1 + (3 * dx * dx * dy - dy * dy * dy) * s1
    # far out the cube would win: the second term ends the ball there
    return torch.minimum(1 - r2 + 0.12 * wave, 3 * (1.3 - r2)).clamp(0, 1).sqrt()


def fracture_place(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> tuple[Tensor, Tensor]:
    """x and y in mm of the break, in the rib's arc towards the side."""
    variants = bone_variants(chest)[rows.cpu().numpy()]
    points = [
        rib_point(int(v), int(f.region[0]), int(SIGN[side]), 0.85 + 0.45 * f.at[0])
        for v, f in zip(variants, found, strict=True)
    ]
    b = chest.column([p[1] for p in points])
    barrel = (curve("costal", b) + 0.05 * chest.p["barrel"][rows] * curve("barrel", b)).clamp(max=1.0)
    return chest.column([p[0] for p in points]) * chest.half[rows] * barrel / curve("costal", b), (
        b * chest.p["lung_mm"][rows]
    )


def fracture(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Float[Tensor, "m h w"]:
    """A soft disc over the break, 1 at its centre."""
    x, y = fracture_place(chest, rows, found, side)
    dx, dy = chest.x[rows] - x, chest.y[rows] - y
    return (1 - (dx * dx + dy * dy) / 14.0**2).clamp(min=0)


def bone_variants(chest: Chest) -> np.ndarray:
    """Which bone pattern each patient has."""
    return hashed(chest.patients, 42, 1)[:, 0] % VARIANTS["bones"]


def edema(chest: Chest, rows: Tensor, found: list[Finding]) -> Float[Tensor, "m h w"]:
    """Haze like the wings of a bat: around the hila, spreading with severity."""
    amount = chest.column([f.amount for f in found])
    u = (chest.ax[rows] / chest.half[rows] - 0.34) / (0.28 + 0.30 * amount)
    v = (chest.b[rows] - 0.60) / (0.32 + 0.22 * amount)
    rough = smooth(chest.seeds[rows.cpu().numpy()], chest.size, 26, chest.device, 25)
    return (1.15 - u * u - v * v + 0.16 * rough).clamp(0, 1)


def _on_side(chest: Chest, rows: Tensor, side: str) -> Float[Tensor, "m h w"]:
    left = chest.left[rows]
    return (left if side == "left" else ~left).float()
