"""The beating heart in an apical view, as distances in mm from every point of a picture to the heart's surfaces.

`u` runs across the long axis to the patient's left, `d` along it from the apex of the left ventricle's cavity to the
base. Tissue keeps its volume: at full ventricle (index `_d`) a point lies where

    r_d^2 = (r^2 - w^2) L / L_d + w_d^2,    d_d = d L_d / L

with r from the axis, w the cavity's half width at that level and L its length. Walls drawn once, at full ventricle, so
thicken in systole as they should, and speckle moves with them.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.echo_cycle import AREA_LENGTH, CENTER, beat
from medvlm_lab.phantoms.echo_scene import EchoScene

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

BASE = 1 - ((1 - CENTER) / CENTER) ** 2  # squared half width at the mitral plane over the widest
TRICUSPID_MM = 6.0  # how much nearer the apex the tricuspid valve sits than the mitral
RV_WALL, ATRIAL_WALL = 4.0, 3.0
RV_APEX = 0.16  # where along the left ventricle the right one begins
ROOT_MM = 11.0  # half width of the aortic root
EFFUSION_MM = 26.0  # of fluid where amount is 1


class Layout:
    """Sizes and places that do not change over the beat; lengths in mm, `bottom` along the axis."""

    def __init__(self, scene: EchoScene):
        self.scene, self.beat = scene, beat(scene)
        self.half, self.length, self.wall = self.beat.full_half_width, self.beat.full_length, scene.wall_mm
        la_length = (1000 * scene.atrium_ml / (AREA_LENGTH * 0.4**2)) ** (1 / 3)
        self.la_half = 0.4 * la_length
        self.bottom = self.beat.systolic_length + la_length  # of the left atrium; stays while the valves move
        self.bend = 0.13 * self.half
        self.five = scene.view == "five-chamber"
        self.hinge = -self.half * math.sqrt(BASE)  # mitral hinge on the septum, full ventricle
        self.la_center = 1.5 + self.bend / 3 + (8.0 if self.five else 0.0)
        self.ra_half = 15 + 9 * scene.right_atrium
        self.ra_center = self.hinge - self.wall - 0.88 * self.ra_half
        self.rv_width = 24 + 18 * scene.right_ventricle
        angle = math.radians(scene.axis_degrees)
        self.cos, self.sin = math.cos(angle), math.sin(angle)
        half_angle = math.radians(scene.sector_degrees) / 2
        self.apex = (scene.shift_mm, max(scene.apex_mm, self._least_depth(math.tan(half_angle))))
        self.depth_mm = self.apex[1] + self.bottom + scene.margin_mm
        self.fov_mm = max(1.05 * self.depth_mm, 2.04 * self.depth_mm * math.sin(half_angle))

    def _least_depth(self, slope: float) -> float:
        """Depth of the apex from which the sector holds the whole left ventricle, as every view should."""
        s = np.linspace(0, 1, 41)
        level = np.sqrt(np.maximum(1 - ((s - CENTER) / CENTER) ** 2, 0))
        needed = []
        for side in (-1, 1):
            u, d = self.center(s) + side * self.half * level, s * self.length
            x, down = self.scene.shift_mm + u * self.cos - d * self.sin, u * self.sin + d * self.cos
            needed.append(((np.abs(x) + 1.5) / slope - down).max())
        return float(max(needed))

    def center(self, s):
        """The long axis' bow, `s` = 0 at the apex and 1 at the base: the septum is straighter than the free wall."""
        t = (s - 0.55) * (1 / 0.55)
        return self.bend * (1 - t * t)

    def effusion_mm(self) -> float:
        """Thickest layer of fluid, 0 without an effusion."""
        found = self.scene.find("pericardial effusion")
        return 5.0 + (EFFUSION_MM - 5.0) * found.amount if found else 0.0


