"""The prompt segmenter: geometry back into the image, phrases, batches, what is refused, checkpoints."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import medvlm_lab as lab
from medvlm_lab.errors import CheckpointError, ImageReadError, MedVLMError, ModalityError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Explainable, Segmenter
from medvlm_lab.models.preprocess import from_square, to_square
from medvlm_lab.models.prompt_segmenter import Config, PromptNet
from medvlm_lab.models.store import save_weights
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer

WORDS = [PAD, UNKNOWN, START, END, "heart", "left", "lung", "right", "the"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small untrained checkpoint whose masks are never held back."""
    folder = tmp_path_factory.mktemp("prompt-segmenter")
    (folder / "vocabulary.txt").write_text("\n".join(WORDS), encoding="utf-8")
    config = Config(len(WORDS), 32, (4, 8, 8, 8, 16), (0, 1, 1, 1, 1), 8, 12, 16, 1, 2)
    torch.manual_seed(1)
    module = PromptNet(config, Tokenizer(WORDS).end)
    for scale in [*module.coarse, *module.fine]:
        torch.nn.init.normal_(scale.film.modulation.weight, std=2.0)  # so that a phrase shows through before training
    settings = {"architecture": "prompt-segmenter", "model": dataclasses.asdict(config), "threshold": 0.0}
    save_weights(folder, module.state_dict(), settings)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return lab.load("prompt-segmenter", checkpoint=folder)


@pytest.fixture(scope="module")
def xray():
    chest = lab.phantom("chest-xray")
    return chest.image(chest.draw(3), 64)


def test_the_trace_s_score_is_the_logit_of_presence(model, xray):
    assert isinstance(model, Explainable)
    trace = model.trace(xray, "the heart")
    logit = model.module(trace.pixels.detach(), model.tokenizer.batch(["the heart"], 12), torch.tensor([0]))[1][0]
    torch.testing.assert_close(trace.score, logit)
    torch.testing.assert_close(trace.rescore(torch.cat([trace.pixels] * 2)), torch.stack([logit, logit]))
    assert trace.grid == (2, 2) and trace.gradients().abs().max() > 0
    with pytest.raises(QuestionError, match="phrase is empty"):
        model.trace(xray, " ")


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 150), st.integers(20, 150), st.data())
def test_a_map_comes_back_where_the_picture_was(height, width, data):
    """A bright rectangle, fitted into the square and brought back, lies where it lay, to a pixel of the square."""
    top, left = data.draw(st.integers(0, height - 10)), data.draw(st.integers(0, width - 10))
    bottom, right = data.draw(st.integers(top + 10, height)), data.draw(st.integers(left + 10, width))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top:bottom, left:right] = 255
    back = from_square(to_square(picture, 96).mean(0), height, width).numpy() > 0.5
    assert back.shape == (height, width)
    ys, xs = np.nonzero(back)
    slack = 1.5 * max(1.0, max(height, width) / 96)
    for found, true in zip((ys.min(), ys.max() + 1, xs.min(), xs.max() + 1), (top, bottom, left, right), strict=True):
        assert abs(found - true) <= slack


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (33, 33)])
def test_masks_have_the_image_s_own_pixels(model, shape):
    rng = np.random.default_rng(0)
    image = MedicalImage.from_array(rng.integers(0, 255, shape, dtype=np.uint8), modality="CT")
    mask = model.segment(image, "the heart")
    assert isinstance(model, Segmenter) and mask.phrase == "the heart"
    assert mask.pixels.shape == mask.probability.shape == shape
    assert mask.pixels.dtype == bool and mask.probability.dtype == np.float32
    assert 0 <= mask.probability.min() and mask.probability.max() <= 1
    assert mask.area_mm2((0.5, 2.0)) == mask.pixels.sum() and mask.empty == (not mask.pixels.any())


def test_the_phrase_matters(model, xray):
    left, right, again = model.segment_batch([xray] * 3, ["left lung", "right lung", "left lung"])
    assert not np.allclose(left.probability, right.probability, atol=1e-3)
    np.testing.assert_allclose(left.probability, again.probability, atol=1e-6)


def test_neighbours_in_a_batch_do_not_matter(model, xray):
    other = xray.with_(pixels=xray.pixels[:, ::-1].copy())
    together = model.segment_batch([xray, other, xray], ["left lung", "the heart", "the right lung please"])
    for mask, image in zip(together, (xray, other, xray), strict=True):
        np.testing.assert_allclose(model.segment(image, mask.phrase).probability, mask.probability, atol=1e-5)
    assert model.segment_batch([], []) == []


