"""Tubes, lines, leads and wires in a chest X-ray: distance from a course, then how much metal lies in each pixel."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.chest_geometry import SIGN, Chest
from medvlm_lab.phantoms.scene import Finding

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

Field = Callable[[Chest, "Tensor", list[Finding], str], "Tensor"]
Course = tuple[tuple[float, ...], tuple[float, ...]]

# courses as (b, x in mm of the standard patient); x is mirrored or not as each function says
RIGHT_NECK = ((-0.9, -0.45, -0.1, 0.1, 0.25, 0.46), (46.0, 38.0, 30.0, 22.0, 18.0, 19.0))
LEFT_NECK = ((-0.9, -0.45, -0.12, 0.02, 0.14, 0.22, 0.30, 0.46), (-50.0, -42.0, -34.0, -22.0, 6.0, 17.0, 19.0, 19.0))
GULLET = ((-0.9, 0.1, 0.35, 0.7, 0.98, 1.08, 1.16, 1.23, 1.27), (0.0, 1.0, 5.0, 8.0, 14.0, 22.0, 38.0, 62.0, 92.0))
WINDPIPE = ((-0.9, 0.4), (0.0, -2.0))
# of the leads, in (x, b), for a pacemaker on the left
LEAD = ((0.62, 0.10), (0.56, 0.02), (0.42, 0.015), (0.26, 0.07), (0.08, 0.15), (-0.09, 0.22), (-0.145, 0.34),
        (-0.16, 0.52), (-0.15, 0.70), (-0.06, 0.85), (0.10, 0.925), (0.27, 0.945))
HOOK = ((-0.145, 0.34), (-0.165, 0.52), (-0.20, 0.625), (-0.255, 0.640), (-0.275, 0.58), (-0.268, 0.545))


def line(chest: Chest, rows: Tensor, distance: Tensor, radius: float) -> Float[Tensor, "m h w"]:
    """Share of a pixel that a line of that radius (mm) covers; never thinner than a pixel can show."""
    pixel = chest.pixel_mm[rows]
    reach = torch.maximum(torch.full_like(pixel, radius), 0.45 * pixel)
    return ((reach - distance) / pixel + 0.5).clamp(0, 1)


def upright(chest: Chest, rows: Tensor, course: Course, mirror: float, end: Tensor) -> Tensor:
    """Distance in mm from a course that goes down, given as x over b, up to height `end`."""
    b = chest.b[rows]
    x = _interpolate(b, *course) * mirror * (chest.half[rows] / 140)
    slope = (x[:, 2:] - x[:, :-2]) / (2 * chest.pixel_mm[rows])
    slope = torch.cat([slope[:, :1], slope, slope[:, -1:]], 1)
    beside = (chest.x[rows] - x).abs() / (1 + slope * slope).sqrt()
    past = (b - end).clamp(min=0) * chest.p["lung_mm"][rows]
    return torch.maximum(beside, past)


def polyline(chest: Chest, rows: Tensor, course: tuple[tuple[float, float], ...], mirror: float) -> Tensor:
    """Distance in mm from a chain of points (x in half widths, b)."""
    half, height = chest.half[rows], chest.p["lung_mm"][rows]
    x, y = chest.x[rows], chest.y[rows]
    # only what lies beside the midline on the pacemaker's side is mirrored: the veins meet on the right
    points = [(a * half * mirror if b < 0.2 else a * half, b * height) for a, b in course]
    nearest = torch.full_like(x, 1e6)
    for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
        dx, dy = x1 - x0, y1 - y0
        along = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
        nearest = torch.minimum(nearest, (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2)
    return nearest.sqrt()


def pacemaker(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Tensor:
    """Generator below the clavicle, one lead to the right ventricle's apex, one hooked into the right atrium."""
    return torch.maximum(generator(chest, rows, found, side), _leads(chest, rows, side))


