"""Files to `MedicalImage`: DICOM, NIfTI, PNG/JPEG/TIFF, AVI/MP4 and NumPy, recognised by content before extension."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from medvlm_lab.errors import ImageReadError, MedVLMError, UnknownNameError
from medvlm_lab.image import MODALITIES, MedicalImage
from medvlm_lab.io.identity import identity_of
from medvlm_lab.io.private import neutral_name, without_file_content

__all__ = ["read"]

GZIP = b"\x1f\x8b"
FORMATS = "DICOM (.dcm), NIfTI (.nii, .nii.gz), PNG, JPEG, TIFF, AVI, MP4, NumPy (.npy)"


def read(source: Any, modality: str | None = None) -> MedicalImage:
    """Read one image, de-identified and under a neutral name; `modality` overrides what the file says.

    source: a path; an image file's bytes or an open binary file; an array as `MedicalImage.from_array` takes it; a PIL
    image. Raises ImageReadError for what is missing, damaged, oversized or no image, UnknownNameError for an unknown
    modality.
    """
    if modality is not None and modality not in MODALITIES:
        raise UnknownNameError("modality", modality, MODALITIES)
    image = _from_memory(source) if not isinstance(source, str | os.PathLike) else _from_path(Path(source).expanduser())
    return image if modality is None else image.with_(modality=modality)


def _from_memory(source: Any) -> MedicalImage:
    """An image that is no file of its own: of bytes and open files a copy is read, so that names stay out."""
    if isinstance(source, MedicalImage):
        return source
    if hasattr(source, "getbands"):
        from medvlm_lab.io.raster import of_pillow

        return _one_sentence(of_pillow, source, "The picture")
    suffix = ""
    if callable(getattr(source, "read", None)):
        name = str(getattr(source, "name", "")).lower()
        suffix = ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix
        source = source.read()
        if isinstance(source, str):
            raise ImageReadError("The file was opened as text; open it in binary mode, with open(path, 'rb').")
    if isinstance(source, bytes | bytearray | memoryview):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "image" + suffix)
            path.write_bytes(source)
            return _from_path(path)
    if hasattr(source, "__array__") or isinstance(source, list | tuple):
        try:
            return MedicalImage.from_array(np.asarray(source))
        except (ValueError, TypeError):  # rows of unequal length; a tensor on a GPU
            pass
    raise ImageReadError(
        f"A {type(source).__name__} is no image; give a path, an image file's bytes, an open binary file, an array "
        "of numbers or a PIL image."
    )


def _from_path(path: Path) -> MedicalImage:
    try:
        if path.is_fifo():  # it would be waited for
            raise ImageReadError(f"{path} is a pipe; give an image file.").about(path, "A pipe is no image file.")
        with path.open("rb") as file:
            head = file.read(352)
            if head.startswith(GZIP):
                file.seek(0)
                head = _unzipped(file) or head
    except IsADirectoryError:
        problem = f"is a folder; give one image file ({FORMATS})."
        raise ImageReadError(f"{path} {problem}").about(path, f"An image {problem}") from None
    except OSError as error:
        problem = f"cannot be opened ({error.strerror}); check the path."
        raise ImageReadError(f"{path} {problem}").about(path, f"An image {problem}") from None
    if not head:
        raise _told(ImageReadError(f"{path.name} is empty (0 bytes); copy the file again."), path)
    kind, reader = _reader(path, head)
    try:
        image = _one_sentence(reader, path, path.name)
    except MedVLMError as error:
        raise _told(error, path) from None
    return image.with_(name=neutral_name(path), source=f"{kind} file")


def _told(error: MedVLMError, path: Path) -> MedVLMError:
    """The error without anything out of the file, and its file's name only where the header does not know it."""
    said, name = without_file_content(str(error), path), neutral_name(path) if path.is_file() else "image"
    person = identity_of(path)
    if person.stands_in(said.replace(path.name, "")):
        said = f"{path.name} is damaged or incomplete; copy or export it again."
    kept = said.replace(path.name, name)
    if kept.startswith(stem := path.name.split(".")[0]):
        kept = name + kept.removeprefix(stem)
    error.args = (kept if person.inside(path.name) else said,)
    return error.about(path, kept)


def _one_sentence(reader: Callable[[Any], MedicalImage], source: Any, name: str) -> MedicalImage:
    """What `reader` makes of a source; decoders raise anything on damaged bytes, the caller gets one sentence."""
    try:
        return reader(source)
    except MedVLMError:
        raise
    except MemoryError:
        raise ImageReadError(f"{name} does not fit in memory; crop it or keep fewer frames.") from None
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(source, Path):  # before it is cut: a quotation must be whole to be found
            reason = without_file_content(reason, source)
        reason = reason[:160].rstrip(".")
        raise ImageReadError(f"{name} is damaged or incomplete ({reason}); copy or export it again.") from error


def _unzipped(file: BinaryIO) -> bytes:
    """The first bytes inside a gzip file; empty where it is damaged."""
    try:
        with gzip.open(file) as inside:
            return inside.read(352)
    except (OSError, EOFError, zlib.error):
        return b""


def _reader(path: Path, head: bytes):
    """(kind, function) for this file's content; the extension decides only where content has no signature."""
    suffixes = "".join(path.suffixes[-2:]).lower()
    if head[128:132] == b"DICM" or suffixes.endswith((".dcm", ".dicom", ".ima")):
        from medvlm_lab.io.dicom import read_dicom

        return "DICOM", read_dicom
    nifti = head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")
    if nifti or suffixes.endswith((".nii", ".nii.gz")):
        from medvlm_lab.io.nifti import read_nifti

        return "NIfTI", read_nifti
    if head[8:12] == b"AVI " or suffixes.endswith((".avi", ".mp4")):
        from medvlm_lab.io.video import read_video

        return "video", read_video
    from medvlm_lab.io.raster import SIGNATURES, SUFFIXES, read_npy, read_raster

    if head.startswith(b"\x93NUMPY") or suffixes.endswith(".npy"):
        return "NumPy", read_npy
    if head.startswith(SIGNATURES) or suffixes.endswith(SUFFIXES):
        return "picture", read_raster
    problem = f"{path.name} is not an image that can be read here; give one of {FORMATS}."
    raise _told(ImageReadError(problem), path)