def test_what_is_not_there_stays_empty(model, xray):
    model.threshold = 1.0
    try:
        assert model.segment(xray, "left lung").empty
    finally:
        model.threshold = 0.0


def test_a_cine_is_segmented_frame_by_frame(model):
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 48), dtype=np.uint8)
    cine = MedicalImage.from_array(frames, modality="echo", window=(127.5, 255.0))
    still = MedicalImage.from_array(frames[2], modality="echo", window=(127.5, 255.0))
    np.testing.assert_allclose(
        model.segment(cine, "heart", frame=2).probability, model.segment(still, "heart").probability, atol=1e-6
    )
    with pytest.raises(ImageReadError, match="Frame 3 does not exist"):
        model.segment(cine, "heart", frame=3)


def test_what_is_refused(model, xray):
    with pytest.raises(QuestionError, match="Phrase 0 is empty"):
        model.segment(xray, "  ")
    slide = xray.with_(modality="histology")
    with pytest.raises(ModalityError, match="is histology, but prompt-segmenter has seen X-ray, CT, MR, echo only"):
        model.segment(slide, "heart")
    assert model.segment(slide.with_(modality="unknown"), "heart").pixels.shape == (64, 64)
    with pytest.raises(MedVLMError, match="1 images but 2 phrases"):
        model.segment_batch([xray], ["heart", "left lung"])
    assert model.segment(xray, "heart " * 500).pixels.shape == (64, 64)  # cut off at the context
    with pytest.raises(ImageReadError, match="NaN"):
        MedicalImage.from_array(np.full((8, 8), np.nan, np.float32), modality="CT")


def test_checkpoints(folder, model, xray, tmp_path):
    again = lab.load("prompt-segmenter", checkpoint=folder)
    np.testing.assert_array_equal(
        again.segment(xray, "heart").probability, model.segment(xray, "heart").probability
    )
    untrained = lab.load("prompt-segmenter", checkpoint=folder, untrained=True)
    assert not np.allclose(untrained.segment(xray, "heart").probability, model.segment(xray, "heart").probability)
    save_weights(tmp_path, {}, {"architecture": "chexzero", "model": {}})
    with pytest.raises(CheckpointError, match="holds 'chexzero', not 'prompt-segmenter'"):
        lab.load("prompt-segmenter", checkpoint=tmp_path)


def test_a_blinded_twin_sees_nothing():
    torch.manual_seed(0)
    net = PromptNet(Config(9, 32, (4, 8, 8, 8, 16), (0, 1, 1, 1, 1), 8, 12, 16, 1, 2, blind=True), 3).eval()
    ids, rows = torch.tensor([[2, 4, 3]] * 2), torch.tensor([0, 1])
    logits, presence = net(torch.rand(2, 32, 32), ids, rows)
    torch.testing.assert_close(logits[0], logits[1])
    torch.testing.assert_close(presence[0], presence[1])


@pytest.fixture(scope="module")
def bundled():
    return lab.load("prompt-segmenter", device="cpu")


def test_what_was_never_learned_gets_an_empty_mask_and_a_sentence(bundled, xray):
    for phrase, said in [
        ("kidney", "has learned left kidney and right kidney in CT pictures only, not in X-ray"),
        ("hemispheres", "in MR pictures only"),
        ("the moon", "'the moon' names nothing that prompt-segmenter has learned to outline; it knows cardiomegaly"),
        ("no heart", "names nothing"),
    ]:  # fmt: skip
        mask = bundled.segment(xray, phrase)
        assert mask.empty and not mask.probability.any() and said in mask.note, phrase
    assert "it knows" in bundled.segment(xray.with_(modality="unknown"), "haert").note


def test_a_bare_kind_is_the_union_of_its_sides(bundled, xray):
    phrases = ["left lung", "right lung", "lungs", "heart or left lung"]
    left, right, both, named = bundled.segment_batch([xray] * 4, phrases)
    assert not left.empty and not right.empty and both.note == ""
    np.testing.assert_array_equal(both.pixels, left.pixels | right.pixels)
    np.testing.assert_array_equal(named.pixels, left.pixels | bundled.segment(xray, "heart").pixels)
    np.testing.assert_allclose(both.probability, np.maximum(left.probability, right.probability), atol=1e-6)
    assert bundled.segment(xray, "airspace opacity on the left").phrase == "airspace opacity on the left"


def test_a_phrase_of_known_words_reaches_the_network_as_it_stands(bundled, xray):
    for phrase in ("mark the lung on the left side for me", "Left-sided lung, please", "cardiac silhouette"):
        assert bundled.meant(xray, phrase) == ([phrase], "")
    assert bundled.meant(xray, "blunted left costophrenic angle") == (["left pleural effusion"], "")
