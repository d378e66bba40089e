"""Coordinates of a slice through the head, and the surfaces of skin, skull and brain.

`u` runs to the right of the picture and `v` down, in mm from the head's middle: lesions with a stated size live there.
`x, y, z` are the template's: to the patient's left, forward, up, as in MNI space. `bx, by, bz` are the brain's own,
bent a little per patient and pushed aside by masses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms import brain_tile as tile
from medvlm_lab.phantoms.brain_places import box_of, middle
from medvlm_lab.phantoms.brain_scene import AXIAL, BrainScene
from medvlm_lab.phantoms.brain_shapes import beyond, ellipsoid, rod
from medvlm_lab.phantoms.brain_tissue import signals
from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.plane_shapes import join, meet
from medvlm_lab.phantoms.scene import Finding

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

NUMBERS = tuple(f.name for f in dataclasses.fields(BrainScene) if isinstance(f.default, float))
MIDDLE = (0.0, -16.0, 8.0)  # of the head: where pictures are centred
SIGN = {"right": -1.0, "left": 1.0}  # of x


class Head:
    """Fields of a batch of slices."""

    def __init__(self, scenes: Sequence[BrainScene], size: int, device: torch.device):
        self.scenes, self.size, self.device = scenes, size, device
        values = torch.tensor([[getattr(s, k) for k in NUMBERS] for s in scenes], dtype=torch.float32).to(device)
        self.p = p = {k: values[:, i, None, None] for i, k in enumerate(NUMBERS)}  # each (n, 1, 1)
        self.pixel_mm = p["fov_mm"] / size
        at = (torch.arange(size, device=device) + 0.5) / size - 0.5
        column = at[None, None] * p["fov_mm"] - p["shift_x_mm"]  # (n, 1, w)
        row = at[None, :, None] * p["fov_mm"] - p["shift_y_mm"]  # (n, h, 1)
        angle = p["turn_degrees"] * (torch.pi / 180)
        self.u = angle.cos() * column + angle.sin() * row  # (n, h, w)
        self.v = angle.cos() * row - angle.sin() * column
        self.plane = self.column([s.plane for s in scenes])
        self.normal = self.column([s.slice_mm for s in scenes])
        lean, nod = (p[k] * (torch.pi / 180) for k in ("lean_degrees", "nod_degrees"))
        # mm per mm of the template along the picture's axes
        self.scale_u = p["head"] * torch.where(self.plane == 2, 1.0, p["width"])
        self.scale_v = p["head"]
        u, v = self.u / self.scale_u, self.v / self.scale_v
        n = self.normal + lean.sin() / lean.cos() * self.u + nod.sin() / nod.cos() * self.v
        axial, coronal, sagittal = (self.plane == k for k in range(3))
        self.x = torch.where(sagittal, n, u)
        self.y = torch.where(axial, MIDDLE[1] - v, torch.where(coronal, n, MIDDLE[1] - u))
        self.z = torch.where(axial, n, MIDDLE[2] - v)

    def column(self, values: Sequence[float]) -> Float[Tensor, "m 1 1"]:
        """Per-scene or per-finding numbers, ready to broadcast over pictures."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)[:, None, None]

    @cached_property
    def offset(self) -> Float[Tensor, "n 1 1 3"]:
        """Where in the block of patterns each patient lies, mm."""
        value = torch.from_numpy(hashed(self.patients, 400, 3) % 2880).to(self.device)
        return value.float()[:, None, None] * 0.1

    @cached_property
    def fields(self) -> Float[Tensor, "5 n h w"]:
        """Warp along x, y, z, a coarse and a fine pattern, at the template's coordinates."""
        return tile.read(self.x, self.y, self.z, self.offset, tile.WARP_X, tile.FINE)

    @property
    def coarse(self) -> Float[Tensor, "n h w"]:
        return self.fields[3]

    @property
    def fine(self) -> Float[Tensor, "n h w"]:
        return self.fields[4]

    @cached_property
    def pushed(self) -> Float[Tensor, "n h w"]:
        """Template mm by which masses move what lies here along x."""
        shift = self.column([s.midline_mm for s in self.scenes])
        v0 = self.column([_level(s) for s in self.scenes])
        along = (self.v - v0) * (1 / 52)
        inner = (1 - (self.u * (1 / 70)).square()).clamp(min=0)
        # the midline itself comes to lie at `shift` at that level
        full = shift / (1 - (shift * (1 / 70)).square())
        return full * torch.exp(-along.square()) * inner * (self.plane < 2) / self.scale_u

    @cached_property
    def _pressed(self) -> tuple[Tensor, Tensor]:
        """Picture coordinates before round masses pushed the tissue out of their way."""
        u, v = self.u, self.v
        for kind in ("brain tumour", "meningioma", "intracerebral haemorrhage"):
            for side in SIGN:
                rows, found = self.rows(kind, side)
                if found:
                    cu, cv = self.middles(rows, found)
                    r = self.column([f.measurement / 2 for f in found])
                    du, dv = u[rows] - cu, v[rows] - cv
                    keep = -0.55 * torch.exp(-(du.square() + dv.square()) / (1.6 * r).square())
                    u, v = u.index_add(0, rows, du * keep), v.index_add(0, rows, dv * keep)
        return u, v

    def middles(self, rows: Tensor, found: list[Finding]) -> tuple[Tensor, Tensor]:
        """Where lesions lie in the picture, mm: (m, 1, 1) along u and along v."""
        scenes = [self.scenes[i] for i in rows.tolist()]
        at = [middle(s.plane, s.slice_mm - s.offset_mm, f, s.head) for s, f in zip(scenes, found, strict=True)]
        across = [(MIDDLE[1] - a) if s.plane == 2 else a for s, (a, _) in zip(scenes, at, strict=True)]
        down = [MIDDLE[1 if s.plane == 0 else 2] - b for s, (_, b) in zip(scenes, at, strict=True)]
        return self.column(across) * self.scale_u[rows], self.column(down) * self.scale_v[rows]

    @cached_property
    def brain(self) -> tuple[Tensor, Tensor, Tensor]:
        """The brain's own coordinates."""
        f = self.fields
        u, v = self._pressed
        du, dv = (u - self.u) / self.scale_u, (v - self.v) / self.scale_v
        axial, sagittal = self.plane == 0, self.plane == 2
        x = self.x - self.pushed
        # the falx holds the midline against what presses from one side
        x = x + torch.where(sagittal, 0.0, du) * (x.abs() * (1 / 18)).clamp(max=1)
        y = self.y - torch.where(axial, dv, torch.where(sagittal, du, 0.0))
        z = self.z - torch.where(axial, 0.0, dv)
        # bending leaves the midline straight
        keep = (x.abs() * (1 / 16)).clamp(max=1)
        return x + 2.0 * keep * f[0], y + 2.2 * f[1], z + 2.2 * f[2]

    @cached_property
    def vault(self) -> Float[Tensor, "n h w"]:
        """Depth inside the cranial cavity."""
        x, y, z = self.x, self.y, self.z
        ax = x.abs() * (1 + 0.0010 * (y + 20))
        main = ellipsoid(ax, y, z, (0.0, -17.0, 10.0), (70.5, 90.0, 71.0))
        cut = main
        hind = ellipsoid(ax, y, z, (0.0, -58.0, -30.0), (57.0, 44.0, 38.0))
        stem = ellipsoid(ax, y, z, (0.0, -27.0, -28.0), (18.5, 19.5, 30.0))
        canal = 10.0 - (ax.square() + (y + 36.0 - 0.15 * (z + 60)).square()).sqrt()
        canal = torch.minimum(canal, -48.0 - z)
        cut = torch.minimum(cut, z + 23.0 - 0.15 * beyond(y - 15.0))
        temporal = ellipsoid(ax, y, z, (41.0, -13.0, -20.0), (26.0, 37.0, 30.0))
        whole = join(join(join(cut, temporal, 6.0), join(hind, stem, 8.0), 6.0), canal, 6.0)
        petrous = rod(ax, y, z, (60.0, -42.0, -36.0), (17.0, -12.0, -36.0), 7.5, 4.0)
        return meet(whole, -petrous, 4.0)

    @cached_property
    def skin(self) -> Float[Tensor, "n h w"]:
        """Depth under the skin of head, face and neck."""
        x, y, z, fat = self.x, self.y, self.z, 3.0 * self.p["scalp_fat"]
        ax = x.abs() * (1 + 0.0009 * (y + 20))
        skull = ellipsoid(ax, y, z, (0.0, -17.0, 8.0), (81.5 + fat, 101.5 + fat, 84.5 + fat))
        face = ellipsoid(ax, y, z, (0.0, 34.0, -62.0), (64.0 + 2 * fat, 55.0 + fat, 78.0))
        nose = ellipsoid(ax, y, z, (0.0, 84.0 - 0.3 * beyond(z + 50), -52.0), (15.0, 20.0, 22.0))
        neck = 61.0 + 2 * fat - (ax.square() + (1.05 * (y + 34.0)).square()).sqrt()
        neck = torch.minimum(neck, -30.0 - z)
        ear = ellipsoid(ax, y, z, (81.0, -30.0, -30.0), (6.0, 13.0, 26.0))
        whole = join(join(join(skull, face, 22.0), neck, 26.0), nose, 10.0)
        return join(whole, ear, 3.0) + 0.5 * self.coarse

    @cached_property
    def _found(self) -> dict[tuple[str, str], list[tuple[int, Finding]]]:
        found: dict[tuple[str, str], list[tuple[int, Finding]]] = {}
        for i, scene in enumerate(self.scenes):
            seen = {f.mask_name for f in scene.all_findings}
            for f in scene.findings:
                if f.mask_name in seen:
                    found.setdefault((f.kind, f.side), []).append((i, f))
        return found

    def rows(self, kind: str, side: str = "") -> tuple[Tensor, list[Finding]]:
        """Indices of the scenes whose slice shows such a finding, and these findings, whole."""
        found = self._found.get((kind, side), [])
        return torch.tensor([i for i, _ in found], dtype=torch.long, device=self.device), [f for _, f in found]

    def amount(self, kind: str, side: str = "") -> Float[Tensor, "n 1 1"]:
        """Each patient's extent of a graded finding, seen in the slice or not; 0 where there is none."""
        found = ((f.amount for f in s.findings if (f.kind, f.side) == (kind, side)) for s in self.scenes)
        return self.column([next(amounts, 0.0) for amounts in found])

    def signal(self, tissue: str) -> Float[Tensor, "n 1 1"]:
        """What a tissue gives in each scene's sequence."""
        return self.column(signals(tissue, self.scenes))

    @property
    def patients(self) -> np.ndarray:
        return np.array([s.patient for s in self.scenes], dtype=np.uint64)

    @property
    def seeds(self) -> np.ndarray:
        return np.array([s.seed for s in self.scenes], dtype=np.uint64)


def _level(scene: BrainScene) -> float:
    """Where, down the picture, the midline is pushed furthest: near the mass, but where a midline is to be seen."""
    axis, low, high = (1, -40.0, 25.0) if scene.plane == AXIAL else (2, 8.0, 45.0)
    levels = [sum(box_of(f)[axis]) / 2 for f in scene.findings if f.side] or [0.0]
    middle = min(high, max(low, sum(levels) / len(levels)))
    return MIDDLE[axis] - middle
