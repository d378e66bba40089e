"""The cerebrum's surface: hull, fissures, and the folded ribbon of grey matter.

Sulci are sheets that stand on the surface and reach 8 to 20 mm down. They run where a random field of one wavelength is
zero, read with little change along the depth, so that its zero set winds over the surface as gyri do.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms import brain_tile as tile
from medvlm_lab.phantoms.brain_shapes import beyond, ellipsoid, length, step
from medvlm_lab.phantoms.plane_shapes import join

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medvlm_lab.phantoms.brain_geometry import Head

RIBBON_MM = 2.9  # thickness of the grey matter
STEEPNESS = 0.255  # per mm: how fast the field of folds grows beside its zeros
ALONG = 0.30  # how much of its way down a sulcus follows the field's third dimension


class Cortex:
    """Distances to the cerebrum's surfaces, in mm."""

    def __init__(self, head: Head):
        self.head = head
        self.x, self.y, self.z = head.brain
        self.ax = self.x.abs()
        # a sagittal slice is thick enough to show the gyri beside the midline
        self.beside = torch.where(head.plane == 2, self.ax.clamp(min=2.8), self.ax)
        self.shrunk = head.p["atrophy"]

    @cached_property
    def tentorium(self) -> Float[Tensor, "n h w"]:
        """Height over the tent between cerebrum and cerebellum."""
        far = (self.ax * (1 / 46.0)).square() + (beyond(-42.0 - self.y) * (1 / 48.0)).square()
        roof = 10.0 - 32.0 * far / (1 + far)
        return (self.z - roof) * 0.85

    @cached_property
    def hull(self) -> Float[Tensor, "n h w"]:
        """Depth under the smooth surface that lies on the gyri."""
        ax, y, z = self.ax, self.y, self.z
        inside = self.head.vault - 0.9 - 3.2 * self.shrunk
        base = z + 11.0 + 10.0 * step(y, -6.0, 10.0) - 0.15 * beyond(y - 20.0) + 0.6 * self.head.coarse
        floor = base + step(-y, 32.0, 45.0) * (self.tentorium + 0.6 - base)
        upper = torch.minimum(inside, floor)
        lobe = ellipsoid(ax, y, z, (38.5, -17.0, -20.0), (28.5, 42.0, 32.0))
        return join(upper, torch.minimum(lobe, inside), 2.0)

    @cached_property
    def core(self) -> Float[Tensor, "n h w"]:
        """Depth inside the corpus callosum's outer surface, in which the hemispheres are joined."""
        return core(self.y, self.z)

    @cached_property
    def sylvian(self) -> Float[Tensor, "n h w"]:
        """Distance to the lateral fissure, a T on its side: a stem to the surface, and the insula's sulcus."""
        ax, y, z = self.ax, self.y, self.z
        level = -9.0 + 0.40 * (22.0 - y) + 2.5 * self.head.coarse  # it rises towards the back
        stem = length(z - level, beyond(37.0 - ax), beyond(-44.0 - y), beyond(y - 24.0))
        wall = 36.5 + 0.006 * (y - 2.0).square()
        insula = length(ax - wall, beyond((z - level).abs() - 11.0), beyond((y + 2.0).abs() - 21.0))
        return torch.minimum(stem * 0.93, insula)

    @cached_property
    def outside(self) -> Float[Tensor, "n h w"]:
        """Depth under hull, midline and lateral fissure: everything but the sulci."""
        fissure = length(self.beside, beyond(self.core))
        return torch.minimum(torch.minimum(self.hull, fissure - 0.7), self.sylvian - 0.4)

    @cached_property
    def folded(self) -> Float[Tensor, "n h w"]:
        """Depth under the surfaces from which sulci go down."""
        fissure = length(self.beside, beyond(self.core + 3.0) * 1.5)
        return torch.minimum(self.hull, fissure - 0.7)

    @cached_property
    def surface(self) -> Float[Tensor, "n h w"]:
        """Depth under the pial surface; negative in the fluid outside and in the sulci."""
        head = self.head
        side = torch.where(self.x < 0, -1.0, 1.0)
        # from the middle of the hemisphere, nearly the same point of the field all the way down a sulcus
        dx, dy, dz = self.x - side * 27.0, self.y + 17.0, self.z - 14.0
        far = length(dx * (1 / 44.0), dy * (1 / 90.0), dz * (1 / 66.0)).clamp(min=0.5)
        keep = ALONG + (1 - ALONG) / far
        n = tile.read(side * 90.0 + dx * keep, dy * keep, dz * keep, head.offset, tile.FOLDS, tile.FOLDS)[0]
        beside = n.abs() * (1 / STEEPNESS)
        deep = (16.0 + 4.5 * head.coarse).clamp(min=6.0) + 2.0 * self.shrunk
        # those of the inner surface reach less far
        fissure = length(self.beside, beyond(self.core + 3.0) * 1.5)
        sheet = length(beside, beyond(torch.minimum(self.hull - deep, fissure - 9.0)))
        width = (0.30 + 1.5 * self.shrunk + 0.22 * head.fine) * (1.25 - beyond(self.folded) * 0.04)
        return torch.minimum(self.outside, sheet - width)

    @cached_property
    def white(self) -> Float[Tensor, "n h w"]:
        """Depth under the ribbon."""
        return self.surface - RIBBON_MM - 0.35 * self.head.fine


def core(y: Tensor, z: Tensor) -> Tensor:
    """Depth inside the ellipse of the corpus callosum, seen from the side."""
    dy, dz = y + 4.0, z - 1.0 + 0.05 * (y + 4.0)
    u, v = dy * (1 / 42.0), dz * (1 / 27.0)
    far = length(u, v)
    return far * (1 - far) / (length(u * (1 / 42.0), v * (1 / 27.0)) + 1e-6)
