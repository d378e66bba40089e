"""De-identification by an allow-list: only acquisition facts that name nobody leave a DICOM header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

#: Coded or numeric elements only: free text (descriptions, comments, manufacturers' private fields) can hold names,
#: and dates, ages and unique identifiers can lead back to a person.
ALLOWED_TAGS = (
    "Modality",
    "BodyPartExamined",
    "Laterality",
    "ImageLaterality",
    "ViewPosition",
    "PatientPosition",
    "PatientOrientation",
    "PhotometricInterpretation",
    "BitsStored",
    "SamplesPerPixel",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "WindowCenter",
    "WindowWidth",
    "KVP",
    "ExposureTime",
    "XRayTubeCurrent",
    "Exposure",
    "GantryDetectorTilt",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "MagneticFieldStrength",
    "ScanningSequence",
    "SequenceVariant",
    "CineRate",
    "FrameTime",
    "BurnedInAnnotation",
    "LossyImageCompression",
)
_SAFE_VR = {"CS", "DS", "IS", "US", "SS", "FD", "FL"}
_SAFE_VALUE = re.compile(r"[A-Za-z0-9 _.,\[\]'\\/+-]{1,120}")
_IDENTITY = (
    "PatientName",
    "PatientID",
    "OtherPatientIDs",
    "AccessionNumber",
    "PatientBirthDate",
    "ReferringPhysicianName",
)


def allowed_tags(dataset: Dataset) -> dict[str, str]:
    """The allow-listed elements as text, without values that are not plain codes or numbers or that repeat a name."""
    tags = {}
    for keyword in ALLOWED_TAGS:
        if keyword not in dataset:
            continue
        element = dataset[keyword]
        value = str(element.value)
        if element.VR in _SAFE_VR and _SAFE_VALUE.fullmatch(value):
            tags[keyword] = value
    parts = _identity_parts(dataset)
    return {keyword: value for keyword, value in tags.items() if not _names(value, parts)}


def safe_text(dataset: Dataset, text: str, instead: str) -> str:
    """`text`, or `instead` where it contains part of the patient's or physician's name or number (as file names do)."""
    return instead if _names(text, _identity_parts(dataset)) else text


def _identity_parts(dataset: Dataset) -> set[str]:
    words = (part for key in _IDENTITY if key in dataset for part in re.split(r"[\^=\s\\,]+", str(dataset.get(key))))
    return {word.lower() for word in words if len(word) >= 3}


def _names(text: str, parts: set[str]) -> bool:
    lowered = text.lower()
    return any(part in lowered for part in parts)
