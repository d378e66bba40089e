"""What a simulated H&E micrograph shows, and how one is drawn from a seed.

One field of view has one diagnosis, so the number `diagnosis` decides it and the finding follows: no two can hold at
once. Necrosis counts in carcinoma only and desmoplasia in invasive carcinoma only; elsewhere those numbers do nothing,
so that moving one slider never makes a scene impossible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

ORGANS = ("breast", "colon")
DIAGNOSES = ("normal", "benign", "in situ", "invasive")
CANCERS = ("in situ carcinoma", "invasive carcinoma")
GRADES = ("low", "intermediate", "high")
PLEOMORPHIC = 0.24  # coefficient of variation of nuclear area from which a report mentions it


@dataclass(frozen=True, kw_only=True)
class HistologyScene(Scene):
    """A field of view in haematoxylin and eosin."""

    organ: int = number(0, 0, 1, "", "tissue: breast, colon")
    diagnosis: int = number(0, 0, 3, "", "normal, benign hyperplasia, in situ carcinoma, invasive carcinoma")
    field_um: float = number(400.0, 200.0, 800.0, "µm", "side of the field of view")
    gland_formation: float = number(0.6, 0.0, 1.0, "", "how much of a tumour still forms lumens")
    nuclear_area_um2: float = number(36.0, 24.0, 110.0, "µm²", "mean area of epithelial nuclei")
    nuclear_variation: float = number(0.14, 0.05, 0.6, "", "coefficient of variation of that area")
    nuclear_stain: float = number(1.0, 0.6, 1.5, "", "darkness of the chromatin")
    mitoses: int = number(0, 0, 12, "", "mitotic figures in the field")
    necrosis_percent: float = number(0.0, 0.0, 40.0, "%", "dead share of a carcinoma's area")
    desmoplasia: float = number(0.0, 0.0, 1.0, "", "young reactive stroma around an invasive carcinoma")
    fat: float = number(0.3, 0.0, 1.0, "", "share of adipose tissue in the breast")
    goblet: float = number(0.6, 0.0, 1.0, "", "goblet cells in the colon")
    haematoxylin: float = number(1.0, 0.5, 1.6, "", "strength of the blue stain")
    eosin: float = number(1.0, 0.5, 1.6, "", "strength of the pink stain")
    hue: float = number(0.0, -1.0, 1.0, "", "stain chemistry: bluish to reddish")
    blur_um: float = number(0.35, 0.2, 2.0, "µm", "width of a point's image (standard deviation)")
    vignette: float = number(0.08, 0.0, 0.4, "", "fall of the lamp's light towards the corners")
    noise: float = number(0.008, 0.0, 0.05, "", "noise of the camera, relative to white")
    fold: float = number(0.0, 0.0, 1.0, "", "a fold of the section")

    kinds: ClassVar[dict[str, Kind]] = {
        "benign hyperplasia": Kind(derived=True),
        "in situ carcinoma": Kind(derived=True),
        "invasive carcinoma": Kind(derived=True),
        "nuclear pleomorphism": Kind(graded=True, derived=True),
        "mitoses": Kind(unit="per field", low=1, high=12, derived=True),
        "necrosis": Kind(graded=True, derived=True),
        "desmoplastic stroma": Kind(graded=True, derived=True),
        "lymphocytic infiltrate": Kind(graded=True),
        "calcification": Kind(graded=True),
    }

    @property
    def necrotic(self) -> float:
        """Dead share of the carcinoma, 0 to 0.4; none elsewhere."""
        return self.necrosis_percent / 100 if self.diagnosis >= 2 and self.necrosis_percent >= 1 else 0.0

    @property
    def desmoplastic(self) -> float:
        """Reactive stroma, 0 to 1; none but in invasive carcinoma."""
        return self.desmoplasia if self.diagnosis == 3 and self.desmoplasia >= 0.1 else 0.0

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """The diagnosis, what the nuclei and the stroma show, and what was given."""
        implied = []
        if self.diagnosis:
            implied.append(Finding(("benign hyperplasia", *CANCERS)[self.diagnosis - 1]))
        if self.nuclear_variation >= PLEOMORPHIC:
            amount = 0.05 + 0.95 * (self.nuclear_variation - PLEOMORPHIC) / (0.6 - PLEOMORPHIC)
            implied.append(Finding("nuclear pleomorphism", amount=min(amount, 1.0)))
        if self.mitoses:
            implied.append(Finding("mitoses", measurement=float(self.mitoses)))
        if self.necrotic:
            implied.append(Finding("necrosis", amount=self.necrotic / 0.4))
        if self.desmoplastic:
            implied.append(Finding("desmoplastic stroma", amount=self.desmoplastic))
        return (*implied, *self.findings)

    @property
    def grade(self) -> str:
        """ "low", "intermediate" or "high" for a carcinoma, "" without one.

        Invasive: the Nottingham score of lumen formation, nuclei and mitoses per mm² (Elston and Ellis, 1991). In situ:
        the nuclei, and one step more where there is necrosis.
        """
        if self.diagnosis < 2:
            return ""
        atypia = self.find("nuclear pleomorphism")
        nuclei = 1 if atypia is None else 2 if atypia.severity == "mild" else 3
        if self.diagnosis == 2:
            return GRADES[min(nuclei + (self.necrotic > 0), 3) - 1]
        lumens = 1 if self.gland_formation > 0.75 else 2 if self.gland_formation > 0.1 else 3
        density = self.mitoses / (self.field_um / 1000) ** 2
        score = lumens + nuclei + (1 if density < 4 else 2 if density < 8 else 3)
        return GRADES[0 if score <= 5 else 1 if score <= 7 else 2]

    @property
    def grade_step(self) -> int:
        """The grade as a number, 1 to 3; 0 without a carcinoma."""
        return ("", *GRADES).index(self.grade)

    @property
    def objective(self) -> str:
        """The lens that shows about this field: "10x", "20x" or "40x"."""
        return "40x" if self.field_um < 300 else "20x" if self.field_um < 560 else "10x"


#: what differs between hospitals: haematoxylin, eosin, hue, blur µm, noise
HOSPITALS = (
    (1.0, 1.0, 0.0, 0.35, 0.008), (1.2, 0.72, -0.7, 0.5, 0.010), (0.8, 1.3, 0.7, 0.45, 0.012),
    (0.68, 0.66, 0.2, 0.8, 0.020),
)  # fmt: skip
#: of the diagnoses: nuclear area µm², its spread, coefficient of variation, its spread, darkness, mitoses per mm²
NUCLEI = ((34, 3, 0.13, 0.02, 0.95, 0.0), (37, 3, 0.16, 0.02, 0.97, 1.0), (52, 10, 0.27, 0.08, 1.08, 6.0),
          (58, 13, 0.32, 0.10, 1.10, 14.0))  # fmt: skip


def clip(name: str, value: float) -> float:
    """The value inside the field's range."""
    meta = HistologyScene.__dataclass_fields__[name].metadata
    return float(min(max(value, meta["low"]), meta["high"]))


