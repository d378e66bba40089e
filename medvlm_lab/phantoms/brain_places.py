"""Where findings of the brain lie, in mm of the template: x to the patient's left, y forward, z up, as in MNI space.

A lesion's middle lies in the slice, inside a box that its region gives; a slice outside the box cannot show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medvlm_lab.phantoms.scene import Finding

Span = tuple[float, float]
Box = tuple[Span, Span, Span]  # |x|, y, z

LOBES = ("frontal lobe", "parietal lobe", "temporal lobe", "occipital lobe")
DEEP = ("basal ganglia", "thalamus")
TERRITORIES = ("anterior cerebral artery", "middle cerebral artery", "posterior cerebral artery")
#: mm along the slice normal that the scene's position runs over: axial from below, coronal from behind, sagittal from
#: the patient's right
TRAVEL_MM: tuple[Span, Span, Span] = ((-62.0, 76.0), (-98.0, 66.0), (-64.0, 64.0))
NORMAL = (2, 1, 0)  # the template's axis across each plane
ANYWHERE: Box = ((0, 99), (-199, 199), (-199, 199))

BOXES: dict[str, Box] = {
    "frontal lobe": ((16, 38), (14, 46), (4, 52)),
    "parietal lobe": ((16, 42), (-62, -32), (26, 54)),
    "temporal lobe": ((38, 50), (-36, 2), (-26, -6)),
    "occipital lobe": ((14, 30), (-86, -68), (-4, 24)),
    "basal ganglia": ((19, 27), (-6, 12), (-2, 10)),
    "thalamus": ((8, 13), (-24, -12), (2, 12)),
    "anterior cerebral artery": ((5, 22), (6, 52), (22, 56)),
    "middle cerebral artery": ((26, 52), (-42, 20), (-2, 42)),
    "posterior cerebral artery": ((8, 30), (-92, -58), (-6, 22)),
    "meningioma": ((34, 58), (-50, 44), (10, 54)),
    "subdural haematoma": ((70, 99), (-58, 38), (4, 58)),  # no sagittal slice shows it well
    "hydrocephalus": ((5, 20), (-44, 26), (-2, 28)),
    "white matter hyperintensities": ((14, 32), (-44, 28), (12, 40)),
}
#: slices in which shrunken brain, and a shifted midline, are seen
ATROPHY_BOX: Box = ((0, 50), (-84, 50), (-18, 62))
MIDLINE_BOX: Box = ((70, 99), (-58, 40), (0, 52))  # the midline is no line in a sagittal slice
MASSES = {  # mm of midline shift: per mm, from which size on
    "brain tumour": (0.26, 20.0), "meningioma": (0.20, 22.0), "intracerebral haemorrhage": (0.22, 22.0),
    "subdural haematoma": (0.62, 4.0),
}
LARGEST_SHIFT_MM = 13.0


def box_of(finding: Finding) -> Box:
    """The box of a finding's middle."""
    return BOXES.get(finding.region or finding.kind, BOXES.get(finding.kind, ANYWHERE))


def slice_mm(plane: int, position: float) -> float:
    """Where a slice lies along its normal."""
    low, high = TRAVEL_MM[plane]
    return low + (high - low) * position


def positions(box: Box, plane: int, side: str = "") -> Span:
    """The positions whose slices go through the box, on one side of the head in a sagittal plane; perhaps none."""
    low, high = box[NORMAL[plane]]
    if plane == 2 and side == "right":
        low, high = -high, -low
    first, last = TRAVEL_MM[plane]
    return (max(0.0, (low - first) / (last - first)), min(1.0, (high - first) / (last - first)))


def shift_mm(findings: Sequence[Finding]) -> float:
    """How far masses push the midline, + to the patient's left."""
    total = 0.0
    for f in findings:
        push = 0.0
        if f.kind in MASSES:
            per_mm, start = MASSES[f.kind]
            push = per_mm * max(0.0, f.measurement - start)
        elif f.kind == "vasogenic oedema":
            push = 3.0 * f.amount
        elif f.kind == "cerebral infarct" and f.region == TERRITORIES[1]:
            push = 6.0 * max(0.0, f.amount - 0.5)
        total += push * (-1 if f.side == "left" else 1)
    return max(-LARGEST_SHIFT_MM, min(LARGEST_SHIFT_MM, total))


def away(offset_mm: float) -> float:
    """How much of a midline shift is left in a slice `offset_mm` from the mass."""
    return math.exp(-((offset_mm / 45.0) ** 2))


#: the cranial cavity's middle and half axes, mm
CAVITY = ((0.0, -17.0, 10.0), (70.0, 89.0, 70.0))
IN_PLANE = ((0, 1), (0, 2), (1, 2))  # the template's axes along and down the picture, per plane


def middle(plane: int, normal_mm: float, finding: Finding, size: float) -> tuple[float, float]:
    """A lesion's middle along the two axes of the slice, mm of the template, such that all of it lies in the brain.

    A meningioma touches the dura, all else keeps away from it. size: of the head.
    """
    box, sign = box_of(finding), -1 if finding.side == "right" else 1
    r = (finding.measurement or 0.0) / 2 / size
    at = []
    for axis, share in zip(IN_PLANE[plane], finding.at, strict=True):
        value = box[axis][0] + (box[axis][1] - box[axis][0]) * share
        at.append(max(value, 0.6 * r + 3.0) if axis == 0 else value)
    across = NORMAL[plane]
    beyond = (normal_mm - CAVITY[0][across]) / CAVITY[1][across]
    section = max(0.2, 1 - beyond**2) ** 0.5
    extra = -0.06 * r if finding.kind == "meningioma" else 5.0
    half = [max(4.0, CAVITY[1][axis] * section - r - extra) for axis in IN_PLANE[plane]]
    away_from = [v - CAVITY[0][axis] for v, axis in zip(at, IN_PLANE[plane], strict=True)]
    far = sum((v / h) ** 2 for v, h in zip(away_from, half, strict=True)) ** 0.5
    pull = 1 / far if far > 1 or finding.kind == "meningioma" else 1.0
    a, b = (CAVITY[0][axis] + v * pull for v, axis in zip(away_from, IN_PLANE[plane], strict=True))
    return (a * sign if plane != 2 else a), b
