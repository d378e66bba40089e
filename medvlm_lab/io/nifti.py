"""NIfTI volumes: turned to RAS, shown as axial slices in the radiological convention."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage, check_size


def read_nifti(path: Path) -> MedicalImage:
    """Axial slices from feet to head, patient's right on the viewer's left, front up; of a 4-D series the first volume.

    NIfTI does not say how it was acquired, so the modality stays "unknown" unless the caller names it.
    """
    import nibabel as nib

    volume = nib.load(path)
    shape = volume.shape
    if len(shape) < 2 or volume.get_data_dtype().kind not in "uif":
        raise ImageReadError(
            f"{path.name} holds {volume.get_data_dtype()} data of shape {shape}; expected a grey volume."
        )
    check_size(shape[1], shape[0], int(np.prod(shape[2:], dtype=np.int64)), path.name)
    values = np.asanyarray(volume.dataobj)
    values = values.reshape(*shape[:2], shape[2] if len(shape) > 2 else 1, -1)[..., 0]  # (x, y, z)
    volume = nib.as_closest_canonical(nib.Nifti1Image(_plain(values), volume.affine))
    zooms = [float(z) for z in volume.header.get_zooms()[:3]]
    spacing = (zooms[1], zooms[0]) if all(np.isfinite(z) and z > 0 for z in zooms) else None
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    return MedicalImage(
        pixels=ras_to_axial(np.asanyarray(volume.dataobj)), spacing_mm=spacing, name=name, source=path.name
    )


def ras_to_axial(ras: np.ndarray) -> np.ndarray:
    """(x right, y anterior, z superior) to frames (z, row, column): row 0 anterior, column 0 the patient's right."""
    return np.ascontiguousarray(ras.transpose(2, 1, 0)[:, ::-1, ::-1])


def _plain(values: np.ndarray) -> np.ndarray:
    """Native byte order, at most 32 bits: what NIfTI-1 can hold and a screen can show."""
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    if values.dtype.itemsize == 8:
        return values.astype(np.int32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
