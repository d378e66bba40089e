"""MIMIC-CXR and MIMIC-CXR-JPG (Johnson et al., Sci Data 2019): chest X-rays with reports, 65,379 patients.

    mimic-cxr-2.0.0-split.csv[.gz]                       the official division, by patient
    mimic-cxr-2.0.0-metadata.csv[.gz]                    how each picture was taken
    mimic-cxr-2.0.0-chexpert.csv[.gz]                    labels that the CheXpert labeller read in the reports
    files/p10/p10000032/s50414267/DICOM_ID.jpg or .dcm   the pictures
    files/ or reports/ or reports/files/, then p10/p10000032/s50414267.txt   the reports

A study has one picture: the first PA one, else the first AP one; studies without a frontal picture are left out. Where
the metadata are missing, it is the first picture of the division's table. Findings follow from the CheXpert labels that
mean the same as a finding here (`LABELS`, positive only); the others, and all where that table is missing or passes
over a study, are what the rule labeller reads in the report. Pictures and reports are read when they are asked for.
Names are the files' own: the data set's pseudonyms, never a patient's name.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from medvlm_lab.datasets.base import Study
from medvlm_lab.datasets.layout import Studies, StudyDataset
from medvlm_lab.datasets.tables import read_table
from medvlm_lab.errors import MissingDataError
from medvlm_lab.text.prose import report_sections

SPLIT, METADATA, CHEXPERT = "split", "metadata", "chexpert"
PARTS = {"train": "train", "validate": "validation", "test": "test"}
VIEWS = ("PA", "AP")
LABELS = {
    "Cardiomegaly": "cardiomegaly", "Pleural Effusion": "pleural effusion", "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation", "Edema": "pulmonary edema",
}  # fmt: skip
REPORT_ROOTS = ("files", "reports", "reports/files", "mimic-cxr-reports/files")
SUFFIXES = (".jpg", ".dcm")


class Key(NamedTuple):
    """Where a study is. `labels` are its positive findings, None where it has no labels."""

    subject: str
    study: str
    dicom: str
    labels: frozenset[str] | None

    @property
    def place(self) -> Path:
        return Path(f"p{self.subject[:2]}", f"p{self.subject}", f"s{self.study}")


def sections(text: str) -> tuple[str, str]:
    """(findings, impression) of a report in MIMIC-CXR's form; where it has neither, what its last heading holds."""
    found = report_sections(text)
    return found["findings"], found["impression"]


def load(name: str, folder: Path, split: str, seed: int) -> StudyDataset:
    """The studies of a split; `seed` has nothing to decide. Raises MissingDataError where a table is missing."""
    division, metadata, chexpert = (_table(folder, which) for which in (SPLIT, METADATA, CHEXPERT))
    rank = {}
    if metadata:
        rank = {dicom: VIEWS.index(v) for dicom, v in read_table(metadata, ("dicom_id", "ViewPosition")) if v in VIEWS}
    best: dict[tuple[str, str], tuple[int, str]] = {}
    for dicom, study, subject, part in read_table(division, ("dicom_id", "study_id", "subject_id", "split")):
        if split not in ("all", PARTS.get(part)) or (metadata and dicom not in rank):
            continue
        own = rank.get(dicom, 0)
        if own < best.get((subject, study), (len(VIEWS), ""))[0]:
            best[subject, study] = (own, dicom)
    wanted, labels = {study for _, study in best}, {}
    for study, *values in read_table(chexpert, ("study_id", *LABELS)) if chexpert else ():
        if study in wanted:
            labels[study] = frozenset(f for f, v in zip(LABELS.values(), values, strict=True) if v in ("1", "1.0"))
    keys = [Key(subject, study, dicom, labels.get(study)) for (subject, study), (_, dicom) in best.items()]
    return StudyDataset(name, split, keys, partial(_study, folder))


def _table(folder: Path, which: str) -> Path | None:
    """The table's path, None where it is missing; without the division there is nothing to read."""
    found = sorted(folder.glob(f"mimic-cxr-*-{which}.csv*"))
    if not found and which == SPLIT:
        raise MissingDataError(f"mimic-cxr-2.0.0-{which}.csv(.gz) is not in {folder}; it comes with MIMIC-CXR-JPG.")
    return found[0] if found else None


def _study(folder: Path, key: Key) -> Study:
    from medvlm_lab.text.labeller import positive

    file = key.place.with_suffix(".txt")
    path = next((folder / root / file for root in REPORT_ROOTS if (folder / root / file).is_file()), None)
    if path is None:
        raise MissingDataError(f"Report {file} is not in {folder / 'files'}; unpack mimic-cxr-reports.zip in {folder}.")
    parts = sections(path.read_text(encoding="utf-8", errors="replace"))
    report = " ".join(parts).strip()
    found = positive(report)
    if key.labels is not None:
        found = key.labels | (found - set(LABELS.values()))
    stem = folder / "files" / key.place / key.dicom
    picture = next((p for p in map(stem.with_suffix, SUFFIXES) if p.is_file()), None)
    return Study(f"s{key.study}", report, found, {}, partial(_picture, stem, picture), picture, parts[1])


def _picture(stem: Path, path: Path | None):
    from medvlm_lab.io import read

    if path is None:
        raise MissingDataError(f"Picture {stem} is there neither as .jpg nor as .dcm; complete its study's folder.")
    return read(path, "X-ray")


LAYOUT = Studies("mimic_cxr", (f"mimic-cxr-*-{SPLIT}.csv*",), load)
