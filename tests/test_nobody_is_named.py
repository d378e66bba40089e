"""An invented patient in every place that a file has, looked for in everything that is kept, shown or passed on."""

import csv
import io
import json
import re
import sys
import warnings

import nibabel
import numpy as np
import pydicom
import pytest
from fakes import FakeAnswerer, FakeEncoder
from ipywidgets.embed import dependency_state
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

import medvlm_lab as lab
from medvlm_lab import cli
from medvlm_lab.datasets import ImageFolder
from medvlm_lab.embed import Embeddings
from medvlm_lab.errors import MedVLMError
from medvlm_lab.explain.explanation import Explanation
from medvlm_lab.image import COVER
from medvlm_lab.io.identity import Identity, fold
from medvlm_lab.io.private import PRIVATE

UID = "1.2.276.0.7230010.3.4711"
WORDS = (
    "zarquon", "ilse", "muller", "19600102", "1960-01", "1960:01", "01.1960", "02.01.60", "2 jan", "47110815",
    "4711 0815", "4711.08", UID,
)  # fmt: skip
SHORT = re.compile(r"(?<![A-Za-z])(?:Wu|Yi|WU|YI)(?![A-Za-z])|(?<![0-9a-f])1960(?![0-9a-f])")
CODED = {
    "BodyPartExamined": "ZARQUON", "ViewPosition": "MRN 47110815", "PatientPosition": "ILSE", "Laterality": "WU",
    "ImageLaterality": "YI", "SequenceVariant": "19600102", "ScanningSequence": "ZARQUON", "RescaleType": "47110815",
    "PatientOrientation": ["ZARQUON", "WU"], "ImageType": ["ORIGINAL", "ZARQUON"], "LossyImageCompression": "47110815",
    "BurnedInAnnotation": "ILSE", "PresentationLUTShape": "ZARQUON",
}  # fmt: skip
NUMBERS = {
    "KVP": "47110815", "ExposureTime": "19600102", "Exposure": "47110815", "XRayTubeCurrent": "19600102",
    "RepetitionTime": "1960", "EchoTime": "47110815", "FlipAngle": "19600102", "WindowCenter": "47110815",
    "WindowWidth": "19600102", "PixelSpacing": ["0.47110815", "0.19600102"], "SliceThickness": "1.9600102",
    "FrameTime": "47110815", "CineRate": "1960", "SpacingBetweenSlices": "0.47110815", "InversionTime": "02011960",
}  # fmt: skip
PEOPLE = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "ReferringPhysicianName",
    "OperatorsName", "PerformingPhysicianName", "RequestingPhysician", "NameOfPhysiciansReadingStudy",
)  # fmt: skip
TEXTS = (
    "InstitutionName", "InstitutionAddress", "StationName", "PatientAddress", "PatientComments", "StudyDescription",
    "SeriesDescription", "ProtocolName", "ImageComments", "AdditionalPatientHistory", "Occupation",
    "DerivationDescription", "RequestedProcedureDescription", "ManufacturerModelName", "IssuerOfPatientID",
)  # fmt: skip
IDS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "DeviceSerialNumber")
DATES = ("PatientBirthDate", "StudyDate", "AcquisitionDate", "ContentDate", "LastMenstrualDate")
FILES = (
    "Zarquon_Ilse_19600102", "Wu_Yi", "mueller MÜLLER", "02.01.1960", "4711.08-15", "1960-01-02", "2 Jan 1960",
    r"C:\Users\Zarquon\Desktop\x", "export (Zarquon).zip", "Ильзе", "山田",
)  # fmt: skip


