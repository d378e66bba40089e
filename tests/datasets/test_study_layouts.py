"""IU X-ray, MIMIC-CXR, EchoNet-Dynamic and class folders, read from tiny copies of their layouts."""

import gzip

import generated
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medvlm_lab as lab
from medvlm_lab.datasets import iu_xray, mimic_cxr
from medvlm_lab.datasets.layout import SHARES, part_of
from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError
from medvlm_lab.io.private import neutral_name

PARTS = ("train", "validation", "test")


def names(data):
    return [study.name for study in data]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path))
    return tmp_path


def refused(says, *arguments):
    with pytest.raises(MissingDataError, match=says) as caught:
        lab.dataset(*arguments)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=20), st.integers(0, 5))
def test_a_patient_falls_into_one_split_and_always_the_same(patient, seed):
    assert part_of(patient, seed) == part_of(patient, seed) in PARTS


def test_splits_have_the_shares_that_they_say():
    drawn = [part_of(str(i)) for i in range(4000)]
    for part, share in SHARES.items():
        assert drawn.count(part) / 4000 == pytest.approx(share, abs=0.025)
    assert drawn != [part_of(str(i), seed=1) for i in range(4000)]


def test_iu_xray_by_name_and_by_folder(root):
    folder = generated.iu_xray(root)
    data = lab.dataset("iu_xray", "all")
    assert names(data) == [f"CXR{i}" for i in range(3, 21)]  # 1 has no picture, 2 no text
    assert names(lab.dataset(folder, "all")) == [neutral_name(study.file) for study in data]
    assert data.studies == len(data) == 18
    parts = [set(names(lab.dataset("iu_xray", part))) for part in PARTS]
    assert sum(map(len, parts)) == 18 and set.union(*parts) == set(names(data))
    study = data.study(0)
    assert study.report == "A small effusion. A pacemaker. Effusion."
    assert study.findings == {"pleural effusion", "pacemaker"}  # by a term, and by the labeller where no term tells
    assert study.image().modality == "X-ray" and study.image().pixels.shape == (1, 32, 32)
    assert study.file.name == "CXR3_1_IM-0003-3001.png" and study.image().name == neutral_name(study.file)
    generated.projections(folder)
    assert lab.dataset("iu_xray", "all").study(0).file.name == "CXR3_1_IM-0003-4001.png"
    assert "18 studies" in str(data) and len(data[:2]) == 2


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        (("normal",), {"pacemaker"}),  # the terms overrule what the labeller reads of what they cover
        (("Hydropneumothorax/right",), {"pleural effusion", "pneumothorax", "pacemaker"}),
        (("Fractures, Bone/ribs/left", "Fractures, Bone/clavicle"), {"rib fracture", "pacemaker"}),
        (("Fractures, Bone/clavicle", "Lung/hyperdistention/mild"), {"hyperinflation", "pacemaker"}),
        (("No Indexing",), {"pleural effusion", "pacemaker"}),
        ((), {"pleural effusion", "pacemaker"}),
    ],
)
def test_findings_of_iu_xray(tmp_path, terms, found):
    (tmp_path / "ecgen-radiology").mkdir()
    path = generated.iu_report(tmp_path, 7, ["CXR7_x"], "An effusion. A pacemaker.", "", terms)
    assert iu_xray.findings(iu_xray.parse(path)) == found


TEXT = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=" .,"), max_size=60)


@given(TEXT, TEXT, st.lists(st.sampled_from(["normal", "Nodule/lung", "Cardiomegaly"]), max_size=3))
def test_a_report_of_iu_xray_comes_back(tmp_path_factory, findings, impression, terms):
    folder = tmp_path_factory.mktemp("iu")
    (folder / "ecgen-radiology").mkdir()
    record = iu_xray.parse(generated.iu_report(folder, 5, ["a", "b"], findings, impression, terms))
    assert record == ("5", " ".join(findings.split()), " ".join(impression.split()), tuple(terms), ("a", "b"))


