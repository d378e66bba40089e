"""What a simulated recording of heart sounds is made of, and how one is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

SITES = ("aortic", "pulmonic", "tricuspid", "mitral")
SYSTOLIC = ("crescendo-decrescendo", "holosystolic")
DIASTOLIC = ("early", "mid")
FAST, SLOW, SPLIT_MS = 100.0, 55.0, 45.0
# where each murmur is loudest: aortic stenosis, mitral regurgitation; aortic regurgitation, mitral stenosis
LOUDEST = {"crescendo-decrescendo": (0, 1), "holosystolic": (3, 2), "early": (1, 0), "mid": (3, 3)}


@dataclass(frozen=True, kw_only=True)
class SoundScene(Scene):
    """Three seconds of heart sounds from a stethoscope on one of four places of the chest."""

    heart_rate_bpm: float = number(72.0, 45.0, 140.0, "bpm", "beats per minute")
    split_ms: float = number(20.0, 0.0, 80.0, "ms", "between aortic and pulmonic part of the second sound")
    first: float = number(1.0, 0.4, 1.5, "", "loudness of the first sound")
    second: float = number(0.8, 0.4, 1.5, "", "loudness of the second sound")
    site: int = number(3, 0, 3, "", "stethoscope: aortic, pulmonic, tricuspid, mitral area")
    pitch: float = number(1.0, 0.8, 1.25, "", "of all sounds; children's are higher")
    start: float = number(0.3, 0.0, 0.99, "", "where in the beat the recording starts")
    irregularity: float = number(0.3, 0.0, 1.0, "", "variation from beat to beat")
    gain: float = number(0.0, -1.0, 1.0, "", "recording level")
    breath: float = number(0.2, 0.0, 1.0, "", "breath sounds")
    rubbing: float = number(0.2, 0.0, 1.0, "", "the stethoscope moving on the skin")
    hiss: float = number(0.2, 0.0, 1.0, "", "electronic noise")
    muffle: float = number(0.2, 0.0, 1.0, "", "loss of high frequencies in tissue and tube")

    kinds: ClassVar[dict[str, Kind]] = {
        "systolic murmur": Kind(regions=SYSTOLIC, unit="of 6", low=1, high=6),
        "diastolic murmur": Kind(regions=DIASTOLIC, unit="of 6", low=1, high=6),
        "third heart sound": Kind(),
        "fourth heart sound": Kind(),
        "wide splitting": Kind(derived=True),
        "tachycardia": Kind(derived=True),
        "bradycardia": Kind(derived=True),
    }

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """With those that follow from the heart rate and the second sound's splitting."""
        derived = {
            "wide splitting": self.split_ms > SPLIT_MS,
            "tachycardia": self.heart_rate_bpm > FAST, "bradycardia": self.heart_rate_bpm < SLOW,
        }
        return (*self.findings, *(Finding(kind) for kind, there in derived.items() if there))

    def grade(self, kind: str) -> int:
        """Of a murmur by Levine, 1 to 6; 0 where there is none."""
        found = self.find(kind)
        return round(found.measurement) if found else 0


# what differs between hospitals: means of the recording; 0 is where models are trained
RECORDING = ("gain", "breath", "rubbing", "hiss", "muffle")
HOSPITALS = (
    (0.0, 0.2, 0.15, 0.15, 0.2), (0.4, 0.6, 0.3, 0.6, 0.1), (-0.4, 0.1, 0.6, 0.1, 0.6), (0.1, 0.7, 0.7, 0.8, 0.8),
)
SPREAD = (0.2, 0.12, 0.12, 0.1, 0.12)


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = SoundScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> SoundScene:
    """A patient; a third of them have no finding. Rates and splittings between the classes are not drawn."""
    n, u = rng.standard_normal(16), rng.random(16)
    sick = u[0] > 0.33
    fast, slow = sick and u[1] < 0.15, sick and u[1] > 0.88
    rate = 105 + 30 * u[2] if fast else 46 + 6 * u[2] if slow else np.clip(74 + 9 * n[0], 60, 95)
    findings = draw_findings(rng) if sick else ()
    murmur = next((f for f in findings if f.region), None)
    site = LOUDEST[murmur.region][int(u[3] < 0.3)] if murmur else int(4 * u[3])
    recorded = {
        k: clip(k, m + s * z) for k, m, s, z in zip(RECORDING, HOSPITALS[hospital], SPREAD, n[8:13], strict=True)
    }
    return SoundScene(
        seed=seed, patient=seed, hospital=hospital, findings=findings, heart_rate_bpm=float(round(rate)),
        split_ms=float(52 + 24 * u[4] if sick and u[5] < 0.12 and not fast else 34 * u[4]), site=site,
        first=clip("first", 1.0 + 0.1 * n[1]), second=clip("second", 0.85 + 0.1 * n[2]),
        pitch=clip("pitch", 1 + 0.06 * n[3]),
        start=float(0.99 * u[6]), irregularity=float(u[7]), **recorded,
    )


def draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Murmurs and extra sounds."""
    u = rng.random(10)
    found = []
    if u[0] < 0.48:
        found.append(Finding("systolic murmur", region=SYSTOLIC[int(2 * u[1])], measurement=float(2 + int(4 * u[2]))))
    if u[3] < 0.27:
        found.append(Finding("diastolic murmur", region=DIASTOLIC[int(2 * u[4])], measurement=float(2 + int(3 * u[5]))))
    rumbles = any(f.region == "mid" for f in found)
    if u[6] < 0.16 and not rumbles:  # a rumble would cover it
        found.append(Finding("third heart sound"))
    if u[7] < 0.14 and not rumbles:
        found.append(Finding("fourth heart sound"))
    return tuple(found)


def progress(scene: SoundScene, rng: np.random.Generator) -> SoundScene:
    """The next visit: murmurs grow or fade by a grade, extra sounds come and go."""
    kept = []
    for f in scene.findings:
        if f.measurement is not None:
            kept.append(replace(f, measurement=float(np.clip(f.measurement + rng.integers(-1, 2), 1, 6))))
        elif rng.random() < 0.6:
            kept.append(f)
    rumbles = any(f.region == "mid" for f in kept)
    for f in draw_findings(rng):
        if f.kind not in {g.kind for g in kept} and not rumbles and f.region != "mid" and rng.random() < 0.35:
            kept.append(f)
    rate = clip("heart_rate_bpm", float(round(scene.heart_rate_bpm + 7 * rng.normal())))
    return scene.with_(findings=tuple(kept), heart_rate_bpm=rate, start=float(0.99 * rng.random()))
