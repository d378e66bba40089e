"""Parts trained in a chapter: what is frozen stays, what is new learns, and what is remembered is what was seen."""

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.train import live_connector, live_contrast
from medvlm_lab.train.live_answers import Asked, fit_parts
from medvlm_lab.train.live_connector import Looking, Patients, exam, fit_connector, shrunk
from medvlm_lab.train.live_contrast import Cines, fit_texts


@pytest.fixture(scope="module")
def pathology():
    return lab.load("pathology-vlm")


@pytest.fixture(scope="module")
def patients(pathology):
    return Patients.of(pathology, lab.phantom("histology").sample(0, 4), size=128)


def test_a_new_connector_learns_and_nothing_else_does(pathology, patients, monkeypatch):
    monkeypatch.setattr(live_connector, "BATCH", 4)
    before = {name: value.clone() for name, value in pathology.module.state_dict().items()}
    curve = fit_connector(pathology, patients, patients, slice(1, None), steps=15)
    assert list(curve) == [0, 15] and curve[15] < curve[0]
    assert all(torch.equal(value, before[name]) for name, value in pathology.module.state_dict().items())


def test_exam_is_the_same_each_time_and_better_with_the_right_picture(pathology, patients):
    soft = patients.soft(pathology.module.connector, range(4), slice(1, None))
    assert exam(pathology, patients, soft) == exam(pathology, patients, soft) < exam(pathology, patients, None)


def test_what_is_remembered_answers_as_the_model_does(pathology, patients):
    again = Looking(pathology, patients.images, patients.looked)
    questions = ["Is there necrosis?"] * 2
    chosen = [patients.images[2], patients.images[0]]
    pairs = zip(again.answer_batch(chosen, questions), pathology.answer_batch(chosen, questions), strict=True)
    for own, other in pairs:
        assert own.text == other.text and own.confidence == pytest.approx(other.confidence, abs=1e-4)


def test_a_shrunk_picture_has_its_size_and_colour(patients):
    image = patients.images[0]
    small = shrunk(image, 32)
    assert small.pixels.shape == (1, 32, 32, 3) and small.pixels.dtype == np.uint8
    assert np.abs(small.pixels.mean((0, 1, 2)) - image.pixels.mean((0, 1, 2))).max() < 1


@pytest.mark.parametrize("single", [True, False])
def test_a_new_text_tower_learns_and_the_image_tower_stays(monkeypatch, single):
    monkeypatch.setattr(live_contrast, "BATCH", 6)
    model = lab.load("echo-clip")
    data = lab.dataset("phantom:echocardiogram", "train", n=6, size=48)
    cines = Cines.of(model, data, range(6))
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    curve = fit_texts(model, cines, cines, single, steps=20)
    assert list(curve) == [0, 10, 20] and curve[20] < curve[0]
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert torch.allclose(cines.unit(), model.encode_images(cines.images), atol=1e-5)


def test_only_the_parts_named_learn_to_answer():
    model = lab.load("vit-bert-vqa", device="cpu")
    train, test = Asked.of(model, "train", 4), Asked.of(model, "validation", 2)
    assert len(train) == 24 and len(test) == 12 and [*train.answers[0]] != [*train.answers[4]]
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    curve = fit_parts(model, train, train, "fusion", "memory_norm", "decoder", "output_norm", steps=15)
    assert list(curve) == [0, 5, 10, 15] and curve[15] > curve[0]  # what it is trained on, it can say
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
