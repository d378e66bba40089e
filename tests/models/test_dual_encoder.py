"""Dual encoders: unit rows, frames and batches, CLIP's loss, what is refused, and the two models built on them."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.errors import CheckpointError, MissingDataError, ModalityError, QuestionError, UnknownNameError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import ImageTextEncoder
from medvlm_lab.models.dual_encoder import Config, DualEncoder, contrastive_loss
from medvlm_lab.models.store import save_weights
from medvlm_lab.text.report_vocabulary import report_vocabulary
from medvlm_lab.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A small untrained checkpoint of each model."""
    found = {}
    for name, phantom in (("echo-clip", "echocardiogram"), ("chexzero", "chest-xray")):
        folder = found[name] = tmp_path_factory.mktemp(name)
        words = report_vocabulary(phantom)
        (folder / "vocabulary.txt").write_text("\n".join(words), encoding="utf-8")
        config = Config(len(words), 64, 4, (1, 1), (16, 32), 24, 96, 32, 1, 2)
        torch.manual_seed(1)
        module = DualEncoder(config, Tokenizer(words).end)
        save_weights(folder, module.state_dict(), {"architecture": name, "model": dataclasses.asdict(config)})
    return found


@pytest.fixture(scope="module")
def echo(folders):
    return lab.load("echo-clip", checkpoint=folders["echo-clip"])


@pytest.fixture(scope="module")
def chest(folders):
    return lab.load("chexzero", checkpoint=folders["chexzero"])


@pytest.fixture(scope="module")
def cines():
    echo = lab.phantom("echocardiogram")
    return [echo.image(echo.draw(seed), 64) for seed in range(3)]


def test_rows_have_unit_length_and_do_not_depend_on_the_batch(echo, cines):
    assert isinstance(echo, ImageTextEncoder)
    images, texts = echo.encode_images(cines), echo.encode_texts(["LVEF 60%.", "A pacing lead is seen."])
    assert images.dtype == texts.dtype == torch.float32 and images.shape == (3, 24) and texts.shape == (2, 24)
    for rows in (images, texts):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    torch.testing.assert_close(echo.encode_images(cines[1:2])[0], images[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(echo.encode_texts(["A pacing lead is seen."])[0], texts[1], rtol=1e-5, atol=1e-6)


def test_a_video_is_the_mean_of_its_frames(echo, cines):
    with torch.inference_mode():
        each = echo.module.encode_frames(echo.pixels(cines[:1]))[0]  # (f, d)
    assert len(each) == 4
    torch.testing.assert_close(F.normalize(each.mean(0), dim=0), echo.encode_images(cines[:1])[0])
    torch.testing.assert_close(F.normalize(each, dim=1), echo.encode_frames(cines[:1])[0])


def test_the_loss_is_clip_s(echo):
    logits = torch.randn(5, 5, dtype=torch.float64)
    by_hand = sum(-logits.log_softmax(k)[i, i] for k in (0, 1) for i in range(5)) / 10
    torch.testing.assert_close(contrastive_loss(logits), by_hand)


def test_every_number_is_one_token_and_every_sentence_known(echo, chest):
    for model, phantom in ((echo, "echocardiogram"), (chest, "chest-xray")):
        simulator, tokenizer = lab.phantom(phantom), model.tokenizer
        for scene in simulator.sample(77, 60):
            text = str(simulator.report(scene).findings)
            ids = tokenizer.encode(text, 999)
            assert tokenizer._ids["[UNK]"] not in ids, text
        assert len(tokenizer.encode("LVEF 62%", 99)) == len(tokenizer.encode("LVEF 126%", 99))


def test_devices_and_ejection_fraction(echo, cines):
    devices = echo.devices(cines[0])
    assert set(devices) == {"pacemaker lead", "MitraClip", "TAVR valve"} and all(-1 <= v <= 1 for v in devices.values())
    many = echo.score_findings(cines)
    assert many["MitraClip"][0].item() == pytest.approx(devices["MitraClip"], abs=1e-5)
    assert 0 <= echo.ejection_fraction(cines[0]) <= 100 and 0 <= echo.ejection_fraction(cines[0], "paper") <= 100
    with pytest.raises(UnknownNameError, match="did you mean 'paper'"):
        echo.ejection_fraction(cines[0], "papers")


def test_positive_against_negative_prompt(chest):
    image = lab.sample("chest-xray-nodules")
    probabilities = chest.classify(image)
    assert len(probabilities) == 13 and all(0 < p < 1 for p in probabilities.values())
    picture, scale = chest.encode_images([image])[0], chest.module.logit_scale.exp()
    pairs = (("There is nodule.", "There is no nodule."), ("nodule is present.", "No nodule is seen."))
    by_hand = [((chest.encode_texts(pair) @ picture) * scale).softmax(0)[0].item() for pair in pairs]
    assert probabilities["nodule"] == pytest.approx(sum(by_hand) / 2, abs=1e-5)
    with pytest.raises(UnknownNameError):
        chest.classify(image, [" "])


def test_what_it_never_saw_is_refused(echo, chest, cines):
    with pytest.raises(ModalityError, match="is echo, but chexzero has seen X-ray only"):
        chest.encode_images(cines[:1])
    with pytest.raises(QuestionError, match="Text 1 is empty"):
        echo.encode_texts(["LVEF 60%.", " "])
    grey = MedicalImage.from_array(np.zeros((40, 60), np.uint8), name="grey")
    assert chest.encode_images([grey]).shape == (1, 24)  # unknown modality is let through
    assert echo.encode_images([]).shape == (0, 24)


def test_checkpoints_that_do_not_fit(folders, tmp_path):
    with pytest.raises(CheckpointError, match="holds 'echo-clip', not 'chexzero'"):
        lab.load("chexzero", checkpoint=folders["echo-clip"])
    for file in folders["echo-clip"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["model"]["embedding"] = 25
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="do not fit"):
        lab.load("echo-clip", checkpoint=tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(MissingDataError, match="model.safetensors is missing"):
        lab.load("echo-clip", checkpoint=tmp_path)


def test_untrained_is_the_same_model_before_training(folders):
    one, two = (lab.load("chexzero", checkpoint=folders["chexzero"], untrained=True) for _ in range(2))
    trained = lab.load("chexzero", checkpoint=folders["chexzero"])
    text = ["No pneumothorax is seen."]
    assert torch.equal(one.encode_texts(text), two.encode_texts(text))
    assert not torch.equal(one.encode_texts(text), trained.encode_texts(text))
