"""The chest's outlines as curves over canonical height: shared by the bone and vessel patterns and the renderer.

Canonical coordinates: `a` runs from the spine (0) to the widest inner rib margin (patient's right -1, left +1); `b`
from the lung's apex (0) down to the right diaphragm's dome (1). The standard patient is 280 mm wide and 230 mm tall.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

R_MM, H_MM = 140.0, 230.0  # the standard patient's half width and lung height
A_RANGE, B_RANGE = (-1.62, 1.62), (-0.62, 1.78)  # what the patterns cover

_KNOTS = 1024
_LOW, _HIGH = -0.8, 2.2

#: (knots, values): right and left are the patient's
CURVES: dict[str, tuple[list[float], list[float]]] = {
    # inner margin of the ribs; the apex is rounded by `apex`, which keeps the lung's tip off the spine
    "costal": (
        [-0.8, -0.02, 0.0, 0.03, 0.08, 0.15, 0.25, 0.4, 0.6, 0.8, 0.95, 1.1, 1.3, 1.6, 2.2],
        [0.30, 0.36, 0.47, 0.575, 0.665, 0.745, 0.82, 0.90, 0.965, 0.997, 1.0, 0.99, 0.965, 0.93, 0.90],
    ),
    "apex": (
        [-0.8, -0.02, 0.0, 0.03, 0.08, 0.15, 0.3, 2.2],
        [0.60, 0.50, 0.36, 0.25, 0.165, 0.12, 0.0, 0.0],
    ),
    # 1 where the chest is barrel-shaped or not: widens the middle, never the widest row
    "barrel": ([-0.8, 0.0, 0.35, 0.9, 1.0, 1.5, 2.2], [0.0, 0.25, 1.0, 0.05, 0.0, 0.3, 0.3]),
    # depth of the lungs from front to back
    "depth": ([-0.8, -0.02, 0.0, 0.1, 0.3, 0.6, 1.0, 2.2], [0.12, 0.16, 0.30, 0.55, 0.82, 0.97, 1.0, 1.0]),
    # heart: half widths to the patient's right and left, 1 at the widest: with a slim waist, and globular
    "slim right": (
        [-0.8, 0.44, 0.5, 0.6, 0.72, 0.83, 0.92, 1.0, 1.07, 1.12, 1.15, 2.2],
        [0.0, 0.0, 0.30, 0.62, 0.90, 1.0, 0.96, 0.84, 0.62, 0.34, 0.0, 0.0],
    ),
    "slim left": (
        [-0.8, 0.44, 0.47, 0.54, 0.64, 0.76, 0.87, 0.95, 1.02, 1.08, 1.13, 1.16, 2.2],
        [0.0, 0.0, 0.26, 0.37, 0.53, 0.76, 0.95, 1.0, 0.96, 0.84, 0.60, 0.0, 0.0],
    ),
    "globular right": (
        [-0.8, 0.44, 0.5, 0.6, 0.72, 0.83, 0.92, 1.0, 1.07, 1.12, 1.15, 2.2],
        [0.0, 0.0, 0.54, 0.82, 0.97, 1.0, 0.97, 0.87, 0.66, 0.36, 0.0, 0.0],
    ),
    "globular left": (
        [-0.8, 0.44, 0.47, 0.54, 0.64, 0.76, 0.87, 0.95, 1.02, 1.08, 1.13, 1.16, 2.2],
        [0.0, 0.0, 0.42, 0.56, 0.74, 0.90, 0.985, 1.0, 0.97, 0.86, 0.62, 0.0, 0.0],
    ),
    # great vessels above the heart, mm from the midline
    "upper right": (
        [-0.8, -0.1, 0.05, 0.15, 0.3, 0.42, 0.52, 0.62, 0.75, 1.2, 2.2],
        [26, 26, 25, 23, 23, 25, 26, 22, 14, 10, 10],
    ),
    "upper left": (
        [-0.8, -0.1, 0.05, 0.15, 0.22, 0.36, 0.40, 0.5, 0.62, 1.2, 2.2],
        [26, 26, 24, 20, 19, 19, 19, 22, 20, 14, 14],
    ),
    "knob": ([-0.8, 0.17, 0.21, 0.27, 0.325, 0.385, 0.43, 2.2], [0, 0, 0.55, 1.0, 0.92, 0.40, 0, 0]),
    "trunk": ([-0.8, 0.38, 0.42, 0.47, 0.52, 0.60, 0.70, 2.2], [0, 0, 0.6, 1.0, 0.9, 0.45, 0, 0]),
    # thickness of the mediastinum from front to back, as a fraction of the chest's depth
    "thick": ([-0.8, 0.0, 0.2, 0.4, 0.55, 0.8, 1.0, 1.2, 2.2], [0.48, 0.48, 0.48, 0.48, 0.52, 0.58, 0.58, 0.5, 0.5]),
    # diaphragm over |x| / half width: b of the right dome; flat lungs press it down
    "dome": (
        [-0.8, 0.0, 0.12, 0.3, 0.48, 0.66, 0.82, 0.93, 1.0, 1.06, 1.2, 2.2],
        [1.105, 1.09, 1.062, 1.014, 1.0, 1.018, 1.07, 1.14, 1.225, 1.30, 1.4, 1.5],
    ),
    "flat": (
        [-0.8, 0.0, 0.12, 0.3, 0.48, 0.66, 0.82, 0.93, 1.0, 1.06, 1.2, 2.2],
        [1.06, 1.055, 1.05, 1.03, 1.025, 1.04, 1.065, 1.09, 1.12, 1.15, 1.2, 1.3],
    ),
    # outer border of the trunk, fraction of the half width, before the chest wall is added
    "trunk wall": (
        [-0.8, -0.2, 0.0, 0.2, 0.4, 0.6, 0.9, 1.2, 1.5, 2.2],
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.99, 0.97, 0.95],
    ),
}


@cache
def table(name: str) -> np.ndarray:
    """A curve at equally spaced heights: monotone cubic between its knots, so that it never overshoots one."""
    from scipy.interpolate import PchipInterpolator

    knots, values = CURVES[name]
    return PchipInterpolator(knots, values)(np.linspace(_LOW, _HIGH, _KNOTS)).astype(np.float32)


@cache
def _tensor(name: str, device: str) -> torch.Tensor:
    import torch

    return torch.from_numpy(table(name)).to(device)


def curve(name: str, b: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The curve's value at each height, linear between table entries."""
    values = _tensor(name, str(b.device))
    position = ((b - _LOW) * ((_KNOTS - 1) / (_HIGH - _LOW))).clamp(0, _KNOTS - 1.001)
    index = position.long()
    rest = position - index
    low = values[index]
    return low + (values[index + 1] - low) * rest


def curve_np(name: str, b: np.ndarray) -> np.ndarray:
    """`curve` for NumPy."""
    return np.interp(b, _heights(), table(name))


def value_at(name: str, b: float) -> float:
    """`curve` at one height, from the nearest table entry."""
    return float(table(name)[min(max(int((b - _LOW) * ((_KNOTS - 1) / (_HIGH - _LOW)) + 0.5), 0), _KNOTS - 1)])


@cache
def _heights() -> np.ndarray:
    return np.linspace(_LOW, _HIGH, _KNOTS)
