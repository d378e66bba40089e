"""DICOM, single frame and cine, every usual transfer syntax, to a de-identified `MedicalImage`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage, check_size
from medvlm_lab.io.deidentify import allowed_tags, safe_text

if TYPE_CHECKING:
    from pydicom import Dataset

MODALITY_OF = {
    **dict.fromkeys(("CR", "DX", "DR", "RG", "MG", "XA", "RF", "PX", "IO"), "X-ray"),
    **dict.fromkeys(("NM", "PT"), "nuclear medicine"),
    **dict.fromkeys(("US", "IVUS"), "ultrasound"),
    **dict.fromkeys(("OP", "OPT"), "fundus"),
    **dict.fromkeys(("SM", "GM"), "histology"),
    "CT": "CT",
    "MR": "MR",
}
TEXT_BAND = 0.1  # share of the height where machines print name and date when no header says otherwise


def read_dicom(path: Path) -> MedicalImage:
    """Pixels after rescale (HU for CT), window, spacing, frame rate and burned-in areas from the header."""
    import pydicom
    from pydicom.pixels import get_decoder

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # real files break the standard in harmless ways: the reader can do nothing about it
        data = pydicom.dcmread(path, force=True)
        if "PixelData" not in data and "FloatPixelData" not in data and "DoubleFloatPixelData" not in data:
            raise ImageReadError(
                f"{path.name} holds no DICOM pixels (a report, a directory or a cut-off file); copy it again."
            )
        height, width, frames = int(data.Rows), int(data.Columns), int(data.get("NumberOfFrames") or 1)
        check_size(height, width, frames, path.name)
        syntax = data.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
        _check_coded_size(data, syntax, path.name)
        slope, intercept = _rescale(data, frames)
        # Without a copy where the rescale makes a new array anyway.
        options = {} if slope is None or syntax.is_encapsulated else {"view_only": True}
        pixels, _ = get_decoder(syntax).as_array(data, **options)
        kind = str(data.get("PhotometricInterpretation", ""))
        if kind == "PALETTE COLOR":
            from pydicom.pixels import apply_color_lut

            pixels = apply_color_lut(pixels, data)
        color = kind == "PALETTE COLOR" or int(data.get("SamplesPerPixel", 1)) == 3
        if pixels.ndim == (3 if color else 2):
            pixels = pixels[None]
        if color and pixels.dtype != np.uint8:
            pixels = (pixels >> max(0, int(data.get("BitsStored", 8)) - 8) if kind == "RGB" else pixels >> 8).astype(
                np.uint8
            )
        if not color:
            pixels = _apply_rescale(pixels, slope, intercept)
        modality, tags = _modality(data), allowed_tags(data)
        return MedicalImage(
            pixels=pixels,
            modality=modality,
            spacing_mm=_spacing(data),
            window=None if color else _window(data),
            units="HU" if modality == "CT" and data.get("RescaleType", "HU") == "HU" else "",
            inverted=kind == "MONOCHROME1",
            fps=_fps(data),
            burned_in=_burned_in(data, modality, height, width),
            tags=tags,
            source=safe_text(data, path.name, "DICOM file"),
            name=safe_text(data, path.stem, f"DICOM {modality}"),
            anatomy=tags.get("BodyPartExamined", "").lower(),
        )


def _check_coded_size(data: Dataset, syntax, name: str) -> None:
    """JPEG 2000 carries its own size: a damaged one makes the decoder reserve gigabytes before it notices."""
    if not syntax.is_encapsulated:
        return
    start = data.PixelData.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:
        box = data.PixelData[start + 8 : start + 24]
        x1, y1, x0, y0 = (int.from_bytes(box[i : i + 4], "big") for i in (0, 4, 8, 12))
        if (x1 - x0, y1 - y0) != (data.Columns, data.Rows):
            raise ImageReadError(
                f"{name} is damaged (its coded size differs from its header); copy or export it again."
            )


def _group(data: Dataset, sequence: str, keyword: str, frame: int = 0):
    """A value at the top level, else in the shared, else in one frame's functional groups; None where absent."""
    if keyword in data:
        return data.get(keyword)
    for holder, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        groups = data.get(holder)
        if groups and index < len(groups) and groups[index].get(sequence):
            value = groups[index][sequence].value[0].get(keyword)
            if value is not None:
                return value
    return None


def _rescale(data: Dataset, frames: int):
    """(slope, intercept), numbers or (frames, 1, 1) arrays where they differ by frame; (None, None) without effect."""
    pairs = []
    for frame in range(frames if "PerFrameFunctionalGroupsSequence" in data else 1):
        slope = _group(data, "PixelValueTransformationSequence", "RescaleSlope", frame)
        intercept = _group(data, "PixelValueTransformationSequence", "RescaleIntercept", frame)
        pairs.append((1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)))
    if set(pairs) == {(1.0, 0.0)}:
        return None, None
    if len(set(pairs)) == 1:
        return pairs[0]
    table = np.array(pairs, np.float32)
    return table[:, 0, None, None], table[:, 1, None, None]


