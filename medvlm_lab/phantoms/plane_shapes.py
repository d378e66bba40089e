"""Shapes in a plane as depth in mm: positive inside, negative outside, exact at the outline.

Depths compose: the smaller of two is their intersection, the larger their union; the smooth kinds round the corner
where two meet, as organs do. Arithmetic and square roots only, so that a pixel's value never depends on its batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Depth = Float[Tensor, "n h w"]
    Value = Tensor | float


def ellipse(x: Tensor, y: Tensor, cx: Value, cy: Value, a: Value, b: Value, c: Value = 1.0, s: Value = 0.0) -> Depth:
    """Ellipse around (cx, cy) with half axes a and b, its first axis along (c, s)."""
    dx, dy = x - cx, y - cy
    u, v = (dx * c + dy * s) / a, (dy * c - dx * s) / b
    q = u * u + v * v
    slope = (u * u / (a * a) + v * v / (b * b)).sqrt()
    return (1 - q) / (2 * slope + 0.02 / (a + b))


def circle(x: Tensor, y: Tensor, cx: Value, cy: Value, r: Value) -> Depth:
    """Circle of radius r around (cx, cy)."""
    dx, dy = x - cx, y - cy
    return r - (dx * dx + dy * dy).sqrt()


def capsule(
    x: Tensor, y: Tensor, ax: Value, ay: Value, bx: Value, by: Value, ra: Value, rb: Value | None = None
) -> Depth:
    """A thick line from a to b, its radius going from ra to rb."""
    dx, dy, ex, ey = x - ax, y - ay, bx - ax, by - ay
    t = ((dx * ex + dy * ey) / (ex * ex + ey * ey + 1e-6)).clamp(0, 1)
    px, py = dx - t * ex, dy - t * ey
    r = ra if rb is None else ra + t * (rb - ra)
    return r - (px * px + py * py).sqrt()


def meet(a: Tensor, b: Tensor, k: float = 0.0) -> Depth:
    """Intersection, its corner rounded over k mm."""
    if not k:
        return torch.minimum(a, b)
    near = (1 - (a - b).abs() / k).clamp(min=0)
    return torch.minimum(a, b) - 0.25 * k * near * near


def join(a: Tensor, b: Tensor, k: float = 0.0) -> Depth:
    """Union, its corner filled over k mm."""
    return -meet(-a, -b, k)


def cover(depth: Tensor, pixel_mm: Value) -> Depth:
    """How much of each pixel lies inside: 0 to 1 over one pixel at the outline."""
    return (depth / pixel_mm + 0.5).clamp(0, 1)


def line(distance: Tensor, width_mm: Value, pixel_mm: Value) -> Depth:
    """How much of each pixel a line of that width fills; thinner than a pixel it fades instead of vanishing."""
    return ((width_mm * 0.5 - distance.abs()) / pixel_mm + 0.5).clamp(min=0).clamp(max=1) * (
        torch.as_tensor(width_mm / pixel_mm).clamp(max=1)
    )


def window(z: Tensor, low: float, high: float, edge: float = 0.06) -> Tensor:
    """1 between two levels, 0 outside, over a soft edge that lies inside."""
    return torch.minimum((z - low) / edge, (high - z) / edge).clamp(0, 1)