def header(pixels, **more) -> Dataset:
    """A data set with somebody in every element that can hold a person."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = data.StudyInstanceUID = UID
    data.SpecificCharacterSet, data.Modality, data.SamplesPerPixel = "ISO_IR 192", "DX", 1
    data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored = "MONOCHROME2", 16, 16
    data.HighBit, data.PixelRepresentation = 15, 0
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()
    values = CODED | NUMBERS | dict.fromkeys(PEOPLE, "Zarquon^Ilse^Müller=Wu^Yi") | dict.fromkeys(TEXTS, "Zarquon")
    values |= {**dict.fromkeys(IDS, "47110815"), **dict.fromkeys(DATES, "19600102"), "PatientAge": "060Y", **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such values break the standard, as those of real files do
        for keyword, value in values.items():
            setattr(data, keyword, value)
        nested, deeper = Dataset(), Dataset()
        deeper.PatientName, deeper.PatientID = "Zarquon^Ilse", "47110815"
        nested.ReferencedPatientSequence, nested.RequestedProcedureID = [deeper], "47110815"
        data.RequestAttributesSequence = [nested]
        data.add_new(0x00090010, "LO", "ZARQUON 1.0")
        data.add_new(0x00091001, "PN", "Zarquon^Ilse")
        data.add_new(0x60000022, "LO", "Zarquon")
    return data


def saved(data: Dataset, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A grandparent folder, a folder and files named after the patient; the files hold the patient, too."""
    folder = tmp_path_factory.mktemp("x") / "Zarquon" / "Wu Yi 1960-01-02"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    grey = [rng.integers(0, 255, (24, 20), np.uint8) for _ in range(len(FILES) + 5)]
    for name, pixels in zip(FILES, grey, strict=False):
        saved(header(pixels.astype(np.uint16) * 200), folder / f"{name}.dcm")
    text, exif = PngInfo(), Image.Exif()
    for key in ("Title", "Author", "Comment", "Description"):
        text.add_text(key, "Zarquon Ilse 47110815")
    exif[0x010E], exif[0x013B], exif[0x8298], exif[0x0132] = "Zarquon", "Ilse Zarquon", "Wu Yi", "1960:01:02 00:00:00"
    Image.fromarray(grey[-1]).save(folder / "Zarquon_Ilse.png", pnginfo=text, exif=exif)
    Image.fromarray(grey[-2]).save(folder / "Wu_Yi.jpg", comment=b"Zarquon Ilse", exif=exif)
    Image.fromarray(grey[-3]).save(folder / "47110815.tif", tiffinfo={270: "Zarquon", 315: "Ilse", 305: "Wu Yi"})
    np.save(folder / "Zarquon.npy", grey[-4])
    volume = nibabel.Nifti1Image(rng.integers(0, 99, (8, 8, 3)).astype(np.int16), np.eye(4))
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        volume.header[field] = b"Zarquon 47110815"
    volume.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Zarquon Ilse 19600102"))
    nibabel.save(volume, folder / "Zarquon.nii.gz")
    return folder


def clean(what, said):
    """Fails where a text, bytes or an object's text names the patient; pictures are decoded before."""
    if isinstance(said, bytes):
        if said.startswith(b"\x89PNG"):
            said = repr(Image.open(io.BytesIO(said)).info)
        else:
            said = said.decode("latin-1") + said.decode("utf-8", "ignore") + said.decode("utf-16-le", "ignore")
    said = re.sub(r"[A-Za-z0-9+/]{80,}={0,2}", "", str(said))  # base64
    folded = fold(said)
    found = [word for word in WORDS if word in folded] + SHORT.findall(said) + [w for w in FILES[-2:] if w in said]
    assert not found, f"{what} holds {found}: {said[:300]!r}"


def state_of(widget) -> str:
    """All that a saved notebook keeps of a widget."""
    kept = dependency_state([widget], drop_defaults=False)
    bundle = widget._repr_mimebundle_()
    return json.dumps([kept, bundle[0] if isinstance(bundle, tuple) else bundle], default=str)


def test_what_is_read_names_nobody(patient):
    images = [lab.read(path) for path in sorted(patient.iterdir())]
    for image in images:
        clean("an image", repr(image) + repr({k: v for k, v in vars(image).items() if k != "pixels"}))
        clean("its picture", image._repr_png_())
        assert re.fullmatch("image-[0-9a-f]{12}", image.name)
    assert len({image.name for image in images}) == len(images)
    assert images[0].tags["Modality"] == "DX" and "KVP" not in images[0].tags
    clean("a folder", repr(ImageFolder(patient)))


def test_vectors_name_nobody_and_find_their_pictures(patient, tmp_path):
    people = [f"Zarquon {i % 3}" for i in range(len(ImageFolder(patient)))]
    made = lab.embed.embed(FakeEncoder(), patient, tmp_path / "v", patients=people, progress=False)
    clean("the table", made.table.to_pylist())
    clean("the file", (tmp_path / "v" / "embeddings.parquet").read_bytes())
    clean("embeddings", f"{made!r} {made.failures!r} {made.nearest(0)}")
    made = Embeddings.load(tmp_path / "v", FakeEncoder())
    widget = lab.widgets.embedding_map(made, lab.embed.project(made, "pca", n_neighbors=2))
    sent = []
    widget.send = lambda content, buffers=None: sent.append(content)
    widget.selection = [0]
    widget.selection = [0, 1, 2]
    widget.search(sorted(patient.iterdir())[0])
    clean("the map", sent)
    clean("the map's state", state_of(widget))
    assert all(reply.get("picture", "x") for reply in sent)  # the original names were found beside the vectors
    (tmp_path / "v" / PRIVATE).unlink()
    with pytest.raises(MedVLMError, match=PRIVATE) as refused:
        Embeddings.load(tmp_path / "v").image(0)
    clean("an error", refused.value)


