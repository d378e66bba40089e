"""Projection of tubes onto a grid: every point of a body leaves its share of thickness where its ray falls."""

from __future__ import annotations

import numpy as np

from medvlm_lab.phantoms.thorax_shape import A_RANGE, B_RANGE, H_MM, R_MM

WIDTH_MM = (A_RANGE[1] - A_RANGE[0]) * R_MM
HEIGHT_MM = (B_RANGE[1] - B_RANGE[0]) * H_MM


class Plate:
    """A film of `rows` x `columns` cells over the canonical chest, gathering millimetres of bone or water."""

    def __init__(self, rows: int):
        self.mm = HEIGHT_MM / rows
        self.rows, self.columns = rows, round(WIDTH_MM / self.mm)
        self.points: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, x_mm: np.ndarray, y_mm: np.ndarray, volume_mm3: np.ndarray) -> None:
        """Adds volumes at points; `picture` shares each between its four nearest cells."""
        column = (x_mm - A_RANGE[0] * R_MM) / self.mm - 0.5
        row = (y_mm - B_RANGE[0] * H_MM) / self.mm - 0.5
        inside = (column >= 0) & (column < self.columns - 1) & (row >= 0) & (row < self.rows - 1)
        self.points.append((row[inside], column[inside], volume_mm3[inside] / self.mm**2))

    def tube(
        self, points: np.ndarray, radius: np.ndarray | float, *, flat: np.ndarray | float = 1.0, shell: float = 0.0,
        marrow: float = 1.0,
    ) -> None:
        """Adds a tube along `points` (n, 3) mm: x, y in the picture, z along the ray.

        radius: half its height in the picture; `flat` times that is half its depth. shell: share of the radius that is
        dense; the rest counts `marrow` times.
        """
        step = 0.6 * self.mm
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        count = max(2, int(length[-1] / step))
        at = np.linspace(0, length[-1], count)
        x, y, z = (np.interp(at, length, points[:, k]) for k in range(3))
        r = np.interp(at, length, np.broadcast_to(radius, len(points)))
        depth = np.interp(at, length, np.broadcast_to(flat, len(points)))
        dx, dy = np.gradient(x), np.gradient(y)
        planar = np.maximum(np.hypot(dx, dy), 1e-9)
        across = max(5, int(2.2 * r.max() / step)) | 1
        t = np.linspace(-1, 1, across)
        # where the tube runs along the ray there is no direction across it in the picture: keep it upright there
        nx, ny = -dy / planar, dx / planar
        chord = np.sqrt(np.maximum(1 - t**2, 0))
        if shell:
            inner = np.sqrt(np.maximum((1 - shell) ** 2 - t**2, 0))
            chord = chord - (1 - marrow) * inner
        size = (length[-1] / count) * (r[:, None] * 2 / across) * 2 * (depth * r)[:, None] * chord
        self.add(
            (x[:, None] + nx[:, None] * r[:, None] * t).ravel(), (y[:, None] + ny[:, None] * r[:, None] * t).ravel(),
            size.ravel(),
        )

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y in mm of every cell, (rows, 1) and (1, columns) apart."""
        x = A_RANGE[0] * R_MM + (np.arange(self.columns) + 0.5) * self.mm
        y = B_RANGE[0] * H_MM + (np.arange(self.rows) + 0.5) * self.mm
        return x[None], y[:, None]

    def picture(self, blur_mm: float = 0.0) -> np.ndarray:
        """Thickness in mm, (rows, columns) float32."""
        row, column, weight = (np.concatenate(part) for part in zip(*self.points, strict=True))
        i, j = row.astype(np.int64), column.astype(np.int64)
        u, v = row - i, column - j
        first, film = i * self.columns + j, np.zeros(self.rows * self.columns)
        for shift, share in (
            (0, (1 - u) * (1 - v)), (1, (1 - u) * v), (self.columns, u * (1 - v)), (self.columns + 1, u * v),
        ):
            film += np.bincount(first + shift, weight * share, film.size)
        film = film.reshape(self.rows, self.columns)
        if blur_mm:
            from scipy.ndimage import gaussian_filter

            film = gaussian_filter(film, blur_mm / self.mm)
        return film.astype(np.float32)