def generator(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Tensor:
    """The box, share of each pixel."""
    x = SIGN[side] * (0.66 * chest.half[rows] + 8 * chest.column([f.at[0] for f in found]))
    y = (0.14 + 0.06 * chest.column([f.at[1] for f in found])) * chest.p["lung_mm"][rows]
    dx, dy = ((chest.x[rows] - x).abs() - 13).clamp(min=0), ((chest.y[rows] - y).abs() - 9).clamp(min=0)
    return ((10.0 - (dx * dx + dy * dy).sqrt()) / chest.pixel_mm[rows] + 0.5).clamp(0, 1)


def _leads(chest: Chest, rows: Tensor, side: str) -> Tensor:
    mirror = SIGN[side]
    ventricle = polyline(chest, rows, _smooth(LEAD, chest.size), mirror)
    near = torch.minimum(ventricle, polyline(chest, rows, _smooth(HOOK, chest.size), 1.0))
    return line(chest, rows, near, 1.1)


def central_line(chest: Chest, rows: Tensor, found: list[Finding], side: str) -> Tensor:
    """From the internal jugular vein into the superior vena cava."""
    course, tip = (RIGHT_NECK if side == "right" else LEFT_NECK), chest.column([0.33 + 0.12 * f.at[1] for f in found])
    return line(chest, rows, upright(chest, rows, course, -1.0, tip), 1.25)


def endotracheal_tube(chest: Chest, rows: Tensor, found: list[Finding], side: str = "") -> Tensor:
    """Down the trachea, its tip above the carina."""
    tip = chest.column([0.13 + 0.12 * f.at[1] for f in found])
    return line(chest, rows, upright(chest, rows, WINDPIPE, 1.0, tip), 4.6)


def nasogastric_tube(chest: Chest, rows: Tensor, found: list[Finding], side: str = "") -> Tensor:
    """Down the oesophagus into the stomach."""
    tip = chest.column([1.245 + 0.02 * f.at[1] for f in found])
    return line(chest, rows, upright(chest, rows, GULLET, 1.0, tip), 1.9)


def sternotomy_wires(chest: Chest, rows: Tensor, found: list[Finding], side: str = "") -> Tensor:
    """Six twisted loops down the breastbone."""
    gap = 0.125
    step = (chest.b[rows] - 0.10) / gap
    number = step.floor().clamp(0, 5)
    turn = (chest.column([f.at[0] for f in found]) + 0.37 * number) * 6.28
    dy = (step - number - 0.5) * (gap * chest.p["lung_mm"][rows]) - 0.9 * turn.sin()
    dx = chest.x[rows] - 1.6 * turn.cos()
    ring = ((dx / 8.5) ** 2 + ((dy + 0.25 * dx * turn.sin()) / 4.6) ** 2).sqrt()
    tail = torch.maximum((dx - 6.0).abs() * 0.5, (dy + 3).abs())
    return line(chest, rows, torch.minimum((ring - 1).abs() * 5.0, tail), 0.75)


#: kind → (field, mm of metal where the line is full)
DEVICES: dict[str, tuple[Field, float]] = {
    "pacemaker": (pacemaker, 3.2),
    "central line": (central_line, 1.5),
    "endotracheal tube": (endotracheal_tube, 0.9),
    "nasogastric tube": (nasogastric_tube, 1.7),
    "sternotomy wires": (sternotomy_wires, 2.6),
}


def metal(chest: Chest) -> Tensor | None:
    """mm of metal of every device in the batch, None where there is none at all."""
    total = None
    for kind, (field, thick) in DEVICES.items():
        for side in ("right", "left") if chest.scenes[0].kinds[kind].sides else ("",):
            rows, found = chest.rows(kind, side)
            if not found:
                continue
            cover = field(chest, rows, found, side) * thick
            if kind == "pacemaker":
                cover = cover * 0.6 + 1.5 * generator(chest, rows, found, side)
            elif kind == "endotracheal tube":  # a hollow tube with a stripe
                tip = chest.column([0.13 + 0.12 * f.at[1] for f in found])
                middle = upright(chest, rows, WINDPIPE, 1.0, tip)
                cover = cover * (0.45 + 0.10 * (middle * 0.2) ** 2) + 1.6 * line(chest, rows, (middle - 3.6).abs(), 0.5)
            if total is None:
                total = torch.zeros(len(chest.scenes), chest.size, chest.size, device=chest.device)
            total = total.index_add(0, rows, cover)
    return total


def _interpolate(b: Tensor, knots: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    """A smooth course through the knots: a fine table, looked up linearly."""
    table = _table(knots, values).to(b.device)
    at = ((b - knots[0]) * (255 / (knots[-1] - knots[0]))).clamp(0, 254.999)
    index = at.long()
    return table[index] + (table[index + 1] - table[index]) * (at - index)


@cache
def _table(knots: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    from scipy.interpolate import PchipInterpolator

    fine = np.linspace(knots[0], knots[-1], 256)
    return torch.from_numpy(PchipInterpolator(knots, values)(fine).astype(np.float32))


def _smooth(course: tuple[tuple[float, float], ...], size: int) -> tuple[tuple[float, float], ...]:
    """The chain rounded off (Chaikin, 1974) where the picture is fine enough to show its corners."""
    points = np.array(course)
    for _ in range(0 if size <= 160 else 2):
        inner = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], 1)
        points = np.concatenate([points[:1], inner.reshape(-1, 2), points[-1:]])
    return tuple(map(tuple, points.tolist()))
