"""NIfTI volumes: turned to RAS, shown as axial slices in the radiological convention."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from medvlm_lab.arrays import compact, filled
from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage, check_size
from medvlm_lab.orientation import letters


def read_nifti(path: Path) -> MedicalImage:
    """Axial slices from feet to head, patient's right on the viewer's left, front up; of a 4-D series the first volume.

    NaN, as statistical maps hold outside the brain, is shown dark. NIfTI does not say how it was acquired, so the
    modality stays "unknown" unless the caller names it.
    """
    import nibabel as nib

    volume = _opened(path)
    shape = volume.shape
    if len(shape) < 2 or volume.get_data_dtype().kind not in "uif":
        raise ImageReadError(
            f"{path.name} holds {volume.get_data_dtype()} data of shape {shape}; expected a grey volume."
        )
    check_size(shape[1], shape[0], int(np.prod(shape[2:], dtype=np.int64)), path.name)
    values = np.asanyarray(volume.dataobj)
    values = values.reshape(*shape[:2], shape[2] if len(shape) > 2 else 1, -1)[..., 0]  # (x, y, z)
    directions = nib.orientations.io_orientation(volume.affine)
    if np.isnan(directions).any():  # a flat or broken affine tells nothing
        directions = nib.orientations.io_orientation(np.eye(4))
    pixels, window = ras_to_axial(nib.orientations.apply_orientation(values, directions)), None
    if pixels.dtype.kind == "f":
        pixels, window = filled(pixels, path.name)
        pixels = compact(pixels)
    zooms = [float(zoom) for zoom in (*volume.header.get_zooms(), 1.0)[:3]]
    x, y = (zooms[list(directions[:, 0]).index(axis)] for axis in (0, 1))
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return MedicalImage(
        pixels=pixels.astype(pixels.dtype.newbyteorder("="), copy=False), window=window,
        spacing_mm=(y, x) if all(np.isfinite(zooms)) and min(zooms) > 0 else None, name=name, source=path.name,
        orientation=_orientation(volume, directions),
    )


def _opened(path: Path):
    """nibabel tells NIfTI by the name's end; a file without one is told by its content."""
    import nibabel as nib

    if path.name.lower().endswith((".nii", ".nii.gz")):
        return nib.load(path)
    content = path.read_bytes()
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return (nib.Nifti2Image if content[4:8] == b"n+2\0" else nib.Nifti1Image).from_bytes(content)


def ras_to_axial(ras: np.ndarray) -> np.ndarray:
    """(x right, y anterior, z superior) to frames (z, row, column): row 0 anterior, column 0 the patient's right."""
    return np.ascontiguousarray(ras.transpose(2, 1, 0)[:, ::-1, ::-1])


def _orientation(volume, directions: np.ndarray) -> tuple[str, str] | None:
    """The letters of the right and the bottom edge; None where the header has no affine of the patient."""
    header = volume.header
    if not all(key in header for key in ("sform_code", "qform_code")) or not (
        int(header["sform_code"]) or int(header["qform_code"])
    ):
        return None
    edges = []
    for axis in (0, 1):  # the picture's columns run to the left, its rows to the back
        stored = list(directions[:, 0]).index(axis)
        along = -volume.affine[:3, stored] * directions[stored, 1]
        length = np.linalg.norm(along)
        if not np.isfinite(length) or length == 0:
            return None
        edges.append(letters(along / length * (-1, -1, 1)))  # RAS to DICOM's axes
    return edges[0], edges[1]