def test_damaged_iu_xray_is_one_sentence(root):
    folder = generated.iu_xray(root)
    next((folder / "NLMCXR_png").glob("CXR9_*3001.png")).unlink()
    refused("1 of the pictures are not in .*first: CXR9_1", "iu_xray", "all")
    report = folder / "ecgen-radiology" / "9.xml"
    report.write_text(report.read_text()[:200])
    refused("9.xml is no valid XML", "iu_xray", "all")
    report.write_text('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><eCitation>&b;</eCitation>')
    refused("9.xml is no valid XML .*EntitiesForbidden", "iu_xray", "all")
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        lab.dataset("iu_xray", "validaton")
    with pytest.raises(UnknownNameError, match="Unknown split 'validation-image'"):
        lab.dataset("iu_xray", "validation-image")
    with pytest.raises(UnknownNameError, match="Unknown split 'all'"):
        lab.dataset("phantom:chest-xray", "all")
    with pytest.raises(MedVLMError, match="data sets of questions only"):
        lab.dataset(folder, "all", images=folder)


def test_an_empty_split_is_one_sentence(root):
    folder = generated.iu_xray(root, n=3)  # one usable report
    empty = next(part for part in PARTS if part != part_of("3"))
    refused(f"no study in its split '{empty}'", folder, empty)


@pytest.mark.parametrize(
    ("suffix", "pictures", "reports"), [(".csv", ".jpg", "files"), (".csv.gz", ".dcm", "reports/files")]
)
def test_mimic_cxr(root, suffix, pictures, reports):
    folder = generated.mimic_cxr(root, suffix, pictures, reports)
    parts = {part: names(lab.dataset("mimic_cxr", part)) for part in PARTS}
    assert parts == {"train": ["s50414267", "s53189527"], "validation": ["s57375967"], "test": ["s50578979"]}
    assert names(lab.dataset("mimic_cxr", "all")) == [name for part in PARTS for name in parts[part]]
    assert not any("s5" in name for name in names(lab.dataset(folder, "all")))  # a folder is the reader's own
    first, second = lab.dataset(folder, "train")
    assert first.report == "The heart is enlarged. There is a nodule in the right upper lobe. Cardiomegaly."
    assert first.findings == {"pulmonary edema", "nodule"}  # the label says no cardiomegaly, and none of a nodule
    assert second.findings == {"cardiomegaly", "nodule"}  # a study without labels
    image = first.image()
    assert image.modality == "X-ray" and image.pixels.shape == (1, 32, 32)
    assert (folder / "files/p10/p10000032/s50414267" / f"50414267-2{pictures}").is_file()  # the PA one
    assert "50414267-2" in first.file.name and image.name == neutral_name(first.file)
    assert "Doe" not in repr(vars(image)) and "1234567" not in repr(vars(image))


def test_mimic_cxr_without_the_optional_tables(root):
    folder = generated.mimic_cxr(root)
    for which in ("metadata", "chexpert"):
        (folder / f"mimic-cxr-2.0.0-{which}.csv").unlink()
    data = lab.dataset(folder, "all")
    assert len(data) == 5 and data[0].findings == {"cardiomegaly", "nodule"}
    assert "50414267-0" in data[0].file.name


