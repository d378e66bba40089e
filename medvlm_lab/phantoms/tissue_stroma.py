"""Between the glands: fibroblasts, lymphocytes, capillaries with red cells, fat, calcium."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from medvlm_lab.phantoms.tissue_cells import (
    DEBRIS,
    INFILTRATE,
    LYMPHOCYTE,
    NOTHING,
    SPINDLE,
    Cells,
    cells,
    joined,
)  # fmt: skip
from medvlm_lab.phantoms.tissue_fields import noise
from medvlm_lab.phantoms.tissue_layout import REACH_UM, apart, lattice
from medvlm_lab.phantoms.tissue_slide import SURVEY, Slide

FAT_UM = 66.0  # between the middles of fat cells


class Stroma:
    """What fills one slide between its glands."""

    def __init__(self, slide: Slide):
        self.slide, self.scene = slide, slide.scene

    def _noise(self, x: np.ndarray, y: np.ndarray, cell_um: float, purpose: int) -> np.ndarray:
        a, b = self.slide.away
        u, v = torch.from_numpy(x / cell_um + a + 7.3 * purpose), torch.from_numpy(y / cell_um + b + 3.1 * purpose)
        return noise(u[None], v[None])[0].numpy()

    def loose(self, x, y):
        """How loose and cellular the stroma is: 1 within lobules of the breast."""
        inside = 0.0
        for x0, y0, r in self.slide.lobules:
            wx, wy = self.slide.warp.back(np.array([x0]), np.array([y0]))
            q = ((x - float(wx[0])) ** 2 + (y - float(wy[0])) ** 2) ** 0.5
            inside = inside + ((r * 1.02 - q) / 24).clip(0, 1)
        return inside

    @cached_property
    def fat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The lattice of fat cells: x and y (rows, columns) in µm, and which are fat."""
        rng, reach = self.slide.rng(51), REACH_UM
        k = int(reach / FAT_UM) + 2
        y, x = np.meshgrid(np.arange(-k, k + 1.0), np.arange(-k, k + 1.0), indexing="ij")
        x = FAT_UM * (x + 0.5 * (y % 2) + rng.uniform(-0.27, 0.27, x.shape))
        y = FAT_UM * (y + rng.uniform(-0.27, 0.27, y.shape))
        if self.scene.organ or not self.scene.fat:
            return x, y, np.zeros(x.shape, bool)
        level = self._noise(x.ravel(), y.ravel(), 210, 1).reshape(x.shape)
        clear = self.slide.look(self.slide.survey.gland, x, y) < -30
        for x0, y0, r in self.slide.lobules:
            clear &= np.hypot(x - x0, y - y0) > r + 34
        return x, y, clear & (level > 1.3 - 2.3 * self.scene.fat) & self.slide.seen(x, y, 0.8 * FAT_UM)

    def in_fat(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether the nearest cell of the fat lattice is fat."""
        fx, fy, there = self.fat
        if not there.any():
            return np.zeros(len(x), bool)
        from scipy.spatial import cKDTree

        return there.ravel()[cKDTree(np.stack([fx.ravel(), fy.ravel()], 1)).query(np.stack([x, y], 1))[1]]

    @cached_property
    def tangent(self) -> np.ndarray:
        """Direction of fibres over the survey (h, w)."""
        down, across = np.gradient(self.slide.survey.flow.numpy())
        return np.arctan2(across, -down)

    @cached_property
    def resident(self) -> Cells:
        """Fibroblasts along the fibres, scattered lymphocytes; in the colon a crowd of both."""
        scene, slide, rng = self.scene, self.slide, self.slide.rng(52)
        x, y = lattice(rng, 11.5, REACH_UM, 0.33)
        chance, sort = rng.random(len(x)), rng.random(len(x))
        seen = slide.seen(x, y)
        x, y, chance, sort = x[seen], y[seen], chance[seen], sort[seen]
        depth = slide.look(slide.survey.gland, x, y)
        density = 0.085 + 0.22 * self.loose(x, y) + 0.30 * scene.desmoplastic + 0.06 * (scene.diagnosis == 1)
        round_share = np.full(len(x), 0.10)
        if scene.organ and scene.diagnosis < 3:
            density, round_share = density + 0.62, np.full(len(x), 0.76)
        keep = (depth < -3.5) & (chance < density) & ~self.in_fat(x, y)
        x, y, sort, share = x[keep], y[keep], sort[keep], round_share[keep]
        i, j = (((k / scene.field_um + 0.5) * SURVEY).astype(int).clip(0, SURVEY - 1) for k in (y, x))
        turn = self.tangent[i, j] + rng.normal(0, 0.22, len(x))
        plump = scene.desmoplastic
        long, thin = rng.uniform(4.2, 8.5, len(x)), rng.uniform(0.95, 1.7, len(x)) * (1 + 0.45 * plump)
        spindle = cells(x, y, turn, long, thin, SPINDLE, 0.07, rng.uniform(0.75, 1.1, len(x)), 0.3 * plump)
        r = rng.uniform(2.4, 3.3, len(x))
        small = cells(x, y, turn, r * 1.06, r, LYMPHOCYTE, 0.03, rng.uniform(1.05, 1.35, len(x)))
        return joined(spindle.only(sort >= share), small.only(sort < share))

    @cached_property
    def infiltrate(self) -> Cells:
        """Crowds of lymphocytes in the stroma, near the glands first."""
        finding = self.scene.find("lymphocytic infiltrate")
        if finding is None:
            return NOTHING
        rng = self.slide.rng(53)
        x, y = lattice(rng, 6.8, REACH_UM, 0.5)
        r, dark = rng.uniform(2.3, 3.6, len(x)), rng.uniform(1.0, 1.5, len(x))
        missing = rng.random(len(x))
        seen = self.slide.seen(x, y, 0.0)
        depth = self.slide.look(self.slide.survey.gland, x, y)
        stroma = seen & (depth < -3.2) & ~self.in_fat(x, y)
        if stroma.sum() < 0.01 * seen.sum():  # a duct fills the field: they enter it from its rim
            stroma = seen & (depth < np.quantile(depth[seen], 0.15))
        crowd = self._noise(x, y, 62, 2) + 0.9 * np.exp(np.minimum(depth, 0) / 40) + 0.35 * self._noise(x, y, 14, 3)
        share = 0.06 + 0.5 * finding.amount
        level = np.quantile(crowd[stroma], 1 - share)
        edge = np.clip((crowd - level) / 0.5, 0, 1)
        keep = stroma & (crowd > level) & (missing < 0.2 + 0.6 * edge)
        keep[np.argmax(np.where(stroma, crowd, -np.inf))] = True
        x, y = apart(x[keep], y[keep], r[keep], 1)
        return cells(x, y, 0.0, r[keep] * 1.05, r[keep], INFILTRATE, 0.03, dark[keep])

    @cached_property
    def debris(self) -> Cells:
        """Fragments of dead nuclei within necrosis."""
        if not self.scene.necrotic:
            return NOTHING
        rng = self.slide.rng(54)
        x, y = lattice(rng, 6.0, REACH_UM, 0.4)
        r, some, dark = rng.uniform(0.5, 2.1, len(x)), rng.random(len(x)), rng.uniform(0.35, 1.5, len(x))
        dead = self.slide.look(self.slide.dead_depth, x, y) > self.slide.necrosis_um + 1.5
        keep = self.slide.seen(x, y) & dead & (some < 0.55)
        return cells(x[keep], y[keep], some[keep] * 60, r[keep] * 1.3, r[keep], DEBRIS, 0.12, dark[keep])

    @cached_property
    def vessels(self) -> Cells:
        """Capillaries, cut across."""
        rng = self.slide.rng(55)
        x, y = lattice(rng, 115, REACH_UM, 0.45)
        n = len(x)
        a, turn, long = rng.uniform(3, 6, n), rng.uniform(0, np.pi, n), rng.uniform(1, 2.4, n)
        depth = self.slide.look(self.slide.survey.gland, x, y)
        keep = self.slide.seen(x, y) & (depth < -a * long - 4) & ~self.in_fat(x, y)
        return cells(x[keep], y[keep], turn[keep], (a * long)[keep], a[keep], 0, 0.05)

    @cached_property
    def red(self) -> Cells:
        """Red cells in the capillaries."""
        v, rng = self.vessels, self.slide.rng(56)
        if not len(v):
            return NOTHING
        which = np.repeat(np.arange(len(v)), 3)
        at, off = rng.uniform(-0.6, 0.6, len(which)), rng.uniform(-0.4, 0.4, len(which))
        x = v.x[which] + at * v.a[which] * v.c[which] - off * v.b[which] * v.s[which]
        y = v.y[which] + at * v.a[which] * v.s[which] + off * v.b[which] * v.c[which]
        return cells(x, y, 0.0, 3.1, 2.8, 0, 0.03)

    @cached_property
    def lining(self) -> Cells:
        """Endothelial nuclei."""
        v = self.vessels
        side = np.where(np.arange(len(v)) % 2 == 0, 1, -1) * (v.b + 0.6)
        return cells(v.x - side * v.s, v.y + side * v.c, np.arctan2(v.s, v.c), 4.2, 1.3, SPINDLE, 0.04)

    @cached_property
    def calcium(self) -> Cells:
        """Calcifications: in the middle of ducts or of dead tumour where there are any, and always in the field."""
        finding = self.scene.find("calcification")
        if finding is None:
            return NOTHING
        rng, edge = self.slide.rng(57), self.scene.field_um / 2 - 22
        size, count = 5 + 11 * finding.amount, 1 + int(4.9 * finding.amount)
        k = np.linspace(-edge, edge, 25)
        x, y = (m.ravel() for m in np.meshgrid(k, k))
        depth = self.slide.look(self.slide.survey.gland, x, y) + 2 * rng.random(len(x))
        best = int(np.argmax(np.minimum(depth, 40) - 0.06 * np.hypot(x - 90 * (finding.at[0] - 0.5), y)))
        turn, far = rng.uniform(0, 2 * np.pi, count), size * np.array([0, 1.7, 2.1, 1.9, 2.3])[:count]
        cx = np.clip(x[best] + far * np.cos(turn), -edge, edge)
        cy = np.clip(y[best] + far * np.sin(turn), -edge, edge)
        a = size * np.concatenate([[1.0], rng.uniform(0.3, 0.7, count - 1)])
        return cells(cx, cy, turn, a, a * rng.uniform(0.7, 1, count), 0, 0.10, rng.uniform(0.9, 1.2, count))
