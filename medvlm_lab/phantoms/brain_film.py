"""Paint for a batch of MR slices: later paint covers earlier paint, by the share of each pixel that it fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.plane_shapes import cover

if TYPE_CHECKING:
    from torch import Tensor

    from medvlm_lab.phantoms.brain_geometry import Head


class Film:
    """Signal of a batch. Mixing signals is what a voxel does that holds two tissues."""

    def __init__(self, head: Head):
        self.head, self.pixel_mm = head, head.pixel_mm
        self.signal = torch.zeros_like(head.u)

    def put(self, depth: Tensor, tissue: str | Tensor, opacity: Tensor | float = 1.0, soft_mm: float = 0.0) -> None:
        """Paints where depth is positive; `soft_mm` widens the edge."""
        self.blend(cover(depth, self.pixel_mm + soft_mm), tissue, opacity)

    def blend(self, share: Tensor, tissue: str | Tensor, opacity: Tensor | float = 1.0) -> None:
        """Paints a share of each pixel."""
        value = self.head.signal(tissue) if isinstance(tissue, str) else tissue
        self.signal += share * opacity * (value - self.signal)

    def on(
        self, rows: Tensor, depth: Tensor, tissue: str | Tensor, opacity: Tensor | float = 1.0, soft_mm: float = 0.0
    ) -> None:
        """Paints a finding onto the scenes that have it."""
        self.blend_on(rows, cover(depth, self.pixel_mm[rows] + soft_mm), tissue, opacity)

    def blend_on(self, rows: Tensor, share: Tensor, tissue: str | Tensor, opacity: Tensor | float = 1.0) -> None:
        """Paints a share of each pixel of the scenes that have a finding."""
        part = self.signal[rows]
        value = self.head.signal(tissue)[rows] if isinstance(tissue, str) else tissue
        self.signal.index_copy_(0, rows, part + share * opacity * (value - part))
