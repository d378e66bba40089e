"""A batch of slices to paint on: later paint covers earlier paint, by the share of each pixel that it fills."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.plane_shapes import cover

if TYPE_CHECKING:
    from torch import Tensor

    from medvlm_lab.phantoms.abdomen_geometry import Abdomen

AIR = -1000.0
BEND_MM = 8.0  # how far bent coordinates stray from straight ones at most


class Canvas:
    """Hounsfield units of a batch."""

    def __init__(self, abdomen: Abdomen):
        self.abdomen, self.pixel_mm = abdomen, abdomen.pixel_mm
        self.hu = torch.full_like(abdomen.x, AIR)

    def put(self, depth: Tensor, value: Tensor | float, opacity: Tensor | float = 1.0, soft_mm: float = 0.0) -> None:
        """Paints where depth is positive; `soft_mm` widens the edge."""
        self.blend(cover(depth, self.pixel_mm + soft_mm), value, opacity)

    def blend(self, share: Tensor, value: Tensor | float, opacity: Tensor | float = 1.0) -> None:
        """Paints a share of each pixel."""
        self.hu += share * opacity * (value - self.hu)

    def on(
        self, rows: Tensor, depth: Tensor, value: Tensor | float, opacity: float = 1.0, soft_mm: float = 0.0
    ) -> None:
        """Paints a finding onto the scenes that have it."""
        part = self.hu[rows]
        share = cover(depth, self.pixel_mm[rows] + soft_mm) * opacity
        self.hu.index_copy_(0, rows, part + share * (value - part))

    def patch(self, cx: Tensor, cy: Tensor, reach_mm: float) -> Patch:
        """A square window around a point of each slice: small things need not visit every pixel."""
        return Patch(self, cx, cy, reach_mm)


class Patch:
    """Windows of equal size, one per slice. Used like a canvas; `finish` returns the paint to it."""

    def __init__(self, canvas: Canvas, cx: Tensor, cy: Tensor, reach_mm: float):
        body = canvas.abdomen
        self.canvas, self.pixel_mm = canvas, canvas.pixel_mm
        size = body.size
        # the batch decides how many pixels are visited, never what they become
        side = min(size, 2 * math.ceil((reach_mm + BEND_MM) / float(canvas.pixel_mm.min())) + 2)
        column, row = body.pixel_of(cx, cy)
        square = torch.arange(side, device=body.device)
        self.columns = ((column - side // 2).clamp(0, size - side) + square)[:, None]  # (n, 1, side)
        self.rows = (row - side // 2).clamp(0, size - side)[..., None] + square[:, None]  # (n, side, 1)
        self.image = torch.arange(len(canvas.hu), device=body.device)[:, None, None]
        self.x, self.y = self.of(body.x), self.of(body.y)
        self.wx, self.wy = self.of(body.wx), self.of(body.wy)
        self.hu = self.of(canvas.hu)

    def of(self, field: Tensor) -> Tensor:
        """What the windows show of a field: (n, h, w) to (n, side, side)."""
        return field[self.image, self.rows, self.columns]

    def put(self, depth: Tensor, value: Tensor | float, opacity: Tensor | float = 1.0, soft_mm: float = 0.0) -> None:
        """Paints where depth is positive."""
        self.blend(cover(depth, self.pixel_mm + soft_mm), value, opacity)

    def blend(self, share: Tensor, value: Tensor | float, opacity: Tensor | float = 1.0) -> None:
        """Paints a share of each pixel."""
        self.hu += share * opacity * (value - self.hu)

    def finish(self) -> None:
        """Returns the windows to the canvas."""
        self.canvas.hu[self.image, self.rows, self.columns] = self.hu
