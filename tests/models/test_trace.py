"""Where a model's grid lies in an image, and the inside of the teaching models."""

import dataclasses

import numpy as np
import pytest
import torch
from hub_checkpoints import softmaxed
from PIL import Image

from medvlm_lab.errors import QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Explainable
from medvlm_lab.models.chexzero import CheXzero
from medvlm_lab.models.dual_encoder import Config, DualEncoder
from medvlm_lab.models.preprocess import to_square
from medvlm_lab.models.trace import record_attention
from medvlm_lab.models.view import View, fitted, processor_view
from medvlm_lab.text.tokenizer import Tokenizer

SIZES = [(120, 200), (200, 120), (64, 64), (31, 97)]
SQUARE = {"height": 64, "width": 64}


def processors():
    import transformers as hf

    crop = {"size": {"shortest_edge": 64}, "crop_size": SQUARE}
    return {
        "crop": hf.CLIPImageProcessor(**crop), "squash": hf.SiglipImageProcessor(size=SQUARE),
        "padded": hf.LlavaImageProcessor(**crop, do_pad=True), "blip": hf.BlipImageProcessor(size=SQUARE),
        "larger": hf.CLIPImageProcessor(size={"shortest_edge": 72}, crop_size=SQUARE),
    }  # fmt: skip


def ramps(size):
    """An image whose red grows from top to bottom and whose green grows from left to right."""
    y, x = np.mgrid[: size[0], : size[1]]
    picture = np.zeros((*size, 3))
    picture[..., 0], picture[..., 1] = 40 + 200 * (y + 0.5) / size[0], 40 + 200 * (x + 0.5) / size[1]
    return picture.round().astype(np.uint8)


def box_of(seen, size):
    """The box that a processed ramp tells of: lines fitted through the middle of its red and of its green."""
    middle = seen.shape[1] // 2
    start, end = [], []
    for ramp, blue, pixels in (
        (seen[0, :, middle], seen[2, :, middle], size[0]),
        (seen[1, middle], seen[2, middle], size[1]),
    ):
        inside = torch.nonzero((ramp > 35) & (blue < 30))[
            2:-2, 0
        ].numpy()  # padding is black or grey; edges are smoothed
        slope, intercept = np.polyfit(inside + 0.5, (ramp.numpy()[inside] - 40) / 200 * pixels, 1)
        start.append(intercept)
        end.append(intercept + slope * len(ramp))
    return (*start, *end)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["crop", "squash", "padded", "blip", "larger"])
def test_view_of_a_processor_is_what_it_does(name, size):
    processor = processors()[name]
    seen = processor(Image.fromarray(ramps(size)), return_tensors="pt").pixel_values[0]
    mean, std = (torch.tensor(v)[:, None, None] for v in (processor.image_mean, processor.image_std))
    found = box_of((seen * std + mean) * 255, size)
    assert processor_view(processor, size).box == pytest.approx(found, abs=0.012 * max(size) + 0.5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_view_of_open_clip_is_what_it_does(mode, size):
    import open_clip

    from medvlm_lab.models.hub_open_clip import OpenCLIPEncoder

    settings = open_clip.transform.PreprocessCfg(size=64, resize_mode=mode, mean=(0, 0, 0), std=(1, 1, 1))
    seen = open_clip.transform.image_transform_v2(settings, is_train=False)(Image.fromarray(ramps(size)))
    model = OpenCLIPEncoder.__new__(OpenCLIPEncoder)
    visual = torch.nn.Module()
    visual.preprocess_cfg = dataclasses.asdict(settings)
    model.module = torch.nn.Module()
    model.module.visual = visual
    assert model._view(size).box == pytest.approx(box_of(seen * 255, size), abs=0.012 * max(size) + 0.5)


@pytest.mark.parametrize("size", SIZES)
def test_view_of_our_own_square_is_what_it_does(size):
    assert fitted(size, 64).box == pytest.approx(
        box_of(to_square(ramps(size), 64) * 255, size), abs=0.012 * max(size) + 0.5
    )


def test_a_map_is_drawn_where_it_belongs():
    view = View((40, 60), (0.0, 10.0, 40.0, 50.0))
    values = torch.zeros(4, 4)
    values[1, 2] = 1
    assert view.cell(1, 2, (4, 4)) == (10.0, 30.0, 20.0, 40.0)
    drawn = view.to_image(values, "nearest")
    expected = np.zeros((40, 60), np.float32)
    expected[10:20, 30:40] = 1
    np.testing.assert_array_equal(drawn, expected)
    smooth = view.to_image(torch.ones(4, 4))
    assert (smooth[:, :10] == 0).all() and (smooth[:, 50:] == 0).all() and np.allclose(smooth[:, 10:50], 1)
    padded = View((40, 60), (-10.0, 0.0, 50.0, 60.0)).to_image(torch.eye(6), "nearest")
    assert padded.shape == (40, 60) and padded[0, 10] == 1 and padded[0, 0] == 0  # the first row of cells is padding


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_maps_are_interpolated_as_torch_does_in_two_dimensions(mode):
    view, values = View((31, 47), (-4.0, 3.0, 35.0, 41.5)), torch.randn(3, 5, 7)
    y, x = (torch.arange(n) + 0.5 for n in view.size)
    y, x = (y + 4) / 39 * 2 - 1, (x - 3) / 38.5 * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), -1)
    drawn = torch.nn.functional.grid_sample(
        values[None], grid[None], mode=mode, padding_mode="border", align_corners=False
    )[0]
    expected = drawn * ((x.abs() <= 1)[None] & (y.abs() <= 1)[:, None])
    np.testing.assert_allclose(view.to_image(values, mode), expected, rtol=1e-4, atol=1e-5)


