"""Cells one by one: where each nucleus lies, how large, how long, how dark it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from medvlm_lab.phantoms.histology_scene import HistologyScene
from medvlm_lab.phantoms.tissue_layout import Glands

EPITHELIAL, SPINDLE, LYMPHOCYTE, MYOEPITHELIAL, MITOSIS, DEBRIS, INFILTRATE = range(7)


@dataclass
class Cells:
    """Ellipses, one entry each: middle in µm, direction of the long axis, half axes in µm, unevenness, stain, kind.

    vesicular: 1 for a pale nucleus with a dark membrane and a nucleolus, 0 for an evenly dark one.
    """

    x: np.ndarray
    y: np.ndarray
    c: np.ndarray
    s: np.ndarray
    a: np.ndarray
    b: np.ndarray
    irregular: np.ndarray
    dark: np.ndarray
    vesicular: np.ndarray
    kind: np.ndarray

    def only(self, keep: np.ndarray) -> Cells:
        """Those that a mask or an index keeps."""
        return Cells(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def of(self, *kinds: int) -> Cells:
        """Those of some kinds."""
        return self.only(np.isin(self.kind, kinds))

    def __len__(self) -> int:
        return len(self.x)


def cells(x, y, turn, a, b, kind: int, irregular=0.0, dark=1.0, vesicular=0.0) -> Cells:
    """Cells out of arrays and common numbers."""
    n = len(x)
    wide = [np.broadcast_to(np.asarray(k, float), n).copy() for k in (a, b, irregular, dark, vesicular)]
    turn = np.broadcast_to(turn, n)
    return Cells(np.asarray(x), np.asarray(y), np.cos(turn), np.sin(turn), *wide, np.full(n, kind))


def joined(*parts: Cells) -> Cells:
    """All of them."""
    return Cells(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Cells)})


def around(glands: Glands, depth: np.ndarray, pitch: np.ndarray, rng: np.random.Generator, jitter: float):
    """Points along the walls: (gland, u, v, direction inwards) at `depth` under the outside, every `pitch` µm."""
    rho = np.maximum(glands.r - depth, 2.0)
    length = 4 * glands.half + 2 * np.pi * rho
    count = np.maximum((length / pitch).astype(int), 4)
    g = np.repeat(np.arange(len(glands)), count)
    number = np.arange(len(g)) - np.repeat(np.cumsum(count) - count, count)
    at = (number + 0.5 + rng.uniform(-jitter, jitter, len(g))) / count[g] * length[g]
    h, r = glands.half[g], rho[g] + rng.normal(0, 0.6, len(g))
    arc = np.pi * rho[g]
    first, second = at < 2 * h + arc, at >= 4 * h + arc
    straight = np.where(first, at, at - 2 * h - arc) < 2 * h
    phi = np.where(first, np.pi / 2 - (at - 2 * h) / rho[g], -np.pi / 2 - (at - 4 * h - arc) / rho[g])
    up = np.where(first, 1.0, -1.0)
    phi = np.where(straight, up * np.pi / 2, phi)
    shift = np.where(straight, np.where(first, at - h, 3 * h + arc - at), np.where(first & ~second, h, -h))
    along, across = shift + r * np.cos(phi), r * np.sin(phi)
    c, s = glands.c[g], glands.s[g]
    u, v = glands.x[g] + along * c - across * s, glands.y[g] + along * s + across * c
    return g, u, v, phi + np.arctan2(s, c) + np.pi


def wall_nuclei(scene: HistologyScene, bring: Callable, glands: Glands, rng: np.random.Generator) -> Cells:
    """Nuclei of the walls: ordered, elongated, at the base; in several rows where they are stratified."""
    open_ = glands.only(~glands.solid)
    parts = []
    colon = scene.organ == 1
    aspect = (1.7, 1.6, 2.5, 1.8)[scene.diagnosis] if colon else (1.35, 1.35, 1.4, 1.35)[scene.diagnosis]
    b = np.sqrt(scene.nuclear_area_um2 / np.pi / aspect)
    disorder = 0.08 + 0.25 * (scene.diagnosis >= 2)
    for row in range(int(open_.layers.max(initial=0))):
        some = open_.only(open_.layers > row)
        base = b * aspect * 1.05 + (0.8 if colon else 3.0)
        depth = np.minimum(base + row * b * aspect * 1.15, 0.85 * some.t)
        _, u, v, turn = around(some, depth, 2.45 * b, rng, 0.2 + disorder)
        turn = turn + rng.normal(0, disorder, len(u))
        x, y, turn, long = bring(u, v, turn, aspect * np.exp(rng.normal(0, 0.12, len(u))))
        parts.append(cells(x, y, turn, np.sqrt(long), 1 / np.sqrt(long), EPITHELIAL))
    return joined(*parts) if parts else NOTHING


def myoepithelial(scene: HistologyScene, bring: Callable, glands: Glands, rng: np.random.Generator) -> Cells:
    """The flat dark outer row of breast ducts and lobules; lost in invasive carcinoma."""
    _, u, v, turn = around(glands, np.full(len(glands), 1.6), np.full(len(glands), 11.0), rng, 0.35)
    x, y, turn, long, thin = bring(u, v, turn, rng.uniform(3.2, 5.0, len(u)), rng.uniform(1.2, 1.8, len(u)))
    return cells(x, y, turn + np.pi / 2, long, thin, MYOEPITHELIAL, 0.05, 1.05)


def goblets(scene: HistologyScene, bring: Callable, glands: Glands, rng: np.random.Generator) -> Cells:
    """Mucin droplets between the nuclei and the lumen of colonic crypts."""
    amount = scene.goblet * (1.25, 1.35, 0.12, 0.10)[scene.diagnosis]
    open_ = glands.only(~glands.solid)
    _, u, v, turn = around(open_, np.clip(open_.t * 0.62, 8, 19), np.full(len(open_), 9.5), rng, 0.25)
    keep = rng.random(len(u)) < amount * 1.25
    n = int(keep.sum())
    x, y, turn, size, dark = bring(u[keep], v[keep], turn[keep], rng.uniform(0.8, 1.2, n), rng.uniform(0.5, 1, n))
    return cells(x, y, turn, 7.6 * size, 4.9 * size, 0, 0.06, dark)


def sized(scene: HistologyScene, found: Cells, rng: np.random.Generator) -> Cells:
    """Epithelial nuclei given their size and darkness: mean and spread of the areas are exactly the scene's."""
    n = len(found)
    if n < 2:
        return found
    spread = scene.nuclear_variation
    z = np.exp(min(spread, 0.5) * rng.standard_normal(n))
    z = (z - z.mean()) / z.std()
    area = scene.nuclear_area_um2 * np.maximum(1 + spread * z, 0.22)
    area *= scene.nuclear_area_um2 / area.mean()
    found.a, found.b = found.a * np.sqrt(area / np.pi), found.b * np.sqrt(area / np.pi)
    found.irregular = 0.02 + np.abs(rng.normal(0, 0.1 * spread, n))
    found.dark = scene.nuclear_stain * np.exp(rng.normal(0, 0.06 + 0.35 * spread, n))
    found.vesicular = np.clip(rng.normal(0.25 + 0.9 * (spread - 0.1), 0.3, n), 0, 1)
    return found


NOTHING = cells(np.zeros(0), np.zeros(0), 0.0, 1.0, 1.0, EPITHELIAL)
