"""PMC-VQA and SLAKE, read from tiny copies of their layouts."""

import json

import generated
import pytest
from hypothesis import given
from hypothesis import strategies as st

import medvlm_lab as lab
from medvlm_lab.datasets import pmc_vqa
from medvlm_lab.errors import MissingDataError, UnknownNameError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path))
    return tmp_path


def refused(says, *arguments, **options):
    with pytest.raises(MissingDataError, match=says) as caught:
        lab.dataset(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_pmc_vqa(root):
    folder = generated.pmc_vqa(root)
    data = lab.dataset("pmc_vqa", "train")
    item = data[0]
    asked = "Choices: A: Diffuse uptake B: Focal uptake C: No uptake, none D: Cannot be told"
    assert item.question == f"What is the\nuptake, here? {asked}"
    assert (item.answer, item.closed, item.image_name) == ("Focal uptake", True, "PMC0_F1.jpg")
    assert item.image().color and len(data) == 20 and len(lab.dataset(folder, "test")) == 2
    second = lab.dataset(folder, "test", questions=folder / "test_2.csv")
    assert [item.answer for item in second] == ["No uptake, none"] * 2
    held, rest = lab.dataset(folder, "validation-image"), lab.dataset(folder, "train-minus-validation-image")
    assert not set(held.image_names) & set(rest.image_names) and len(held) + len(rest) == 20


CHOICE = st.text(st.characters(whitelist_categories=("L", "N"), whitelist_characters=' ,":'), min_size=1, max_size=20)


@given(st.lists(CHOICE.filter(str.strip), min_size=4, max_size=4), st.sampled_from(pmc_vqa.LETTERS))
def test_choices_of_pmc_vqa_come_back(tmp_path_factory, choices, label):
    path = tmp_path_factory.mktemp("pmc") / "test.csv"
    marked = [f" {letter}:{text}" for letter, text in zip(pmc_vqa.LETTERS, choices, strict=True)]
    generated.table(path, generated.PMC_COLUMNS, [["a.jpg", "Why?", "", *marked, label]])
    (row,) = pmc_vqa.read(path)
    assert row["choices"] == tuple(text.strip() for text in choices)
    assert row["answer"] == choices[pmc_vqa.LETTERS.index(label)].strip()


def test_damaged_pmc_vqa_is_one_sentence(root):
    folder = generated.pmc_vqa(root)
    (folder / "images" / "PMC3_F1.jpg").unlink()
    refused("1 of the images .*first: PMC3_F1.jpg", folder, "train")
    text = (folder / "test.csv").read_text()
    (folder / "test.csv").write_text(text.replace("B\n", "E\n").replace("B\r", "E\r"))
    refused("Row 0 of .*test.csv has the answer 'E'", folder, "test")
    (folder / "test.csv").write_text(text.replace("Choice C", "Choice 3"))
    refused("test.csv has no column Choice C", folder, "test")
    (folder / "test.csv").unlink()
    refused("official test questions, test.csv, are not in", folder, "test")
    with pytest.raises(UnknownNameError, match="Unknown split 'all'"):
        lab.dataset(folder, "all")


def test_slake(root):
    folder = generated.slake(root)
    for split, number in (("train", 0), ("validation", 2), ("test", 4)):
        data = lab.dataset("slake", split)
        assert data.image_names == (f"xmlab{number}/source.jpg", f"xmlab{number + 1}/source.jpg")
        assert len(lab.dataset(folder, split)) == 2
    item = data[0]
    assert (item.question, item.answer, item.closed) == ("Does the picture contain liver?", "Yes", True)
    assert item.question_type == "Organ" and item.image().pixels.shape == (1, 32, 32)
    # the validation file is the authors' own, so that nothing is taken out of the training file for it
    assert lab.dataset(folder, "train-minus-validation").items == lab.dataset(folder, "train").items
    assert len(lab.dataset(folder, "validation-image", fraction=0.5)) == 1


def test_damaged_slake_is_one_sentence(root):
    folder = generated.slake(root)
    (folder / "imgs" / "xmlab0" / "source.jpg").unlink()
    refused("1 of the images .*first: xmlab0/source.jpg", folder, "train")
    (folder / "train.json").write_text("{")
    refused("train.json is not valid JSON", folder, "train")
    (folder / "test.json").write_text(json.dumps([{"question": "?", "q_lang": "zh"}]))
    refused("no question whose q_lang is 'en'", folder, "test")
    (folder / "validate.json").unlink()
    refused("validate.json cannot be read", folder, "validation")


def test_rows_without_a_question_or_an_answer_are_named_as_the_file_counts_them(root):
    folder = generated.slake(root)
    rows = json.loads((folder / "train.json").read_text())
    number = max(i for i, row in enumerate(rows) if row["q_lang"] == "en")
    rows.insert(0, rows[0] | {"q_lang": "zh"})
    (folder / "train.json").write_text(json.dumps(rows[: number + 1] + [rows[number + 1] | {"answer": float("nan")}]))
    refused(f"Row {number + 1} of .*train.json has no usable answer", folder, "train")
    pmc = generated.pmc_vqa(root)
    path = pmc / "blank.csv"
    generated.table(path, generated.PMC_COLUMNS, [["a.jpg", " ", "", "A:x", "B:y", "C:z", "D:w", "A"]])
    with pytest.raises(MissingDataError, match="Row 0 of .*blank.csv has no question"):
        pmc_vqa.read(path)
