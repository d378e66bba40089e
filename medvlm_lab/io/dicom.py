"""DICOM, single frame and cine, every usual transfer syntax, to a de-identified `MedicalImage`."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np

from medvlm_lab.arrays import compact, filled
from medvlm_lab.errors import ImageReadError
from medvlm_lab.grey import PLAIN
from medvlm_lab.image import MedicalImage, check_size
from medvlm_lab.io.deidentify import Header, allowed_tags
from medvlm_lab.io.dicom_geometry import aspect, frame_order, regions, spacing, turn
from medvlm_lab.io.dicom_grey import measured, shown, units
from medvlm_lab.io.dicom_pixels import decode
from medvlm_lab.io.dicom_values import numbers

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
    """Pixels after rescale (HU for CT) or lookup table, turned to the radiological convention, frames in their order.

    Window, spacing, frame rate, directions and burned-in areas come from the header.
    """
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
        modality, tags = _modality(header), allowed_tags(header)
        simulated = "SIMULATED" in header.read("ImageType")[1]
        window, voi, padding = None, PLAIN, None
        if not color:
            pixels, padding = measured(header, pixels, frames)
            window, voi = shown(header, frames, exact=simulated)
            if pixels.dtype.kind == "f":
                pixels, estimate = filled(pixels, path.name)
                pixels = compact(pixels)
                window = window or (None if voi.windows or voi.table is not None else estimate)
        if order := frame_order(header, frames):
            pixels, voi = pixels[order], voi.of_frames(order)
        turned, orientation = turn(header, frames)
        mm, ratio = spacing(header), aspect(header)
        return MedicalImage(
            pixels=np.ascontiguousarray(turned.pixels(pixels)),
            modality=modality,
            spacing_mm=mm and turned.pair(mm),
            pixel_aspect=1 / ratio if turned.transpose else ratio,
            window=window,
            voi=voi,
            padding=padding,
            units="" if color else units(header, modality),
            # the two go together; a file that says only one of them means it, too
            inverted=not color and (kind == "MONOCHROME1" or header.text("PresentationLUTShape").upper() == "INVERSE"),
            orientation=orientation,
            fps=_fps(header, frames),
            burned_in=tuple(turned.box(box, height, width) for box in _burned_in(header, modality, height, width)),
            tags=tags,
            anatomy=tags.get("BodyPartExamined", "").lower(),
            simulated=simulated,
        )


def _fps(header: Header, frames: int) -> float | None:
    """Frames per second from the frame time (ms), else the cine rate."""
    for value, rate in (("FrameTime", lambda v: 1000 / v), ("CineRate", float), ("RecommendedDisplayFrameRate", float)):
        number = numbers(header.values(value))
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
    found = regions(header)
    flag = header.text("BurnedInAnnotation").upper()
    if found:
        boxes = [[int(r[f"RegionLocation{k}"].value) for k in ("MinX0", "MinY0", "MaxX1", "MaxY1")] for r in found]
        if any(b[2] >= width or b[3] >= height for b in boxes):  # the picture was resized, its header was not
            return ((0, 0, width, max(1, round(height * TEXT_BAND))),)
        left, top = max(0, min(b[0] for b in boxes)), max(0, min(b[1] for b in boxes))
        right, bottom = min(width, max(b[2] for b in boxes) + 1), min(height, max(b[3] for b in boxes) + 1)
        strips = ((0, 0, width, top), (0, bottom, width, height), (0, top, left, bottom), (right, top, width, bottom))
        return tuple(s for s in strips if s[2] > s[0] and s[3] > s[1])
    if flag == "YES" or (modality in ("ultrasound", "echo") and flag != "NO"):
        return ((0, 0, width, max(1, round(height * TEXT_BAND))),)
    return ()
