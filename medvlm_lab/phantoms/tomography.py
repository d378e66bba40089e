"""Parallel-beam tomography of a batch: forward projection, ramp filter, back-projection.

    p(angle, t) = ∫ f along the ray x cos(angle) + y sin(angle) = t          forward projection (Radon, 1917)
    f(x, y) = ∫ (p ⊛ ramp)(angle, x cos(angle) + y sin(angle)) d(angle)      filtered back-projection

Both directions are the same sum: every output reads two neighbours per row or per angle, linearly interpolated
(Joseph, 1982). Where to read does not depend on the image, so it is worked out once per block of angles and shared by
the batch, whose images lie side by side: one read fetches all of them. Only an eighth of a turn is worked out at all;
the rest are the same rays through mirrored pictures. Lengths are in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from medvlm_lab.errors import SceneError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

BLOCK = 8  # angles whose reading places are in memory at a time
COLUMNS = 16  # images side by side; a smaller batch is filled up, so that no image depends on its neighbours


@dataclass(frozen=True)
class Scanner:
    """A parallel-beam scanner for square pictures.

    Attributes:
        size: pixels per side. angles: views over half a turn, a multiple of 4. device: where to compute.

    Raises:
        SceneError: size below 8, or another number of angles.
    """

    size: int
    angles: int
    device: torch.device = torch.device("cpu")

    def __post_init__(self) -> None:
        if self.size < 8 or self.angles < 4 or self.angles % 4:
            raise SceneError(
                f"A scanner of {self.size} pixels and {self.angles} angles; it needs at least 8 pixels, and angles in "
                "multiples of 4."
            )

    @property
    def bins(self) -> int:
        """Detector cells, one pixel wide: enough for the picture's diagonal."""
        return 2 * math.ceil(self.size / math.sqrt(2)) + 4

    @cached_property
    def theta(self) -> Float[Tensor, " angles"]:
        """Angles in radians."""
        return (torch.arange(self.angles, device=self.device) + 0.5) * (math.pi / self.angles)

    @cached_property
    def axis(self) -> Float[Tensor, " size"]:
        """Pixel centres from the middle of the picture."""
        return torch.arange(self.size, device=self.device) - (self.size - 1) / 2

    def project(self, images: Float[Tensor, "n h w"]) -> Float[Tensor, "n angles bins"]:
        """Line integrals, in image units times pixels."""
        n, wide = len(images), self.size + 4
        padded = F.pad(_turn(images), (2, 2))  # (4, n, h, wide): beside the picture rays read zeros
        table = _side_by_side(padded.reshape(4 * n, -1))  # (h * wide, columns)
        t = torch.arange(self.bins, device=self.device) - (self.bins - 1) / 2
        rows = torch.arange(self.size, device=self.device, dtype=torch.int32) * wide + 2
        views = []
        for first in range(0, self.angles // 4, BLOCK):
            theta = self.theta[first : first + BLOCK][: self.angles // 4 - first, None, None]
            # where the ray crosses each row
            at = (t[:, None] - self.axis * theta.sin()) / theta.cos() + (self.size - 1) / 2  # (block, bins, size)
            low = at.floor()
            share = at.sub_(low)
            places = low.clamp_(-2, self.size).to(torch.int32).add_(rows)
            both = _weighted_sum(table, places.flatten(0, 1), share.flatten(0, 1))
            views.append(both.view(len(theta), self.bins, -1) / theta.cos())
        octants = torch.cat(views).permute(2, 0, 1)[: 4 * n].reshape(4, n, self.angles // 4, self.bins)
        return torch.cat([o.flip(1) if i % 2 else o for i, o in enumerate(octants)], 1)

    def back_project(self, views: Float[Tensor, "n angles bins"]) -> Float[Tensor, "n h w"]:
        """Each pixel's sum of what its rays measured, times the angle between two views."""
        n = len(views)
        octants = [o.flip(1) if i % 2 else o for i, o in enumerate(views.chunk(4, 1))]
        table = _side_by_side(torch.cat(octants).flatten(1))  # (angles / 4 * bins, columns)
        total = torch.zeros(self.size**2, table.shape[1], device=self.device)
        for first in range(0, self.angles // 4, BLOCK):
            theta = self.theta[first : first + BLOCK][: self.angles // 4 - first]
            at = self.axis[:, None] * theta.cos() + (self.axis[:, None, None] * theta.sin() + (self.bins - 1) / 2)
            at = at.flatten(0, 1)  # (h * w, block): which detector cell each pixel hits
            low = at.floor()
            start = torch.arange(len(theta), device=self.device, dtype=torch.int32) * self.bins
            part = table[first * self.bins : (first + len(theta)) * self.bins]
            total += _weighted_sum(part, low.to(torch.int32).add_(start), at.sub_(low))
        turned = total[:, : 4 * n].T.reshape(4, n, self.size, self.size)
        return _turn_back(turned) * (math.pi / self.angles)

    def filter(
        self, views: Float[Tensor, "n angles bins"], cutoff: Float[Tensor, " n"] | float | None = None
    ) -> Float[Tensor, "n angles bins"]:
        """The ramp filter, rolled off by a Hann window that reaches zero at `cutoff`, in cycles per pixel.

        The ramp is built from its samples in space, which keeps the mean right (Kak & Slaney, 1988, eq. 3.61).
        """
        length = 1 << (2 * self.bins - 1).bit_length()
        space = torch.arange(length, device=self.device)
        space = torch.minimum(space, length - space)
        odd = torch.where(space % 2 == 1, -1 / (math.pi * space.clamp(min=1)) ** 2, 0.0)
        ramp = torch.fft.rfft(torch.where(space == 0, 0.25, odd)).real  # (length / 2 + 1)
        if cutoff is not None:
            zero = torch.as_tensor(cutoff, device=self.device).reshape(-1, 1, 1)
            frequency = torch.linspace(0, 0.5, len(ramp), device=self.device)
            ramp = ramp * torch.cos((frequency / zero).clamp(max=1) * (math.pi / 2)) ** 2
        return torch.fft.irfft(torch.fft.rfft(views, length) * ramp, length)[..., : self.bins]

    def reconstruct(
        self, views: Float[Tensor, "n angles bins"], cutoff: Float[Tensor, " n"] | float | None = None
    ) -> Float[Tensor, "n h w"]:
        """Filtered back-projection: the inverse of `project` up to noise and sampling."""
        return self.back_project(self.filter(views, cutoff))


def _turn(images: Float[Tensor, "n h w"]) -> Float[Tensor, "4 n h w"]:
    """The pictures turned so that a ray of the first octant runs through them as one of each octant of a half turn."""
    across = images.transpose(1, 2)
    return torch.stack([images, across, across.flip(1), images.flip(2)])


def _turn_back(turned: Float[Tensor, "4 n h w"]) -> Float[Tensor, "n h w"]:
    """Undoes `_turn` and adds up."""
    return turned[0] + turned[1].transpose(1, 2) + turned[2].flip(1).transpose(1, 2) + turned[3].flip(2)


def _side_by_side(rows: Float[Tensor, "n m"]) -> Float[Tensor, "m columns"]:
    """Batch last, filled up with zeros to a multiple of COLUMNS."""
    n, m = rows.shape
    table = torch.zeros(m, -(-n // COLUMNS) * COLUMNS, device=rows.device, dtype=rows.dtype)
    table[:, :n] = rows.T
    return table


def _weighted_sum(table: Tensor, low: Tensor, share: Tensor) -> Tensor:
    """sum_j (1 - share[i, j]) * table[low[i, j]] + share[i, j] * table[low[i, j] + 1]"""
    places = torch.cat([low, low + 1], 1)
    return F.embedding_bag(places, table, mode="sum", per_sample_weights=torch.cat([1 - share, share], 1))
