"""Pulmonary vessels grown from the hila by Murray's law, and the airway: mm of water, mm of air."""

from __future__ import annotations

import math

import numpy as np

from medvlm_lab.phantoms.splat import Plate
from medvlm_lab.phantoms.thorax_shape import H_MM, R_MM, value_at

SMALLEST_MM = 0.42
#: (direction in radians from straight down towards the side, radius in mm): the bases get the widest vessels
BRANCHES = ((0.12, 2.7), (0.62, 3.4), (1.0, 3.2), (1.35, 2.7), (1.75, 2.5), (2.2, 2.7), (2.6, 2.5), (2.9, 2.0))


def hilum_mm(side: int) -> tuple[float, float]:
    """Where the vessels enter: the left hilum lies higher."""
    return side * 31.0, (0.475 if side < 0 else 0.435) * H_MM


def vessels(variant: int, rows: int) -> np.ndarray:
    """Arteries and veins of both lungs, mm of blood."""
    rng = np.random.default_rng((103, variant))
    plate = Plate(rows)
    for side in (-1, 1):
        x, y = hilum_mm(side)
        # the descending artery, the widest vessel that air surrounds
        trunk = np.array([x, y]) + np.array([(-6, -10), (2, -2), (9, 16), (12, 42)]) * (side, 1)
        fine = np.linspace(0, 3, 24)
        smooth = np.column_stack([np.interp(fine, range(4), trunk[:, k]) for k in (0, 1)])
        _draw(plate, smooth, np.interp(fine, range(4), (5.0, 6.2, 5.6, 4.4)))
        _grow(plate, rng, side, trunk[-1], 0.35, 3.6, 0)
        _grow(plate, rng, side, trunk[-1], -0.1, 3.0, 0)
        for angle, radius in BRANCHES:
            start = np.array([x + side * rng.uniform(0, 9), y + rng.uniform(-13, 13) - 12 * (angle > 2)])
            _grow(plate, rng, side, start, angle + rng.normal(0, 0.10), radius * rng.uniform(0.85, 1.12), 0)
        for _ in range(5):  # veins, crossing the arteries on their way to the left atrium
            start = np.array([x - side * 8, y + rng.uniform(6, 26)])
            _grow(plate, rng, side, start, rng.uniform(0.5, 2.3), rng.uniform(1.7, 2.5), 1)
        for _ in range(4):  # seen end-on: dots beside the hilum
            spot = np.array([x + side * rng.uniform(4, 26), y + rng.normal(0, 20)])
            _draw(plate, np.stack([spot, spot + 1.0]), np.full(2, rng.uniform(1.2, 2.0)), depth=3)
    return plate.picture(0.35)


def _inside(side: int, x: float, y: float) -> bool:
    a, b = side * x / R_MM, y / H_MM
    if not (a > 0.10 and 0.015 < b < 1.30):
        return False
    return value_at("apex", b) < a < value_at("costal", b) - 0.025


def _grow(
    plate: Plate, rng: np.random.Generator, side: int, start: np.ndarray, angle: float, radius: float, level: int
) -> None:
    """A branch that wanders, narrows and divides until it is too thin to see or reaches the pleura."""
    x, y = map(float, start)
    points, radii = [(x, y)], [radius]
    step, turn = 4.0, rng.normal(0, 0.02)
    since = rng.uniform(2, 5)
    while radius > SMALLEST_MM:
        angle += turn + 0.075 * rng.standard_normal()
        x, y = x + step * side * math.sin(angle), y + step * math.cos(angle)
        if len(points) > 3 and not _inside(side, x, y):
            break
        radius *= 0.975
        since -= 1
        points.append((x, y))
        radii.append(radius)
        if since <= 0 and level < 5:
            # Murray (1926): the cubes of the daughters' radii add up to the mother's
            share, hand = rng.uniform(0.18, 0.5), 1 if rng.random() < 0.5 else -1
            child = radius * share ** (1 / 3)
            _grow(plate, rng, side, np.array((x, y)), angle + hand * rng.uniform(0.4, 0.95), child, level + 1)
            radius *= (1 - share) ** (1 / 3)
            angle -= hand * 0.12
            since = rng.uniform(2.0, 5.0)
    if len(points) > 1:
        _draw(plate, np.array(points), np.array(radii))


def _draw(plate: Plate, xy: np.ndarray, radius: np.ndarray, depth: float = 0.0) -> None:
    z = np.linspace(0, depth, len(xy))
    plate.tube(np.column_stack([xy, z]), radius)


def airway(rows: int) -> np.ndarray:
    """Trachea, carina and main bronchi, mm of air."""
    plate = Plate(rows)
    t = np.linspace(0, 1, 60)
    trachea = np.column_stack([1.5 * np.sin(2 * t) - 2.5 * t, (-0.62 + 0.98 * t) * H_MM, 0 * t])
    plate.tube(trachea, 8.6)
    for side, reach, fall in ((-1, 30.0, 34.0), (1, 42.0, 30.0)):
        bronchus = np.column_stack([-1.0 + side * reach * t, 0.345 * H_MM + fall * t**1.15, 0 * t])
        plate.tube(bronchus, 6.6 - 2.0 * t)
    return plate.picture(0.7)
