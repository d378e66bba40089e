"""Where a DICOM picture lies in the patient: the order of its frames, which way up it is shown, the size of a pixel."""

from __future__ import annotations

import numpy as np

from medvlm_lab.io.deidentify import Header
from medvlm_lab.io.dicom_values import PER_FRAME, each, group, numbers
from medvlm_lab.orientation import Turn, directions, from_codes, turn_for

#: Turned by PatientOrientation. Mammograms and dental films hang by rules of their own, a posterior bone scan is
#: mirrored on purpose, and photographs and ultrasound are looked at as they were taken.
TURNED_BY_CODES = {"CR", "DX", "DR", "RG", "RF", "XA", "PX", "CT", "MR"}
STEP_MM = 1e-3  # frames nearer than this lie in one place


def frame_order(header: Header, frames: int) -> list[int] | None:
    """Stored frames in the order of their places (feet to head, front to back, right to left), else of their dimension
    indices; None where they are in order or the header does not tell."""
    if frames < 2:
        return None
    keys = _places(header, frames)
    if keys is None:
        indices = [tuple(numbers(v)) for v in each(header, "FrameContentSequence", "DimensionIndexValues", frames)]
        if len(set(indices)) < frames or len({len(index) for index in indices}) > 1:
            return None
        keys = indices
    order = sorted(range(frames), key=keys.__getitem__)
    return None if order == list(range(frames)) else order


def _places(header: Header, frames: int) -> list[float] | None:
    """Each frame's place in mm along the normal of the plane; None unless all lie in different places."""
    positions = [numbers(v) for v in each(header, "PlanePositionSequence", "ImagePositionPatient", frames)]
    if len(positions) < frames or {len(position) for position in positions} != {3}:
        return None
    positions, plane = np.array(positions), _plane(header, frames)
    if plane is not None:
        normal = np.cross(*plane)
        along = positions @ (normal * np.sign(normal[np.abs(normal).argmax()]))
    elif "ImageOrientationPatient" in header or header.holds(PER_FRAME, "ImageOrientationPatient"):
        return None  # planes that differ, such as a localizer's
    else:
        along = positions[:, np.ptp(positions, axis=0).argmax()]
    return along.tolist() if np.diff(np.sort(along)).min() > STEP_MM else None


def _plane(header: Header, frames: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Directions of rows and columns, of all frames alike; None where unknown or different."""
    found = [numbers(v) for v in each(header, "PlaneOrientationSequence", "ImageOrientationPatient", frames)]
    if len({len(cosines) for cosines in found}) > 1 or len(found[0]) != 6:
        return None
    return directions(found[0]) if np.ptp(found, axis=0).max() < 1e-2 else None


def turn(header: Header, frames: int) -> tuple[Turn, tuple[str, str] | None]:
    """How the picture is turned for display, and where its right and bottom edges point then."""
    plane, codes = _plane(header, frames), tuple(header.values("PatientOrientation"))
    if plane is None and header.text("AnatomicalOrientationType") != "QUADRUPED":
        plane = from_codes(codes)
        if plane is not None and header.text("Modality") not in TURNED_BY_CODES:
            return Turn(), Turn().letters(*plane)
    if plane is None:
        return Turn(), None
    found = turn_for(*plane)
    return found, found.letters(*plane)


def spacing(header: Header) -> tuple[float, float] | None:
    """(row, column) millimetres: pixel spacing, else the detector's, else an ultrasound region's."""
    for value in (group(header, "PixelMeasuresSequence", "PixelSpacing"), header.values("ImagerPixelSpacing")):
        pair = numbers(value)
        if len(pair) == 2 and min(pair) > 0:
            return pair[0], pair[1]
    for region in regions(header):
        pair = numbers([str(region.get(k, 0)) for k in ("PhysicalDeltaY", "PhysicalDeltaX")])
        centimetres = region.get("PhysicalUnitsXDirection") == 3 and region.get("PhysicalUnitsYDirection") == 3
        if centimetres and len(pair) == 2 and min(map(abs, pair)) > 0:
            return abs(pair[0]) * 10, abs(pair[1]) * 10
    return None


def aspect(header: Header) -> float:
    """A pixel's height over its width, where only that is known."""
    pair = numbers(header.values("PixelAspectRatio"))
    return pair[0] / pair[1] if len(pair) == 2 and min(pair) > 0 else 1.0


def regions(header: Header):
    """The ultrasound regions, empty where there are none."""
    return header.dataset.SequenceOfUltrasoundRegions or () if "SequenceOfUltrasoundRegions" in header else ()
