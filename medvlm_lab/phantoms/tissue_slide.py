"""One slide: glands laid out, the field surveyed, and every cell placed. Pixels come later, at any size."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import torch

from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.histology_scene import HistologyScene
from medvlm_lab.phantoms.tissue_cells import (
    EPITHELIAL,
    MITOSIS,
    NOTHING,
    Cells,
    cells,
    goblets,
    joined,
    myoepithelial,
    sized,
    wall_nuclei,
)  # fmt: skip
from medvlm_lab.phantoms.tissue_fields import Depths, View, depths, noise
from medvlm_lab.phantoms.tissue_layout import REACH_UM, apart, lattice, lay

SURVEY = 144  # pixels of the coarse picture by which cells are placed
APART_UM = 24.0  # between mitoses, so that they can be counted


class Slide:
    """What one scene shows, independent of the size of its picture."""

    def __init__(self, scene: HistologyScene):
        self.scene = scene
        self.warp, self.glands, self.lobules = lay(scene)
        rng = self.rng(42)
        self.away = tuple(float(k) for k in rng.uniform(0, 90, 2))
        self.rough_um = (0.0, 0.0, 1.6, 2.6)[scene.diagnosis] if scene.organ else (0.0, 0.8, 1.2, 2.2)[scene.diagnosis]
        self.holes = self._holes(self.rng(43))
        self.survey = self.depths(View(scene.field_um, SURVEY, torch.device("cpu")))
        self.necrosis_um = self._necrosis_depth()

    def rng(self, purpose: int) -> np.random.Generator:
        """Chance of its own for each part of the tissue, kept over the patient's visits."""
        return rng_of(self.scene.patient, purpose, self.scene.organ, self.scene.diagnosis)

    def depths(self, view: View) -> Depths:
        """Depth fields at the view's pixels."""
        return depths(view, self.warp, self.glands, self.rough_um, self.away)

    def bring(self, u: np.ndarray, v: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
        """x and y of the bent plane's points that may be in view, with what belongs to them."""
        near = self.seen(u, v, 0.35 * self.scene.field_um)
        return (*self.warp.back(u[near], v[near]), *(k[near] for k in others))

    def look(self, field: torch.Tensor, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """A surveyed field at points."""
        i, j = (((k / self.scene.field_um + 0.5) * SURVEY).astype(int).clip(0, SURVEY - 1) for k in (y, x))
        return field.numpy()[i, j]

    def seen(self, x: np.ndarray, y: np.ndarray, margin: float = 12.0) -> np.ndarray:
        """Which points lie in the field of view or just outside."""
        half = self.scene.field_um / 2 + margin
        return (np.abs(x) < half) & (np.abs(y) < half)

    @cached_property
    def dead_depth(self) -> torch.Tensor:
        """`dying` over the survey."""
        return self.dying(self.survey)

    def dying(self, d: Depths) -> torch.Tensor:
        """How deep in necrosis, µm: the parts farthest from the stroma, that is from its vessels, die first."""
        uneven = 7 * noise(d.u / 15 + self.away[1], d.v / 15) + 3 * noise(d.u / 5, d.v / 5 + self.away[0])
        return d.gland + uneven * (d.gland > 0)

    def _necrosis_depth(self) -> float:
        """The depth beyond which as much of the tumour is dead as the scene says."""
        inside = self.survey.gland > 0
        if not self.scene.necrotic or not bool(inside.any()):
            return 1e6
        return float(np.quantile(self.dead_depth[inside].numpy(), 1 - self.scene.necrotic))

    def _holes(self, rng: np.random.Generator) -> Cells:
        """Round punched-out lumens (cribriform), or slits at the rim of a hyperplastic duct."""
        scene, solid = self.scene, self.glands.only(self.glands.solid)
        benign = scene.diagnosis == 1
        sieve = benign or (scene.gland_formation >= 0.3 and (scene.organ, scene.diagnosis) != (0, 3))
        if not len(solid) or not sieve:
            return NOTHING
        u, v = lattice(rng, 30 if benign else 34, REACH_UM, 0.3)
        du, dv = u[:, None] - solid.x, v[:, None] - solid.y
        along = du * solid.c + dv * solid.s
        along = along - np.clip(along, -solid.half, solid.half)
        depth = solid.r - np.hypot(along, dv * solid.c - du * solid.s)  # (holes, ducts)
        best = depth.max(1)
        n = len(u)
        if benign:  # fenestrations keep to the rim
            keep = (best > 13) & (best < 34) & (rng.random(n) < 0.6)
        else:
            keep = (best > 17) & (rng.random(n) < 0.35 + 0.6 * scene.gland_formation)
        x, y = self.warp.back(u[keep], v[keep])
        n = len(x)
        if benign:
            return cells(x, y, rng.uniform(0, np.pi, n), rng.uniform(6, 13, n), rng.uniform(2.2, 5, n), 0, 0.16)
        a = rng.uniform(5.5, 11, n)
        return cells(x, y, rng.uniform(0, np.pi, n), a, a * rng.uniform(0.8, 1, n), 0, 0.04)

    @cached_property
    def epithelium(self) -> Cells:
        """Epithelial nuclei with, among them, the mitotic figures."""
        scene, rng = self.scene, self.rng(44)
        found = wall_nuclei(scene, self.bring, self.glands, rng)
        lumen = self.look(self.survey.lumen, found.x, found.y)
        keep = self.seen(found.x, found.y) & (lumen < 1) & self._alive(found.x, found.y)
        found = found.only(keep)
        size = 2 * np.sqrt(scene.nuclear_area_um2 / np.pi)
        if self.glands.solid.any():
            packed = (0, 1.28, 1.36, 1.38)[scene.diagnosis] * (1 - 0.06 * (scene.nuclear_area_um2 > 60))
            u, v = lattice(rng, size * packed, REACH_UM, 0.34)
            turn = rng.uniform(0, np.pi, len(u))
            stretch = rng.normal(0, 1, len(u))
            inside = self.seen(u, v, 60)
            x, y = self.warp.back(u[inside], v[inside])
            solid = self.look(self.survey.solid, x, y)
            keep = self.seen(x, y) & (solid > 0.42 * size) & self._alive(x, y) & self._outside_holes(x, y, 0.35 * size)
            long = np.exp(np.abs(0.14 + (0.1 + 0.25 * scene.nuclear_variation) * stretch[inside][keep]))
            turn = turn[inside][keep]
            if scene.diagnosis == 1:  # streaming: neighbours lie alike
                turn = 1.5 * noise(torch.from_numpy(x[keep] / 40), torch.from_numpy(y[keep] / 40)).numpy()
                long = long * 1.2
            root = np.sqrt(long)
            found = joined(found, cells(x[keep], y[keep], turn, root, 1 / root, EPITHELIAL))
        found = sized(scene, found, rng)
        found.x, found.y = apart(found.x, found.y, np.minimum(found.b * 1.2, np.sqrt(found.a * found.b) * 1.04))
        return self._divide(found, rng)

    def _alive(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if not self.scene.necrotic:
            return np.ones(len(x), bool)
        return self.look(self.dead_depth, x, y) < self.necrosis_um - 1

    def _outside_holes(self, x: np.ndarray, y: np.ndarray, margin: float) -> np.ndarray:
        if not len(self.holes) or not len(x):
            return np.ones(len(x), bool)
        from scipy.spatial import cKDTree

        near, which = cKDTree(np.stack([self.holes.x, self.holes.y], 1)).query(np.stack([x, y], 1))
        h = self.holes
        dx, dy = x - h.x[which], y - h.y[which]
        u, v = dx * h.c[which] + dy * h.s[which], dy * h.c[which] - dx * h.s[which]
        return np.hypot(u / (h.a[which] + margin), v / (h.b[which] + margin)) > 1

    def _divide(self, found: Cells, rng: np.random.Generator) -> Cells:
        """As many cells as the scene says are dividing: those nearest to their lumens or nest middles, well apart."""
        scene, edge = self.scene, self.scene.field_um / 2 - 12
        if not scene.mitoses:
            return found
        order = rng.permutation(len(found))
        x, y = found.x[order], found.y[order]
        inner = (np.abs(x) < edge) & (np.abs(y) < edge)
        spots = list(zip(x[inner].tolist(), y[inner].tolist(), strict=True))
        k = np.arange(-edge, edge, APART_UM * 1.1).tolist()
        spots += [(a, b) for a in k for b in k]  # in a field with few epithelial cells stromal ones divide too
        chosen: list[tuple[float, float]] = []
        for a, b in spots:
            if len(chosen) == scene.mitoses:
                break
            if all((a - p) ** 2 + (b - q) ** 2 > APART_UM**2 for p, q in chosen):
                chosen.append((a, b))
        mx, my = np.array(chosen).T
        r = 0.62 * np.sqrt(scene.nuclear_area_um2 / np.pi) + 2.3
        near = ((found.x[:, None] - mx) ** 2 + (found.y[:, None] - my) ** 2).min(1) < (1.75 * r) ** 2
        turn, stage = rng.uniform(0, np.pi, len(mx)), rng.random(len(mx))
        b = np.where(stage < 0.6, 0.38, 0.78) * r  # a plate seen from the side, or two sets of chromosomes
        dividing = cells(mx, my, turn, np.full(len(mx), r), b, MITOSIS, 0.10, 1.9)
        dividing.vesicular = np.where(stage < 0.6, 0.0, 1.0)
        return joined(found.only(~near), dividing)

    @cached_property
    def lining(self) -> Cells:
        """Myoepithelial cells of the breast, where the basement membrane is whole."""
        if self.scene.organ or self.scene.diagnosis == 3:
            return NOTHING
        found = myoepithelial(self.scene, self.bring, self.glands, self.rng(45))
        return found.only(self.seen(found.x, found.y))

    @cached_property
    def mucin(self) -> Cells:
        """Goblet cells' droplets."""
        if not self.scene.organ:
            return NOTHING
        found = goblets(self.scene, self.bring, self.glands, self.rng(46))
        lumen = self.look(self.survey.lumen, found.x, found.y)
        return found.only(self.seen(found.x, found.y) & (lumen < -1) & self._alive(found.x, found.y))


@lru_cache(maxsize=16)
def slide_of(scene: HistologyScene) -> Slide:
    """The slide of a scene; the last few are kept, since a picture is often followed by its masks."""
    return Slide(scene)
