"""Where glands, ducts, crypts and tumour nests lie: capsules in a bent plane.

A smooth warp bends the plane, so that simple outlines come out irregular, each in its own way. The layout belongs to
the patient; the field of view is a window on it around (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.histology_scene import HistologyScene

if TYPE_CHECKING:
    from jaxtyping import Float

REACH_UM = 640.0  # the layout ends this far from the middle, beyond the largest field


class Warp:
    """u = x + w(x): eight plane waves, in µm."""

    def __init__(self, rng: np.random.Generator, strength: float):
        length = np.array([420, 260, 170, 110, 420, 260, 170, 110]) * rng.uniform(0.8, 1.25, 8)
        turn = rng.uniform(0, 2 * np.pi, 8)
        self.kx, self.ky = 2 * np.pi / length * np.cos(turn), 2 * np.pi / length * np.sin(turn)
        self.phase, self.size = rng.uniform(0, 2 * np.pi, 8), strength * 0.032 * length * rng.uniform(0.7, 1.3, 8)

    def shift(self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """w(x) at points."""
        angle = np.stack([x, y], 1) @ np.stack([self.kx, self.ky]) + self.phase  # (n, 8)
        wave = np.sin(angle.astype(np.float32)) * self.size
        return wave[:, :4].sum(1), wave[:, 4:].sum(1)

    def back(self, u: Float[np.ndarray, " n"], v: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """The points that the warp brings to (u, v), by fixed-point iteration."""
        x, y = u, v
        for _ in range(4):
            wx, wy = self.shift(x, y)
            x, y = u - wx, v - wy
        return x, y


@dataclass
class Glands:
    """Arrays, one entry per gland, in the bent plane's µm.

    Attributes:
        x, y: centre. c, s: direction of the axis. half: half its length. r: radius outside.
        t: thickness of the epithelium; as thick as the radius where a duct is filled.
        star: how much the lumen's edge is folded, as a share of its radius; folds: how often.
        layers: rows of nuclei in the wall. solid: filled with cells.
    """

    x: np.ndarray
    y: np.ndarray
    c: np.ndarray
    s: np.ndarray
    half: np.ndarray
    r: np.ndarray
    t: np.ndarray
    star: np.ndarray
    folds: np.ndarray
    layers: np.ndarray
    solid: np.ndarray

    def only(self, keep: np.ndarray) -> Glands:
        """Those that a mask or an index keeps."""
        return Glands(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.x)


def lay(scene: HistologyScene) -> tuple[Warp, Glands, Float[np.ndarray, "k 3"]]:
    """The warp, the glands, and the lobules (x, y, radius) whose stroma is loose."""
    rng = rng_of(scene.patient, 41, scene.organ, scene.diagnosis)
    rough = (0.8, 0.95, 0.95, 1.1)[scene.diagnosis]
    warp = Warp(rng, rough * (0.6 if scene.organ and scene.diagnosis < 2 else 1.0))
    lobules = np.zeros((0, 3))
    if scene.organ:
        glands = (_crypts, _serrated, _dysplastic, _colon_cancer)[scene.diagnosis](scene, rng)
    elif scene.diagnosis == 3:
        glands = _breast_cancer(scene, rng)
    elif scene.diagnosis == 2:
        glands = _filled_ducts(scene, rng, 60, 130, 1.0)
    else:
        glands, lobules = _lobules(scene, rng)
    return warp, glands, lobules


def _make(rng, x, y, r, t, half=0.0, turn=None, star=0.0, folds=5, layers=1, solid=False) -> Glands:
    n = len(x)
    turn = rng.uniform(0, np.pi, n) if turn is None else np.broadcast_to(turn, n)
    wide = [np.broadcast_to(v, n).copy() for v in (half, r, t, star, folds, layers, solid)]
    return Glands(np.asarray(x), np.asarray(y), np.cos(turn), np.sin(turn), *wide)


def _joined(*parts: Glands) -> Glands:
    return Glands(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Glands)})


def lattice(rng: np.random.Generator, spacing: float, reach: float, jitter: float) -> tuple[np.ndarray, np.ndarray]:
    """A hexagonal lattice of points around (0, 0), each moved by up to `jitter` spacings; one is near the middle."""
    k = int(reach / spacing / 0.87) + 1
    i, j = np.meshgrid(np.arange(-k, k + 1), np.arange(-k, k + 1))
    x, y = spacing * (i + 0.5 * (j % 2)).ravel(), spacing * 0.87 * j.ravel()
    x = x + spacing * rng.uniform(-jitter, jitter, x.shape)
    y = y + spacing * rng.uniform(-jitter, jitter, y.shape)
    keep = (np.abs(x) < reach) & (np.abs(y) < reach)
    return x[keep], y[keep]


def apart(x: np.ndarray, y: np.ndarray, radius: np.ndarray, rounds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The points pushed from each other until their circles hardly overlap."""
    from scipy.spatial import cKDTree

    if len(x) < 2:
        return x, y
    at = np.stack([x, y], 1)
    for _ in range(rounds):
        i, j = cKDTree(at).query_pairs(2.0 * float(np.quantile(radius, 0.9)), output_type="ndarray").T
        gap = at[i] - at[j]
        far = np.maximum(np.hypot(*gap.T), 0.3)
        push = (0.27 * np.maximum(radius[i] + radius[j] - far, 0) / far)[:, None] * gap
        for k in range(2):
            at[:, k] += np.bincount(i, push[:, k], len(at)) - np.bincount(j, push[:, k], len(at))
    return at[:, 0], at[:, 1]