def draw(seed: int, hospital: int, rng: np.random.Generator) -> HistologyScene:
    """A biopsy; the four diagnoses are about equally frequent."""
    n, u = rng.standard_normal(16), rng.random(16)
    diagnosis, field = int(4 * u[0]), (230.0, 420.0, 720.0)[min(int(3.2 * u[1]), 2)] * math.exp(0.06 * n[0])
    blue, pink, hue, blur, noise = HOSPITALS[hospital]
    return HistologyScene(
        seed=seed,
        patient=seed,
        hospital=hospital,
        organ=int(u[2] < 0.5),
        field_um=clip("field_um", field),
        **_disease(diagnosis, field, rng),
        findings=_findings(diagnosis, rng),
        fat=clip("fat", 0.9 * u[3] - 0.15),
        goblet=clip("goblet", 0.6 + 0.18 * n[1]),
        haematoxylin=clip("haematoxylin", blue * math.exp(0.10 * n[2])),
        eosin=clip("eosin", pink * math.exp(0.13 * n[3])),
        hue=clip("hue", hue + 0.28 * n[4]),
        blur_um=clip("blur_um", blur * math.exp(0.2 * n[5])),
        vignette=clip("vignette", 0.07 + 0.06 * n[6]),
        noise=clip("noise", noise * math.exp(0.3 * n[7])),
        fold=float(u[5]) if u[4] < 0.06 else 0.0,
    )