def _apply_rescale(pixels: np.ndarray, slope, intercept) -> np.ndarray:
    """Integers stay integers where slope is 1 and the intercept whole; the result always fits its type."""
    if slope is None:
        return pixels
    if np.isscalar(slope) and slope == 1 and float(intercept).is_integer() and pixels.dtype.kind in "ui":
        dtype = np.int16 if pixels.dtype.itemsize == 1 else np.int32
        if abs(intercept) >= 2**15:
            dtype = np.int64 if pixels.dtype.itemsize == 4 else np.int32
        return np.add(pixels, int(intercept), dtype=dtype)
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _numbers(value) -> list[float]:
    """A header value as finite floats, empty where absent or unreadable."""
    try:
        values = [float(v) for v in np.atleast_1d(np.asarray(value if value is not None else [], dtype=object))]
    except (TypeError, ValueError):
        return []
    return values if np.isfinite(values).all() else []


def _window(data: Dataset) -> tuple[float, float] | None:
    """The first window that can be used."""
    center = _numbers(_group(data, "FrameVOILUTSequence", "WindowCenter"))
    width = _numbers(_group(data, "FrameVOILUTSequence", "WindowWidth"))
    return (center[0], width[0]) if center and width and width[0] > 0 else None


def _spacing(data: Dataset) -> tuple[float, float] | None:
    """(row, column) millimetres: pixel spacing, else the detector's, else an ultrasound region's."""
    for value in (_group(data, "PixelMeasuresSequence", "PixelSpacing"), data.get("ImagerPixelSpacing")):
        pair = _numbers(value)
        if len(pair) == 2 and min(pair) > 0:
            return pair[0], pair[1]
    for region in data.get("SequenceOfUltrasoundRegions") or ():
        pair = _numbers([region.get("PhysicalDeltaY", 0), region.get("PhysicalDeltaX", 0)])
        centimetres = region.get("PhysicalUnitsXDirection") == 3 and region.get("PhysicalUnitsYDirection") == 3
        if centimetres and len(pair) == 2 and min(map(abs, pair)) > 0:
            return abs(pair[0]) * 10, abs(pair[1]) * 10
    return None


def _fps(data: Dataset) -> float | None:
    """Frames per second from the frame time (ms), else the cine rate."""
    for value, rate in (("FrameTime", lambda v: 1000 / v), ("CineRate", float), ("RecommendedDisplayFrameRate", float)):
        number = _numbers(data.get(value))
        if number and number[0] > 0 and int(data.get("NumberOfFrames") or 1) > 1:
            return rate(number[0])
    return None


def _modality(data: Dataset) -> str:
    """From the Modality tag; ultrasound of the heart is echo. Descriptions are looked at, never kept."""
    modality = MODALITY_OF.get(str(data.get("Modality", "")), "unknown")
    words = " ".join(
        str(data.get(k, "")) for k in ("BodyPartExamined", "StudyDescription", "SeriesDescription")
    ).lower()
    heart = any(word in words for word in ("heart", "cardiac", "echocardio"))
    return "echo" if modality == "ultrasound" and heart else modality


def _burned_in(data: Dataset, modality: str, height: int, width: int) -> tuple[tuple[int, int, int, int], ...]:
    """Boxes that may hold text: around the ultrasound regions, else the top band; nothing where the header says NO."""
    regions = data.get("SequenceOfUltrasoundRegions")
    flag = str(data.get("BurnedInAnnotation", "")).upper()
    if regions:
        boxes = [[int(r[f"RegionLocation{k}"].value) for k in ("MinX0", "MinY0", "MaxX1", "MaxY1")] for r in regions]
        if any(b[2] >= width or b[3] >= height for b in boxes):  # the picture was resized, its header was not
            return ((0, 0, width, max(1, round(height * TEXT_BAND))),)
        left, top = max(0, min(b[0] for b in boxes)), max(0, min(b[1] for b in boxes))
        right, bottom = min(width, max(b[2] for b in boxes) + 1), min(height, max(b[3] for b in boxes) + 1)
        strips = ((0, 0, width, top), (0, bottom, width, height), (0, top, left, bottom), (right, top, width, bottom))
        return tuple(s for s in strips if s[2] > s[0] and s[3] > s[1])
    if flag == "YES" or (modality in ("ultrasound", "echo") and flag != "NO"):
        return ((0, 0, width, max(1, round(height * TEXT_BAND))),)
    return ()
