"""Loading: layouts, names, and every kind of missing or malformed part."""

import json

import pytest

from medvlm_lab.datasets import ImageFolder, dataset, names
from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError


def test_a_folder_is_read_without_opening_pictures(folder, rows):
    data = dataset(folder)
    assert len(data) == len(rows) == 120
    item = data[4]
    assert (item.answer, item.closed, item.question) == ("1", False, "freeform 0 1?")  # a number becomes text
    assert data[0].closed  # "CLOSED " with a blank
    assert item.image_path == folder / "images" / "synpic0.jpg"
    assert data.image_names == tuple(f"synpic{i}.jpg" for i in range(6))
    assert "120 questions, 72 closed and 48 open, on 6 images" in str(data)
    assert len(data[:7]) == 7 and data[:7].rows == tuple(rows[:7])


def test_a_name_is_found_through_the_environment(folder, monkeypatch):
    monkeypatch.setenv("MEDVLM_DATA", str(folder.parent))
    assert dataset("vqa_rad").name == "vqa_rad"
    with pytest.raises(MissingDataError, match="medvlm-lab data fetch path_vqa"):
        dataset("path_vqa")


def test_path_vqa_names_pictures_differently(tmp_path, monkeypatch):
    root = tmp_path / "pathvqa_histology"
    (root / "images").mkdir(parents=True)
    (root / "images" / "a.jpg").touch()
    row = {"image": "a.jpg", "question": "what is present?", "answer": "x", "answer_type": "OPEN"}
    (root / "trainset.json").write_text(json.dumps([row]))
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path))
    item = dataset("path_vqa")[0]
    assert (item.image_name, item.modality, item.question_type) == ("a.jpg", "histology", "")


def test_parts_can_be_named_one_by_one(folder):
    data = dataset(questions=folder / "trainset.json", images=folder / "images", split="test")
    assert len(data) == 120
    with pytest.raises(MissingDataError, match="both questions and images"):
        dataset(questions=folder / "trainset.json")


def test_the_official_test_file(folder, rows):
    with pytest.raises(MissingDataError, match="official test questions"):
        dataset(folder, "test")
    (folder / "testset.json").write_text(json.dumps(rows[:3]))
    assert len(dataset(folder, "test")) == 3


@pytest.mark.parametrize("split", ["validation", "validation-image"])
def test_a_split_and_its_counterpart_are_the_whole(folder, split):
    held, rest = dataset(folder, split), dataset(folder, f"train-minus-{split}")
    asked = [item.question for item in held] + [item.question for item in rest]
    assert sorted(asked) == sorted(item.question for item in dataset(folder))


def test_unknown_names(tmp_path, folder):
    with pytest.raises(UnknownNameError, match="did you mean 'vqa_rad'"):
        dataset("vqa-rad")
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        dataset(folder, "validaton")
    with pytest.raises(MissingDataError, match="does not exist"):
        dataset(tmp_path / "nowhere")
    with pytest.raises(MissingDataError, match="No data set"):
        dataset()
    assert names()[:3] == ("vqa_rad", "path_vqa", "pmc_vqa") and "phantom:chest-xray" in names()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{not json", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("{}", "JSON list"),
        ("[]", "JSON list"),
        ("[1]", "JSON list"),
        ('[{"question": "q", "answer": "a", "answer_type": "OPEN"}]', "Row 0 .* image_name"),
        ('[{"image_name": "synpic0.jpg", "answer": "a", "answer_type": "OPEN"}]', "Row 0 .* question"),
        ('[{"image_name": "synpic0.jpg", "question": " ", "answer": "a", "answer_type": "OPEN"}]', "question"),
        ('[{"image_name": "synpic0.jpg", "question": "q", "answer": null, "answer_type": "OPEN"}]', "answer"),
        ('[{"image_name": "synpic0.jpg", "question": "q", "answer": "a", "answer_type": "MAYBE"}]', "MAYBE"),
        ('[{"image_name": "../x.jpg", "question": "q", "answer": "a", "answer_type": "OPEN"}]', "outside"),
        ('[{"image_name": "gone.jpg", "question": "q", "answer": "a", "answer_type": "OPEN"}]', "first: gone.jpg"),
    ],
)
def test_malformed_questions_are_named(folder, content, says):
    (folder / "trainset.json").write_text(content)
    with pytest.raises(MissingDataError, match=says) as caught:
        dataset(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [("true", "yes"), ("false", "no"), ("3", "3"), ("2.5", "2.5"), ("0", "0"), ('" Yes "', "Yes"), ('"none"', "none")],
)
def test_answers_that_are_no_text_become_text(folder, written, read):
    row = f'{{"image_name": "synpic0.jpg", "question": "q", "answer": {written}, "answer_type": "CLOSED"}}'
    (folder / "trainset.json").write_text(f"[{row}]")
    assert dataset(folder)[0].answer == read


@pytest.mark.parametrize("field", ["question", "answer"])
@pytest.mark.parametrize("nothing", ["NaN", "null", '""', '"  "', '"nan"', '"NULL"', "Infinity", "[]", "{}"])
def test_questions_and_answers_that_are_missing_are_named(folder, field, nothing):
    row = {"image_name": "synpic0.jpg", "question": "q", "answer": "a", "answer_type": "OPEN"}
    texts = [json.dumps(row), json.dumps(row | {field: 0}).replace(f'"{field}": 0', f'"{field}": {nothing}')]
    (folder / "trainset.json").write_text(f"[{', '.join(texts)}]")
    with pytest.raises(MissingDataError, match=f"Row 1 of .*trainset.json has no usable {field}"):
        dataset(folder)


def test_missing_files_and_bytes_that_are_no_text(folder):
    (folder / "trainset.json").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(MissingDataError):
        dataset(folder)
    (folder / "trainset.json").unlink()
    with pytest.raises(MissingDataError, match="cannot be read"):
        dataset(folder)


def test_missing_image_folder(folder):
    with pytest.raises(MissingDataError, match="Image folder"):
        dataset(folder, images=folder / "pictures")


def test_image_folder_lists_images_only(tmp_path):
    for name in ("b.png", "a.dcm", "sub/c.nii.gz", "notes.txt", ".hidden.png", "IM0001"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in ImageFolder(tmp_path).paths] == ["IM0001", "a.dcm", "b.png", "c.nii.gz"]
    with pytest.raises(MedVLMError, match="does not exist"):
        ImageFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MedVLMError, match="no image file"):
        ImageFolder(tmp_path / "empty")


def test_the_real_files(real_data, real_micrographs):
    data = dataset(real_data / "vqa_rad")
    assert (len(data), data.closed, len(data.image_names)) == (3064, 1823, 314)
    assert len(dataset(real_micrographs)) == 6299