def test_evaluations_name_nobody(patient, tmp_path):
    names = [path.name for path in sorted(patient.iterdir())][:6]
    rows = [{"image_name": n, "question": "Is it round?", "answer": "yes", "answer_type": "CLOSED"} for n in names]
    asked = patient.parent / "Zarquon.json"
    asked.write_text(json.dumps(rows))
    data = lab.dataset(questions=asked, images=patient)
    clean("a data set", f"{data} {data!r} {data[0]!r}")
    result = lab.evaluate("vqa", FakeAnswerer(), data, progress=False, out=tmp_path / "out")
    clean("a result", result.to_json(rows=True) + str(result) + repr(result) + result._repr_html_() + repr(result.rows))
    for file in (tmp_path / "out").iterdir():
        if file.name != PRIVATE:
            clean(file.name, file.read_bytes())
    listed = list(csv.reader((tmp_path / "out" / PRIVATE).open()))
    assert {row[0] for row in listed[2:]} == {row.image_name for row in result.rows} and len(listed) == 8
    assert "do not pass it on" in "".join(listed[0])


def test_pictures_that_went_missing_name_nobody(patient, tmp_path):
    folder = tmp_path / "Zarquon"
    for kind in ("mass", "normal"):
        (folder / kind).mkdir(parents=True)
        for i, path in enumerate(list(patient.glob("*.dcm"))[:3]):
            (folder / kind / f"Ilse {i}.png").write_bytes(lab.read(path)._repr_png_())
    row = {"question": "Is it round?", "answer": "yes", "answer_type": "CLOSED"}
    rows = [row | {"image_name": f"mass/Ilse {i}.png"} for i in range(3)]
    (folder / "questions.json").write_text(json.dumps(rows))
    asked = lab.dataset(questions=folder / "questions.json", images=folder)
    studies = lab.dataset(folder, "all")
    for i, put in enumerate((lambda path: path.mkdir(), lambda path: None)):  # a folder in its place, and nothing
        gone = folder / "mass" / f"Ilse {i}.png"
        gone.unlink()
        put(gone)
    for task, data in (("vqa", asked), ("zero-shot", studies)):
        result = lab.evaluate(task, FakeAnswerer() if task == "vqa" else FakeEncoder(), data, out=tmp_path / task)
        assert len(result.left_out) == 2
        clean("a result", result.to_json(rows=True) + repr(result) + result._repr_html_())
        for file in (tmp_path / task).iterdir():
            if file.name != PRIVATE:
                clean(file.name, file.read_bytes())
    made = lab.embed.embed(FakeEncoder(), studies, progress=False)
    assert len(made.failures) == 2
    clean("what was left out", repr(made.failures))


def test_class_folders_name_nobody(patient, tmp_path):
    for kind in ("mass", "normal"):
        (tmp_path / "Zarquon" / kind).mkdir(parents=True)
        for path in list(patient.glob("*.dcm"))[: 2 + (kind == "mass")]:
            (tmp_path / "Zarquon" / kind / path.name).write_bytes(path.read_bytes())
    data = lab.dataset(tmp_path / "Zarquon", "all")
    made = lab.embed.embed(FakeEncoder(), data, progress=False)
    clean("class folders", f"{data} {list(data)!r} {made.table.to_pylist()}")
    (tmp_path / "Zarquon" / "mass").rename(tmp_path / "Zarquon" / "Ilse")
    with pytest.raises(MedVLMError, match="call each folder by its class"):
        lab.dataset(tmp_path / "Zarquon", "all")


def test_widgets_and_written_pictures_name_nobody(patient, tmp_path):
    path = patient / "Zarquon_Ilse_19600102.dcm"
    image = lab.read(path)
    for widget in (lab.widgets.viewer(path), lab.widgets.vqa(FakeAnswerer(), path, question="Is it round?")):
        clean("a widget", state_of(widget))
        clean("its picture", widget.png())
    seen = Explanation(np.ones(image.pixels.shape[1:], np.float32), "cam", "fake", "heart", 0.5, image)
    clean("an explanation", repr(seen))
    clean("a written map", seen.save(tmp_path / "map.png").read_bytes())
    cut = patient.parent / "cut"
    cut.write_bytes(path.read_bytes()[:2000])
    from medvlm_lab.widgets.vqa_shell import read_upload

    with pytest.raises(MedVLMError) as refused:
        read_upload("Zarquon_Ilse.dcm", cut.read_bytes())
    clean("an upload", refused.value.kept)


