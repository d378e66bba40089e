"""What a simulated FDG PET or SPECT study is made of, and how one is drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

SIDES = ("right", "left")
CAMERAS = ("PET", "SPECT")


@dataclass(frozen=True, kw_only=True)
class PetScene(Scene):
    """A whole-body FDG study, shown as a coronal maximum-intensity projection. Uptakes are SUV by body weight."""

    stature: float = number(1.0, 0.90, 1.10, "", "height over that of an average adult")
    width_mm: float = number(335.0, 270.0, 430.0, "mm", "width of the chest")
    brain_suv: float = number(9.0, 4.0, 15.0, "SUV", "uptake of the cerebral cortex")
    heart_suv: float = number(3.0, 1.0, 14.0, "SUV", "uptake of the heart's muscle; low after fasting")
    liver_suv: float = number(2.3, 1.2, 3.5, "SUV", "uptake of the liver")
    kidney_suv: float = number(9.0, 3.0, 20.0, "SUV", "urine in the kidneys")
    bladder_suv: float = number(22.0, 6.0, 60.0, "SUV", "urine in the bladder")
    bladder_fill: float = number(0.5, 0.0, 1.0, "", "how full the bladder is")
    bowel: float = number(0.3, 0.0, 1.0, "", "patchy normal uptake of the bowel")
    lesion_suv: float = number(9.0, 5.0, 20.0, "SUV", "uptake of lesions")
    arms: float = number(1.0, 0.0, 1.0, "", "1: arms raised beside the head, 0: outside the picture")
    camera: int = number(0, 0, 1, "", "camera: PET, or SPECT with a collimator for 511 keV")
    corrected: int = number(1, 0, 1, "", "attenuation correction: off, on")
    counts: float = number(1.0, 0.1, 4.0, "", "activity times scan time, relative to the usual")
    resolution_mm: float = number(7.0, 5.0, 14.0, "mm", "width of a point's image (FWHM) after smoothing")
    fov_mm: float = number(1000.0, 940.0, 1120.0, "mm", "side of the picture")
    shift_x_mm: float = number(0.0, -20.0, 20.0, "mm", "patient off centre")
    shift_z_mm: float = number(0.0, -15.0, 15.0, "mm", "patient off centre along the body")

    kinds: ClassVar[dict[str, Kind]] = {
        "hypermetabolic lung lesion": Kind(
            sides=SIDES, regions=("upper lobe", "lower lobe"), unit="mm", low=12, high=70
        ),
        "hypermetabolic liver lesion": Kind(regions=("right lobe", "left lobe"), unit="mm", low=14, high=70),
        "cervical lymphadenopathy": Kind(sides=SIDES, graded=True),
        "axillary lymphadenopathy": Kind(sides=SIDES, graded=True),
        "inguinal lymphadenopathy": Kind(sides=SIDES, graded=True),
        "mediastinal lymphadenopathy": Kind(graded=True),
        "retroperitoneal lymphadenopathy": Kind(graded=True),
        "bone metastases": Kind(graded=True),
        "diffuse marrow uptake": Kind(graded=True),
        "diffuse splenic uptake": Kind(graded=True),
        "diffuse thyroid uptake": Kind(graded=True),
        "diffuse bowel uptake": Kind(graded=True),
        "brown fat uptake": Kind(graded=True),
    }


# what differs between hospitals: counts, resolution, field of view, share without attenuation correction
HOSPITALS = ((1.6, 7.5, 1000.0, 0.04), (0.35, 9.5, 1060.0, 0.10), (3.0, 6.0, 980.0, 0.0), (0.7, 11.0, 1030.0, 0.5))


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = PetScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> PetScene:
    """A patient with 0 to 5 findings; a quarter of the patients have none."""
    n, u = rng.standard_normal(16), rng.random(16)
    counts, resolution, fov, uncorrected = HOSPITALS[hospital]
    stature = clip("stature", 1 + 0.035 * n[0])
    return PetScene(
        seed=seed,
        patient=seed,
        hospital=hospital,
        findings=draw_findings(rng),
        stature=stature,
        width_mm=clip("width_mm", 335 + 26 * n[1]),
        brain_suv=clip("brain_suv", 9 + 1.6 * n[2]),
        # half of the patients have fasted long enough for a dark heart
        heart_suv=clip("heart_suv", 1.6 + 0.4 * n[3] if u[0] < 0.5 else 4 + 8 * u[1]),
        liver_suv=clip("liver_suv", 2.3 + 0.3 * n[4]),
        kidney_suv=clip("kidney_suv", 9 + 3 * n[5]),
        bladder_suv=clip("bladder_suv", 22 * float(np.exp(0.4 * n[6]))),
        bladder_fill=float(u[2]),
        bowel=float(0.1 + 0.5 * u[3] ** 2),
        lesion_suv=clip("lesion_suv", 9.5 + 3 * n[7]),
        arms=float(u[4] < 0.75),
        camera=int(u[6] < 0.12),
        corrected=int(u[5] >= uncorrected),
        counts=clip("counts", counts * float(np.exp(0.25 * n[8]))),
        resolution_mm=clip("resolution_mm", resolution + 0.6 * n[9]),
        fov_mm=clip("fov_mm", fov * stature + 6 * n[10]),
        shift_x_mm=clip("shift_x_mm", 5 * n[11]),
        shift_z_mm=clip("shift_z_mm", 4 * n[12]),
    )


def draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Explicit findings, none of which hides another."""
    u = iter(rng.random(80).tolist())
    amount = lambda: 0.14 + 0.86 * next(u)  # noqa: E731
    at = lambda: (next(u), next(u))  # noqa: E731
    found: list[Finding] = []
    for s in SIDES:
        lobe = ("upper lobe", "lower lobe")[next(u) < 0.45]
        if next(u) < 0.15:
            mm = round(14 + 42 * next(u) ** 1.4)
            found.append(Finding("hypermetabolic lung lesion", s, lobe, measurement=mm, at=at()))
    if next(u) < 0.18:
        lobe, mm = ("right lobe", "left lobe")[next(u) < 0.35], round(16 + 34 * next(u))
        found.append(Finding("hypermetabolic liver lesion", region=lobe, measurement=mm, at=at()))
    for kind, chance in (("cervical", 0.09), ("axillary", 0.08), ("inguinal", 0.08)):
        for s in SIDES:
            if next(u) < chance:
                found.append(Finding(f"{kind} lymphadenopathy", s, amount=amount()))
    for kind, chance in (
        ("mediastinal lymphadenopathy", 0.18),
        ("retroperitoneal lymphadenopathy", 0.12),
        ("diffuse splenic uptake", 0.08),
        ("diffuse thyroid uptake", 0.09),
        ("diffuse bowel uptake", 0.10),
    ):
        if next(u) < chance:
            found.append(Finding(kind, amount=amount()))
    marrow = next(u)  # diffuse uptake would hide single metastases
    if marrow < 0.16:
        found.append(Finding("bone metastases", amount=amount()))
    elif marrow < 0.25:
        found.append(Finding("diffuse marrow uptake", amount=amount()))
    if next(u) < 0.09 and not any(f.kind == "cervical lymphadenopathy" for f in found):
        found.append(Finding("brown fat uptake", amount=amount()))
    return () if next(u) < 0.18 else tuple(found)


