"""Tracer and attenuation of one patient on a grid of voxels: (z, y, x), 5 mm apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from medvlm_lab.phantoms.pet_body import CROTCH, OUTLINE, Anatomy, Solid
from medvlm_lab.phantoms.pet_lesions import solids_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

VOXEL_MM = 5.0
ACROSS = 96  # voxels: 480 mm
MUSCLE, FAT = 0.58, 0.24
WATER, LUNG, BONE = 0.0096, 0.0028, 0.0125  # attenuation of 511 keV photons, per mm


class Volume:
    """Uptake (SUV) and attenuation (per mm), from the crown down to the end of the picture."""

    def __init__(self, anatomy: Anatomy, device: torch.device):
        self.anatomy, self.device = anatomy, device
        scene = anatomy.scene
        self.deep = round(scene.fov_mm / VOXEL_MM)
        axis = lambda n, middle: (torch.arange(n, device=device) - middle) * VOXEL_MM  # noqa: E731
        self.x, self.y = axis(ACROSS, (ACROSS - 1) / 2), axis(ACROSS, (ACROSS - 1) / 2)
        # the crown stands 12 mm under the picture's upper edge
        self.z = axis(self.deep, -0.5) - 12.0 - scene.shift_z_mm
        shape = (self.deep, ACROSS, ACROSS)
        self.uptake, self.mu = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
        self._body()
        for solid in anatomy.organs():
            self.put(self.uptake, solid, solid.suv)
        self._attenuation()
        self._mottle()
        for finding in scene.findings:
            for solid in solids_of(anatomy, finding):
                self.put(self.uptake, solid, solid.suv)

    def put(self, volume: Tensor, solid: Solid, value: float) -> None:
        """Replaces what lies inside an ellipsoid, edge voxels by their share; visits only its surroundings."""
        reach = (max(solid.rx, solid.rz), solid.ry, max(solid.rx, solid.rz))
        spans = [
            self._span(axis, middle, r) for axis, middle, r in
            zip((self.z, self.y, self.x), (solid.z, solid.y, solid.x), (reach[0], reach[1], reach[2]), strict=True)
        ]
        z, y, x = (
            axis[s] - m for axis, s, m in zip((self.z, self.y, self.x), spans, (solid.z, solid.y, solid.x), strict=True)
        )
        x, y, z = x[None, None], y[None, :, None], z[:, None, None]
        c, s = float(np.cos(solid.turn)), float(np.sin(solid.turn))
        u, v = (x * c + z * s) / solid.rx, (z * c - x * s) / solid.rz
        w = y / solid.ry
        q = u * u + v * v + w * w
        slope = (u * u / solid.rx**2 + v * v / solid.rz**2 + w * w / solid.ry**2).sqrt()
        depth = (1 - q) / (2 * slope + 0.02 / (solid.rx + solid.rz))
        part = volume[spans[0], spans[1], spans[2]]
        part += (depth / VOXEL_MM + 0.5).clamp(0, 1) * (value - part)

    def _mottle(self) -> None:
        """No organ is uniform, and none has an ellipsoid's outline: uptake varies by a tenth, outlines by 3 mm."""
        rng = self.anatomy.rng
        shape = self.uptake.shape
        coarse = torch.from_numpy(rng.uniform(-1, 1, (1, 4, shape[0] // 5, 20, 20)).astype(np.float32)).to(self.device)
        fields = F.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0]
        whole = [torch.linspace(-1, 1, n, device=self.device) for n in shape]
        z, y, x = torch.meshgrid(*whole, indexing="ij")
        step = [2 * 4.5 / VOXEL_MM / (n - 1) for n in shape]
        grid = torch.stack([x + step[2] * fields[0], y + step[1] * fields[1], z + step[0] * fields[2]], -1)
        self.uptake = F.grid_sample(self.uptake[None, None], grid[None], align_corners=True)[0, 0] * (
            1 + 0.16 * fields[3]
        )

    def _span(self, axis: Tensor, middle: float, reach: float) -> slice:
        first = (middle - reach - float(axis[0])) / VOXEL_MM - 1
        last = (middle + reach - float(axis[0])) / VOXEL_MM + 2
        return slice(max(0, int(first)), max(0, min(len(axis), int(last) + 1)))

    def _body(self) -> None:
        """Head, neck, trunk, arms and thighs: muscle under fat."""
        a, scene = self.anatomy, self.anatomy.scene
        z = (self.z / a.tall).cpu().numpy()
        table = [torch.from_numpy(np.interp(z, OUTLINE[:, 0], OUTLINE[:, k])).float().to(self.device) for k in (1, 2)]
        # head and neck keep their width, the trunk takes the patient's
        grown = torch.from_numpy(np.interp(z, [240, 310], [1.0, a.wide])).float().to(self.device)
        rx, ry = (t[:, None, None] * g[:, None, None] for t, g in zip(table, (grown, 0.4 + 0.6 * grown), strict=True))
        x, y = self.x[None, None], self.y[None, :, None]
        trunk = ((torch.from_numpy(z).to(self.device) > 195) & (torch.from_numpy(z).to(self.device) < CROTCH))[
            :, None, None
        ]
        inside = (1 - ((x / rx).square() + (y / ry).square()).sqrt()) * torch.minimum(rx, ry)
        body = torch.where(trunk, inside, -99.0)
        low = (torch.from_numpy(z).float().to(self.device) - CROTCH)[:, None, None]
        for sign in (-1, 1):
            wide = (84 - 0.10 * low) * (0.35 + 0.65 * a.wide)
            leg = (1 - (((x - sign * 0.98 * wide) / wide).square() + (y / (1.12 * wide)).square()).sqrt()) * wide
            body = torch.maximum(body, torch.where(low > -26, leg, -99.0))
        fat = 7.0 + 26.0 * max(0.0, a.wide - 0.85)
        edge = (body / VOXEL_MM + 0.5).clamp(0, 1)
        within = ((body - fat) / VOXEL_MM + 0.5).clamp(0, 1)
        self.uptake += edge * (FAT + within * (MUSCLE - FAT))
        self.mu += edge * WATER
        limbs = [Solid("", 0, 0, 112, 77, 96, 118, 0.55)]
        if scene.arms > 0:
            for sign in (-1, 1):
                for k in range(15):
                    t = k / 14
                    limbs.append(Solid("", sign * (162 + 14 * t), 8, 290 - 300 * t, 40 - 10 * t, 40 - 10 * t, 34, 0.5))
        for limb in limbs:
            limb = a.scaled(limb)
            self.put(self.uptake, limb, limb.suv)
            self.put(self.mu, limb, WATER)

    def _attenuation(self) -> None:
        for solid in self.anatomy.organs():
            if "lung" in solid.name:
                self.put(self.mu, solid, LUNG)
            elif solid.name == "spine":
                self.put(self.mu, solid, BONE)
            elif solid.name == "heart":
                self.put(self.mu, solid, WATER)


def blur(volume: Float[Tensor, "z y x"], fwhm_mm: float) -> Float[Tensor, "z y x"]:
    """A Gaussian of that full width at half maximum along each axis."""
    sigma = fwhm_mm / 2.355 / VOXEL_MM
    reach = max(1, int(3 * sigma + 0.999))
    for axis in range(3):
        total = torch.zeros_like(volume)
        weights = [float(np.exp(-0.5 * (k / sigma) ** 2)) for k in range(-reach, reach + 1)]
        n = volume.shape[axis]
        for k, weight in zip(range(-reach, reach + 1), weights, strict=True):
            keep = n - abs(k)
            total.narrow(axis, max(0, k), keep).add_(volume.narrow(axis, max(0, -k), keep), alpha=weight / sum(weights))
        volume = total
    return volume
