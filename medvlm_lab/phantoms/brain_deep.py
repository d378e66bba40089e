"""Ventricles, deep grey nuclei, corpus callosum, brain stem and cerebellum."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms import brain_tile as tile
from medvlm_lab.phantoms.brain_cortex import Cortex
from medvlm_lab.phantoms.brain_shapes import beyond, ellipsoid, length, rod, step
from medvlm_lab.phantoms.plane_shapes import join, meet

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medvlm_lab.phantoms.brain_geometry import Head

SHEATH_MM = 3.0  # of white matter around the ventricles
FOLIA = 3.0  # how much finer the cerebellum is folded than the cerebrum


class Deep:
    """Depths inside what lies under the cortex, in mm."""

    def __init__(self, head: Head, cortex: Cortex):
        self.head, self.cortex = head, cortex
        self.x, self.y, self.z, self.ax = cortex.x, cortex.y, cortex.z, cortex.ax
        p = head.p
        self.water = head.amount("hydrocephalus")
        #: how far the ventricles' walls are moved out, mm
        self.wide = 0.8 + 2.6 * (p["ventricles"] - 0.4) + 4.2 * beyond(p["atrophy"] - 0.3) + 8.5 * self.water

    def body(self, center, half) -> Tensor:
        """An ellipsoid on both sides."""
        return ellipsoid(self.ax, self.y, self.z, center, half)

    @cached_property
    def caudate(self) -> Float[Tensor, "n h w"]:
        push = 0.8 * beyond(self.wide)
        head = self.body((13.5 + push, 15.0, 7.0), (5.8, 12.0, 10.5))
        ax, y, z = self.ax, self.y, self.z
        tail = rod(ax, y, z, (15.5 + push, 4.0, 17.0), (23.0 + push, -28.0, 20.0), 3.4, 1.8)
        return join(head, tail, 3.0)

    @cached_property
    def putamen(self) -> Float[Tensor, "n h w"]:
        bent = self.ax - 0.13 * (1.0 - self.y) + 0.012 * (self.y - 2).square()
        return ellipsoid(bent, self.y, self.z, (26.0, 2.0, 2.0), (5.2, 16.5, 11.5))

    @cached_property
    def pallidum(self) -> Float[Tensor, "n h w"]:
        turned = self.ax - 0.42 * (0.0 - self.y)
        return ellipsoid(turned, self.y, self.z, (18.5, -1.0, 0.0), (4.0, 9.0, 6.5))

    @cached_property
    def thalamus(self) -> Float[Tensor, "n h w"]:
        turned = self.ax - 0.32 * (-18.0 - self.y)
        return ellipsoid(turned, self.y, self.z, (10.5, -18.0, 7.0), (8.0, 14.0, 9.5))

    @cached_property
    def lateral(self) -> Float[Tensor, "n h w"]:
        """Lateral ventricles: frontal horn, body, atrium, occipital and temporal horn."""
        ax, y, z, wide = self.ax, self.y, self.z, self.wide
        horn = rod(1.4 * ax, y, z, (5.5, 4.0, 13.0), (18.5, 31.0, 7.0), 5.4, 3.6)
        body = rod(ax, y, z, (6.5, 8.0, 20.0), (12.5, -22.0, 23.0), 4.2, 4.6)
        atrium = rod(ax, y, z, (13.5, -22.0, 22.0), (24.5, -42.0, 10.0), 4.4, 5.4)
        occipital = rod(ax, y, z, (24.5, -42.0, 9.0), (22.0, -68.0, 4.0), 4.6, 1.2)
        temporal = rod(ax, y, z, (27.0, -42.0, 4.0), (34.0, -14.0, -17.0), 2.6, 1.7)
        parts = join(join(horn, body, 5.0), join(atrium, occipital, 4.0), 4.0) + wide
        parts = join(parts, temporal + wide * 0.55, 3.0)
        cut = join(self.caudate, self.thalamus, 2.0)
        # the septum keeps the two apart; nuclei bulge in
        return meet(meet(parts, -cut - 0.3, 3.0), ax - 0.9, 1.0)

    @cached_property
    def third(self) -> Float[Tensor, "n h w"]:
        half = 1.5 + 0.45 * beyond(self.wide + 1.0)
        return ellipsoid(self.ax, self.y, self.z, (0.0, -8.0, -1.0), (half, 16.0, 10.5))

    @cached_property
    def fourth(self) -> Float[Tensor, "n h w"]:
        size = 1 + 0.06 * beyond(self.wide)
        return ellipsoid(self.ax, self.y, self.z, (0.0, -44.5, -32.0), (6.5 * size, 4.6 * size, 11.0))

    @cached_property
    def ventricles(self) -> Float[Tensor, "n h w"]:
        duct = rod(self.ax, self.y, self.z, (0.0, -26.0, -5.0), (0.0, -38.0, -22.0), 1.0)
        return torch.maximum(torch.maximum(self.lateral, self.third), torch.maximum(self.fourth, duct))

    @cached_property
    def callosum(self) -> Float[Tensor, "n h w"]:
        """The arch that joins the hemispheres: the shell of the core from its beak over the top to its bulge behind."""
        y, z, core = self.y, self.z, self.cortex.core
        thick = 4.6 + 3.4 * step(y.abs() + 0.06 * y, 16.0, 36.0) - 0.8 * self.water
        arch = torch.minimum(core, thick - core)
        below = z + 5.0 - 16.0 * step(-y, 20.0, 36.0) * 0.9
        return meet(torch.minimum(arch, below), 0.7 * (13.0 - self.ax), 8.0)

    @cached_property
    def fornix(self) -> Float[Tensor, "n h w"]:
        ax, y, z = self.ax, self.y, self.z
        column = rod(ax, y, z, (1.5, 2.0, -6.0), (1.8, -4.0, 13.0), 1.5)
        return join(column, rod(ax, y, z, (1.8, -4.0, 13.0), (4.0, -34.0, 13.0), 1.8), 2.0)

    @cached_property
    def stem(self) -> Float[Tensor, "n h w"]:
        """Midbrain, pons, medulla and cord."""
        ax, y, z = self.ax, self.y, self.z
        midbrain = ellipsoid(ax, y, z, (0.0, -27.0, -10.0), (16.5, 11.5, 15.0))
        peduncle = rod(ax, y, z, (16.0, -14.0, 2.0), (8.0, -20.0, -20.0), 6.0, 6.5)
        pons = ellipsoid(ax, y, z, (0.0, -25.5, -31.0), (17.5, 13.0, 14.5))
        medulla = rod(ax, y, z, (0.0, -33.0, -38.0), (0.0, -42.0, -62.0), 10.0, 7.4)
        cord = rod(ax, y, z, (0.0, -42.0, -62.0), (0.0, -46.0, -140.0), 6.4, 5.6)
        arm = rod(ax, y, z, (12.0, -30.0, -31.0), (20.0, -48.0, -34.0), 7.0)
        tectum = rod(ax, y, z, (4.0, -36.0, -4.0), (4.0, -38.0, -14.0), 4.0)
        whole = join(join(midbrain, peduncle, 4.0), join(pons, join(medulla, cord, 2.0), 5.0), 3.0)
        notch = 3.2 - length(ax, (y + 12.0) * 0.7, beyond((z + 12.0).abs() - 6.0))  # between the peduncles
        return meet(join(join(whole, tectum, 2.0), arm, 4.0), -notch, 2.0)

    @cached_property
    def cerebellum(self) -> Float[Tensor, "n h w"]:
        """Depth under the cerebellum's hull."""
        ax, y, z = self.ax, self.y, self.z
        half = ellipsoid(ax, y, z, (24.0, -62.0, -31.0), (34.0, 37.0, 40.0))
        vermis = ellipsoid(ax, y, z, (0.0, -60.0, -22.0), (18.0, 34.0, 34.0))
        whole = join(half, vermis, 5.0)
        shrunk = self.cortex.shrunk
        under = torch.minimum(0.4 - 1.2 * shrunk - self.cortex.tentorium, self.head.vault - 0.6 - 2.2 * shrunk)
        whole = torch.minimum(whole, under)
        return meet(whole, -self.fourth - 0.5, 2.0)

    @cached_property
    def folia(self) -> Float[Tensor, "n h w"]:
        """Distance beside the fine sulci, which fan out from the fourth ventricle and run from side to side."""
        dx, dy, dz = self.x, self.y + 47.0, self.z + 31.0
        far = length(dx * (1 / 50.0), dy * (1 / 44.0), dz * (1 / 30.0)).clamp(min=0.5)
        keep = FOLIA * (0.18 + 0.82 / far)
        n = tile.read(dx * 0.5, dy * keep, dz * keep, self.head.offset, tile.FOLDS, tile.FOLDS)[0]
        # near the ventricle the fan would be finer than any folium
        return n.abs() * (1 / (0.21 * FOLIA * 0.8)) + 6.0 * (1 - step(far, 0.5, 0.72))

    @cached_property
    def arbor(self) -> Float[Tensor, "n h w"]:
        """Depth inside the cerebellum's white matter, branched like a tree."""
        inside = self.cerebellum
        middle = ellipsoid(self.ax, self.y, self.z, (15.0, -53.0, -34.0), (13.0, 11.0, 9.0))
        twigs = torch.minimum(self.folia - 1.1, 9.0 + 4.0 * self.head.coarse + middle * 0.75)
        return torch.minimum(torch.maximum(middle, twigs), inside - 2.2)
