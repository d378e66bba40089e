"""What a simulated MR slice of the head is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms.brain_places import (
    ATROPHY_BOX,
    DEEP,
    LOBES,
    MIDLINE_BOX,
    TERRITORIES,
    TRAVEL_MM,
    Box,
    away,
    box_of,
    positions,
    shift_mm,
    slice_mm,
)
from medvlm_lab.phantoms.scene import Finding, Kind, Scene, number

SIDES = ("right", "left")
SEQUENCES = ("T1-weighted", "T2-weighted", "FLAIR", "post-contrast T1-weighted")
PLANES = ("axial", "coronal", "sagittal")
T1, T2, FLAIR, CONTRAST = range(4)
AXIAL, CORONAL, SAGITTAL = range(3)
TIMES_MS = {T1: (500.0, 12.0), T2: (4500.0, 100.0), FLAIR: (9000.0, 115.0), CONTRAST: (550.0, 12.0)}  # TR, TE
ATROPHY = 0.55  # above this a reader calls it atrophy
SHIFT_MM = 3.0  # a smaller midline shift is not reported
BRIGHT_ON_WATER = "white matter hyperintensities"  # not to be seen where fluid is dark anyway
ROUND = ("brain tumour", "meningioma", "intracerebral haemorrhage", "lacunar infarct")


@dataclass(frozen=True, kw_only=True)
class BrainScene(Scene):
    """One MR slice of a head. Lengths in mm, angles in degrees; right and left are the patient's."""

    sequence: int = number(1, 0, 3, "", "T1, T2, FLAIR, T1 after contrast")
    plane: int = number(0, 0, 2, "", "axial, coronal, sagittal")
    position: float = number(0.55, 0.0, 1.0, "", "slice: from below to above, back to front, right to left")
    offset_mm: float = number(0.0, -170.0, 170.0, "mm", "distance of the slice from the middle of its lesions")
    head: float = number(1.0, 0.90, 1.10, "", "size of the head")
    width: float = number(1.0, 0.92, 1.08, "", "width of the head over its length")
    atrophy: float = number(0.25, 0.0, 1.0, "", "shrinkage of the brain: wide sulci and ventricles")
    ventricles: float = number(0.3, 0.0, 1.0, "", "size of healthy ventricles")
    scalp_fat: float = number(0.5, 0.0, 1.0, "", "fat under the scalp")
    sinuses: float = number(0.6, 0.2, 1.0, "", "size of the air-filled sinuses")
    turn_degrees: float = number(0.0, -12.0, 12.0, "degrees", "rotation in the picture")
    nod_degrees: float = number(0.0, -12.0, 12.0, "degrees", "slice tilted about the picture's horizontal")
    lean_degrees: float = number(0.0, -8.0, 8.0, "degrees", "slice tilted about the picture's vertical")
    shift_x_mm: float = number(0.0, -15.0, 15.0, "mm", "head off centre")
    shift_y_mm: float = number(0.0, -15.0, 15.0, "mm", "head off centre")
    fov_mm: float = number(235.0, 210.0, 300.0, "mm", "side of the picture")
    field_tesla: float = number(1.5, 0.5, 3.0, "T", "field strength")
    repetition: float = number(1.0, 0.8, 1.3, "", "repetition time over the sequence's usual one")
    echo: float = number(1.0, 0.8, 1.3, "", "echo time over the sequence's usual one")
    matrix: int = number(256, 96, 512, "", "lines of k-space that are measured")
    snr: float = number(40.0, 6.0, 120.0, "", "signal of white matter over the noise")
    coil: float = number(0.15, 0.0, 1.0, "", "how unevenly the coil receives")
    motion: float = number(0.0, 0.0, 1.0, "", "movement during the scan: ghosts")

    kinds: ClassVar[dict[str, Kind]] = {
        "brain tumour": Kind(sides=SIDES, regions=LOBES, unit="mm", low=10.0, high=55.0),
        "meningioma": Kind(sides=SIDES, unit="mm", low=10.0, high=50.0),
        "intracerebral haemorrhage": Kind(sides=SIDES, regions=(*DEEP, *LOBES), unit="mm", low=10.0, high=50.0),
        "subdural haematoma": Kind(sides=SIDES, unit="mm", low=4.0, high=22.0),
        "cerebral infarct": Kind(sides=SIDES, regions=TERRITORIES, graded=True),
        "lacunar infarct": Kind(sides=SIDES, regions=DEEP, unit="mm", low=5.0, high=15.0),
        "vasogenic oedema": Kind(sides=SIDES, regions=LOBES, graded=True),
        "white matter hyperintensities": Kind(graded=True),
        "hydrocephalus": Kind(graded=True),
        "cerebral atrophy": Kind(graded=True, derived=True),
        "midline shift": Kind(unit="mm", derived=True),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for f in self.findings:
            low, high = positions(box_of(f), self.plane, f.side)
            what = f.mask_name + (f" of the {f.region}" if f.region else "")
            if low > high:
                raise SceneError(f"plane is {self.plane}, sagittal; to show a {what} it must be 0 or 1.")
            less = ", the offset taken off" if self.offset_mm else ""
            if not low - 1e-6 <= self.focus <= high + 1e-6:
                raise SceneError(
                    f"position is {self.focus:.4g}{less}; to show {what} in the {PLANES[self.plane]} plane it must be "
                    f"a number from {low:.2f} to {high:.2f}."
                )
            if f.kind == BRIGHT_ON_WATER and self.sequence not in (T2, FLAIR):
                raise SceneError(f"sequence is {self.sequence}; to show {f.kind} it must be 1 or 2, T2 or FLAIR.")
            tumour = next((t for t in self.findings if t.kind == "brain tumour" and t.side == f.side), None)
            if f.kind == "vasogenic oedema" and tumour and tumour.region != f.region:
                raise SceneError(
                    f"region of {f.mask_name} is {f.region!r}; around the tumour it must be {tumour.region!r}."
                )

    def showing(self, finding: Finding) -> dict[str, Any]:
        """The nearest slice through the finding, and a sequence in which it is bright."""
        changes: dict[str, Any] = {"offset_mm": 0.0}
        low, high = positions(box_of(finding), self.plane, finding.side)
        if low > high:
            changes["plane"] = AXIAL
            low, high = positions(box_of(finding), AXIAL, finding.side)
        inset = 0.1 * (high - low)
        changes["position"] = min(high - inset, max(low + inset, self.position))
        if finding.kind == BRIGHT_ON_WATER and self.sequence not in (T2, FLAIR):
            changes["sequence"] = FLAIR
        return changes

    @property
    def tr_ms(self) -> float:
        return TIMES_MS[self.sequence][0] * self.repetition

    @property
    def te_ms(self) -> float:
        return TIMES_MS[self.sequence][1] * self.echo

    @property
    def slice_mm(self) -> float:
        """Where the slice lies along its normal, in mm of the template."""
        return slice_mm(self.plane, self.position)

    @property
    def focus(self) -> float:
        """The position of the slice that goes through the middle of the lesions."""
        low, high = TRAVEL_MM[self.plane]
        return self.position - self.offset_mm / (high - low)

    @property
    def midline_mm(self) -> float:
        """Whole mm by which the midline is pushed in this slice, + to the patient's left; none below SHIFT_MM."""
        pushed = shift_mm(self.findings) * away(self.offset_mm)
        return float(round(pushed)) if abs(pushed) >= SHIFT_MM and self._through(MIDLINE_BOX) else 0.0

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Atrophy and midline shift as the numbers imply them, and of each lesion what this slice cuts."""
        derived = []
        if self.atrophy > ATROPHY and self._through(ATROPHY_BOX):
            derived.append(Finding("cerebral atrophy", amount=max(0.01, (self.atrophy - ATROPHY) / (1 - ATROPHY))))
        if self.midline_mm:
            derived.append(Finding("midline shift", measurement=abs(self.midline_mm)))
        seen = (self._cut(f) for f in self.findings)
        return (*derived, *(f for f in seen if f))

    def _cut(self, f: Finding) -> Finding | None:
        """The finding as this slice shows it: a ball's section is smaller beside its middle."""
        if not f.side:
            return f if self._through(box_of(f)) else None
        if not self.offset_mm:
            return f
        if f.kind in ROUND:
            left = f.measurement**2 / 4 - self.offset_mm**2
            wide = round(2 * max(0.0, left) ** 0.5)
            return replace(f, measurement=wide) if wide >= self.kinds[f.kind].low else None
        return f if abs(self.offset_mm) < 12 else None

    def _through(self, box: Box) -> bool:
        low, high = positions(box, self.plane)
        if self.plane == 2 and low <= high:
            low = 1 - high
        return low <= self.position <= high