def test_damaged_mimic_cxr_is_one_sentence(root):
    folder = generated.mimic_cxr(root)
    place = folder / "files/p12/p12000935"
    (place / "s50578979" / "50578979-0.jpg").unlink()
    (folder / "files/p11/p11000764/s57375967.txt").unlink()
    study = lab.dataset(folder, "test").study(0)
    with pytest.raises(MissingDataError, match="50578979-0 is there neither as .jpg nor as .dcm"):
        study.image()
    with pytest.raises(MissingDataError, match="s57375967.txt is not in .*mimic-cxr-reports.zip"):
        lab.dataset(folder, "validation").study(0)
    division = folder / "mimic-cxr-2.0.0-split.csv"
    division.write_text(division.read_text().replace("subject_id", "patient"))
    refused("split.csv has no column subject_id", folder, "test")
    division.write_text("dicom_id,study_id,subject_id,split\n1,2\n")
    refused("split.csv cannot be read", folder, "test")
    division.rename(folder / "mimic-cxr-2.0.0-split.csv.gz")  # not gzipped
    refused("split.csv.gz cannot be read", folder, "test")
    (folder / "mimic-cxr-2.0.0-split.csv.gz").write_bytes(gzip.compress(b"dicom_id,study_id,subject_id,split\n"))
    refused("no study in its split 'test'", folder, "test")
    (folder / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    refused("split.csv\\(.gz\\) is not in", "mimic_cxr", "test")


WORDS = st.lists(st.sampled_from("heart lungs are clear normal size no effusion".split()), min_size=1).map(" ".join)


@given(WORDS, WORDS, st.sampled_from(["\n", "\n\n \t", " "]))
def test_sections_of_a_mimic_report_come_back(findings, impression, gap):
    text = f"FINAL REPORT\n INDICATION:  Cough.\n FINDINGS:{gap}{findings}.\n\n IMPRESSION:{gap}{impression}.\n"
    assert mimic_cxr.sections(text) == (f"{findings}.", f"{impression}.")


def test_a_mimic_report_without_usual_headings():
    assert mimic_cxr.sections(" CHEST, TWO VIEWS:  Clear\n lungs.") == ("Clear lungs.", "")
    assert mimic_cxr.sections("Clear lungs.") == ("Clear lungs.", "")
    assert mimic_cxr.sections("FINDINGS AND IMPRESSION:\nClear.\n IMPRESSION: No change.") == ("Clear.", "No change.")


def test_echonet_dynamic(root):
    folder = generated.echonet_dynamic(root)
    assert [names(lab.dataset("echonet_dynamic", part)) for part in PARTS] == [["0XA"], ["0XB"], ["0XC"]]
    study = lab.dataset(folder, "test").study(0)
    assert study.values == {"ejection_fraction_percent": 55.25, "systolic_ml": 40.0, "ventricle_ml": 90.0}
    image = study.image()
    assert (image.modality, image.frames, image.fps, image.color) == ("echo", 5, 50.0, False)
    greys = generated.video(root / "again.avi")
    assert np.abs(image.pixels.mean((1, 2)) - greys).max() < 3  # JPEG is lossy
    assert lab.read(root / "again.avi").frames == 5


def test_damaged_echonet_dynamic_is_one_sentence(root):
    folder = generated.echonet_dynamic(root)
    (folder / "Videos" / "0XB.avi").write_bytes(b"RIFF\0\0\0\0AVI nothing")
    with pytest.raises(MedVLMError, match="0XB.avi is damaged"):
        lab.dataset(folder, "validation")[0].image()
    (folder / "Videos" / "0XB.avi").unlink()
    refused("1 of the videos are not in .*first: 0XB.avi", folder, "validation")
    rows = (folder / "FileList.csv").read_text()
    (folder / "FileList.csv").write_text(rows.replace("78.5", "high"))
    refused("Row 0 of .*FileList.csv has no number for EF", folder, "train")
    (folder / "FileList.csv").unlink()
    refused("Table .*FileList.csv cannot be read", "echonet_dynamic", "train")


def test_a_video_without_its_reader_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.avi").write_bytes(b"RIFF\0\0\0\0AVI ")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MedVLMError, match=r'a.avi is a video; run `pip install "medvlm-lab\[video\]"`'):
        lab.read(tmp_path / "a.avi")


def test_class_folders(root):
    generated.class_folders(root / "bach" / "Photos")
    data = lab.dataset("bach", "all")
    assert data.classes["InSitu"] == "breast carcinoma in situ" and list(data.classes) == sorted(data.classes)
    assert len(data) == 24 and data[0].name == "Photos/Benign/b000.tif" and data[0].findings == {"Benign"}
    assert data[0].image().modality == "histology" and data[0].image().color
    own = [lab.dataset(root / "bach", part) for part in ("train", "test")]
    parts = [{study.file.relative_to(root / "bach").as_posix() for study in part} for part in own]
    assert not parts[0] & parts[1] and parts[0] | parts[1] <= set(names(data))


def test_class_folders_with_their_own_splits(root):
    for part in ("train", "val", "test"):
        generated.class_folders(root / "oscc" / part, ("Normal", "OSCC"), n=1, suffix=".jpg")
    assert names(lab.dataset("oscc", "validation")) == ["val/Normal/n000.jpg", "val/OSCC/o000.jpg"]
    assert len(lab.dataset("oscc", "all")) == 6


def test_any_class_folders(root):
    generated.class_folders(root / "mine", ("no_polyp", "polyp"), n=2, suffix=".png")
    (root / "mine" / "notes.txt").touch()
    (root / "mine" / "polyp" / "._p000.png").touch()  # what some archives leave behind
    data = lab.dataset(root / "mine", "all")
    assert data.classes == {"no_polyp": "no polyp", "polyp": "polyp"} and len(data) == 4
    assert data[0].image().modality == "unknown"
    (root / "colonpath" / "tumour").mkdir(parents=True)
    refused("no two folders with pictures", "colonpath", "all")


@pytest.mark.parametrize("name", ["iu_xray", "mimic_cxr", "bach", "slake"])
def test_what_is_not_here_says_how_to_get_it(root, name):
    refused(f"{name!r} is not in .*medvlm-lab data list", name, "test")
