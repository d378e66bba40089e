"""A simulated picture as a DICOM file that any viewer opens, and that says what it is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import ModalityError

if TYPE_CHECKING:
    from jaxtyping import Float
    from pydicom.dataset import Dataset

    from medvlm_lab.phantoms.base import Phantom
    from medvlm_lab.phantoms.scene import Scene

CODES = {
    "X-ray": "DX", "CT": "CT", "MR": "MR", "ultrasound": "US", "echo": "US", "nuclear medicine": "NM",
    "histology": "GM",
}  # fmt: skip
DEPTH = 4095  # 12 bits


def encode(pixels: Float[np.ndarray, "c h w"], simulator: Phantom, scene: Scene, size: int) -> bytes:
    """Secondary capture, explicit little endian; equal scenes give equal bytes.

    Grey pictures are stored in 12 bits, colour in 8. Raises ModalityError for a modality that DICOM has no code for.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    if simulator.modality not in CODES:
        raise ModalityError(f"{simulator.name} is not written as DICOM; use --format png.")
    data = Dataset()
    data.file_meta = FileMetaDataset()
    kinds = ("study", "series", "instance")
    study, series, instance = (generate_uid(entropy_srcs=[simulator.name, str(scene), str(size), k]) for k in kinds)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = instance
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.StudyInstanceUID, data.SeriesInstanceUID = study, series
    data.PatientName, data.PatientID = "SIMULATED", f"SIM{scene.patient:x}"
    data.PatientIdentityRemoved, data.BurnedInAnnotation = "YES", "NO"
    data.ImageType = ["DERIVED", "SECONDARY", "SIMULATED"]
    data.Modality, data.BodyPartExamined = CODES[simulator.modality], simulator.anatomy.upper()
    data.Manufacturer, data.ConversionType = "MedVLM Lab", "SYN"
    data.ImageComments = f"Simulated ({simulator.name}, seed {scene.seed}). Not for clinical use."
    data.SeriesNumber, data.InstanceNumber = 1, 1
    (_color if simulator.channels == 3 else _grey)(data, pixels, simulator)
    if simulator.orientation:
        data.PatientOrientation = list(simulator.orientation)
    if mm := simulator.pixel_mm(scene, size):
        data.PixelSpacing = [f"{mm:.6f}", f"{mm:.6f}"]
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _grey(data: Dataset, pixels: Float[np.ndarray, "frames h w"], simulator: Phantom) -> None:
    center, width = simulator.window
    # CT keeps its whole scale, as a scanner stores it; the others are stored as they are displayed
    slope, intercept = (1.0, -1024.0) if simulator.units == "HU" else (width / DEPTH, center - width / 2)
    grey = np.clip(np.rint((pixels - intercept) / slope), 0, DEPTH).astype("<u2")
    frames, data.Rows, data.Columns = grey.shape
    if frames > 1:
        data.NumberOfFrames = frames
        if simulator.fps:
            data.FrameTime = f"{1000 / simulator.fps:g}"
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME1" if simulator.inverted else "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleSlope, data.RescaleIntercept = f"{slope:.10g}", f"{intercept:.10g}"
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = f"{center:g}", f"{width:g}", "LINEAR_EXACT"
    data.PixelData = grey.tobytes()


def _color(data: Dataset, pixels: Float[np.ndarray, "3 h w"], simulator: Phantom) -> None:
    _, data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    row = np.clip(np.rint(pixels.transpose(1, 2, 0) * 255), 0, 255).astype(np.uint8).tobytes()
    data.PixelData = row + b"\0" * (len(row) % 2)  # DICOM values have an even length
