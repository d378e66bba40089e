"""DICOM, single frame and cine, every usual transfer syntax, to a de-identified `MedicalImage`."""

from __future__ import annotations

import io
import math
import warnings
from pathlib import Path

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage, check_size
from medvlm_lab.io.deidentify import Header, allowed_tags, as_texts, identity_parts, names
from medvlm_lab.io.dicom_pixels import decode

MODALITY_OF = {
    **dict.fromkeys(("CR", "DX", "DR", "RG", "MG", "XA", "RF", "PX", "IO"), "X-ray"),
    **dict.fromkeys(("NM", "PT"), "nuclear medicine"),
    **dict.fromkeys(("US", "IVUS"), "ultrasound"),
    **dict.fromkeys(("OP", "OPT"), "fundus"),
    **dict.fromkeys(("SM", "GM"), "histology"),
    "CT": "CT",
    "MR": "MR",
}
SMALL_FILE = 2**22  # bytes
TEXT_BAND = 0.1  # share of the height where machines print name and date when no header says otherwise


def read_dicom(path: Path) -> MedicalImage:
    """Pixels after rescale (HU for CT), window, spacing, frame rate and burned-in areas from the header."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # real files break the standard in harmless ways: the reader can do nothing about it
        # many short reads: from memory they are faster, but long pixels are better read straight into their place
        source = io.BytesIO(path.read_bytes()) if path.stat().st_size < SMALL_FILE else path
        data = pydicom.dcmread(source, force=True)
        header = Header(data)
        if not any(keyword in header for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise ImageReadError(
                f"{path.name} holds no DICOM pixels (a report, a directory or a cut-off file); copy it again."
            )
        height, width = header.number("Rows"), header.number("Columns")
        frames = header.number("NumberOfFrames", 1) or 1
        check_size(height, width, frames, path.name)
        kind, samples = header.text("PhotometricInterpretation"), header.number("SamplesPerPixel", 1)
        syntax = data.file_meta.get("TransferSyntaxUID", pydicom.uid.ImplicitVRLittleEndian)
        pixels = decode(header, syntax, (frames, height, width, 3)[: 4 if samples == 3 else 3])
        color = pixels.ndim == 4
        if color and pixels.dtype != np.uint8:
            shift = max(0, header.number("BitsStored", 8) - 8) if kind == "RGB" else 8
            pixels = (pixels >> shift).astype(np.uint8)
        if not color:
            pixels = _apply_rescale(pixels, *_rescale(header, frames))
        modality, parts = _modality(header), identity_parts(header)
        tags = allowed_tags(header, parts)
        return MedicalImage(
            pixels=pixels,
            modality=modality,
            spacing_mm=_spacing(header),
            window=None if color else _window(header),
            units="HU" if modality == "CT" and header.text("RescaleType", "HU") == "HU" else "",
            inverted=kind == "MONOCHROME1",
            fps=_fps(header, frames),
            burned_in=_burned_in(header, modality, height, width),
            tags=tags,
            source="DICOM file" if names(path.name, parts) else path.name,
            name=f"DICOM {modality}" if names(path.stem, parts) else path.stem,
            anatomy=tags.get("BodyPartExamined", "").lower(),
            simulated="SIMULATED" in header.read("ImageType")[1],
        )


def _group(header: Header, sequence: str, keyword: str, frame: int = 0) -> list[str]:
    """Values at the top level, else in the shared, else in one frame's functional groups; empty where absent."""
    if keyword in header:
        return header.values(keyword)
    for holder, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        groups = header.dataset.get(holder) if header.holds(holder, keyword) else None
        if groups and index < len(groups) and groups[index].get(sequence):
            value = groups[index][sequence].value[0].get(keyword)
            if value is not None:
                return as_texts(value)
    return []


