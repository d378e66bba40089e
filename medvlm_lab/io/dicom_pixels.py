"""DICOM pixels as stored: plain ones without a copy, run-length ones by segment, the others through pydicom.

Native decoders trust what they read: a damaged size makes them reserve gigabytes or search for rows without end, so
each coded frame's own size is compared with the header before a decoder sees it.
"""

from __future__ import annotations

import math
import re
import struct
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.io.deidentify import Header

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from pydicom.uid import UID

PLAIN_KINDS = {"MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR"}  # nothing to convert after reading
DECODERS = {  # what to install, by pydicom's plug-in
    "pylibjpeg": "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle", "gdcm": "python-gdcm",
    "": "python-gdcm pylibjpeg-libjpeg",
}  # fmt: skip
JP2_BOX = b"\x00\x00\x00\x0cjP  "
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # F7 is JPEG-LS
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}


def decode(header: Header, syntax: UID, shape: tuple[int, ...]) -> Shaped[np.ndarray, ...]:
    """Stored values of `shape`, (frames, h, w) or (frames, h, w, 3); YBR becomes RGB, palette indices become colours.

    Equal to pydicom's `pixel_array`; may be read-only. Raises ValueError, or whatever a decoder raises, on damage.
    """
    from pydicom.pixels import apply_color_lut, get_decoder

    pixels, source, options = None, header.dataset, {}
    if not syntax.is_encapsulated:
        pixels = _native(header, syntax, shape)
    elif syntax == "1.2.840.10008.1.2.5":
        pixels = _run_length(header, shape)
        options["decoding_plugin"] = "pydicom"  # the compiled one ends in a Rust panic on damaged bytes
    else:
        for frame in coded_frames(header, shape[0]):
            _check_coded_size(frame, shape)
    if pixels is None:
        if "PixelData" in header:  # else floats, which are rare
            source, options = header.elements[0x7FE00010].value, {**_options(header, shape), **options}
        try:
            pixels, _ = get_decoder(syntax).as_array(source, **options)
        except RuntimeError as error:
            raise _no_decoder(error, syntax, header) from error
        if pixels.ndim < len(shape):
            pixels = pixels[None]
    if header.text("PhotometricInterpretation") != "PALETTE COLOR":
        return pixels
    low, high = int(pixels.min()), int(pixels.max())
    if high - low >= pixels.size:
        return apply_color_lut(pixels, header.dataset)[..., :3]
    table = apply_color_lut(np.arange(low, high + 1, dtype=pixels.dtype), header.dataset)[:, :3]
    if table.dtype != np.uint8:
        table = (table >> 8).astype(np.uint8)
    return np.take(table, pixels if low == 0 else pixels - pixels.dtype.type(low), axis=0)  # (frames, h, w, 3)


def _no_decoder(error: RuntimeError, syntax: UID, header: Header) -> Exception:
    """The error that names the decoder that is missing; else what the installed ones say."""
    said, bits = str(error), header.number("BitsStored", 8)
    tried = re.findall(r"^\s+(\w+): ", said, re.M)
    missing = "missing dependencies" in said
    if missing or (syntax.name.startswith("JPEG Extended") and bits > 8):
        package = next(name for plugin, name in DECODERS.items() if missing or plugin not in tried)
        others = f"; {' and '.join(tried)} refuse them" if tried else ""
        return ImageReadError(
            f"The file holds {bits}-bit {syntax.name} pixels, for which a decoder is missing{others}. Run "
            f"`pip install {package}`, or export the file uncompressed."
        )
    return ValueError("; ".join(line.strip() for line in said.splitlines()[1:]) or said)


