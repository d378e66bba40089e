"""Solids as depth in mm: positive inside, negative outside, as `plane_shapes` does in a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Depth = Float[Tensor, "n h w"]
    Value = Tensor | float
    Point = tuple[Value, Value, Value]


def ellipsoid(x: Tensor, y: Tensor, z: Tensor, center: Point, half: Point) -> Depth:
    """Ellipsoid along the axes, with half axes `half`."""
    u, v, w = (x - center[0]) / half[0], (y - center[1]) / half[1], (z - center[2]) / half[2]
    far = (u * u + v * v + w * w).sqrt()
    u, v, w = u / half[0], v / half[1], w / half[2]
    return far * (1 - far) / ((u * u + v * v + w * w).sqrt() + 1e-6)


def rod(x: Tensor, y: Tensor, z: Tensor, a: Point, b: Point, ra: Value, rb: Value | None = None) -> Depth:
    """A thick line from a to b, its radius going from ra to rb."""
    dx, dy, dz = x - a[0], y - a[1], z - a[2]
    ex, ey, ez = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    t = ((dx * ex + dy * ey + dz * ez) * (1 / (ex * ex + ey * ey + ez * ez))).clamp(0, 1)
    px, py, pz = dx - t * ex, dy - t * ey, dz - t * ez
    return (ra if rb is None else ra + t * (rb - ra)) - (px * px + py * py + pz * pz).sqrt()


def step(value: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    t = ((value - low) * (1 / (high - low))).clamp(0, 1)
    return t * t * (3 - 2 * t)


def length(*parts: Tensor) -> Tensor:
    """Euclidean length of a vector given by its components."""
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total = total + part * part
    return total.sqrt()


def beyond(value: Tensor) -> Tensor:
    """What exceeds zero."""
    return torch.clamp(value, min=0)
