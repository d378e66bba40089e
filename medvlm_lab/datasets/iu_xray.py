"""IU X-ray (Open-i; Demner-Fushman et al., JAMIA 2016): 3,955 chest X-ray reports and their pictures.

    ecgen-radiology/1.xml ...                one report each (NLMCXR_reports.tgz)
    NLMCXR_png/CXR1_1_IM-0001-3001.png ...   the pictures (NLMCXR_png.tgz, unpacked into that folder)
    indiana_projections.csv                  which pictures are frontal; only in the edition that Kaggle hosts

A study is one report with one picture: the first frontal one where that table is there, else the first that the report
names, mostly the frontal one. Reports without a picture, or with neither findings nor impression, are left out. Nobody
has published an official division, and reports name no patients: each report counts as one patient's.

Findings follow from the MeSH terms that people gave (`TERMS`). What these terms cannot tell, such as which device is
meant, is what the rule labeller reads in the report; it also labels the reports that nobody indexed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from medvlm_lab.datasets.base import Study
from medvlm_lab.datasets.layout import Studies, StudyDataset, check_present, part_of
from medvlm_lab.datasets.tables import read_table
from medvlm_lab.errors import MissingDataError
from medvlm_lab.text.prose import kind_of

REPORTS, PICTURES, PROJECTIONS = "ecgen-radiology", "NLMCXR_png", "indiana_projections.csv"

#: finding → parts of a MeSH term, one set of which has to be there: "Fractures, Bone/ribs/left" is a rib fracture.
TERMS: dict[str, tuple[set[str], ...]] = {
    "cardiomegaly": ({"cardiomegaly"},),
    "pleural effusion": ({"pleural effusion"}, {"hydropneumothorax"}),
    "pneumothorax": ({"pneumothorax"}, {"hydropneumothorax"}),
    "consolidation": ({"consolidation"}, {"airspace disease"}),
    "nodule": ({"nodule"},),
    "pulmonary edema": ({"pulmonary edema"},),
    "hyperinflation": ({"lung", "hyperdistention"},),
    "rib fracture": ({"fractures, bone", "ribs"},),
    "central line": ({"catheters, indwelling"},),
}
NOT_INDEXED = "no indexing"


class Record(NamedTuple):
    """What a report's file tells."""

    name: str
    findings: str
    impression: str
    terms: tuple[str, ...]
    pictures: tuple[str, ...]


def parse(path: Path) -> Record:
    """One report. Raises MissingDataError where the file is not XML, or defines entities, which is refused."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import parse as parse_xml

    try:
        root = parse_xml(path).getroot()
    except (ParseError, DefusedXmlException, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise MissingDataError(f"Report {path} is no valid XML ({reason}); unpack NLMCXR_reports.tgz again.") from error
    text = {"findings": "", "impression": ""}
    for part in root.iter("AbstractText"):
        if (kind := kind_of(part.get("Label", ""))) and part.text:
            text[kind] = f"{text[kind]} {' '.join(part.text.split())}".strip()
    terms = tuple(term.text.strip() for term in root.iter("major") if term.text)
    pictures = tuple(picture.get("id", "") for picture in root.iter("parentImage"))
    return Record(path.stem, text["findings"], text["impression"], terms, pictures)


def findings(record: Record) -> frozenset[str]:
    """What is there, by MeSH terms and, where these do not tell, by the rule labeller."""
    from medvlm_lab.text.labeller import positive

    stated = positive(f"{record.findings} {record.impression}")
    parts = [set(term.lower().split("/")) for term in record.terms]
    if not parts or {NOT_INDEXED} in parts:
        return stated
    coded = {name for name, ways in TERMS.items() if any(way <= term for way in ways for term in parts)}
    return frozenset(coded | (stated - TERMS.keys()))


def load(name: str, folder: Path, split: str, seed: int) -> StudyDataset:
    """The studies of a split. Raises MissingDataError where a file is missing or damaged, or the split is empty."""
    files = sorted((folder / REPORTS).glob("*.xml"), key=lambda file: (len(file.stem), file.stem))
    records = [parse(file) for file in files if split in ("all", part_of(file.stem, seed))]
    if (folder / PROJECTIONS).is_file():
        rows = read_table(folder / PROJECTIONS, ("uid", "filename", "projection"))
        frontal = {f"CXR{uid}_{file.split('.')[0]}" for uid, file, view in rows if view.lower() == "frontal"}
        records = [r._replace(pictures=tuple(p for p in r.pictures if p in frontal)) for r in records]
    records = [r for r in records if r.pictures and (r.findings or r.impression)]
    check_present([f"{record.pictures[0]}.png" for record in records], folder / PICTURES, "pictures")
    return StudyDataset(name, split, records, partial(_study, folder / PICTURES))


def _study(pictures: Path, record: Record) -> Study:
    from medvlm_lab.io import read

    report = f"{record.findings} {record.impression}".strip()
    file = pictures / f"{record.pictures[0]}.png"
    picture = partial(read, file, "X-ray")
    return Study(f"CXR{record.name}", report, findings(record), {}, picture, file, record.impression)


LAYOUT = Studies("iu_xray", (REPORTS,), load)
