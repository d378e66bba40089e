"""Tiny copies of published layouts, pictures of 32 x 32 pixels, written for tests."""

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
SIDE = 32
REPORT_XML = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{n}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION">{impression}</AbstractText>
</Abstract></Article></MedlineCitation><MeSH>{terms}</MeSH>{pictures}</eCitation>
"""
REPORT_TXT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 FINDINGS:

 The heart is enlarged.  There is a nodule in the
 right upper lobe.

 IMPRESSION:  Cardiomegaly.
"""


def picture(path: Path, color: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (SIDE, SIDE, 3) if color else (SIDE, SIDE), np.uint8)).save(path)


def dicom(path: Path) -> None:
    """A radiograph with a patient's name in its header."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    data, data.file_meta = Dataset(), FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4"
    data.PatientName, data.PatientID, data.Modality = "Doe^Jane", "1234567", "DX"
    data.Rows = data.Columns = SIDE
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = RNG.integers(0, 4096, (SIDE, SIDE), np.uint16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def video(path: Path, frames: int = 5, fps: int = 50, first: int = 40) -> np.ndarray:
    """A Motion JPEG whose grey frames brighten; returns each frame's grey value."""
    import av

    greys = np.linspace(first, 200, frames).round().astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=fps)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuvj420p"
        for grey in greys:
            frame = av.VideoFrame.from_ndarray(np.full((SIDE, SIDE, 3), grey, np.uint8), format="rgb24")
            file.mux(stream.encode(frame.reformat(format="yuvj420p", dst_color_range="JPEG")))
        file.mux(stream.encode())
    return greys


def table(path: Path, columns: list[str], rows: list[list]) -> None:
    """A CSV file, gzipped where its name says so."""
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def iu_xray(root: Path, n: int = 20) -> Path:
    """`n` reports with a lateral and a frontal picture each; report 1 has no picture, report 2 no text."""
    folder = root / "iu_xray"
    (folder / "ecgen-radiology").mkdir(parents=True)
    for i in range(1, n + 1):
        names = [] if i == 1 else [f"CXR{i}_1_IM-{i:04d}-3001", f"CXR{i}_1_IM-{i:04d}-4001"]
        for name in names:
            picture(folder / "NLMCXR_png" / f"{name}.png")
        iu_report(folder, i, names, *(("", "") if i == 2 else ("A small effusion. A pacemaker.", "Effusion.")))
    return folder


def iu_report(folder, n, pictures, findings, impression, terms=("Pleural Effusion/left/small", "Opacity/lung")) -> Path:
    path = folder / "ecgen-radiology" / f"{n}.xml"
    marked = "".join(f"<major>{term}</major>" for term in terms)
    images = "".join(f'<parentImage id="{name}"><caption>PA</caption></parentImage>' for name in pictures)
    path.write_text(REPORT_XML.format(n=n, findings=findings, impression=impression, terms=marked, pictures=images))
    return path


def projections(folder: Path, n: int = 20) -> None:
    """The table that calls the second picture of each report the frontal one."""
    rows = [
        [i, f"1_IM-{i:04d}-{k}001.dcm.png", view]
        for i in range(1, n + 1) for k, view in ((3, "Lateral"), (4, "Frontal"))
    ]  # fmt: skip
    table(folder / "indiana_projections.csv", ["uid", "filename", "projection"], rows)


MIMIC_STUDIES = (  # subject, study, split, views
    ("10000032", "50414267", "train", ("LATERAL", "AP", "PA")), ("10000032", "53189527", "train", ("AP",)),
    ("11000764", "57375967", "validate", ("PA",)), ("12000935", "50578979", "test", ("PA", "LATERAL")),
    ("12000935", "51178377", "test", ("LATERAL",)),
)  # fmt: skip