@pytest.mark.parametrize(
    "broken",
    [
        {"PhotometricInterpretation": "ZARQUON"}, {"RescaleSlope": "1.25", "RescaleIntercept": "0"}, {"cut": 1500},
        {"NumberOfFrames": "47110815"}, {"BitsStored": 19600}, {"PatientName": "Wu^Yi", "cut": 1500},
    ],
    ids=str,
)  # fmt: skip
def test_errors_name_nobody(patient, tmp_path, broken, caplog):
    cut = broken.pop("cut", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
        data = header(np.zeros((24, 20), np.uint16), **broken)
    path = saved(data, tmp_path / "Zarquon_Ilse.dcm")
    path.write_bytes(path.read_bytes()[:cut].replace(b"1.25", b"ILSE"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            clean("an image", repr({k: v for k, v in vars(lab.read(path)).items() if k != "pixels"}))
        except MedVLMError as error:
            assert error.__suppress_context__ and error.__cause__ is None  # else a traceback shows the decoder's words
            clean("an error", f"{error} {error.kept}")
            assert error.file == path
    clean("warnings and logs", f"{[str(w.message) for w in told]} {caplog.text}")


def test_the_command_line_names_nobody_in_json(patient, tmp_path, monkeypatch, capsys):
    from medvlm_lab import models

    monkeypatch.setattr(models, "load", lambda *_, **__: FakeAnswerer())
    for path in (patient / "Zarquon_Ilse_19600102.dcm", patient / "Zarquon_Ilse.png"):
        monkeypatch.setattr(sys, "argv", ["medvlm-lab", "answer", str(path), "Is it round?", "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        clean("JSON", capsys.readouterr().out)


def test_what_is_said_about_a_header_knows_every_way_of_writing():
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.PatientName, data.PatientID, data.PatientBirthDate = "Müller^Øystein=山田^太郎=Ильзе", "4711.08-15", "19600102"
    data.OperatorsName, data.StudyDescription = "Wu^Yi^^Dr", "CHEST"
    person = Identity(data)
    for text in (
        "mueller.dcm", "MULLER", "muller_ct", "Øystein", "oystein", "x_山田", "Ильзе", "47110815", "4711-0815",
        "a47110815c", "02.01.1960", "1960-01-02", "2 Jan 1960", "Jan 2, 1960", "020160", "wu 1", "CT_Yi",
    ):  # fmt: skip
        assert person.inside(text), text
    for text in ("chest.dcm", "Wurm", "IM0001", "slice 12", "dr", "2001-03-04", ""):
        assert not person.inside(text), text


def test_defined_terms_and_plausible_numbers_stay(tmp_path):
    kept = {
        "BodyPartExamined": "CHEST", "ViewPosition": "PA", "PatientPosition": "HFS", "Laterality": "L", "KVP": "120",
        "SequenceVariant": ["SK", "SP"], "ScanningSequence": "GR", "RescaleType": "HU", "ExposureTime": "1601",
        "PatientOrientation": ["L", "F"], "PixelSpacing": ["0.661468", "0.661468"], "WindowCenter": "40",
    }  # fmt: skip
    image = lab.read(saved(header(np.zeros((8, 8), np.uint16), **kept), tmp_path / "a.dcm"))
    for keyword, value in kept.items():
        shown = value if isinstance(value, str) else str(value) if keyword in CODED or "S" == keyword[:1] else None
        assert keyword in image.tags and shown in (None, image.tags[keyword]), keyword


def test_boxes_cover_burned_in_text_in_every_kept_picture(tmp_path):
    image = lab.read(saved(header(np.full((40, 30), 900, np.uint16), BurnedInAnnotation="YES"), tmp_path / "a.dcm"))
    assert image.burned_in
    seen = Explanation(np.ones((40, 30), np.float32), "cam", "fake", "heart", 0.5, image)
    for png in (image._repr_png_(), seen._repr_png_()):
        assert (np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))[:3] == COVER).all()
    assert (image.display()[:3] != COVER).any() and not (np.asarray(image.with_(burned_in=()).pil())[:3] == COVER).any()