def _rescale(header: Header, frames: int):
    """(slope, intercept), numbers or (frames, 1, 1) arrays where they differ by frame; (None, None) without effect."""
    pairs, holder = [], "PerFrameFunctionalGroupsSequence"
    differ = header.holds(holder, "RescaleSlope") or header.holds(holder, "RescaleIntercept")
    for frame in range(frames if differ else 1):
        slope = _group(header, "PixelValueTransformationSequence", "RescaleSlope", frame)
        intercept = _group(header, "PixelValueTransformationSequence", "RescaleIntercept", frame)
        pairs.append((float(slope[0]) if slope else 1.0, float(intercept[0]) if intercept else 0.0))
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
        offset = int(intercept)
        if abs(offset) < 2**15 and pixels.dtype.itemsize <= 2:
            if pixels.dtype.itemsize == 1:
                return np.add(pixels, offset, dtype=np.int32 if abs(offset) > 2**15 - 256 else np.int16)
            if -(2**15) <= int(pixels.min()) + offset and int(pixels.max()) + offset < 2**15:
                return pixels.view(np.int16) + np.int16(offset)  # wraps around on the way, never in the result
        return np.add(pixels, offset, dtype=np.int64 if pixels.dtype.itemsize == 4 else np.int32)
    scaled = pixels.astype(np.float32)  # in place from here: large temporaries cost more than the arithmetic
    scaled *= np.float32(slope)
    scaled += np.float32(intercept)
    return scaled


def _numbers(values: list[str]) -> list[float]:
    """Header values as finite floats, empty where absent or unreadable."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _window(header: Header) -> tuple[float, float] | None:
    """The first window that can be used."""
    center = _numbers(_group(header, "FrameVOILUTSequence", "WindowCenter"))
    width = _numbers(_group(header, "FrameVOILUTSequence", "WindowWidth"))
    return (center[0], width[0]) if center and width and width[0] > 0 else None


def _spacing(header: Header) -> tuple[float, float] | None:
    """(row, column) millimetres: pixel spacing, else the detector's, else an ultrasound region's."""
    for value in (_group(header, "PixelMeasuresSequence", "PixelSpacing"), header.values("ImagerPixelSpacing")):
        pair = _numbers(value)
        if len(pair) == 2 and min(pair) > 0:
            return pair[0], pair[1]
    for region in _regions(header):
        pair = _numbers([str(region.get(k, 0)) for k in ("PhysicalDeltaY", "PhysicalDeltaX")])
        centimetres = region.get("PhysicalUnitsXDirection") == 3 and region.get("PhysicalUnitsYDirection") == 3
        if centimetres and len(pair) == 2 and min(map(abs, pair)) > 0:
            return abs(pair[0]) * 10, abs(pair[1]) * 10
    return None


def _regions(header: Header):
    """The ultrasound regions, empty where there are none."""
    return header.dataset.SequenceOfUltrasoundRegions or () if "SequenceOfUltrasoundRegions" in header else ()


def _fps(header: Header, frames: int) -> float | None:
    """Frames per second from the frame time (ms), else the cine rate."""
    for value, rate in (("FrameTime", lambda v: 1000 / v), ("CineRate", float), ("RecommendedDisplayFrameRate", float)):
        number = _numbers(header.values(value))
        if number and number[0] > 0 and frames > 1:
            return rate(number[0])
    return None


def _modality(header: Header) -> str:
    """From the Modality tag; ultrasound of the heart is echo. Descriptions are looked at, never kept."""
    modality = MODALITY_OF.get(header.text("Modality"), "unknown")
    keywords = ("BodyPartExamined", "StudyDescription", "SeriesDescription")
    words = " ".join(word for keyword in keywords for word in header.values(keyword)).lower()
    heart = any(word in words for word in ("heart", "cardiac", "echocardio"))
    return "echo" if modality == "ultrasound" and heart else modality


def _burned_in(header: Header, modality: str, height: int, width: int) -> tuple[tuple[int, int, int, int], ...]:
    """Boxes that may hold text: around the ultrasound regions, else the top band; nothing where the header says NO."""
    regions = _regions(header)
    flag = header.text("BurnedInAnnotation").upper()
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
