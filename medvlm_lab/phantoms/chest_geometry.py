"""Where things are in a frontal chest: boundary curves per row or column, evaluated for a batch of scenes.

The renderer and the masks both read these fields, so that what is drawn and what is true cannot drift apart.
Row-wise quantities are (n, h, 1), column-wise ones (n, 1, w): most of the anatomy costs next to nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.chest_scene import ChestScene
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.phantoms.thorax_shape import curve

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

NUMBERS = tuple(f.name for f in dataclasses.fields(ChestScene) if isinstance(f.default, float))
SIGN = {"right": -1.0, "left": 1.0}  # of x: the patient's left is on the picture's right


class Chest:
    """Fields of a batch of chests. x, y in mm from the spine and from the lung's apex, y downwards."""

    def __init__(self, scenes: Sequence[ChestScene], size: int, device: torch.device):
        self.scenes, self.size, self.device = scenes, size, device
        values = torch.tensor([[getattr(s, k) for k in NUMBERS] for s in scenes], dtype=torch.float32).to(device)
        self.p = {k: values[:, i, None, None] for i, k in enumerate(NUMBERS)}  # each (n, 1, 1)
        p = self.p
        self.half = p["thorax_mm"] / 2
        self.pixel_mm = p["fov_mm"] / size
        at = (torch.arange(size, device=device) + 0.5) / size - 0.5
        column = at[None, None] * p["fov_mm"] - p["shift_x_mm"]  # (n, 1, w)
        self.tilt = torch.tan(p["tilt_degrees"] * (torch.pi / 180))
        self.row = row = at[None, :, None] * p["fov_mm"]  # (n, h, 1)
        # the middle of the lungs stands a little above the middle of the picture
        self.y = row - p["shift_y_mm"] + 0.52 * p["lung_mm"] + 6.0  # (n, h, 1)
        self.b = self.y / p["lung_mm"]
        self.straight = column
        self.x = column - self.tilt * row  # leaning, as a shear: rows stay rows  # (n, h, w)
        self.ax = self.x.abs()
        self.left = self.x > 0

    @cached_property
    def costal(self) -> Float[Tensor, "n h 1"]:
        """Inner margin of the ribs, mm from the midline; at its widest exactly half of `thorax_mm`."""
        return self.half * (curve("costal", self.b) + 0.05 * self.p["barrel"] * curve("barrel", self.b)).clamp(max=1.0)

    @cached_property
    def apex(self) -> Float[Tensor, "n h 1"]:
        """Inner edge of the lung's tip, mm from the midline."""
        return self.half * curve("apex", self.b)

    @cached_property
    def dome(self) -> Float[Tensor, "n 1 w"]:
        """y of the diaphragm's dome under each column, mm."""
        row = 1.05 * self.p["lung_mm"] - (self.y - self.row)[:, :1]  # where the dome is, from the picture's middle
        x = self.straight - self.tilt * row
        t = x.abs() / self.half
        flat = self.p["inflation"]
        b = curve("dome", t)
        b = b + flat * (curve("flat", t) - b)
        return (b + self.p["left_dome"] * (x > 0)) * self.p["lung_mm"]

    @cached_property
    def heart_widths(self) -> tuple[Float[Tensor, "n h 1"], Float[Tensor, "n h 1"]]:
        """The heart's reach to the patient's right and left, mm; together at most ratio * thorax_mm."""
        width = self.p["cardiothoracic_ratio"] * self.p["thorax_mm"]
        # a narrow, long chest has a hanging heart, a wide one a lying heart; both end on the diaphragm
        b = self.b - 0.35 * self.p["left_dome"] - 0.05 * self.p["inflation"]
        globular = self.p["heart_shape"]
        right, left = curve("slim right", b), curve("slim left", b)
        right = right + globular * (curve("globular right", b) - right)
        left = left + globular * (curve("globular left", b) - left)
        return (1 - self.p["heart_left"]) * width * right, self.p["heart_left"] * width * left

    @cached_property
    def silhouette(self) -> tuple[Float[Tensor, "n h 1"], Float[Tensor, "n h 1"]]:
        """Right and left border of heart and great vessels together, mm from the midline."""
        right, left = self.heart_widths
        p, turn = self.p, self.p["rotation_degrees"] * 0.8
        upper_right = curve("upper right", self.b) + 5 * p["aorta"] * curve("knob", self.b - 0.1) - turn
        upper_left = curve("upper left", self.b) + turn + 6 * p["wall_mm"] / 60
        upper_left = upper_left + (6 + 11 * p["aorta"]) * curve("knob", self.b)
        upper_left = upper_left + (5 + 13 * p["pulmonary_trunk"]) * curve("trunk", self.b)
        return _smooth_max(right, upper_right), _smooth_max(left, upper_left)

    @cached_property
    def inside_chest(self) -> Bool[Tensor, "n h w"]:
        """Above the diaphragm, between the ribs, outside the neck: lungs and mediastinum."""
        return (self.ax < self.costal) & (self.y < self.dome) & (self.b > 0)

    @cached_property
    def lung(self) -> Bool[Tensor, "n h w"]:
        """Both lung fields as a reader outlines them: not behind heart or diaphragm, but with fluid and free air."""
        right, left = self.silhouette
        beside = torch.where(self.left, self.x > left, -self.x > right)
        return self.inside_chest & (self.ax > self.apex) & beside

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

    def column(self, values: Sequence[float]) -> Float[Tensor, "m 1 1"]:
        """Per-finding numbers, ready to broadcast over pictures."""
        return torch.tensor(values, dtype=torch.float32, device=self.device)[:, None, None]

    @property
    def seeds(self) -> np.ndarray:
        return np.array([s.seed for s in self.scenes], dtype=np.uint64)

    @property
    def patients(self) -> np.ndarray:
        return np.array([s.patient for s in self.scenes], dtype=np.uint64)


def _smooth_max(a: Tensor, b: Tensor) -> Tensor:
    """The larger, with the corner where they cross rounded over some millimetres; exact where they are apart."""
    near = (1 - (a - b).abs() / 8.0).clamp(min=0)
    return torch.maximum(a, b) + 1.5 * near * near
