"""What a simulated apical echocardiogram is made of, and how one is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

# where a finding starts, and where mild becomes moderate, moderate severe, severe as much as there is
# (chamber quantification, Lang et al. 2005 and 2015, men's limits for everyone)
EJECTION = (52.0, 40.0, 30.0, 10.0)
VENTRICLE_ML = (155.0, 178.0, 201.0, 320.0)
WALL_MM = (11.0, 13.5, 16.5, 20.0)
ATRIUM_ML = (58.0, 69.0, 79.0, 150.0)


@dataclass(frozen=True, kw_only=True)
class EchoScene(Scene):
    """A two-dimensional apical cine of 32 frames. Volumes by area-length, at end-diastole unless named otherwise."""

    heart_rate_bpm: float = number(70.0, 50.0, 140.0, "bpm", "beats per minute")
    ejection_fraction_percent: float = number(62.0, 10.0, 80.0, "percent", "share of the blood that is ejected")
    ventricle_ml: float = number(110.0, 50.0, 320.0, "ml", "left ventricle at end-diastole")
    sphericity: float = number(0.4, 0.0, 1.0, "", "0 a slim left ventricle, 1 a round one")
    wall_mm: float = number(9.0, 6.0, 20.0, "mm", "septum and free wall at end-diastole")
    atrium_ml: float = number(42.0, 20.0, 150.0, "ml", "left atrium at its largest")
    right_ventricle: float = number(0.4, 0.0, 1.0, "", "width of the right ventricle")
    right_atrium: float = number(0.4, 0.0, 1.0, "", "width of the right atrium")
    five_chamber: int = number(0, 0, 1, "", "1: probe tipped forward, with outflow tract and aortic valve")
    apex_mm: float = number(24.0, 14.0, 40.0, "mm", "depth of the apex")
    margin_mm: float = number(14.0, 4.0, 50.0, "mm", "depth shown behind the atria")
    shift_mm: float = number(8.0, -15.0, 25.0, "mm", "apex beside the middle of the sector")
    axis_degrees: float = number(0.0, -18.0, 18.0, "degrees", "tilt of the heart's long axis")
    sector_degrees: float = number(78.0, 65.0, 95.0, "degrees", "opening of the sector")
    start: float = number(0.0, 0.0, 0.99, "", "where in the beat the cine starts")
    gain: float = number(0.0, -1.0, 1.0, "", "overall gain")
    contrast: float = number(0.0, -1.0, 1.0, "", "a narrower dynamic range")
    noise: float = number(0.3, 0.0, 1.0, "", "electronic noise in the depth")
    haze: float = number(0.3, 0.0, 1.0, "", "reverberation near the probe and haze in the chambers")
    blur: float = number(0.3, 0.0, 1.0, "", "width of the beam")
    shadow: float = number(0.3, 0.0, 1.0, "", "ribs and lung at the edges of the sector")
    dropout: float = number(0.3, 0.0, 1.0, "", "loss of echoes in walls along the beam")

    kinds: ClassVar[dict[str, Kind]] = {
        "reduced ejection fraction": Kind(graded=True, derived=True),
        "dilated left ventricle": Kind(graded=True, derived=True),
        "left ventricular hypertrophy": Kind(graded=True, derived=True),
        "dilated left atrium": Kind(graded=True, derived=True),
        "pericardial effusion": Kind(graded=True),
        "pacemaker lead": Kind(device=True),
        "MitraClip": Kind(device=True),
        "TAVR valve": Kind(device=True),
    }

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """With those that follow from ejection fraction, volumes and wall thickness."""
        numbers = (
            ("reduced ejection fraction", self.ejection_fraction_percent, EJECTION),
            ("dilated left ventricle", self.ventricle_ml, VENTRICLE_ML),
            ("left ventricular hypertrophy", self.wall_mm, WALL_MM),
            ("dilated left atrium", self.atrium_ml, ATRIUM_ML),
        )
        derived = [Finding(kind, amount=a) for kind, value, limits in numbers if (a := extent(value, limits)) > 0]
        return (*derived, *self.findings)

    @property
    def view(self) -> str:
        """Apical four-chamber, or five-chamber, without which an aortic prosthesis could not be seen."""
        return "five-chamber" if self.five_chamber or self.find("TAVR valve") else "four-chamber"


def extent(value: float, limits: tuple[float, float, float, float]) -> float:
    """0 on the healthy side of the first limit, then thirds from limit to limit."""
    sign = 1.0 if limits[-1] > limits[0] else -1.0
    if sign * (value - limits[0]) <= 0:
        return 0.0
    amount = np.interp(sign * value, [sign * x for x in limits], [0.0, 1 / 3, 2 / 3, 1.0])
    return float(np.clip(amount, 0.01, 1.0))


# what differs between hospitals: means of the acquisition; 0 is where models are trained
ACQUISITION = ("gain", "contrast", "noise", "haze", "blur", "shadow", "dropout")
HOSPITALS = (
    (0.0, 0.0, 0.25, 0.25, 0.3, 0.25, 0.3),
    (0.55, -0.6, 0.6, 0.7, 0.6, 0.4, 0.4),
    (-0.45, 0.6, 0.1, 0.1, 0.1, 0.3, 0.5),
    (0.1, -0.2, 0.9, 0.5, 0.9, 0.7, 0.7),
)
SPREAD = (0.2, 0.22, 0.1, 0.12, 0.13, 0.14, 0.14)


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = EchoScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> EchoScene:
    """A patient; a third of them have no finding. Borderline numbers, which no reader could call, are not drawn."""
    n, u = rng.standard_normal(24), rng.random(24)
    sick = u[0] > 0.33
    weak, thick, wide = sick and u[1] < 0.45, sick and u[2] < 0.25, sick and u[3] < 0.35
    failing = weak and u[5] < 0.6  # a weak ventricle is often a wide one
    big = u[4]  # body size
    ejection = 12 + 37 * u[6] if weak else np.clip(64 + 4.5 * n[0], 56, 78)
    ventricle = 165 + 125 * u[7] ** 1.5 if failing or (sick and u[8] < 0.06) else 78 + 52 * big + 5 * n[1]
    wall = 12.2 + 6.5 * u[9] if thick and not failing else np.clip(7.6 + 1.6 * big + 0.5 * n[2], 6.3, 10.2)
    findings = draw_findings(rng) if sick else ()
    acquired = {
        k: clip(k, m + s * z) for k, m, s, z in zip(ACQUISITION, HOSPITALS[hospital], SPREAD, n[10:17], strict=True)
    }
    return EchoScene(
        seed=seed, patient=seed, hospital=hospital, findings=findings,
        heart_rate_bpm=float(np.clip(round(72 + 13 * n[3] + 8 * failing), 50, 135)),
        ejection_fraction_percent=float(round(ejection)), ventricle_ml=float(np.clip(ventricle, 60, 310)),
        sphericity=clip("sphericity", 0.3 + 0.12 * n[4] + 0.35 * failing), wall_mm=float(round(wall, 1)),
        atrium_ml=float(62 + 62 * u[10] ** 1.4 if wide else np.clip(32 + 16 * big + 4 * n[5], 24, 54)),
        right_ventricle=clip("right_ventricle", 0.4 + 0.16 * n[6]),
        right_atrium=clip("right_atrium", 0.4 + 0.16 * n[7]),
        five_chamber=int(u[11] < 0.1), apex_mm=clip("apex_mm", 22 + 4 * n[8]),
        margin_mm=clip("margin_mm", 12 + 12 * u[12]), shift_mm=clip("shift_mm", 7 + 4 * n[9]),
        axis_degrees=clip("axis_degrees", 1 + 4.5 * n[17]), sector_degrees=clip("sector_degrees", 78 + 4 * n[18]),
        start=float(0.99 * u[13]), **acquired,
    )


def draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """What is given explicitly: fluid and devices."""
    u = rng.random(12)
    found = []
    if u[0] < 0.22:
        found.append(Finding("pericardial effusion", amount=float(0.12 + 0.88 * u[1])))
    for i, (kind, share) in enumerate((("pacemaker lead", 0.2), ("MitraClip", 0.15), ("TAVR valve", 0.15))):
        if u[2 + i] < share:
            found.append(Finding(kind, at=(float(u[5 + i]), float(u[8 + i]))))
    return tuple(found)


def progress(scene: EchoScene, rng: np.random.Generator) -> EchoScene:
    """The next study: function and volumes drift, fluid comes and goes, devices stay, the probe is held anew."""
    kept = []
    for f in scene.findings:
        if f.amount is None:
            kept.append(f)
        elif (grown := f.amount * float(np.exp(rng.normal(-0.25, 0.6)))) > 0.1:
            kept.append(replace(f, amount=min(grown, 1.0)))
    held = {f.kind for f in kept}
    kept += [f for f in draw_findings(rng) if f.kind not in held and rng.random() < 0.3]
    drift = {"ventricle_ml": 9.0, "atrium_ml": 4.0, "ejection_fraction_percent": 4.0, "heart_rate_bpm": 8.0}
    values = {k: clip(k, float(round(getattr(scene, k) + s * rng.normal()))) for k, s in drift.items()}
    pose = {"shift_mm": 3.0, "axis_degrees": 3.0, "apex_mm": 2.0}
    moved = {k: clip(k, getattr(scene, k) + s * rng.normal()) for k, s in pose.items()}
    return scene.with_(findings=tuple(kept), start=float(0.99 * rng.random()), **values, **moved)
