"""What each published data set holds, under which licence, and how a reader gets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """A data set in words. `tasks` are names that `lab.evaluate` knows."""

    holds: str
    tasks: tuple[str, ...]
    licence: str
    access: str
    home: str


_FETCH = "open; run `medvlm-lab data fetch {}`"
_CLASSES = ("zero-shot",)
_REPORTS = ("report", "retrieval", "zero-shot")

ABOUT = {
    "vqa_rad": About(
        "3,515 clinicians' questions about 315 radiology pictures", ("vqa",), "CC0 1.0", _FETCH.format("vqa_rad"),
        "https://osf.io/89kps/",
    ),
    "path_vqa": About(
        "6,299 questions about the H&E-like micrographs of PathVQA", ("vqa",),
        "Questions MIT, images their publishers'", _FETCH.format("path_vqa"),
        "https://huggingface.co/datasets/flaviagiammarino/path-vqa",
    ),
    "pmc_vqa": About(
        "227,000 multiple-choice questions about 149,000 figures of articles", ("vqa",), "CC BY-SA",
        "open; put train.csv, test.csv and the unpacked images/ into pmc_vqa/",
        "https://huggingface.co/datasets/xmcmic/PMC-VQA",
    ),
    "slake": About(
        "14,028 questions, about half of them in English, about 642 CT, MR and X-ray pictures", ("vqa",), "CC BY 4.0",
        "open; unpack train.json, validate.json, test.json and imgs/ into slake/",
        "https://www.med-vqa.com/slake/",
    ),
    "iu_xray": About(
        "3,955 chest X-ray reports with MeSH terms, 7,470 pictures", _REPORTS, "CC BY-NC-ND 4.0",
        "open; unpack NLMCXR_reports.tgz into iu_xray/ and NLMCXR_png.tgz into iu_xray/NLMCXR_png/",
        "https://openi.nlm.nih.gov/faq",
    ),
    "mimic_cxr": About(
        "227,835 chest X-ray studies of 65,379 patients with reports, 377,110 pictures", _REPORTS,
        "PhysioNet Credentialed Health Data License 1.5.0",
        "credentialed PhysioNet users who have completed CITI training and signed the data use agreement; put the "
        "files of MIMIC-CXR-JPG and the unpacked mimic-cxr-reports.zip of MIMIC-CXR into mimic_cxr/",
        "https://physionet.org/content/mimic-cxr-jpg/",
    ),
    "echonet_dynamic": About(
        "10,030 echocardiogram videos with ejection fraction and volumes", ("regression",),
        "Stanford University Dataset Research Use Agreement, non-commercial",
        "register and accept the research use agreement; put FileList.csv and Videos/ into echonet_dynamic/",
        "https://echonet.github.io/dynamic/",
    ),
    "bach": About(
        "400 breast micrographs of four classes", _CLASSES, "CC BY-NC-ND 4.0",
        "open; unpack ICIAR2018_BACH_Challenge.zip and put its Photos/ into bach/",
        "https://zenodo.org/records/3632035",
    ),
    "oscc": About(
        "1,224 oral micrographs, normal or squamous cell carcinoma", _CLASSES, "CC BY 4.0",
        "open; put the pictures into oscc/Normal/ and oscc/OSCC/", "https://data.mendeley.com/datasets/ftmp4cvtmb",
    ),
    "colonpath": About(
        "10,009 colon tissue patches, with or without tumour", _CLASSES, "as its page at figshare states",
        "open; put the pictures of MedFMC's ColonPath into one folder in colonpath/ for each class",
        "https://doi.org/10.6084/m9.figshare.c.6476047.v1",
    ),
}  # fmt: skip