def _disease(diagnosis: int, field_um: float, rng: np.random.Generator) -> dict:
    """The numbers that the diagnosis governs."""
    area, spread, variation, own, stain, rate = NUCLEI[diagnosis]
    n, u = rng.standard_normal(4), rng.random(6)
    activity = rate * math.exp(0.6 * n[0]) * (field_um / 1000) ** 2
    return {
        "diagnosis": diagnosis,
        "gland_formation": clip("gland_formation", 0.05 + 0.95 * u[0]),
        "nuclear_area_um2": clip("nuclear_area_um2", area + spread * n[1]),
        "nuclear_variation": clip("nuclear_variation", variation + own * n[2]),
        "nuclear_stain": clip("nuclear_stain", stain + 0.07 * n[3]),
        "mitoses": int(min(rng.poisson(activity), 12)),
        "necrosis_percent": float(3 + 30 * u[2] ** 1.5) if diagnosis >= 2 and u[1] < 0.4 else 0.0,
        "desmoplasia": float(0.15 + 0.85 * u[4]) if diagnosis == 3 and u[3] < 0.75 else 0.0,
    }


def _findings(diagnosis: int, rng: np.random.Generator) -> tuple[Finding, ...]:
    u = rng.random(8)
    found = []
    if u[0] < (0.12, 0.2, 0.3, 0.4)[diagnosis]:
        found.append(Finding("lymphocytic infiltrate", amount=float(0.12 + 0.88 * u[1])))
    if u[2] < (0.05, 0.15, 0.25, 0.12)[diagnosis]:
        found.append(Finding("calcification", amount=float(0.12 + 0.88 * u[3]), at=(float(u[4]), float(u[5]))))
    return tuple(found)


def progress(scene: HistologyScene, rng: np.random.Generator) -> HistologyScene:
    """The next biopsy: the disease may advance or, after treatment, recede; its signs move with it."""
    step, u, n = rng.random(), rng.random(6), rng.standard_normal(6)
    diagnosis = min(scene.diagnosis + 1, 3) if step < 0.3 else max(scene.diagnosis - 1, 0) if step > 0.85 else None
    kept = []
    for f in scene.findings:
        amount = f.amount * float(np.exp(rng.normal(0, 0.4)))
        if amount > 0.1:
            kept.append(replace(f, amount=min(amount, 1.0)))
    changed = {"findings": tuple(kept)}
    if diagnosis is not None and diagnosis != scene.diagnosis:
        held = {f.kind for f in kept}
        new = _findings(diagnosis, rng)
        changed = _disease(diagnosis, scene.field_um, rng)
        changed["findings"] = tuple(kept) + tuple(f for f in new if f.kind not in held)
    elif scene.necrosis_percent:
        changed["necrosis_percent"] = clip("necrosis_percent", scene.necrosis_percent * math.exp(0.4 * n[0]))
    elif scene.mitoses or u[0] < 0.3:
        changed["mitoses"] = int(min(max(scene.mitoses + round(2 * n[1]), 0), 12))
    return scene.with_(
        **changed,
        haematoxylin=clip("haematoxylin", scene.haematoxylin * math.exp(0.06 * n[2])),
        eosin=clip("eosin", scene.eosin * math.exp(0.06 * n[3])),
        hue=clip("hue", scene.hue + 0.1 * n[4]),
    )
