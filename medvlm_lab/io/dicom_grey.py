"""Stored grey values of DICOM to what they mean and how they are shown: rescale, lookup tables, windows, padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.grey import PLAIN, STORED, Voi, Window
from medvlm_lab.io.deidentify import Header
from medvlm_lab.io.dicom_values import each, group, numbers

if TYPE_CHECKING:
    from pydicom import Dataset

WITHOUT_MODALITY_TABLE = {"XA", "RF"}  # theirs leads to the beam's intensity, which is not shown (PS3.3, C.11.1.1.2)
VOI_GROUP = "FrameVOILUTSequence"
Range = tuple[float, float]


def measured(header: Header, pixels: np.ndarray, frames: int) -> tuple[np.ndarray, Range | None]:
    """Values after rescale or the modality lookup table, and the range of those that are padding, if any."""
    padding = _padding(header)
    table = None
    if header.text("Modality") not in WITHOUT_MODALITY_TABLE and pixels.dtype.kind in "ui":
        table = _first(header, "ModalityLUTSequence")
    slope, intercept = _rescale(header, frames) if table is None else (None, None)
    if padding is None or (table is None and (slope is None or np.isscalar(slope))):
        values = _rescaled(pixels, slope, intercept) if table is None else _looked_up(pixels, *table[:2])
        if padding is not None and slope is not None:
            padding = tuple(sorted(edge * slope + intercept for edge in padding))
        return values, padding
    # the values of padding depend on the frame or are those of other pixels, too: it gets one of its own
    outside = (pixels >= padding[0]) & (pixels <= padding[1])
    values = _rescaled(pixels, slope, intercept) if table is None else _looked_up(pixels, *table[:2]).astype(np.int32)
    if not outside.any():
        return values, None
    own = values.min() - 1
    return np.where(outside, own, values), (float(own), float(own))


def _padding(header: Header) -> Range | None:
    """(least, most) stored value of pixels that lie outside the picture."""
    for prefix in ("", "Float", "DoubleFloat"):
        value = _stored(header, f"{prefix}PixelPaddingValue")
        if value is not None:
            limit = _stored(header, f"{prefix}PixelPaddingRangeLimit")
            return (value, value) if limit is None else (min(value, limit), max(value, limit))
    return None


def _stored(header: Header, keyword: str) -> float | None:
    """One stored value: signed as the pixels are, whatever the element says of itself."""
    from pydicom.datadict import tag_for_keyword

    element = header.elements.get(int(tag_for_keyword(keyword)))
    if element is None:
        return None
    signed, value = header.number("PixelRepresentation", 0) == 1, element.value
    if type(value) is bytes and len(value) == 2:
        return int.from_bytes(value, "little" if element.is_little_endian else "big", signed=signed)
    found = numbers(header.values(keyword))
    if not found:
        return None
    if keyword.startswith("Pixel"):
        found[0] -= 2**16 if signed and 2**15 <= found[0] < 2**16 else 0
        found[0] += 2**16 if not signed and found[0] < 0 else 0
    return found[0]


def _rescale(header: Header, frames: int):
    """(slope, intercept), numbers or (frames, 1, 1) arrays where they differ by frame; (None, None) without effect."""
    slopes, intercepts = (
        each(header, "PixelValueTransformationSequence", keyword, frames)
        for keyword in ("RescaleSlope", "RescaleIntercept")
    )
    pairs = []
    for frame in range(max(len(slopes), len(intercepts))):
        slope, intercept = (found[frame if len(found) > 1 else 0] for found in (slopes, intercepts))
        pairs.append((float(slope[0]) if slope else 1.0, float(intercept[0]) if intercept else 0.0))
    if set(pairs) == {(1.0, 0.0)}:
        return None, None
    if len(set(pairs)) == 1:
        return pairs[0]
    table = np.array(pairs, np.float32)
    return table[:, 0, None, None], table[:, 1, None, None]


def _rescaled(pixels: np.ndarray, slope, intercept) -> np.ndarray:
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


def _looked_up(pixels: np.ndarray, first: int, data: np.ndarray) -> np.ndarray:
    """Values below and above the table get its first and its last entry."""
    return data[np.clip(pixels.astype(np.int64) - first, 0, len(data) - 1)]


def _first(header: Header, sequence: str) -> tuple[int, np.ndarray, int] | None:
    """The first lookup table of a sequence at the top level or in the functional groups."""
    items = header.dataset.get(sequence) if sequence in header else None
    for holder in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if not items and header.holds(holder, sequence) and (groups := header.dataset.get(holder)):
            held = groups[0].get(VOI_GROUP)
            items = held[0].get(sequence) if held else None
    return _table(items[0], header) if items else None


def _table(item: Dataset, header: Header) -> tuple[int, np.ndarray, int] | None:
    """(first value mapped, entries, bits of an entry); None where the table is broken."""
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or len(descriptor) != 3 or data is None:
        return None
    count, first, bits = (int(value) for value in descriptor)
    count = count % 2**16 or 2**16
    if header.number("PixelRepresentation", 0) == 1 and first >= 2**15:
        first -= 2**16
    if isinstance(data, bytes):
        order = "<" if header.dataset.original_encoding[1] is not False else ">"
        data = np.frombuffer(data[: len(data) // 2 * 2], order + "u2").astype(np.uint16)
    else:
        data = np.atleast_1d(np.asarray(data)).astype(np.uint16)
    if bits <= 8 and len(data) == -(-count // 2) < count:  # two entries in a word
        data = data.astype("<u2").view(np.uint8).astype(np.uint16)
    data = data[:count]
    if not len(data):
        return None
    if not 1 <= bits <= 16 or int(data.max()) >= 2**bits:
        bits = 16
    return first, data.astype(np.uint8) if bits <= 8 else data, bits


def shown(header: Header, frames: int, exact: bool) -> tuple[Window | None, Voi]:
    """The header's window, and how it is applied; `exact` pictures need no window function to be named.

    A lookup table comes before a window. Where frames have windows of their own, these stand in the `Voi`.
    """
    function = (group(header, VOI_GROUP, "VOILUTFunction") or [""])[0].upper()
    if function not in ("SIGMOID", "LINEAR_EXACT"):
        function = "LINEAR_EXACT" if exact else "LINEAR"
    windows = _windows(header, frames)
    table = _first(header, "VOILUTSequence")
    if not windows and table is None:
        return None, PLAIN
    voi = Voi(function)
    if table is not None:
        first, data, bits = table
        voi = Voi(function, first=first, table=np.rint(data / (2**bits - 1) * 255).astype(np.uint8))
    if len(set(windows)) > 1:
        return None, Voi(voi.function, windows, voi.first, voi.table)
    return (windows[0] if windows else None), voi


def _windows(header: Header, frames: int) -> tuple[Window, ...]:
    """One window for all frames or one for each; empty unless every one can be used."""
    centers, widths = (each(header, VOI_GROUP, keyword, frames) for keyword in ("WindowCenter", "WindowWidth"))
    found = []
    for frame in range(max(len(centers), len(widths))):
        center, width = (numbers(values[frame if len(values) > 1 else 0]) for values in (centers, widths))
        usable = [pair for pair in zip(center, width, strict=False) if pair[1] > 0]
        if not usable:
            return ()
        found.append(usable[0])
    return tuple(found)


def units(header: Header, modality: str) -> str:
    """Hounsfield units ("HU") where a CT's header says how stored values become them, else "stored values"."""
    if modality != "CT":
        return ""
    scaled = group(header, "PixelValueTransformationSequence", "RescaleIntercept")
    kind = (group(header, "PixelValueTransformationSequence", "RescaleType") or [""])[0]
    if not scaled and "ModalityLUTSequence" in header:
        kinds = [item.get("ModalityLUTType", "") for item in header.dataset.ModalityLUTSequence or ()]
        scaled, kind = kinds, (kinds or [""])[0]
    return "HU" if scaled and kind in ("HU", "") else STORED
