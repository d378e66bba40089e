"""The header elements that may leave a DICOM file: each with the terms that the standard defines, or a plausible range.

Lists follow PS3.3 (2024), body parts PS3.16, annex L. A value outside its list or range is left out, whatever it looks
like: people type names and record numbers into coded elements, too.
"""

from __future__ import annotations

import re

MODALITIES = frozenset(  # from AS on: retired, still met
    "AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT"
    " IVUS KER KO LEN LS MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG"
    " RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SC SEG SM SMR SR SRF STAIN TEXTUREMAP TG"
    " US VA XA XAPROTOCOL XC AS CD CF CP CS DD DF DM DR DS EC FA FS LP MA MS OPR ST VF".split()
)
BODY_PARTS = frozenset(
    "ABDOMEN ABDOMENPELVIS ADRENAL ANKLE ANUS AORTA ARM ARTERY ASCAORTA AXILLA BACK BILEDUCT BLADDER BONE BRAIN"
    " BREAST BRONCHUS BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS"
    " CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DESCAORTA DUODENUM EAR ELBOW"
    " ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FETUS FINGER FOOT FOREARM FOREFOOT FOREHEAD GALLBLADDER HAND HEAD"
    " HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM INDEXFINGER INTESTINE JAW JEJUNUM JOINT KIDNEY KNEE LARYNX LEG"
    " LIVER LOWEREXTREMITY LOWERLEG LSPINE LSSPINE LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH MUSCLE NECK NECKCHEST"
    " NECKCHESTABDOMEN NECKCHESTABDPELV NOSE OPTICCANAL ORBIT OVARY PANCREAS PARATHYROID PAROTID PATELLA PELVIS"
    " PELVISLOWEXTREMT PENIS PERINEUM PHARYNX PLACENTA PROSTATE PULMONARYARTERY RADIUS RADIUSULNA RECTUM RENALARTERY"
    " RIB SACRUM SCALP SCAPULA SCLERA SCROTUM SELLA SHOULDER SIJOINT SINUS SKIN SKULL SPINALCORD SPINE SPLEEN SSPINE"
    " STERNUM STOMACH SUBMANDIBULAR TEMPLE TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ"
    " TOE TONGUE TRACHEA TRUNK TSPINE ULNA UMBILICUS UPPERARM UPPEREXTREMITY URETER URETHRA UTERUS VAGINA VULVA"
    " WHOLEBODY WRIST ZYGOMA".split()
)
VIEWS = frozenset(
    "AP PA LL RL RLD LLD RLO LLO RAO LAO RPO LPO LAT LATERAL OBL OBLIQUE AXIAL CC ML MLO LM LMO FB SIO ISO XCC XCCL"
    " XCCM".split()
)
PATIENT_POSITIONS = frozenset(
    "HFP HFS HFDR HFDL HFV HFI FFP FFS FFDR FFDL FFV FFI LFP LFS LFV LFI RFP RFS RFV RFI AFP AFS AFDR AFDL PFP PFS PFDR"
    " PFDL SITTING".split()
)
PHOTOMETRIC = frozenset((
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422",
    "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB",
))  # fmt: skip
SEQUENCE_VARIANTS = frozenset("SK MTC SS TRSS SP MP OSP NONE OTHER".split())
YES_NO = frozenset(("YES", "NO"))

#: keyword → terms of each value, or a pattern for codes that are built of letters.
TERMS: dict[str, frozenset[str] | re.Pattern[str]] = {
    "Modality": MODALITIES,
    "BodyPartExamined": BODY_PARTS,
    "Laterality": frozenset("LR"),
    "ImageLaterality": frozenset("LRUB"),
    "ViewPosition": VIEWS,
    "PatientPosition": PATIENT_POSITIONS,
    "PatientOrientation": re.compile(r"(?!.*(?:RL|LR|AP|PA|HF|FH))[RLAPHF]{1,3}"),  # no direction and its opposite
    "PhotometricInterpretation": PHOTOMETRIC,
    "RescaleType": frozenset("OD HU US MGML Z_EFF ED EDW HU_MOD PCT".split()),
    "ScanningSequence": frozenset("SE IR GR EP RM".split()),
    "SequenceVariant": SEQUENCE_VARIANTS,
    "BurnedInAnnotation": YES_NO,
    "LossyImageCompression": frozenset(("00", "01")),
}

#: keyword → (least, most) of each number, in the unit of the standard.
RANGES: dict[str, tuple[float, float]] = {
    "BitsStored": (1, 64),
    "SamplesPerPixel": (1, 4),
    "NumberOfFrames": (1, 99_999),
    "Rows": (1, 65_535),
    "Columns": (1, 65_535),
    "PixelSpacing": (1e-4, 50),  # mm
    "ImagerPixelSpacing": (1e-4, 50),
    "SliceThickness": (1e-4, 300),
    "SpacingBetweenSlices": (-300, 300),
    "RescaleSlope": (-1e5, 1e5),
    "RescaleIntercept": (-1e5, 1e5),
    "WindowCenter": (-99_999, 99_999),
    "WindowWidth": (0, 199_999),
    "KVP": (1, 500),  # kV
    "ExposureTime": (0, 30_000),  # ms
    "XRayTubeCurrent": (0, 3_000),  # mA
    "Exposure": (0, 10_000),  # mAs
    "GantryDetectorTilt": (-90, 90),  # degrees
    "RepetitionTime": (0, 60_000),  # ms
    "EchoTime": (0, 3_000),  # ms
    "InversionTime": (0, 30_000),  # ms
    "FlipAngle": (0, 360),  # degrees
    "MagneticFieldStrength": (0, 30),  # tesla
    "CineRate": (1, 2_000),
    "FrameTime": (0.01, 60_000),  # ms
}
#: Of these an image keeps the numbers themselves, too.
MEASURES = ("WindowCenter", "WindowWidth", "PixelSpacing", "ImagerPixelSpacing", "FrameTime", "CineRate")
NUMBER = re.compile(r"[+-]?\d{1,6}(\.\d{0,14})?|[+-]?\.\d{1,14}|[+-]?\d(\.\d{0,14})?[eE][+-]?\d{1,2}")


def plain(keyword: str, value: str) -> bool:
    """Whether one value of an element is a term that the standard defines for it, or a number in its range."""
    if keyword in RANGES:
        least, most = RANGES[keyword]
        return bool(NUMBER.fullmatch(value)) and least <= float(value) <= most
    terms = TERMS[keyword]
    if isinstance(terms, re.Pattern):
        return bool(terms.fullmatch(value))
    return value in terms or (keyword == "BodyPartExamined" and re.sub("[ _-]", "", value.upper()) in terms)