def _lobules(scene: HistologyScene, rng: np.random.Generator) -> tuple[Glands, np.ndarray]:
    """Terminal duct lobular units with their acini, and a duct; crowded or with filled ducts where it is benign."""
    benign = scene.diagnosis == 1
    adenosis = benign and rng.random() < 0.45
    away = rng.uniform(0, 2 * np.pi)
    middle = rng.uniform(-35, 35, 2)
    far = middle + rng.uniform(430, 520) * np.array([np.cos(away), np.sin(away)])
    radius = (rng.uniform(190, 260) if adenosis else rng.uniform(85, 140), rng.uniform(90, 140))
    lobules = np.array([[*middle, radius[0]], [*far, radius[1]]])
    parts = []
    for x0, y0, wide in lobules:
        if benign and not adenosis and wide == radius[0]:
            continue
        spacing = 45.0 if adenosis else 54.0
        x, y = lattice(rng, spacing, wide, 0.2)
        keep = np.hypot(x, y) < wide - 16
        x, y = x[keep] + x0, y[keep] + y0
        r, half = rng.uniform(17, 22, len(x)), rng.uniform(0, 13, len(x))
        x, y = apart(x, y, r + 0.55 * half + 2, 5)
        parts.append(_make(rng, x, y, r, r - rng.uniform(3, 8, len(x)), half, star=0.25, folds=3))
    if benign and not adenosis:
        parts.append(_filled_ducts(scene, rng, 55, 95, 1.25))
        return _joined(*parts), np.zeros((0, 3))
    angle = away + rng.uniform(1.6, 4.6)
    at = middle + (radius[0] + rng.uniform(85, 110)) * np.array([np.cos(angle), np.sin(angle)])
    r = rng.uniform(32, 46)
    parts.append(_make(rng, at[:1], at[1:], r, 14.0, rng.uniform(20, 90), angle + 1.4, star=0.3, folds=4))
    return _joined(*parts), lobules


def _filled_ducts(scene: HistologyScene, rng: np.random.Generator, low: float, high: float, gap: float) -> Glands:
    """Ducts wider than they should be, full of cells; the first one in the middle of the field."""
    x, y, r = [rng.uniform(-30, 30)], [rng.uniform(-30, 30)], [rng.uniform(0.6 * low + 0.4 * high, high)]
    for _ in range(60):
        a, b, c = rng.uniform(-REACH_UM, REACH_UM), rng.uniform(-REACH_UM, REACH_UM), rng.uniform(low * 0.6, high)
        if all(np.hypot(a - p, b - q) > gap * (c + o) + 34 for p, q, o in zip(x, y, r, strict=True)):
            x, y, r = [*x, a], [*y, b], [*r, c]
    r = np.array(r)
    half = np.where(rng.random(len(r)) < 0.35, r * rng.uniform(0.2, 0.9, len(r)), 0.0)
    return _make(rng, np.array(x), np.array(y), r, r * 2, half, solid=True)


