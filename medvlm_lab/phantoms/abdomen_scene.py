"""What a simulated abdominal CT slice is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

SIDES = ("right", "left")
LOBES = ("right lobe", "left lobe")
PHASES = ("plain", "arterial", "portal venous")
ANEURYSM_MM = 30.0
SPLEEN_MM = 120.0  # longest extent in an axial slice above which a spleen is called enlarged

#: levels at which a finding's organ lies in the slice; other findings can be at any level
LEVELS = {
    "gallstones": (0.45, 0.95), "hypervascular liver lesion": (0.0, 0.8), "liver cyst": (0.0, 0.8),
    "liver metastases": (0.0, 0.8), "cirrhosis": (0.0, 0.8), "hepatic steatosis": (0.0, 0.8),
}
LEFT_LOBE = (0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class AbdomenScene(Scene):
    """An axial slice of the upper abdomen. Lengths in mm, angles in degrees; right and left are the patient's."""

    level: float = number(0.4, 0.0, 1.0, "", "0 upper poles of the kidneys, 1 below the liver's hilum")
    phase: int = number(2, 0, 2, "", "contrast: plain, arterial, portal venous")
    trunk_mm: float = number(300.0, 240.0, 380.0, "mm", "width of the trunk inside its fat")
    depth: float = number(0.70, 0.60, 0.82, "", "depth of the trunk over its width")
    fat_mm: float = number(18.0, 4.0, 60.0, "mm", "fat under the skin")
    visceral_fat: float = number(0.4, 0.0, 1.0, "", "fat between the organs")
    muscle: float = number(0.6, 0.0, 1.0, "", "bulk of the muscles")
    bone: float = number(1.0, 0.6, 1.3, "", "bone density")
    liver_size: float = number(1.0, 0.85, 1.15, "", "size of the liver")
    spleen_mm: float = number(95.0, 60.0, 180.0, "mm", "longest extent of the spleen in the slice")
    kidney_mm: float = number(58.0, 46.0, 70.0, "mm", "width of a kidney at its hilum")
    aorta_mm: float = number(21.0, 14.0, 80.0, "mm", "outer diameter of the aorta")
    stomach: float = number(0.5, 0.0, 1.0, "", "how full the stomach is")
    stomach_gas: float = number(0.35, 0.0, 1.0, "", "share of gas in the stomach")
    bowel_gas: float = number(0.4, 0.0, 1.0, "", "gas in the bowel")
    oral_contrast: float = number(0.0, 0.0, 1.0, "", "contrast medium in stomach and bowel")
    fov_mm: float = number(380.0, 300.0, 520.0, "mm", "side of the picture")
    shift_x_mm: float = number(0.0, -25.0, 25.0, "mm", "patient off centre")
    shift_y_mm: float = number(0.0, -25.0, 25.0, "mm", "patient off centre")
    turn_degrees: float = number(0.0, -8.0, 8.0, "degrees", "rolled to one side")
    dose_mgy: float = number(10.0, 1.0, 30.0, "mGy", "radiation dose, CTDIvol")
    kernel: float = number(0.35, 0.0, 1.0, "", "reconstruction kernel, 0 smooth, 1 sharp")

    kinds: ClassVar[dict[str, Kind]] = {
        "cirrhosis": Kind(graded=True),
        "hepatic steatosis": Kind(graded=True),
        "liver cyst": Kind(regions=LOBES, unit="mm", low=8.0, high=70.0),
        "hypervascular liver lesion": Kind(regions=LOBES, unit="mm", low=8.0, high=60.0),
        "liver metastases": Kind(graded=True),
        "gallstones": Kind(graded=True),
        "splenomegaly": Kind(graded=True, derived=True),
        "hydronephrosis": Kind(sides=SIDES, graded=True),
        "kidney stone": Kind(sides=SIDES, unit="mm", low=4.0, high=25.0),
        "renal cyst": Kind(sides=SIDES, unit="mm", low=10.0, high=60.0),
        "renal mass": Kind(sides=SIDES, unit="mm", low=15.0, high=70.0),
        "aortic aneurysm": Kind(unit="mm", derived=True),
        "aortic calcification": Kind(graded=True),
        "lymphadenopathy": Kind(graded=True),
        "ascites": Kind(graded=True),
        "free air": Kind(graded=True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for f in self.findings:
            low, high = LEVELS.get(f.kind, (0.0, 1.0))
            if f.region == "left lobe":
                low, high = LEFT_LOBE
            if not low <= self.level <= high:
                where = f"{f.kind} in the left lobe" if f.region == "left lobe" else f.kind
                raise SceneError(f"level is {self.level!r}; to show {where} it must be a number from {low} to {high}.")
            if f.kind == "hypervascular liver lesion" and self.phase != 1:
                raise SceneError(f"phase is {self.phase!r}; to show a {f.kind} it must be 1, the arterial phase.")

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """With the aneurysm and the large spleen that the numbers imply."""
        derived = []
        if self.aorta_mm > ANEURYSM_MM:
            derived.append(Finding("aortic aneurysm", measurement=round(self.aorta_mm)))
        if self.spleen_mm > SPLEEN_MM:
            amount = min(1.0, max(0.01, (self.spleen_mm - SPLEEN_MM) / 60))
            derived.append(Finding("splenomegaly", amount=amount))
        return (*derived, *self.findings)