def mimic_cxr(root: Path, suffix: str = ".csv", pictures: str = ".jpg", reports: str = "files") -> Path:
    """Four studies with a frontal picture and one without, of three patients."""
    folder = root / "mimic_cxr"
    divided, taken = [], []
    for subject, study, part, views in MIMIC_STUDIES:
        place = Path(f"p{subject[:2]}") / f"p{subject}" / f"s{study}"
        for k, view in enumerate(views):
            name = f"{study}-{k}"
            divided.append([name, study, subject, part])
            taken.append([name, subject, study, "CHEST", view])
            path = folder / "files" / place / (name + pictures)
            dicom(path) if pictures == ".dcm" else picture(path)
        text = folder / reports / place.with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(REPORT_TXT)
    start = "mimic-cxr-2.0.0-"
    table(folder / f"{start}split{suffix}", ["dicom_id", "study_id", "subject_id", "split"], divided)
    views = ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition"]
    table(folder / f"{start}metadata{suffix}", views, taken)
    columns = ["subject_id", "study_id", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion", "Pneumothorax"]
    labelled = [["10000032", "50414267", "0.0", "", "1.0", "-1.0", ""], ["12000935", "50578979", "", "", "", "", ""]]
    table(folder / f"{start}chexpert{suffix}", columns, labelled)
    return folder


def echonet_dynamic(root: Path) -> Path:
    """Three videos, one in each split."""
    folder = root / "echonet_dynamic"
    columns = ["FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split"]
    rows = [
        ["0XA", 78.5, 14.9, 69.2, SIDE, SIDE, 50, 5, "TRAIN"], ["0XB", 35, 90, 138.5, SIDE, SIDE, 50, 5, "VAL"],
        ["0XC", 55.25, 40, 90, SIDE, SIDE, 50, 5, "TEST"],
    ]  # fmt: skip
    table(folder / "FileList.csv", columns, rows)
    for number, (name, *_) in enumerate(rows):
        video(folder / "Videos" / f"{name}.avi", first=40 + number)  # no two files are equal: their content names them
    return folder


PMC_COLUMNS = ["Figure_path", "Question", "Answer", "Choice A", "Choice B", "Choice C", "Choice D", "Answer_label"]


def pmc_vqa(root: Path) -> Path:
    """Twenty training questions and two test questions, one with a line break and a comma."""
    folder = root / "pmc_vqa"
    choices = [" A:Diffuse uptake ", " B:Focal uptake", " C:No uptake, none", " D:Cannot be told "]
    asked = [" What is the\nuptake, here? ", "Focal uptake", *choices, "B"]
    rows = [[f"PMC{i // 2}_F1.jpg", *asked] for i in range(20)]
    for name in {row[0] for row in rows}:
        picture(folder / "images" / name, color=True)
    table(folder / "train.csv", PMC_COLUMNS, rows)
    table(folder / "test.csv", PMC_COLUMNS, rows[:2])
    second = [[i, row[0], "a caption", row[1], *choices, "C", "test"] for i, row in enumerate(rows[:2])]
    columns = ["index", "Figure_path", "Caption", "Question", *PMC_COLUMNS[3:7], "Answer", "split"]
    table(folder / "test_2.csv", columns, second)
    return folder


def slake(root: Path) -> Path:
    """A question in English and one in Chinese about each of six pictures, two pictures in each split."""
    folder = root / "slake"
    for k, file in enumerate(("train.json", "validate.json", "test.json")):
        rows = []
        for i in (2 * k, 2 * k + 1):
            picture(folder / "imgs" / f"xmlab{i}" / "source.jpg")
            row = {"img_id": i, "img_name": f"xmlab{i}/source.jpg", "location": "Abdomen", "modality": "MRI", "qid": i}
            row |= {"answer_type": "CLOSED", "base_type": "vqa", "content_type": "Organ", "triple": ["vhead", "_", "_"]}
            rows.append(row | {"question": "Does the picture contain liver?", "answer": "Yes", "q_lang": "en"})
            rows.append(row | {"question": "图像中有肝吗？", "answer": "有", "q_lang": "zh"})
        (folder / file).write_text(json.dumps(rows), encoding="utf-8")
    return folder


def class_folders(root: Path, classes=("Normal", "Benign", "InSitu", "Invasive"), n: int = 6, suffix=".tif") -> Path:
    """`n` pictures in a folder for each class."""
    for kind in classes:
        for i in range(n):
            picture(root / kind / f"{kind[0].lower()}{i:03d}{suffix}", color=True)
    return root