def progress(scene: PetScene, rng: np.random.Generator) -> PetScene:
    """The next study, often after treatment: lesions shrink or grow, vanish or appear."""
    kept = []
    responds = rng.random() < 0.6
    for f in scene.findings:
        change = float(np.exp(rng.normal(-0.5 if responds else 0.25, 0.35)))
        if f.amount is not None and f.amount * change > 0.12:
            kept.append(replace(f, amount=min(f.amount * change, 1.0)))
        elif f.measurement is not None and f.measurement * change**0.5 > 14:
            kept.append(replace(f, measurement=float(min(round(f.measurement * change**0.5), 60))))
    held = {f.mask_name for f in kept} | {f.kind for f in kept}
    new = () if responds else draw_findings(rng)
    cleared = (
        {"bone metastases", "diffuse marrow uptake"} if held & {"bone metastases", "diffuse marrow uptake"} else set()
    )
    if held & {"cervical lymphadenopathy", "brown fat uptake"}:
        cleared |= {"cervical lymphadenopathy", "brown fat uptake"}
    kept += [f for f in new if f.kind not in held | cleared and rng.random() < 0.4]
    return scene.with_(
        findings=tuple(kept),
        bladder_fill=float(rng.random()),
        bladder_suv=clip("bladder_suv", 22 * np.exp(0.4 * rng.normal())),
        heart_suv=clip("heart_suv", 1.6 if rng.random() < 0.5 else 4 + 8 * rng.random()),
        shift_x_mm=clip("shift_x_mm", 5 * rng.normal()),
        shift_z_mm=clip("shift_z_mm", 4 * rng.normal()),
    )
