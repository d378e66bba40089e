"""Thin bright things: valve leaflets, pacing lead, clip and prosthesis, as polylines in the picture's millimetres."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.echo_anatomy import ROOT_MM, RV_APEX, TRICUSPID_MM, Layout
from medvlm_lab.phantoms.echo_cycle import CENTER

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

FAR = 1e3  # mm; "not near" of `distance`
REACH = 7.0  # mm around a line within which distances are computed

Points = list[tuple[np.ndarray, np.ndarray]]  # (u, d) of each point, over the frames


class Lines:
    """Polylines of one heart over its frames."""

    def __init__(self, layout: Layout):
        self.layout, self.beat = layout, layout.beat

    def border(self, s: float, side: int) -> np.ndarray:
        """u of the left ventricle's inner surface at level `s`, -1 on the septum, +1 on the free wall."""
        level = math.sqrt(max(0.0, 1 - ((s - CENTER) / CENTER) ** 2))
        return self.layout.center(s) + side * self.beat.half_width * level

    def mitral(self) -> dict[str, Points]:
        """Anterior leaflet from the septum (or the aortic root), posterior one from the free wall."""
        b, clip = self.beat, self.layout.scene.find("MitraClip")
        left, right = self.border(1.0, -1), self.border(1.0, 1)
        if self.layout.five:
            left = left + 0.55 * ROOT_MM
        wide = right - left
        swing = b.mitral * (0.35 if clip else 1.0)
        meet = (left + 0.60 * wide, b.length - 3.5)
        if clip:
            meet = (meet[0] - 0.05 * wide, b.length - 5.0)
        open_front = (left + 0.13 * wide, b.length - 0.78 * wide)
        open_back = (right - 0.06 * wide, b.length - 0.46 * wide)
        if clip:  # held together: the leaflets only belly
            open_front = open_back = (meet[0], meet[1] - 3.0)
        return {
            "anterior": _leaflet((left, b.length), meet, open_front, swing, 0.10 * wide),
            "posterior": _leaflet((right, b.length - 1.0), meet, open_back, swing, -0.08 * wide),
        }

    def tricuspid(self) -> dict[str, Points]:
        """Septal leaflet, nearer the apex than the mitral hinge, and the one from the right free wall."""
        b, lay = self.beat, self.layout
        plane = b.length - TRICUSPID_MM
        right = self.border(1.0, -1) - lay.wall
        left = right - 0.92 * lay.rv_width
        wide = right - left
        meet = (right - 0.42 * wide, plane - 3.0)
        septal = (right - 0.08 * wide, plane - 0.40 * wide)
        free = (left + 0.12 * wide, plane - 0.55 * wide)
        return {
            "septal": _leaflet((right, plane), meet, septal, b.mitral, -0.06 * wide),
            "free": _leaflet((left, plane), meet, free, b.mitral, 0.08 * wide),
        }

    def aortic(self) -> dict[str, Points]:
        """Two cusps across the root, in a five-chamber view."""
        b, lay = self.beat, self.layout
        u, d = self._root(0.0)
        wide = 0.9 * ROOT_MM
        found = {}
        for side in (-1, 1):
            hinge = (u + side * wide, d)
            found[str(side)] = _leaflet(hinge, (u, d + 2.0), (u + side * 0.8 * wide, d + wide), b.aortic, side * 1.0)
        return found if lay.five else {}

    def _root(self, below: float) -> tuple[np.ndarray, np.ndarray]:
        """Middle of the aortic root, `below` mm from its valve."""
        return self.layout.hinge + 9.0 - 0.22 * (below + 4) + 0 * self.beat.length, self.beat.length + below

    def lead(self) -> Points:
        """A pacing lead: up through the right atrium, across the tricuspid valve, to the right ventricle's apex."""
        b, lay = self.beat, self.layout
        found = lay.scene.find("pacemaker lead")
        a, c = found.at if found else (0.5, 0.5)
        still = 0 * b.length
        apical = RV_APEX + 0.14 + 0.1 * a
        tip = (self.border(apical, -1) - lay.wall - 3.0, apical * b.length)
        middle = (self.border(0.62, -1) - lay.wall - (0.26 + 0.2 * c) * lay.rv_width, 0.64 * b.length)
        valve = (self.border(1.0, -1) - lay.wall - 0.44 * lay.rv_width, b.length - TRICUSPID_MM)
        deep = (lay.ra_center + (0.3 * c - 0.1) * lay.ra_half + still, 0.55 * b.length + 0.45 * lay.bottom)
        end = (lay.ra_center - (0.55 - 0.3 * c) * lay.ra_half + still, lay.bottom - 6.0 + still)
        return _curve([tip, middle, valve, deep, end], 13)

    def clip(self) -> Points:
        """A MitraClip at the leaflets' tips, pointing to the apex."""
        meet = self.mitral()["anterior"][-1]
        return [(meet[0], meet[1] + 2.0), (meet[0] - 1.0, meet[1] - 7.0)]

    def stent(self) -> list[Points]:
        """The two sides of an aortic prosthesis' frame."""
        top, low = self._root(-7.0), self._root(13.0)
        ends = ((top, 0.98 * ROOT_MM), (low, 0.86 * ROOT_MM))
        return [[(u + side * wide, d) for (u, d), wide in ends] for side in (-1, 1)]

    def place(self, points: Points) -> Float[np.ndarray, "f k 2"]:
        """(x, y) in the picture's millimetres."""
        lay = self.layout
        u, d = (np.stack([np.broadcast_to(p[i], self.beat.length.shape) for p in points], 1) for i in (0, 1))
        return np.stack([lay.apex[0] + u * lay.cos - d * lay.sin, lay.apex[1] + u * lay.sin + d * lay.cos], -1)


