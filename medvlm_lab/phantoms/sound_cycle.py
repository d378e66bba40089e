"""When in the beat each heart sound starts and ends, and in which frequencies it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.sound_scene import SoundScene

SECONDS, SAMPLING_HZ = 3.0, 2000
FIRST_S, SECOND_S, EXTRA_S = 0.11, 0.07, 0.08  # how long the sounds last
THIRD_AFTER_S, FOURTH_BEFORE_S = 0.14, 0.11
# frequencies that hold most of each sound
BANDS = {
    "first heart sound": (30.0, 160.0), "second heart sound": (40.0, 210.0), "third heart sound": (20.0, 70.0),
    "fourth heart sound": (20.0, 70.0), "crescendo-decrescendo": (90.0, 300.0), "holosystolic": (140.0, 420.0),
    "early": (180.0, 500.0), "mid": (35.0, 120.0),
}


@dataclass(frozen=True)
class Sound:
    """One kind of sound in a recording: (start, end) of each time in seconds, and its band in Hz."""

    name: str
    times: tuple[tuple[float, float], ...]
    band: tuple[float, float]


def onsets(scene: SoundScene) -> np.ndarray:
    """Start of each beat's first sound in seconds, some before and some after the recording."""
    period = 60.0 / scene.heart_rate_bpm
    count = int(SECONDS / period) + 3
    jitter = hashed(np.array([scene.seed], np.int64), 41, 12)[0][:count] % 2001 / 1000 - 1
    return (np.arange(count) - scene.start) * period + 0.012 * scene.irregularity * period * jitter


def systole_s(scene: SoundScene) -> float:
    """From the first to the second sound: QS2 less the time to the first (Weissler et al. 1968)."""
    return 0.546 - 0.0021 * scene.heart_rate_bpm - 0.05


def sounds(scene: SoundScene) -> dict[str, Sound]:
    """Every sound that the recording holds, by name; sounds outside it are left out."""
    begin, systole, period = onsets(scene), systole_s(scene), 60.0 / scene.heart_rate_bpm
    split = scene.split_ms / 1000
    spans = {
        "first heart sound": (0.0, FIRST_S),
        "second heart sound": (systole, systole + split + SECOND_S),
    }
    diastole = systole + split + SECOND_S  # begins
    for finding in scene.findings:
        kind = finding.kind
        if kind == "systolic murmur":
            spans[kind] = (0.05, systole) if finding.region == "holosystolic" else (0.08, systole - 0.01)
        elif kind == "diastolic murmur":
            early = (systole + 0.03, systole + 0.03 + 0.75 * (period - systole - 0.03))
            spans[kind] = early if finding.region == "early" else (min(diastole + 0.05, period - 0.12), period - 0.01)
        elif kind == "third heart sound":
            third = min(systole + split + THIRD_AFTER_S, period - 0.5 * EXTRA_S)
            spans[kind] = (third, third + EXTRA_S)
        else:
            spans[kind] = (period - FOURTH_BEFORE_S, period - FOURTH_BEFORE_S + EXTRA_S)
    found = {}
    for name, (a, b) in spans.items():
        finding = scene.find(name)
        band = BANDS[finding.region if finding and finding.region else name]
        times = tuple((float(t + a), float(t + b)) for t in begin if t + b > 0.005 and t + a < SECONDS - 0.005)
        found[name] = Sound(name, times, (band[0] * scene.pitch, band[1] * scene.pitch))
    return found