class Heart:
    """Distances to the heart's surfaces at every point (x, y) in mm, y from the probe downwards, and every frame."""

    def __init__(self, layout: Layout, x: Float[Tensor, "h w"], y: Float[Tensor, "h w"], frames: slice = slice(None)):
        self.layout, self.x, self.y, b = layout, x, y, layout.beat
        put = lambda a: torch.from_numpy(a[frames]).to(x)[:, None, None]  # noqa: E731
        self.length, self.half = put(b.length), put(b.half_width)  # (f, 1, 1)
        dx, dy = x - layout.apex[0], y - layout.apex[1]
        self.u = dx * layout.cos + dy * layout.sin  # (h, w)
        self.d = dy * layout.cos - dx * layout.sin

    @cached_property
    def ventricles(self) -> dict[str, Tensor]:
        """`place`, `along` (tissue's place at full ventricle), `s`, and distances `endo`, `epi`, `rv`, (f, h, w)."""
        return self._ventricles(self.length, self.half)

    @cached_property
    def full(self) -> dict[str, Tensor]:
        """The same at full ventricle, (1, h, w): what does not move is drawn from it."""
        one = torch.ones(1, 1, 1).to(self.x)
        return self._ventricles(one * self.layout.length, one * self.layout.half)

    def _ventricles(self, length: Tensor, half: Tensor) -> dict[str, Tensor]:
        lay = self.layout
        s = self.d / length
        z = (s.clamp(0, 1) - CENTER) * (1 / CENTER)
        level = 1 - z * z  # squared half width of the cavity over the widest
        r = self.u - lay.center(s.clamp(-0.2, 1.3))
        far = r.abs() * (1 / lay.half)
        near = (3 - far).clamp(0, 1) * (1 - (s - 1) * 2.5).clamp(0, 1) * (1 + s * 4).clamp(0, 1)
        stretch = 1 + (length / lay.length - 1) * near
        square = (r * r - half * half * level * near) * stretch + lay.half**2 * level * near
        place = square.clamp(min=0).sqrt()  # (f, h, w) from the axis, at full ventricle
        along = s * lay.length
        # beyond an ellipse by (rho^2 - rho) / |gradient|, exact on it
        across, down = place * (1 / lay.half), (s - CENTER) * (1 / CENTER)
        rho = (across * across + down * down).sqrt()
        slope = ((across * (1 / lay.half)) ** 2 + (down * (1 / (CENTER * lay.length))) ** 2).sqrt()
        endo = (rho * rho - rho) / (slope + 1e-6)
        epi = endo - lay.wall
        t = (s - RV_APEX) * (1 / (1 - RV_APEX))
        width = lay.rv_width * t.clamp(0, 1.3).sqrt() * (1.12 - 0.2 * t)
        outer = lay.half * level.clamp(min=0).sqrt() + lay.wall + width
        rv = torch.where(r < 0, place - outer, lay.half + place)  # negative inside the free wall's inner surface
        rv = torch.maximum(rv, (RV_APEX - s) * (0.7 * lay.length))
        return {"place": torch.where(r < 0, -place, place), "along": along, "s": s, "endo": endo, "epi": epi, "rv": rv}

    @cached_property
    def atria(self) -> dict[str, Tensor]:
        """Distances `la`, `ra` from the cavities' inner surfaces and `root` from the aortic root's, (f, h, w)."""
        lay, d = self.layout, self.d
        la = self._atrium(lay.la_center, lay.la_half, self.length, lay.bottom)
        tricuspid = self.length - TRICUSPID_MM
        ra = self._atrium(lay.ra_center, lay.ra_half, tricuspid, lay.bottom - 3.0)
        below = (d - self.length + 4).clamp(-8, 34)  # the root leans to the patient's right as it leaves the heart
        root = (self.u - (lay.hinge + 9.0 - 0.22 * below)).abs() - ROOT_MM * (1 - 0.006 * below)
        root = torch.maximum(root, d - self.length - 32)
        return {"la": la, "ra": ra, "root": root if lay.five else torch.full_like(la, 99.0)}

    def _atrium(self, center: float, half: float, top: Tensor, bottom: float) -> Tensor:
        """A ventricle's ellipse upside down, without its cut."""
        length = bottom - top
        z = ((self.d - top) / length - (1 - CENTER)) * (1 / CENTER)
        across = (self.u - center) * (1 / half)
        rho = (across * across + z * z).sqrt()
        slope = ((across * (1 / half)) ** 2 + (z / (CENTER * length)) ** 2).sqrt()
        return (rho * rho - rho) / (slope + 1e-6)

    @cached_property
    def pericardium(self) -> tuple[Tensor, Tensor]:
        """(distance outside the pericardium, thickness of fluid under it), (1, h, w): both stay over the beat."""
        lay, v = self.layout, self.full
        one = torch.ones(1, 1, 1).to(self.x) * lay.length
        la = self._atrium(lay.la_center, lay.la_half, one, lay.bottom) - ATRIAL_WALL
        ra = self._atrium(lay.ra_center, lay.ra_half, one - TRICUSPID_MM, lay.bottom - 3.0) - ATRIAL_WALL
        low = (v["s"] - 1) * lay.length
        heart = torch.maximum(torch.minimum(v["epi"], v["rv"] - RV_WALL), low - 6)
        for atrium, above in ((la, 12), (ra, 18)):
            heart = torch.minimum(heart, torch.maximum(atrium, -low - above))
        s, left = v["s"], (0.5 - (self.u + 0.9 * lay.half) * 0.05).clamp(0, 1)
        # thickest beside the lateral wall and the right heart, thin at the apex, gone behind the left atrium
        right_heart = (0.85 - 0.25 * (s - 0.9).abs()).clamp(0.16, 1) * (1 - (s - 1.1) * 1.8).clamp(0, 1)
        free_wall = (1.0 - 1.1 * (s - 0.6).abs()).clamp(0.16, 1) * (1 - (s - 1.02) * 5.0).clamp(0, 1)
        share = free_wall + (right_heart - free_wall) * left
        fluid = lay.effusion_mm() * share
        return heart - 1.5 - fluid, fluid

    def lv(self) -> Tensor:
        """Inside the left ventricle, down to the mitral plane."""
        v = self.ventricles
        return (v["endo"] < 0) & (v["s"] >= 0) & (v["s"] < 1)

    def rv(self) -> Tensor:
        v = self.ventricles
        return (v["rv"] < 0) & (v["epi"] > 0) & (self.d < self.length - TRICUSPID_MM) & (self.u < self.layout.bend)

    def la(self) -> Tensor:
        return (self.atria["la"] < 0) & (self.d >= self.length)

    def ra(self) -> Tensor:
        a = self.atria
        inside = (a["ra"] < 0) & (self.d >= self.length - TRICUSPID_MM)
        return inside & (a["la"] > ATRIAL_WALL + 1) & (a["root"] > 2) & ~self.lv_wall()

    def lv_wall(self) -> Tensor:
        v = self.ventricles
        return (v["endo"] >= 0) & (v["epi"] < 0) & (v["s"] < 1.0)

    def root(self) -> Tensor:
        """The aortic root, below the plane of its valve; nowhere in a four-chamber view."""
        return (self.atria["root"] < 0) & (self.d > self.length - 3) & ~self.la()

    def effusion(self) -> Tensor:
        """Fluid between the heart and the pericardium."""
        if not self.layout.effusion_mm():
            return torch.zeros_like(self.ventricles["s"], dtype=torch.bool)
        outside, fluid = self.pericardium
        return (outside < 0) & (fluid > 1.0) & ~self.heart()

    def heart(self) -> Tensor:
        """Anything of the heart: walls and chambers."""
        v, a, low = self.ventricles, self.atria, self.d - self.length
        upper = torch.minimum(v["epi"], v["rv"] - RV_WALL) < 0
        lower = (torch.minimum(a["la"], a["ra"]) < ATRIAL_WALL) | (a["root"] < 2)
        return torch.where(low < 0, upper, lower)