def _leaflet(hinge: tuple, shut: tuple, wide: tuple, swing: np.ndarray, bow: np.ndarray) -> Points:
    """Four points from the hinge to the tip; the belly bows towards the apex while shut, and straightens."""
    tip = [(1 - swing) * a + swing * b for a, b in zip(shut, wide, strict=True)]
    bent = np.abs(bow) * (1 - 1.6 * swing)
    points = []
    for t in (0.0, 1 / 3, 2 / 3, 1.0):
        arch = 4 * t * (1 - t)
        u = (1 - t) * hinge[0] + t * tip[0] + 0.6 * arch * swing * bow
        points.append((u, (1 - t) * hinge[1] + t * tip[1] - 0.6 * arch * bent))
    return points


def _curve(through: Points, count: int) -> Points:
    """Points on a smooth (Catmull-Rom) curve through the given ones."""
    p = [through[0], *through, through[-1]]
    out = []
    for v in np.linspace(0, len(through) - 1, count):
        i = min(int(v), len(through) - 2)
        t = v - i
        w = (-0.5 * t + t * t - 0.5 * t**3, 1 - 2.5 * t * t + 1.5 * t**3, 0.5 * t + 2 * t * t - 1.5 * t**3,
             -0.5 * t * t + 0.5 * t**3)
        out.append(tuple(sum(w[k] * p[i + k][axis] for k in range(4)) for axis in (0, 1)))
    return out


def distance(
    points: Float[np.ndarray, "f k 2"], x: Float[Tensor, "h w"], y: Float[Tensor, "h w"]
) -> tuple[slice, slice, Float[Tensor, "f a b"]]:
    """The window of rows and columns around a polyline, and the distance to it there; FAR beyond `REACH`."""
    low, high = points.min((0, 1)) - REACH, points.max((0, 1)) + REACH
    inside = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1])
    rows, columns = (torch.nonzero(inside.any(axis)).flatten().tolist() for axis in (1, 0))
    if not rows or not columns:
        return slice(0, 0), slice(0, 0), torch.empty(len(points), 0, 0).to(x)
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    x, y = x[window], y[window]
    best = torch.full((len(points), *x.shape), FAR**2).to(x)
    p = torch.from_numpy(points).to(x)[..., None, None]  # (f, k, 2, 1, 1)
    for i in range(points.shape[1] - 1):
        ax, ay = p[:, i, 0], p[:, i, 1]
        bx, by = p[:, i + 1, 0] - ax, p[:, i + 1, 1] - ay
        px, py = x - ax, y - ay
        t = ((px * bx + py * by) / (bx * bx + by * by + 1e-6)).clamp_(0, 1)
        px, py = px - t * bx, py - t * by
        best = torch.minimum(best, px * px + py * py)
    return *window, best.sqrt()
