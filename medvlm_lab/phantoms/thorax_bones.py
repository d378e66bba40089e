"""Ribs, spine and shoulder girdle of the standard patient, projected from three-dimensional curves."""

from __future__ import annotations

import numpy as np

from medvlm_lab.phantoms.splat import Plate
from medvlm_lab.phantoms.thorax_shape import H_MM, R_MM, curve_np

RIBS = 12
DROP = (0.42, 0.54)  # fall from the spine to the front, in lung heights


def rib_heights(rng: np.random.Generator) -> np.ndarray:
    """b at which each rib leaves the spine; the spaces widen downwards."""
    spacing = np.linspace(0.080, 0.118, RIBS - 1) * rng.uniform(0.96, 1.05)
    return rng.uniform(0.015, 0.045) + np.concatenate([[0.0], np.cumsum(spacing)])


def rib(number: int, start: float, side: int, drop: float, theta: np.ndarray) -> np.ndarray:
    """Points (n, 3) mm of one rib: `theta` 0 at the spine, pi/2 at the side, pi in front."""
    fall = drop * (0.55 + 0.45 * min(number, 7) / 7)
    b = start - 0.028 * np.sin(2 * np.minimum(theta, np.pi / 2)) + fall * (theta / np.pi) ** 1.5
    lateral = curve_np("costal", np.array(start + fall * 0.33))
    # the shaft lies outside the lung: its inner face is the costal margin
    reach = lateral * R_MM + 1.5
    x0 = 14.0
    rounding = np.sin(theta) ** 0.82
    x = np.where(theta < np.pi / 2, x0 + (reach - x0) * rounding, reach * np.sin(theta) ** 0.9)
    z = -np.cos(theta) * R_MM * 0.62 * (0.45 + 0.55 * lateral)
    return np.stack([side * x, b * H_MM, z], 1)


def rib_point(variant: int, number: int, side: int, theta: float) -> tuple[float, float]:
    """(a, b) of a point on a rib of that pattern: `number` counts from 1, `side` is -1 for the right."""
    rng = np.random.default_rng((101, variant))
    heights, drop = rib_heights(rng), rng.uniform(*DROP)
    x, y, _ = rib(number - 1, heights[number - 1], side, drop, np.array([theta]))[0]
    return x / R_MM, y / H_MM


def bones(variant: int, rows: int) -> np.ndarray:
    """Ribs and spine, mm of bone."""
    rng = np.random.default_rng((101, variant))
    plate = Plate(rows)
    heights, drop = rib_heights(rng), rng.uniform(*DROP)
    for number, start in enumerate(heights):
        end = (0.70, 0.76, 0.80, 0.83, 0.84, 0.84, 0.83, 0.80, 0.76, 0.70, 0.50, 0.36)[number] * np.pi
        for side in (-1, 1):
            theta = np.linspace(0.04, end, 240)
            points = rib(number, start + rng.normal(0, 0.002), side, drop, theta)
            height = (6.2 if number else 8.0) * (0.80 + 0.20 * np.sin(np.minimum(theta, 2.2))) * rng.uniform(0.95, 1.05)
            height = np.where(theta < 0.5, height * 0.85, height)
            taper = np.clip((end - theta) / 0.12, 0.35, 1)
            flat = np.interp(theta, [0, 1.4, 2.0, 3.1], [0.60, 0.55, 0.42, 0.36])  # cartilage is near in front
            plate.tube(points, height * taper, flat=1.2 * flat, shell=0.22, marrow=0.10)
    film = plate.picture(0.5)
    return film + spine(plate, heights, rng)


