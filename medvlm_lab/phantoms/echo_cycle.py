"""The heart's beat: how full the left ventricle is and which valves stand open, at each frame of a cine.

Systole lasts 546 - 2.1 x rate milliseconds (Weissler et al. 1968); the ventricle fills early (E) and with the atrial
kick (A).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.phantoms.echo_scene import EchoScene

if TYPE_CHECKING:
    from jaxtyping import Float

FRAMES, FPS = 32, 25.0  # 1.28 s: more than a beat at every rate that a scene may have
ISOVOLUMIC_S = 0.05  # longer than a frame, so that some frame always shows the full ventricle
RELAXING_S = 0.07
EARLY = 0.7  # share of the stroke volume that comes early in diastole
SHORTENING = 0.30  # of the long axis, per unit of ejection fraction: 15 mm for a healthy heart

# the ventricle is an ellipse cut off at the mitral plane, 0.6 of its length from the apex to its widest place
CENTER = 0.6
SHAPE = 0.8392  # its area over 2 x half width x length
AREA_LENGTH = 32 * SHAPE**2 / (3 * np.pi)  # volume by 8 A^2 / (3 pi L) = AREA_LENGTH x half width^2 x length


@dataclass(frozen=True)
class Beat:
    """Each frame's size of the left ventricle and opening of the valves (0 shut, 1 wide open); lengths in mm."""

    volume_ml: Float[np.ndarray, " f"]
    length: Float[np.ndarray, " f"]
    half_width: Float[np.ndarray, " f"]
    mitral: Float[np.ndarray, " f"]
    aortic: Float[np.ndarray, " f"]
    full_length: float
    full_half_width: float
    systolic_length: float


def ramp(x: np.ndarray) -> np.ndarray:
    """0 up to x = 0, 1 from x = 1, smooth between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def beat(scene: EchoScene) -> Beat:
    """The frames' phases of the beat."""
    period = 60.0 / scene.heart_rate_bpm
    t = (np.arange(FRAMES) / FPS + scene.start * period) % period
    systole = 0.546 - 0.0021 * scene.heart_rate_bpm
    relaxed = systole + min(RELAXING_S, 0.25 * (period - systole))
    filling = period - relaxed
    early, kick = min(0.22, 0.55 * filling), min(0.12, 0.4 * filling)
    emptied = ramp((t - ISOVOLUMIC_S) / (systole - ISOVOLUMIC_S))
    emptied = emptied - EARLY * ramp((t - relaxed) / early) - (1 - EARLY) * ramp((t - period + kick) / kick)
    swing = ramp((t - relaxed) / 0.07) * (1 - 0.6 * ramp((t - relaxed - 0.6 * early) / 0.13))
    swing = np.maximum(swing, 0.75 * ramp((t - period + kick) / 0.06)) * (1 - ramp((t - period + 0.035) / 0.035))
    thrown = ramp((t - 0.04) / 0.04) * (1 - ramp((t - systole + 0.03) / 0.03))
    ejected = scene.ejection_fraction_percent / 100
    volume = scene.ventricle_ml * (1 - ejected * emptied)
    slim = 0.245 + 0.11 * scene.sphericity
    full = float((1000 * scene.ventricle_ml / (AREA_LENGTH * slim**2)) ** (1 / 3))
    length = full * (1 - SHORTENING * ejected * emptied)
    half = np.sqrt(1000 * volume / (AREA_LENGTH * length))
    return Beat(volume, length, half, swing, thrown, full, slim * full, full * (1 - SHORTENING * ejected))


def volume_ml(area_mm2: np.ndarray, length_mm: np.ndarray) -> np.ndarray:
    """Volume by the single-plane area-length method, 8 A^2 / (3 pi L)."""
    return 8 * area_mm2**2 / (3 * np.pi * length_mm) / 1000
