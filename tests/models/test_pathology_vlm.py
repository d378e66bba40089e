"""PathologyVLM: the same number of soft tokens at any size, exact masks, one look an image, what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.errors import ModalityError, QuestionError, UnknownNameError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Answerer, Explainable, ImageTextEncoder, Reporter
from medvlm_lab.models.pathology_vlm import COLUMN, Config, PathologyNet, Views, columns, cut
from medvlm_lab.models.store import save_weights
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN

WORDS = [PAD, UNKNOWN, START, END, ":", "?", ".", "answer", "is", "necrosis", "no", "question", "there", "yes"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small untrained checkpoint."""
    folder = tmp_path_factory.mktemp("pathology-vlm")
    (folder / "vocabulary.txt").write_text("\n".join(WORDS), encoding="utf-8")
    config = Config(
        len(WORDS), WORDS.index(END), tile=64, width=24, heads=2, hidden=32, vision_depth=1, text_depth=1,
        connector_depth=1, embedding=16, language_depth=1,
    )  # fmt: skip
    torch.manual_seed(1)
    net = PathologyNet(config)
    save_weights(folder, net.state_dict(), {"architecture": "pathology-vlm", "model": dataclasses.asdict(config)})
    return lab.load("pathology-vlm", checkpoint=folder)


def micrograph(height, width, seed=0, modality="histology"):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return MedicalImage.from_array(pixels, modality)


@pytest.mark.parametrize("size", [(128, 128), (128, 256), (96, 300), (400, 260)])
def test_its_inside_lies_over_the_picture(model, size):
    assert isinstance(model, Explainable)
    image = micrograph(*size)
    trace = model.trace(image, "Is there necrosis?")
    weights, (rows, columns) = trace.attentions[-1], trace.grid
    assert weights.sum(-1).allclose(torch.ones(()), atol=1e-5) and len(trace.tokens.unique()) == rows * columns
    assert weights[..., trace.tokens].sum(-1).allclose(torch.ones(()), atol=1e-5)  # no weight outside the grid
    seen = trace.view.cell(0, 0, trace.grid)
    assert seen[2] - seen[0] == pytest.approx(seen[3] - seen[1], rel=0.02)  # square cells: proportions are kept
    assert trace.gradients().abs().sum() > 0 and trace.looks.shape == (len(trace.words), rows * columns)
    again = trace.rescore(trace.pixels)  # the whole view is then made of the tiles, which may be smaller than the image
    assert again.shape == (1,) and (again - trace.score).abs() < (1e-4 if size[0] == 128 else 0.1)


def test_tiles_lie_where_they_were_cut(model):
    pixels = np.zeros((128, 256, 3), np.uint8)
    pixels[64:, 128:] = 200  # the lower right quarter
    image = MedicalImage.from_array(pixels, "histology", window=(127.5, 255))
    shown = model.trace(image, "Is there necrosis?").pixels[0]
    assert shown.shape[0] == 3 and shown[:, 80:, 140:].min() > 0.7 and shown[:, :60, :120].max() < 0.01


def test_what_is_explained_is_its_answer():
    model, tissue = lab.load("pathology-vlm", device="cpu"), lab.phantom("histology")
    for scene in tissue.sample(2, 3):
        image = tissue.image(scene, 256)
        trace, answer = (ask(image, "Is there necrosis?") for ask in (model.trace, model.answer))
        assert trace.answer.lower() == answer.text
        assert 0 <= sum(answer.token_logprobs) - trace.score.item() < 0.01  # that the text ends counts, too


def test_every_method_for_answers_explains_it(model):
    image = micrograph(128, 128)
    assert set(lab.explain.methods(model)) >= {"grad-cam", "chefer", "legrad", "cross-attention"}
    for name in ("grad-cam", "chefer", "legrad", "cross-attention"):
        assert lab.explain.explain(name, model, image, "Is there necrosis?").values.shape == (128, 128)


