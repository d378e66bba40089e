"""Coordinates and the large shapes of an abdominal slice: skin, trunk, peritoneal cavity, spine.

x runs to the patient's left, y to the back, both in mm from the middle of the trunk. Soft organs live in `wx, wy`,
which are bent a little per patient; what is measured lives in the straight `x, y`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.abdomen_scene import AbdomenScene
from medvlm_lab.phantoms.noise import hashed, smooth
from medvlm_lab.phantoms.plane_shapes import ellipse, join, meet
from medvlm_lab.phantoms.scene import Finding

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

NUMBERS = tuple(f.name for f in dataclasses.fields(AbdomenScene) if isinstance(f.default, float))
SIGN = {"right": -1.0, "left": 1.0}  # of x: the patient's left is on the picture's right


class Abdomen:
    """Fields of a batch of slices."""

    def __init__(self, scenes: Sequence[AbdomenScene], size: int, device: torch.device):
        self.scenes, self.size, self.device = scenes, size, device
        values = torch.tensor([[getattr(s, k) for k in NUMBERS] for s in scenes], dtype=torch.float32).to(device)
        self._patterns: dict[tuple[int, int], Tensor] = {}
        self.p = p = {k: values[:, i, None, None] for i, k in enumerate(NUMBERS)}  # each (n, 1, 1)
        self.z = p["level"]
        self.pixel_mm = p["fov_mm"] / size
        at = (torch.arange(size, device=device) + 0.5) / size - 0.5
        column = at[None, None] * p["fov_mm"] - p["shift_x_mm"]  # (n, 1, w)
        row = at[None, :, None] * p["fov_mm"] - p["shift_y_mm"] + 6.0  # (n, h, 1)
        self.straight_row = row
        angle = p["turn_degrees"] * (torch.pi / 180)
        self.x = angle.cos() * column + angle.sin() * row  # (n, h, w)
        self.y = angle.cos() * row - angle.sin() * column
        self.a = p["trunk_mm"] / 2
        self.b = self.a * p["depth"]
        # thin between the ribs, three sheets of muscle below them; in front only the straight muscles
        self.wall_mm = 5.5 + 5.0 * p["muscle"] + 3.5 * self.z
        self.ca, self.cb = self.a - self.wall_mm, self.b - 4.5 - 3.5 * p["muscle"]  # half axes of the cavity
        self.spine_y = 0.36 * self.b  # middle of the vertebral body

    def noise(self, cells: int, purpose: int) -> Float[Tensor, "n h w"]:
        """A smooth pattern in about [-1, 1] that belongs to the patient."""
        key = cells, purpose
        if key not in self._patterns:
            self._patterns[key] = smooth(self.patients, self.size, cells, self.device, purpose)
        return self._patterns[key]

    def pixel_of(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest pixel's column and row for points in mm, each (n, 1, 1) to (n, 1)."""
        p, angle = self.p, self.p["turn_degrees"] * (torch.pi / 180)
        column = angle.cos() * x - angle.sin() * y + p["shift_x_mm"]
        row = angle.sin() * x + angle.cos() * y + p["shift_y_mm"] - 6.0
        at = [((v / p["fov_mm"] + 0.5) * self.size).round().long()[..., 0] for v in (column, row)]
        return at[0], at[1]

    @cached_property
    def _bent(self) -> tuple[Tensor, Tensor]:
        x = self.x + 5.0 * self.noise(7, 101) + 1.6 * self.noise(19, 103)
        return x, self.y + 5.0 * self.noise(7, 102) + 1.6 * self.noise(19, 104)

    @property
    def wx(self) -> Float[Tensor, "n h w"]:
        return self._bent[0]

    @property
    def wy(self) -> Float[Tensor, "n h w"]:
        return self._bent[1]

    def drift(self, purpose: int, spread: float = 1.0) -> Float[Tensor, "n 1 1"]:
        """A number in [-spread, spread] of each patient's own."""
        value = torch.from_numpy(hashed(self.patients, purpose, 1)[:, 0] % 2001).to(self.device)
        return (value * 0.001 - 1).float()[:, None, None] * spread

    @cached_property
    def trunk(self) -> Float[Tensor, "n h w"]:
        """Depth under the outer fascia: muscles and all they hold."""
        groove = 7 * (1 - (self.x * (1 / 22)).square()).clamp(min=0)  # over the spinous processes
        x, y = self.x + 3.0 * self.noise(5, 105), self.y + 3.0 * self.noise(5, 106)
        return meet(_oval(x, y, self.a, self.b), 0.945 * self.b - groove - self.y, 26.0)

    @cached_property
    def skin(self) -> Float[Tensor, "n h w"]:
        """Depth under the skin; the fat is thickest at the flanks and back."""
        fat = self.p["fat_mm"]
        groove = 9 * (1 - (self.x * (1 / 30)).square()).clamp(min=0) + 4
        x = self.x + 3.0 * self.noise(5, 105)
        y = self.y + 3.0 * self.noise(5, 106) - 0.06 * fat
        outer = _oval(x, y, self.a + 0.92 * fat, self.b + 0.88 * fat + 2)
        return meet(outer, 0.97 * self.b + 0.95 * fat - groove * (fat / (fat + 8)) - self.y + 6, 40.0)

    @cached_property
    def cavity(self) -> Float[Tensor, "n h w"]:
        """Depth inside the peritoneal and retroperitoneal space: within the wall, in front of the back muscles."""
        x, y, spine = self.x, self.y, self.spine_y
        back = ellipse(x.abs(), y, 37.0, spine + 43.0, 37.0, 27.0 + 4 * self.p["muscle"])
        midline = ellipse(x, y, 0.0, spine + 22.0, 34.0, 34.0)
        x, y = x + 3.0 * self.noise(5, 105), y + 3.0 * self.noise(5, 106)
        return meet(_oval(x, y, self.ca, self.cb), -join(back, midline, 16.0), 10.0)

    def inside(self, x: Tensor, y: Tensor, rows: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
        """Points moved towards the middle until they lie `margin` mm inside the cavity's oval; each (m, 1, 1)."""
        ca, cb = self.ca[rows], self.cb[rows]
        far = (x * x + y * y).sqrt() + 1e-3
        reach = far / (_ratio(x, y, ca, cb) + 1e-3)
        keep = ((reach - margin).clamp(min=0) / far).clamp(max=1)
        return x * keep, y * keep

    @cached_property
    def _found(self) -> dict[tuple[str, str], list[tuple[int, Finding]]]:
        found: dict[tuple[str, str], list[tuple[int, Finding]]] = {}
        for i, scene in enumerate(self.scenes):
            for f in scene.all_findings:
                found.setdefault((f.kind, f.side), []).append((i, f))
        return found

    def rows(self, kind: str, side: str = "") -> tuple[Tensor, list[Finding]]:
        """Indices of the scenes that have such a finding, and these findings."""
        found = self._found.get((kind, side), [])
        return torch.tensor([i for i, _ in found], dtype=torch.long, device=self.device), [f for _, f in found]

    def amount(self, kind: str, side: str = "") -> Float[Tensor, "n 1 1"]:
        """Each scene's extent of a graded finding, 0 where it has none."""
        rows, found = self.rows(kind, side)
        out = torch.zeros(len(self.scenes), device=self.device)
        out[rows] = torch.tensor([f.amount for f in found], device=self.device)
        return out[:, None, None]

    def column(self, values: Sequence[float]) -> Float[Tensor, "m 1 1"]:
        """Per-finding numbers, ready to broadcast over pictures."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)[:, None, None]

    def by_phase(self, plain: float, arterial: float, portal: float) -> Float[Tensor, "n 1 1"]:
        """Hounsfield units that depend on the contrast phase."""
        return self.column([(plain, arterial, portal)[s.phase] for s in self.scenes])

    @property
    def patients(self) -> np.ndarray:
        return np.array([s.patient for s in self.scenes], dtype=np.uint64)

    @property
    def seeds(self) -> np.ndarray:
        return np.array([s.seed for s in self.scenes], dtype=np.uint64)


def _ratio(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """1 on an oval a little squarer than an ellipse, growing outwards."""
    u, v = (x / a).square(), (y / b).square()
    return (u * u + v * v + 1.6 * u * v).sqrt().sqrt()


def _oval(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    ratio = _ratio(x, y, a, b)
    far = (x * x + y * y).sqrt()
    return far / (ratio + 1e-3) * (1 - ratio)
