"""What a simulated frontal chest X-ray is made of, and how one is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

SIDES = ("right", "left")
LOBES = {"right": ("upper lobe", "middle lobe", "lower lobe"), "left": ("upper lobe", "lingula", "lower lobe")}
ZONES = ("upper zone", "mid zone", "lower zone")
RIB_NAMES = ("4th rib", "5th rib", "6th rib", "7th rib", "8th rib")
ENLARGED = 0.50  # cardiothoracic ratio above which a heart is called enlarged
CLEAR = 0.48  # sampled hearts are never between the two: a reader could not tell
OVERINFLATED = 0.5


@dataclass(frozen=True, kw_only=True)
class ChestScene(Scene):
    """A frontal chest X-ray. Lengths in mm, angles in degrees; right and left are the patient's."""

    thorax_mm: float = number(285.0, 230.0, 335.0, "mm", "widest inner distance between the ribs")
    lung_mm: float = number(228.0, 180.0, 280.0, "mm", "height from lung apex to the right diaphragm")
    depth_mm: float = number(215.0, 160.0, 330.0, "mm", "chest from front to back")
    wall_mm: float = number(18.0, 6.0, 60.0, "mm", "chest wall beside the ribs")
    cardiothoracic_ratio: float = number(0.44, 0.34, 0.70, "", "heart width over chest width")
    heart_left: float = number(0.67, 0.58, 0.76, "", "share of the heart's width left of the spine")
    heart_shape: float = number(0.4, 0.0, 1.0, "", "0 with a slim waist, 1 globular")
    inflation: float = number(0.0, 0.0, 1.0, "", "overinflation; flattens the diaphragm")
    barrel: float = number(0.3, 0.0, 1.0, "", "barrel shape of the chest")
    aorta: float = number(0.5, 0.0, 1.0, "", "prominence of the aortic knob")
    pulmonary_trunk: float = number(0.4, 0.0, 1.0, "", "prominence of the pulmonary trunk")
    left_dome: float = number(0.045, -0.03, 0.11, "", "how much lower the left diaphragm stands")
    breast: float = number(0.0, 0.0, 1.0, "", "size of breast shadows")
    bone: float = number(1.0, 0.6, 1.4, "", "bone density")
    stomach_gas: float = number(0.5, 0.0, 1.0, "", "size of the stomach bubble")
    vessels: float = number(1.0, 0.6, 1.5, "", "prominence of pulmonary vessels")
    fov_mm: float = number(400.0, 330.0, 480.0, "mm", "side of the picture")
    shift_x_mm: float = number(0.0, -30.0, 30.0, "mm", "patient off centre")
    shift_y_mm: float = number(0.0, -30.0, 30.0, "mm", "patient off centre")
    tilt_degrees: float = number(0.0, -6.0, 6.0, "degrees", "leaning")
    rotation_degrees: float = number(0.0, -10.0, 10.0, "degrees", "turned about the long axis")
    scapula_mm: float = number(8.0, -25.0, 30.0, "mm", "how far the shoulders are drawn outwards")
    exposure: float = number(0.0, -1.0, 1.0, "", "brightness, in display units")
    contrast: float = number(0.0, -1.0, 1.0, "", "steepness of the grey scale")
    processing: float = number(0.4, 0.0, 1.0, "", "local contrast enhancement")
    noise: float = number(0.3, 0.0, 1.0, "", "quantum noise")
    blur: float = number(0.2, 0.0, 1.0, "", "loss of sharpness")
    scatter: float = number(0.4, 0.0, 1.0, "", "scattered radiation")
    collimation: float = number(0.0, 0.0, 1.0, "", "width of the dark margin")
    marker: int = number(1, 0, 3, "", "side marker: none, L, R, both")

    kinds: ClassVar[dict[str, Kind]] = {
        "cardiomegaly": Kind(graded=True, derived=True),
        "hyperinflation": Kind(graded=True, derived=True),
        "pleural effusion": Kind(sides=SIDES, graded=True),
        "pneumothorax": Kind(sides=SIDES, graded=True),
        "consolidation": Kind(sides=SIDES, regions=("upper lobe", "middle lobe", "lingula", "lower lobe"), graded=True),
        "nodule": Kind(sides=SIDES, regions=ZONES, unit="mm", low=8.0, high=30.0),
        "pulmonary edema": Kind(graded=True),
        "rib fracture": Kind(sides=SIDES, regions=RIB_NAMES),
        "pacemaker": Kind(sides=SIDES, device=True),
        "central line": Kind(sides=SIDES, device=True),
        "endotracheal tube": Kind(device=True),
        "nasogastric tube": Kind(device=True),
        "sternotomy wires": Kind(device=True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for f in self.findings:
            if f.kind == "consolidation" and f.region not in LOBES[f.side]:
                raise SceneError(
                    f"region of consolidation is {f.region!r}; the {f.side} lung has {', '.join(LOBES[f.side])}."
                )

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """With cardiomegaly where the heart is wider than half the chest, and hyperinflation."""
        derived = []
        if self.cardiothoracic_ratio > ENLARGED:
            # mild up to 0.55, severe from 0.60: the usual thirds
            amount = min(1.0, max(0.01, (self.cardiothoracic_ratio - ENLARGED) / 0.15))
            derived.append(Finding("cardiomegaly", amount=amount))
        if self.inflation >= OVERINFLATED:
            amount = min(1.0, max(0.01, (self.inflation - OVERINFLATED) / (1 - OVERINFLATED)))
            derived.append(Finding("hyperinflation", amount=amount))
        return (*derived, *self.findings)


# what differs between hospitals: means of the acquisition; 0 is where models are trained
ACQUISITION = ("exposure", "contrast", "processing", "noise", "blur", "scatter", "collimation")
HOSPITALS = (
    (0.0, 0.0, 0.4, 0.3, 0.2, 0.35, 0.0),
    (0.45, -0.5, 0.1, 0.6, 0.6, 0.8, 0.1),
    (-0.4, 0.6, 0.8, 0.15, 0.05, 0.2, 0.5),
    (0.1, -0.2, 0.2, 0.9, 0.5, 0.9, 0.8),
)
SPREAD = (0.24, 0.3, 0.22, 0.12, 0.12, 0.15, 0.1)
MARKERS = ((0, 1, 1, 3), (2, 2, 2, 0), (1, 1, 3, 0), (2, 0, 0, 0))


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = ChestScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> ChestScene:
    """A patient with 0 to 4 findings; a third of the patients have none."""
    n, u = rng.standard_normal(24), rng.random(24)
    heavy = 0.5 * n[0] + 0.5 * n[1]
    woman = u[0] < 0.5
    old = u[1]
    findings = draw_findings(rng)
    sick = u[2] < 0.22
    ratio = 0.515 + 0.15 * u[3] ** 1.4 if sick else 0.365 + (CLEAR - 0.365) * (0.55 * u[3] + 0.45 * u[4])
    inflation = 0.55 + 0.45 * u[6] if u[5] < 0.09 and not sick else 0.25 * u[6] ** 2
    acquired = {
        k: clip(k, m + s * z) for k, m, s, z in zip(ACQUISITION, HOSPITALS[hospital], SPREAD, n[10:17], strict=True)
    }
    thorax = clip("thorax_mm", (272 if woman else 296) + 13 * n[2])
    lung = clip("lung_mm", (216 if woman else 236) + 12 * n[3] + 26 * inflation - (12 if sick else 0))
    wall = clip("wall_mm", 18 + 8 * heavy + 6 * u[7])
    return ChestScene(
        seed=seed, patient=seed, hospital=hospital, findings=findings, thorax_mm=thorax, lung_mm=lung, wall_mm=wall,
        depth_mm=clip("depth_mm", 212 + 24 * heavy + 22 * inflation), cardiothoracic_ratio=float(ratio),
        heart_left=clip("heart_left", 0.67 + 0.025 * n[4]), inflation=float(inflation),
        heart_shape=float(min(1.0, 0.75 * u[18] + 0.3 * sick)),
        barrel=float(0.6 * u[8] + 0.4 * inflation), aorta=float(0.25 + 0.35 * u[9] + 0.4 * old * u[10]),
        pulmonary_trunk=float(u[11] * 0.8), left_dome=clip("left_dome", 0.045 + 0.022 * n[5]),
        breast=float(woman * (0.25 + 0.6 * u[12])), bone=clip("bone", 1.12 - 0.35 * old + 0.08 * n[6]),
        stomach_gas=float(u[13]), vessels=clip("vessels", 1.0 + 0.13 * n[7]),
        fov_mm=clip("fov_mm", max(thorax + 2 * wall + 26 * u[14] ** 2, 1.36 * lung)),
        shift_x_mm=clip("shift_x_mm", 5 * n[8]), shift_y_mm=clip("shift_y_mm", 7 * n[9]),
        tilt_degrees=clip("tilt_degrees", 4 * u[15] + 2 * u[16] - 3),
        rotation_degrees=clip("rotation_degrees", 2.2 * n[20]), scapula_mm=clip("scapula_mm", 6 + 8 * n[21]),
        marker=MARKERS[hospital][int(4 * u[17])], **acquired,
    )


def draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Explicit findings, none of which hides another."""
    u = iter(rng.random(80).tolist())
    side = lambda: SIDES[next(u) < 0.5]  # noqa: E731
    amount = lambda: 0.14 + 0.86 * next(u)  # noqa: E731
    at = lambda: (next(u), next(u))  # noqa: E731
    found: list[Finding] = []
    taken: set[str] = set()
    if next(u) < 0.20:
        both = next(u) < 0.35
        for s in SIDES if both else (side(),):
            found.append(Finding("pleural effusion", s, amount=amount()))
            taken.add(s)
    if next(u) < 0.11 and len(taken) < 2:
        s = ({"right", "left"} - taken).pop() if taken else side()
        found.append(Finding("pneumothorax", s, amount=amount()))
        taken.add(s)
    for _ in range(2):
        s = side()
        if next(u) < 0.13 and s not in taken:
            lobe = LOBES[s][int(3 * next(u))]
            found.append(Finding("consolidation", s, lobe, amount=amount(), at=at()))
            taken.add(s)
    for s in SIDES:
        if next(u) < 0.09 and s not in taken:
            found.append(Finding("nodule", s, ZONES[int(3 * next(u))], measurement=round(9 + 19 * next(u)), at=at()))
    if next(u) < 0.12:
        found.append(Finding("pulmonary edema", amount=amount()))
    if next(u) < 0.07:
        found.append(Finding("rib fracture", side(), RIB_NAMES[int(5 * next(u))], at=at()))
    if next(u) < 0.10:
        found.append(Finding("pacemaker", SIDES[next(u) < 0.85], at=at()))
    if next(u) < 0.12:
        found.append(Finding("central line", SIDES[next(u) < 0.3], at=at()))
    if next(u) < 0.09:
        found.append(Finding("endotracheal tube", at=at()))
    if next(u) < 0.09:
        found.append(Finding("nasogastric tube", at=at()))
    if next(u) < 0.10:
        found.append(Finding("sternotomy wires", at=at()))
    return () if next(u) < 0.22 else tuple(found)


def progress(scene: ChestScene, rng: np.random.Generator) -> ChestScene:
    """The next study: amounts drift, findings resolve or appear, the patient stands a little differently."""
    kept = []
    for f in scene.findings:
        if f.amount is not None:
            grown = f.amount * float(np.exp(rng.normal(-0.25, 0.6)))
            if grown > 0.12:
                kept.append(replace(f, amount=min(grown, 1.0)))
        elif f.measurement is not None:
            grown = round(f.measurement * rng.uniform(0.85, 1.35))
            kept.append(replace(f, measurement=float(np.clip(grown, 8, 30))))
        elif f.kind in ("pacemaker", "sternotomy wires", "rib fracture") or rng.random() < 0.6:
            kept.append(f)
    held = {f.mask_name for f in kept} | {f.side for f in kept if f.side}
    for f in draw_findings(rng):
        if f.mask_name not in held and f.side not in held and rng.random() < 0.35:
            kept.append(f)
    ratio = scene.cardiothoracic_ratio + rng.normal(0, 0.015)
    if CLEAR < ratio < 0.515:
        ratio = CLEAR if scene.cardiothoracic_ratio <= CLEAR else 0.515
    moved = {"shift_x_mm": 5.0, "shift_y_mm": 6.0, "tilt_degrees": 1.2, "rotation_degrees": 2.0, "lung_mm": 5.0}
    pose = {k: clip(k, getattr(scene, k) * (k == "lung_mm" or 0.5) + s * rng.normal()) for k, s in moved.items()}
    return scene.with_(findings=tuple(kept), cardiothoracic_ratio=clip("cardiothoracic_ratio", ratio), **pose)
