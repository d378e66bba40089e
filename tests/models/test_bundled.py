"""Every bundled checkpoint: it is there, says what it is, is small, and does on new simulated patients what it says."""

import json

import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.models import CATALOGUE, WEIGHTS
from medvlm_lab.models.store import load_weights

LIMIT_MB = 48  # all together


@pytest.mark.parametrize("name", CATALOGUE)
def test_weights_and_card_are_there(name):
    folder = WEIGHTS / name
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Not for clinical use" in card and f"medvlm_lab/train/recipes/{name}.toml" in card
    assert name == "vit-bert-vqa" or "Simulated: not to be compared" in card
    assert json.loads((folder / "config.json").read_text())["architecture"] == name
    assert all(value.isfinite().all() for value in load_weights(folder).values() if value.is_floating_point())
    assert lab.load(name).name == name


@pytest.mark.parametrize("name", CATALOGUE)
def test_before_training_only_the_frozen_parts_of_others_are_there(name):
    fresh, trained = (lab.load(name, untrained=u, device="cpu").module.state_dict() for u in (True, False))
    given = {"vit-bert-vqa": ("image_encoder.stem.", "question_encoder."), "pathology-vlm": ("vision.stem.",)}
    for key, value in trained.items():
        if key.startswith(given.get(name, ("none",))):
            assert torch.equal(value, fresh[key]), key
        elif value.ndim > 1 and value.is_floating_point():
            assert not torch.equal(value, fresh[key]), key


def test_together_they_stay_small():
    total = sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file())
    assert total <= LIMIT_MB * 1e6


STRONGEST = [("chexzero", "chest-xray", "pleural effusion"), ("echo-clip", "echocardiogram", "pacemaker lead")]


@pytest.mark.parametrize(("name", "phantom", "finding"), STRONGEST)
def test_zero_shot_on_patients_that_training_never_had(name, phantom, finding):
    model = lab.load(name)
    data = lab.dataset(f"phantom:{phantom}", "test", n=80, seed=9, size=model.module.config.image_size)
    assert lab.evaluate("zero-shot", model, data, progress=False).scores[f"auc {finding}"].value > 0.95


@pytest.mark.parametrize("name", ["clinical-blip", "flamingo-cxr"])
def test_reports_and_answers_about_patients_that_training_never_had(name):
    model = lab.load(name)
    data = lab.dataset("phantom:chest-xray", "test", n=40, seed=9, size=model.module.config.image_size)
    assert lab.evaluate("report", model, data, progress=False).scores["f1"].value > 0.75
    if name == "clinical-blip":
        answers = lab.evaluate("vqa", model, data, progress=False)
        there = [row.correct for row in answers.rows if row.question_type == "PRES" and row.reference == "yes"]
        assert answers.scores["closed"].value > 80 and sum(there) > 0.6 * len(there)  # it does not just say no