def test_the_image_s_pixels_are_found_in_the_input():
    view, values = View((4, 6), (-2.0, 1.0, 6.0, 5.0)), torch.arange(24.0).view(4, 6)
    seen = view.to_input(values, (8, 4))  # two rows of padding above and below, a column cut off at each side
    assert (seen[:2] == -torch.inf).all() and (seen[6:] == -torch.inf).all()
    torch.testing.assert_close(seen[2:6], values[:, 1:5])


@pytest.mark.parametrize("normed", [False, True])
def test_a_resampler_with_its_weights_written_out_is_the_library_s(normed, monkeypatch):
    from transformers import IdeficsConfig
    from transformers.models.idefics.perceiver import IdeficsPerceiverResampler

    settings = {"qk_layer_norms_perceiver": normed}
    config = IdeficsConfig(perceiver_config=settings, vision_config={"embed_dim": 16})
    torch.manual_seed(0)
    resampler, context = IdeficsPerceiverResampler(config, 16, 2, 2, 8, 3).double(), torch.randn(1, 5, 16).double()
    with softmaxed(monkeypatch) as soft:
        expected = resampler(context)
    with record_attention(resampler) as found:
        passed = resampler(context)
    torch.testing.assert_close(passed, expected)
    torch.testing.assert_close(found, soft)
    assert [w.shape for w in found] == [(1, 2, 3, 8)] * 2
    gradients = torch.autograd.grad(passed.sum(), found)  # what came out was computed through the weights
    assert min(g.abs().max() for g in gradients) > 0
    assert resampler(context).equal(expected)  # nothing is left behind


@pytest.fixture(scope="module")
def chest():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "lung", "heart"]
    config = Config(len(words), 64, 4, (1, 1), (16, 32), 24, 96, 32, 1, 2)
    torch.manual_seed(1)
    tokenizer = Tokenizer(words)
    return CheXzero(DualEncoder(config, tokenizer.end), tokenizer)


def test_trace_of_a_teaching_model(chest):
    pixels = np.random.default_rng(0).integers(0, 4000, (3, 30, 60)).astype(np.uint16)
    image = MedicalImage.from_array(pixels, "X-ray", window=(2000, 4000))
    assert isinstance(chest, Explainable)
    trace = chest.trace(image, "lung")
    assert trace.view.frame == 1 and trace.view.box == (-15.0, 0.0, 45.0, 60.0)
    still = image.with_(pixels=pixels[1:2])
    torch.testing.assert_close(torch.nn.functional.normalize(trace.embedding, dim=0), chest.encode_images([still])[0])
    torch.testing.assert_close(trace.text_embedding, chest.encode_texts(["lung"])[0])
    torch.testing.assert_close(trace.score, trace.embedding @ trace.text_embedding)
    with torch.no_grad():
        assert chest.trace(image, "lung").gradients().abs().max() > 0
    gradients = trace.gradients()  # mean over space, LayerNorm, Linear: the same everywhere (exact CAM)
    assert gradients.abs().max() > 0
    torch.testing.assert_close(gradients, gradients.mean((2, 3), keepdim=True).expand_as(gradients))
    assert trace.to_image(trace.activations[0].mean(0)).shape == (30, 60)
    with pytest.raises(QuestionError, match="empty"):
        chest.trace(image, "")