def _crypts(scene: HistologyScene, rng: np.random.Generator) -> Glands:
    """Crypts cut across; in a third of the patients lengthwise, like test tubes in a rack."""
    if rng.random() < 0.35:
        turn, long = rng.uniform(0, np.pi), 280.0
        i, j = (m.ravel().astype(float) for m in np.meshgrid(np.arange(-9, 10), np.arange(-10, 11)))
        along, across = long * i + rng.normal(0, 14, i.shape), 89 * j + rng.normal(0, 3, i.shape)
        x, y = along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)
        near = (np.abs(x) < REACH_UM) & (np.abs(y) < REACH_UM)
        n = int(near.sum())
        r, half = rng.uniform(32, 37, n), rng.uniform(84, 102, n)
        return _make(rng, x[near], y[near], r, r - rng.uniform(4, 8, n), half, turn + rng.normal(0, 0.04, n), 0.25, 4)
    x, y = lattice(rng, 96, REACH_UM, 0.08)
    r = rng.uniform(34, 40, len(x))
    return _make(rng, x, y, r, r - rng.uniform(4, 9, len(x)), rng.uniform(0, 12, len(x)), rng.uniform(0, 3), 0.25, 4)


def _serrated(scene: HistologyScene, rng: np.random.Generator) -> Glands:
    x, y = lattice(rng, 128, REACH_UM, 0.1)
    n = len(x)
    r, fold = rng.uniform(46, 56, n), rng.integers(5, 8, n)
    half = rng.uniform(0, 22, n)
    return _make(rng, x, y, r, r - rng.uniform(11, 17, n), half, None, rng.uniform(0.4, 0.6, n), fold)


def _dysplastic(scene: HistologyScene, rng: np.random.Generator) -> Glands:
    """Crowded glands with stratified nuclei, some filled so that new lumens arise inside (gland in gland)."""
    x, y = lattice(rng, 122, REACH_UM, 0.12)
    n = len(x)
    r, half = rng.uniform(44, 60, n), rng.uniform(0, 22, n)
    x, y = apart(x, y, r + 0.5 * half + 3, 4)
    filled = rng.random(n) < 0.45 * (1 - scene.gland_formation)
    filled[np.argmin(np.hypot(x, y))] |= scene.necrotic > 0
    t = np.where(filled, 2 * r, rng.uniform(29, 35, n))
    return _make(rng, x, y, r, t, half, rng.uniform(0, 3) + rng.normal(0, 0.4, n), 0.25, 4, 3, filled)


def _colon_cancer(scene: HistologyScene, rng: np.random.Generator) -> Glands:
    """Angular glands of any size, partly fused and sieve-like, among desmoplastic stroma."""
    formed = scene.gland_formation
    spacing = 70 + 75 * formed
    x, y = lattice(rng, spacing, REACH_UM, 0.22)
    keep = (rng.random(len(x)) < 0.8) | (np.hypot(x, y) < 0.6 * spacing)
    x, y = x[keep], y[keep]
    n = len(x)
    r = spacing * rng.uniform(0.24, 0.42, n)
    open_ = rng.random(n) < formed
    t = np.where(open_, np.minimum(rng.uniform(21, 28, n), r * 0.8), 2 * r)
    half = spacing * rng.uniform(0, 0.28, n)
    return _make(rng, x, y, r, t, half, None, np.where(open_, 0.35, 0), rng.integers(3, 6, n), 2, ~open_)


def _breast_cancer(scene: HistologyScene, rng: np.random.Generator) -> Glands:
    """Tubules, nests, cords and, where no lumen is formed, sheets."""
    formed = scene.gland_formation
    sheets = 1.0 if formed < 0.15 else 0.0
    spacing = 62 + 26 * formed
    x, y = lattice(rng, spacing, REACH_UM, 0.26)
    keep = (rng.random(len(x)) < 0.78) | (np.hypot(x, y) < 0.7 * spacing)
    x, y = x[keep], y[keep]
    n = len(x)
    tubule = rng.random(n) < formed
    cord = ~tubule & (rng.random(n) < 0.45 * (1 - sheets))
    r = np.where(tubule, rng.uniform(17, 26, n), np.where(cord, rng.uniform(7, 10, n), rng.uniform(15, 32, n)))
    r = r + 12 * sheets
    half = np.where(tubule, rng.uniform(0, 24, n), np.where(cord, rng.uniform(18, 50, n), rng.uniform(0, 22, n)))
    turn = rng.uniform(0, 3) + 1.2 * np.sin(x / 170) + 0.9 * np.cos(y / 140) + rng.normal(0, 0.35, n)
    t = np.where(tubule, rng.uniform(12, 15, n), 2 * r)
    return _make(rng, x, y, r, t, half, turn, np.where(tubule, 0.35, 0), 3, 1, ~tubule)
