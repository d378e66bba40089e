"""The contrastive task: it learns which report belongs to which study, and what it writes loads and scores."""

import json

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.errors import UnknownNameError
from medvlm_lab.phantoms import phantom
from medvlm_lab.train import recipe, train
from medvlm_lab.train.contrastive import Studies, embedded, rendered, varied
from medvlm_lab.train.contrastive_setup import prepare, task
from medvlm_lab.train.loop import Loop

SMALL = {
    "studies": 512, "validation_studies": 48, "test_studies": 24, "batch_size": 64, "epochs": 12, "warmup_steps": 4,
    "bf16": False, "ema_decay": 0.8, "excerpts": 0.0, "word_dropout": 0.0,
    "model": {"image_size": 32, "frames": 1, "depths": [1, 1], "widths": [16, 32], "embedding": 32, "text_width": 32,
              "text_depth": 1},
}  # fmt: skip


def test_pictures_are_those_that_a_reader_sees():
    for name, frames in (("chest-xray", 1), ("echocardiogram", 4)):
        simulator = phantom(name)
        scene = simulator.draw(3)
        image = simulator.image(scene, 64)
        shown = np.stack([image.display(int(i)).mean(-1) for i in np.linspace(0, image.frames - 1, frames).round()])
        made = rendered(simulator, [scene], frames, 64)[0].numpy()
        assert np.abs(made.astype(float) - shown).max() <= 1.0  # rounding


def test_it_learns_and_its_checkpoint_scores(tmp_path):
    settings = recipe("chexzero") | SMALL
    data = prepare(settings, tmp_path)
    loop = Loop(task(settings, data, "patients"), settings, tmp_path)
    before = loop.task.validate(loop.model.eval())["mcmrr_percent"]
    loop.run()
    after = loop.task.validate(loop.averaged())["mcmrr_percent"]
    assert before > 40 and after < before - 15
    folder = train("chexzero", out=tmp_path / "run", **{**SMALL, "epochs": 1})
    model = lab.load("chexzero", checkpoint=folder)
    assert model.classify(lab.sample("chest-xray-nodules")).keys() >= {"nodule", "pneumothorax"}
    card = (folder / "README.md").read_text()
    assert "Not for clinical use" in card and "simulated" in card and "| zero-shot | Area under the ROC curve |" in card
    assert json.loads((folder / "config.json").read_text())["architecture"] == "chexzero"


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path):
    settings = recipe("chexzero") | SMALL | {"epochs": 2, "studies": 64}

    def fresh(folder):
        folder.mkdir(exist_ok=True)
        return Loop(task(settings, prepare(settings, folder), "patients"), settings, folder)

    whole = fresh(tmp_path / "whole")
    whole.run()
    stopped = fresh(tmp_path / "parts")
    stopped.run(minutes=1e-9)
    again = fresh(tmp_path / "parts")
    assert again.resume() and again.epoch == 1
    again.run()
    for (name, a), (_, b) in zip(whole.model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_texts_change_from_epoch_to_epoch_and_stay_true_to_the_seed(tmp_path):
    settings = recipe("chexzero") | SMALL | {"studies": 8, "validation_studies": 4}
    made = task(settings, prepare(settings, tmp_path), "patients")
    one, two = (made.excerpt(3, np.random.default_rng(s)) for s in (1, 2))
    assert one != two and one == made.excerpt(3, np.random.default_rng(1))
    images, texts = embedded(made.model, made.tokenizer, made.validation, "held-out")
    assert images.shape == texts.shape == (4, 32)


def test_variation_moves_all_frames_of_a_study_alike():
    still = torch.rand(3, 1, 32, 32).expand(3, 5, 32, 32)
    moved = varied(still, np.random.default_rng(0))
    assert moved.shape == still.shape and torch.equal(moved[:, :1].expand_as(moved), moved)
    assert not torch.allclose(moved, still) and moved.min() >= 0 and moved.max() <= 1


def test_validation_never_holds_a_training_patient():
    simulator = phantom("chest-xray")
    train_part, held = (Studies(simulator, part, 30, 1, 32, 0) for part in ("train", "validation"))
    assert not {s.patient for s in train_part.scenes} & {s.patient for s in held.scenes}


def test_unknown_task_suggests_the_nearest(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('task = "contrastiv"\nsplits = ["patients"]\n')
    with pytest.raises(UnknownNameError, match="did you mean 'contrastive'"):
        train("chexzero", recipe_file=path, out=tmp_path / "run")