@pytest.mark.parametrize("size", [(64, 900), (300, 300), (2000, 1500), (8, 8)])
def test_any_size_becomes_as_many_soft_tokens(model, size):
    seen, ids, keep = model.seen([micrograph(*size)], ["question: is there necrosis? answer:"])
    assert seen.prefix.shape == (1, 4, 24) and seen.prefix.isfinite().all()
    assert ids.shape == keep.shape and model.answer(micrograph(*size), "Is there necrosis?").confidence <= 1


def test_what_is_not_there_is_not_seen(model):
    """Another number of absent tiles, and rubbish in their place, change nothing, for connector, CLIP and matching."""
    net, config = model.module, model.module.config
    pixels, keep = cut(torch.rand(3, 100, 170), config)
    patches = net.patches(Views(pixels[None], keep[None]))
    some = int(keep.any(1).sum())
    rubbish = patches.clone()
    rubbish[:, some:] = 7.0
    ids = model.tokenizer.batch(["There is no necrosis."], 20)
    results = []
    for features, mask in ((patches, keep[None]), (rubbish, keep[None]), (patches[:, :some], keep[None, :some])):
        looked = net.look(features, mask)
        results.append((net.connect(looked).prefix, net.embed(looked), net.matched(looked, ids)))
    assert 4 <= some < config.tiles
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_fine_features_stand_beside_the_last_ones(model):
    stem, pixels = model.module.vision.stem, torch.rand(2, 3, 64, 64)
    found = columns(stem, pixels)
    assert found.shape == (2, 4, COLUMN)
    torch.testing.assert_close(found[..., :320], stem(pixels).flatten(2).transpose(1, 2))


def test_an_image_is_looked_at_once_for_all_its_questions(model, monkeypatch):
    one, two = micrograph(70, 90), micrograph(90, 70, seed=1)
    asked = ["Is there necrosis?", "Necrosis?", "Is there necrosis?"]
    alone = [model.answer(image, question) for image, question in zip((one, two, one), asked, strict=True)]
    looked = []
    original = type(model).look
    monkeypatch.setattr(type(model), "look", lambda self, images: looked.extend(images) or original(self, images))
    together = model.answer_batch([one, two, one], asked)
    assert looked == [one, two]
    for a, b in zip(alone, together, strict=True):
        assert a.text == b.text and a.confidence == pytest.approx(b.confidence, abs=1e-4)


def test_images_and_texts_share_a_space(model):
    images, texts = model.encode_images([micrograph(64, 64), micrograph(50, 200)]), model.encode_texts(["Necrosis."])
    assert images.shape == (2, 16) and texts.shape == (1, 16)
    for rows in (images, texts):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)))
    assert model.encode_images([]).shape == model.encode_texts([]).shape == (0, 16)
    scores = model.classify(micrograph(64, 64))
    assert len(scores) == 9 and all(0 <= p <= 1 for p in scores.values())


def test_it_claims_what_it_can_do(model):
    assert isinstance(model, Answerer) and isinstance(model, ImageTextEncoder) and not isinstance(model, Reporter)


def test_what_it_never_saw_is_refused(model):
    xray = micrograph(64, 64, modality="X-ray")
    for ask in (lambda: model.answer(xray, "Is there necrosis?"), lambda: model.encode_images([xray])):
        with pytest.raises(ModalityError, match="X-ray"):
            ask()
    let_through, known = (model.answer(i, "Necrosis?") for i in (xray.with_(modality="unknown"), micrograph(64, 64)))
    assert (let_through.text, let_through.token_logprobs) == (known.text, known.token_logprobs)
    with pytest.raises(QuestionError, match="empty"):
        model.encode_texts(["necrosis", " "])
    with pytest.raises(QuestionError, match="empty"):
        model.answer(micrograph(64, 64), " ")
    with pytest.raises(UnknownNameError):
        model.classify(micrograph(64, 64), [""])


def test_bundled_weights_answer_about_patients_that_training_never_had():
    data = lab.dataset("phantom:histology", "test", n=16, seed=9)
    result = lab.evaluate("vqa", lab.load("pathology-vlm"), data, progress=False)
    assert result.scores["closed"].value > 80 and result.scores["open"].value > 60