def _native(header: Header, syntax: UID, shape: tuple[int, ...]) -> np.ndarray | None:
    """Uncompressed pixels as a view of the file's bytes; None where pydicom has something to correct or refuse."""
    layout, element = _layout(header), header.elements.get(0x7FE00010)
    if layout is None or type(element.value) is not bytes:
        return None
    dtype, allocated, bits = layout
    count, swapped = math.prod(shape), not syntax.is_little_endian
    expected = -(-count * allocated // 8)
    if len(element.value) not in (expected, expected + expected % 2) or len(element.value) % 2:
        return None
    if allocated == 1:
        pixels = np.unpackbits(np.frombuffer(element.value, np.uint8), count=count, bitorder="little")
    else:
        pixels = np.frombuffer(element.value, dtype.newbyteorder(">" if swapped else "<"), count)
        if swapped and allocated == 8 and element.VR == "OW":  # bytes in pairs, stored as big-endian words
            pixels = np.frombuffer(element.value, np.uint16).byteswap().view(dtype)[:count]
        pixels = _clear_unused(pixels.astype(dtype, copy=False), bits)
    if len(shape) == 4 and header.number("PlanarConfiguration", 0) == 1:
        return np.ascontiguousarray(pixels.reshape(shape[0], 3, *shape[1:3]).transpose(0, 2, 3, 1))
    return pixels.reshape(shape)


def _run_length(header: Header, shape: tuple[int, ...]) -> np.ndarray | None:
    """RLE (PS3.5, annex G): one PackBits segment per byte of a sample, most significant first; None if irregular."""
    from rle.rle import decode_segment  # unlike its decode_frame, grows its output: damage cannot write past the end

    layout = _layout(header)
    if layout is None or layout[1] == 1:
        return None
    dtype, _, bits = layout
    size, planes = shape[1] * shape[2], (*shape, 1)[3] * dtype.itemsize
    out = np.empty((shape[0], size, planes), np.uint8)
    for index, frame in enumerate(coded_frames(header, shape[0])):
        count, *starts = struct.unpack("<16L", frame[:64])
        if count != planes:
            return None
        for plane, (start, end) in enumerate(zip(starts[:planes], [*starts[1:planes], len(frame)], strict=True)):
            segment = decode_segment(frame[start:end]) if start < end <= len(frame) else b""
            if len(segment) != size:
                return None
            # little-endian samples: the segments of one sample in reverse
            at = plane - plane % dtype.itemsize + dtype.itemsize - 1 - plane % dtype.itemsize
            out[index, :, at] = np.frombuffer(segment, np.uint8)
    pixels = out.view(dtype.newbyteorder("<")).astype(dtype, copy=False)
    return _clear_unused(pixels, bits).reshape(shape)


def _options(header: Header, shape: tuple[int, ...]) -> dict[str, int | str | tuple]:
    """What pydicom's decoders have to know, without the elements that it would build to find out."""
    options = {
        "pixel_keyword": "PixelData",
        "pixel_vr": header.elements[0x7FE00010].VR,
        "number_of_frames": shape[0],
        "rows": shape[1],
        "columns": shape[2],
        "samples_per_pixel": header.number("SamplesPerPixel"),
        "photometric_interpretation": header.text("PhotometricInterpretation"),
        "bits_allocated": header.number("BitsAllocated"),
        "bits_stored": header.number("BitsStored"),
        "pixel_representation": header.number("PixelRepresentation"),
    }
    if "PlanarConfiguration" in header:
        options["planar_configuration"] = header.number("PlanarConfiguration")
    if (offsets := _extended_offsets(header)) is not None:
        options["extended_offsets"] = offsets
    return options


def _extended_offsets(header: Header) -> tuple[bytes, bytes] | None:
    if "ExtendedOffsetTable" not in header or "ExtendedOffsetTableLengths" not in header:
        return None
    return header.dataset.ExtendedOffsetTable, header.dataset.ExtendedOffsetTableLengths


def _layout(header: Header) -> tuple[np.dtype, int, int] | None:
    """(type, allocated bits, stored bits) of integer pixels; None for floats, YBR and what the standard forbids."""
    allocated, bits = header.number("BitsAllocated", 0), header.number("BitsStored", 0)
    sign = header.number("PixelRepresentation", -1)
    if header.text("PhotometricInterpretation") not in PLAIN_KINDS or "PixelData" not in header:
        return None
    if allocated not in (1, 8, 16, 32) or not 1 <= bits <= allocated or sign not in (0, 1):
        return None
    return np.dtype(f"{'ui'[sign]}{max(1, allocated // 8)}"), allocated, bits


def _clear_unused(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Without what the bits above the stored ones hold (old overlays, noise): looking is cheaper than shifting."""
    unused = pixels.dtype.itemsize * 8 - bits
    sign = int(pixels.dtype.kind == "i")
    top = 1 << (bits - sign)
    if not unused or (int(pixels.max()) < top and (not sign or int(pixels.min()) >= -top)):
        return pixels
    return (pixels << unused) >> unused


def coded_frames(header: Header, frames: int) -> list[bytes]:
    """The coded frames; ValueError where they are not as many as the header counts."""
    from pydicom.encaps import generate_frames

    data, offsets = header.elements[0x7FE00010].value, _extended_offsets(header)
    coded = list(generate_frames(data, number_of_frames=frames, extended_offsets=offsets))
    if len(coded) != frames:
        raise ValueError(f"{len(coded)} coded frames, expected {frames}")
    return coded


def _check_coded_size(frame: bytes, shape: tuple[int, ...]) -> None:
    """ValueError where a JPEG, JPEG-LS or JPEG 2000 frame is not of the header's size."""
    size = _coded_size(frame)
    if size != (shape[1], shape[2]):
        raise ValueError(f"its coded size {size} differs from its header's {shape[1:3]}")


def _coded_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) in a frame's own header; None where it has none."""
    start = 0
    if frame.startswith(JP2_BOX):  # a whole JP2 file inside: boxes of (length, type) before the code
        while frame[start + 4 : start + 8] != b"jp2c":
            length = int.from_bytes(frame[start : start + 4], "big")
            if length < 8 or start + length >= len(frame):
                return None
            start += length
        start += 8
    if frame.startswith(b"\xff\x4f\xff\x51", start):
        right, bottom, left, top = struct.unpack(">4L", frame[start + 8 : start + 24])
        return bottom - top, right - left
    at = 2  # after JPEG's start of image
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            return struct.unpack(">2H", frame[at + 5 : at + 9])
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return None