def spine(plate: Plate, heights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Vertebral bodies with end plates, pedicles, spinous and transverse processes, C4 to L2."""
    x, y = plate.grid()
    levels = np.concatenate([heights[0] - 0.078 * np.arange(6, 0, -1), heights, heights[-1] + 0.125 * np.arange(1, 5)])
    film = np.zeros((plate.rows, plate.columns))
    bend = rng.normal(0, 2.0) * np.sin((y / H_MM) * 2.2 + rng.uniform(0, 6))
    for level, below in zip(levels[:-1], levels[1:], strict=True):
        top, tall = level * H_MM, (below - level) * H_MM
        rows = np.flatnonzero((y[:, 0] > top - tall) & (y[:, 0] < top + 1.8 * tall))
        if not len(rows):
            continue
        v = (y[rows] - top - 0.5 * tall) / tall  # (r, 1); the body fills -0.42 to 0.42, the disc the rest
        u = x - bend[rows]
        half = 12.0 + 5.0 * np.clip(0.3 + 0.5 * level, 0, 1)
        waist = half * (0.90 + 0.10 * (v / 0.42) ** 2)
        side = np.clip((waist - np.abs(u)) / 3.0 + 0.3, 0, 1) * np.clip((0.46 - np.abs(v)) * tall / 2.4, 0, 1)
        plates = np.exp(-(((np.abs(v) - 0.41) * tall / 1.3) ** 2))
        rim = plates + 0.6 * np.exp(-(((waist - np.abs(u)) / 1.5 - 0.8) ** 2))
        round_body = np.sqrt(np.maximum(1 - (u / (waist + 2)) ** 2, 0))
        film[rows] += side * (3.6 * round_body + 1.8 * rim)
        pedicle = ((np.abs(u) - 0.66 * half) / 3.6) ** 2 + ((v + 0.10) * tall / 5.2) ** 2
        film[rows] += 2.4 * np.exp(-((pedicle - 0.7) ** 2) * 3)
        process = (u / 3.0) ** 2 + ((v - 0.42) * tall / 7.5) ** 2
        film[rows] += 3.2 * np.exp(-(process**2))
        arm = np.exp(-(((v + 0.12) * tall + 0.10 * (np.abs(u) - half)) / 4.4) ** 4)
        film[rows] += 2.8 * arm * np.clip((half + 13 - np.abs(u)) / 3, 0, 1) * np.clip((np.abs(u) - half + 3) / 3, 0, 1)
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(film, 0.9 / plate.mm)


def shoulders(variant: int, rows: int) -> np.ndarray:
    """Clavicles, scapulae and humeral heads, mm of bone."""
    rng = np.random.default_rng((102, variant))
    plate = Plate(rows)
    rise, out = rng.uniform(0.10, 0.22), rng.uniform(0.92, 1.08)
    film = np.zeros((plate.rows, plate.columns))
    for side in (-1, 1):
        t = np.linspace(0, 1, 160)
        a = 0.105 + (1.06 * out - 0.105) * t
        b = 0.185 - rise * t - 0.040 * np.sin(2 * np.pi * t) + rng.normal(0, 0.006)
        radius = (5.2 + 3.0 * np.exp(-((t / 0.09) ** 2)) + 1.2 * t**3) * np.sqrt(np.clip((1.002 - t) / 0.05, 0, 1))
        points = np.stack([side * a * R_MM, b * H_MM, np.zeros_like(t)], 1)
        plate.tube(points, radius, flat=0.9, shell=0.30, marrow=0.38)
        _scapula(plate, film, side, b[-1] * H_MM, a[-1] * R_MM, rng)
    return plate.picture(0.5) + film


def _scapula(
    plate: Plate, film: np.ndarray, side: int, top_mm: float, reach_mm: float, rng: np.random.Generator
) -> None:
    """Blade, spine, coracoid, glenoid and the humerus beside it."""
    shift = rng.uniform(-4, 10)

    def line(points: list[tuple[float, float]], radius, **kw) -> None:
        xy = np.array(points, float)
        t = np.linspace(0, 1, len(xy))
        fine = np.linspace(0, 1, 80)
        from scipy.interpolate import PchipInterpolator

        x, y = PchipInterpolator(t, xy[:, 0])(fine), PchipInterpolator(t, xy[:, 1])(fine)
        r = np.interp(fine, np.linspace(0, 1, np.size(radius)), np.ravel(radius))
        plate.tube(np.stack([side * (x + shift), y, 0 * x], 1), r, **kw)

    x0, y0 = reach_mm, top_mm  # the acromial end of the clavicle
    glenoid, tip, corner = (x0 - 4, y0 + 30), (x0 - 26, y0 + 118), (x0 - 42, y0 + 6)
    bone = {"flat": 0.8, "shell": 0.4, "marrow": 0.5}
    line([glenoid, (x0 - 13, y0 + 62), (x0 - 21, y0 + 98), tip], [6.0, 4.0, 3.4, 3.0], **bone)  # lateral border
    line([tip, (x0 - 40, y0 + 70), (x0 - 46, y0 + 34), corner], [1.8, 1.3, 1.3, 1.6], **bone)  # medial border
    line([corner, (x0 - 26, y0 + 8), (x0 - 10, y0 + 20), glenoid], [1.5, 1.7, 3.5, 5.0], **bone)
    line([(x0 - 44, y0 + 26), (x0 - 22, y0 + 14), (x0 + 4, y0 - 2), (x0 + 20, y0 + 4)], [2.0, 3.6, 5.0, 5.5], **bone)
    line([(x0 - 14, y0 + 22), (x0 - 20, y0 + 10), (x0 - 12, y0 + 8)], [5.0, 4.6, 3.6], **bone)  # coracoid
    x, y = plate.grid()
    u, v = side * x - shift, y
    from matplotlib.path import Path

    blade = Path([glenoid, (x0 - 13, y0 + 62), tip, (x0 - 40, y0 + 70), (x0 - 46, y0 + 34), corner, glenoid])
    box = np.stack(np.broadcast_arrays(u, v), -1)
    film += 1.5 * blade.contains_points(box.reshape(-1, 2)).reshape(film.shape)
    head = np.sqrt((u - x0 - 24) ** 2 + (v - y0 - 30) ** 2)
    film += 9.0 * np.sqrt(np.maximum(1 - (head / 24) ** 2, 0)) + 3.0 * np.exp(-(((head - 22.5) / 1.3) ** 2))
    angle = rng.uniform(0.05, 0.5)
    shaft = [(x0 + 26 + s * np.sin(angle), y0 + 40 + s * np.cos(angle)) for s in (0, 30, 70, 200)]
    line(shaft, [19, 14, 11, 11], flat=0.8, shell=0.22, marrow=0.18)
