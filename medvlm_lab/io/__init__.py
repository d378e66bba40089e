"""Files to `MedicalImage`: DICOM, NIfTI, PNG/JPEG/TIFF, AVI/MP4 and NumPy, recognised by content before extension."""

from __future__ import annotations

import os
from pathlib import Path

from medvlm_lab.errors import ImageReadError, MedVLMError, UnknownNameError
from medvlm_lab.image import MODALITIES, MedicalImage

__all__ = ["read"]

FORMATS = "DICOM (.dcm), NIfTI (.nii, .nii.gz), PNG, JPEG, TIFF, AVI, MP4, NumPy (.npy)"


def read(path: str | os.PathLike[str], modality: str | None = None) -> MedicalImage:
    """Read one image file, de-identified; `modality` overrides what the file says.

    Raises ImageReadError for a missing, damaged, oversized or unknown file, UnknownNameError for an unknown modality.
    """
    if modality is not None and modality not in MODALITIES:
        raise UnknownNameError("modality", modality, MODALITIES)
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            head = file.read(352)
    except IsADirectoryError:
        raise ImageReadError(f"{path} is a folder; give one image file ({FORMATS}).") from None
    except OSError as error:
        raise ImageReadError(f"{path} cannot be opened ({error.strerror}); check the path.") from None
    if not head:
        raise ImageReadError(f"{path.name} is empty (0 bytes); copy the file again.")
    reader = _reader(path, head)
    try:
        image = reader(path)
    except MedVLMError:
        raise
    except MemoryError:
        raise ImageReadError(f"{path.name} does not fit in memory; crop it or keep fewer frames.") from None
    except (
        Exception
    ) as error:  # decoders raise anything on damaged bytes: the reader needs one sentence, not their names
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160].rstrip(".")
        raise ImageReadError(f"{path.name} is damaged or incomplete ({reason}); copy or export it again.") from error
    return image if modality is None else image.with_(modality=modality)


def _reader(path: Path, head: bytes):
    """The function for this file's content; the extension decides only where content has no signature."""
    suffixes = "".join(path.suffixes[-2:]).lower()
    if head[128:132] == b"DICM" or suffixes.endswith((".dcm", ".dicom", ".ima")):
        from medvlm_lab.io.dicom import read_dicom

        return read_dicom
    if head[344:348] in (b"n+1\0", b"ni1\0") or suffixes.endswith((".nii", ".nii.gz")):
        from medvlm_lab.io.nifti import read_nifti

        return read_nifti
    if head[8:12] == b"AVI " or suffixes.endswith((".avi", ".mp4")):
        from medvlm_lab.io.video import read_video

        return read_video
    from medvlm_lab.io.raster import SIGNATURES, SUFFIXES, read_npy, read_raster

    if head.startswith(b"\x93NUMPY") or suffixes.endswith(".npy"):
        return read_npy
    if head.startswith(SIGNATURES) or suffixes.endswith(SUFFIXES):
        return read_raster
    raise ImageReadError(f"{path.name} is not an image that can be read here; give one of {FORMATS}.")
