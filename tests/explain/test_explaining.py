"""`lab.explain`: which methods explain which model, many texts at once, other layers, pictures, and what is refused."""

import gc
import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import medvlm_lab as lab
from medvlm_lab import cli
from medvlm_lab.errors import MedVLMError, ModalityError, QuestionError, UnknownNameError
from medvlm_lab.explain import base
from medvlm_lab.explain.base import traces
from medvlm_lab.explain.explanation import LUMA, Explanation
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.trace import Trace

explain = lab.explain
CAMS = ["grad-cam", "grad-cam-plus-plus", "score-cam"]
ATTENTION = ["chefer", "legrad"]
PIXELS = ["integrated-gradients", "occlusion"]
WORKING = {
    "chest": [*CAMS, "prompt-cam", *PIXELS, "patch-similarity"],
    "clip": [*CAMS, "prompt-cam", "attention-rollout", *ATTENTION, *PIXELS, "patch-similarity"],
    "siglip": [*CAMS, "prompt-cam", *ATTENTION, *PIXELS],
    "llava": [*CAMS, "attention-rollout", *ATTENTION, *PIXELS, "cross-attention"],
    **dict.fromkeys(
        ("vit-bert-vqa", "clinical-blip", "flamingo-cxr"),
        [*CAMS, "attention-rollout", *ATTENTION, *PIXELS, "cross-attention"],
    ),
}


@pytest.fixture(scope="module")
def models(chest, answerers, published):
    return {"chest": chest, **answerers, **published}


@pytest.mark.parametrize("name", WORKING)
def test_every_method_that_is_listed_works_and_no_other(models, xray, name):
    model, text = models[name], "Is there a nodule?"
    assert set(explain.methods(model)) >= set(WORKING[name])
    trace = model.trace(xray, text)
    for method in explain.METHODS:
        options = {"steps": 2} if method == "integrated-gradients" else {}
        if method not in explain.methods(model):
            with pytest.raises(MedVLMError, match=f"{method} needs .*methods that work: grad-cam"):
                explain.explain(method, model, xray, text, trace=trace)
            continue
        seen = explain.explain(method, model, xray, text, trace=trace, **options)
        assert seen.values.shape == (48, 48) and seen.values.dtype == np.float32 and np.isfinite(seen.values).all()
        assert (seen.method, seen.text, seen.answer) == (method, text, trace.answer)
        assert seen.signed or seen.values.min() >= 0


def test_many_texts_from_one_pass(chest, xray):
    texts, passes = [f"There is {name}." for name in ("nodule", "pacemaker", "effusion")], []
    handle = chest.module.image_encoder.stem.register_forward_hook(lambda *_: passes.append(1))
    many = explain.explain_many("prompt-cam", chest, xray, texts)
    handle.remove()
    assert len(passes) == 1 and [seen.text for seen in many] == texts
    for text, seen in zip(texts, many, strict=True):
        alone = explain.explain("prompt-cam", chest, xray, text)
        np.testing.assert_allclose(seen.values, alone.values, rtol=1e-4, atol=1e-6)
        assert seen.score == pytest.approx(alone.score, abs=1e-5)
    assert explain.explain_many("prompt-cam", chest, xray, []) == []


def test_no_graph_is_left_when_the_maps_of_many_texts_are_drawn(chest, writers, xray, monkeypatch):
    def graphs():
        return sum(type(o) is Trace and o.score.requires_grad for o in gc.get_objects())

    def drawn(*args):
        left.append(graphs())
        return draw(*args)

    gc.collect()
    draw, before, left = base.drawn, graphs(), []
    monkeypatch.setattr(base, "drawn", drawn)
    for model in (chest, writers["clinical-blip"]):
        explain.explain_many("grad-cam", model, xray, ["nodule", "pacemaker", "effusion"])
    explain.explain("grad-cam", chest, xray, "nodule")
    assert left == [before] * 7


def test_many_questions(writers, xray):
    many = explain.explain_many("grad-cam", writers["clinical-blip"], xray, ["Is there a nodule?", "Where?"])
    assert [seen.text for seen in many] == ["Is there a nodule?", "Where?"]


def test_another_layer(chest, xray, published):
    names = explain.layers(chest, xray, "nodule")
    assert names == ["image_encoder.stages.0", "image_encoder.stages.1"]  # one block each, which is not listed again
    look = lambda layer: explain.explain("grad-cam", chest, xray, "nodule", layer=layer).values  # noqa: E731
    np.testing.assert_allclose(look("image_encoder.stages.1"), look(None), rtol=1e-5, atol=1e-8)
    assert np.abs(look("image_encoder.stages.0") - look(None)).max() > 0
    (many,) = explain.explain_many("grad-cam", chest, xray, ["nodule"], layer="image_encoder.stages.0")
    np.testing.assert_allclose(many.values, look("image_encoder.stages.0"), rtol=1e-5, atol=1e-8)
    with pytest.raises(MedVLMError, match="not both"):
        explain.explain("grad-cam", chest, xray, "lung", trace=chest.trace(xray, "lung"), layer=names[0])
    assert "vision_model.encoder.layers.0" in explain.layers(published["clip"], xray, "nodule")
    with pytest.raises(MedVLMError, match="no layer 'stages.9' with a map of the image; it has image_encoder.stages.0"):
        explain.explain("grad-cam", chest, xray, "nodule", layer="stages.9")


@pytest.mark.parametrize("name", ["vit-bert-vqa", "clinical-blip", "flamingo-cxr"])
def test_another_layer_of_a_model_that_answers(answerers, xray, name):
    """The layers of its image encoder, although it answers without gradients."""
    names = explain.layers(answerers[name], xray, "Is there a nodule?")
    for layer in (names[0], names[-1]):
        seen = explain.explain("grad-cam", answerers[name], xray, "Is there a nodule?", layer=layer)
        assert np.isfinite(seen.values).all()
    if name == "vit-bert-vqa":
        blocks = [f"stem.blocks.{i}" for i in range(16)]
        assert names == [f"image_encoder.{block}" for block in (*blocks, "layers.0", "layers.1")]
    else:
        assert names[0] == "vision.layers.0"


@pytest.mark.parametrize("shape", [(128, 128), (96, 200)])
def test_another_layer_of_a_model_that_sees_tiles(answerers, shape):
    """Its tiles go in as a batch, the whole view before them; the map is theirs, side by side."""
    model, question = answerers["pathology-vlm"], "Is there a nodule?"
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    image, seen = MedicalImage.from_array(pixels, "histology"), []
    assert explain.layers(model, image, question) == ["vision.layers.0"]
    handle = model.module.vision.layers[0].register_forward_hook(lambda _, args, output: seen.append(output))
    own = model.trace(image, question)
    handle.remove()
    (trace,) = traces(model, image, [question], "vision.layers.0")
    assert trace.grid == own.grid and trace.tiles == own.tiles and trace.answer == own.answer
    torch.testing.assert_close(trace.score, own.score)  # what is looked at passes on as it was
    for tile, tokens in enumerate(seen[-1][1:]):
        row, column = (2 * i for i in divmod(tile, trace.tiles[1]))
        cells = trace.activations[0, :, row : row + 2, column : column + 2]
        torch.testing.assert_close(cells.flatten(1).T, tokens[1:])
    assert trace.gradients().abs().sum() > 0
    assert explain.explain("grad-cam", model, image, question, layer="vision.layers.0").values.shape == shape


def test_against_another_text(chest, xray):
    for method in ("prompt-cam", "patch-similarity"):
        one = explain.explain(method, chest, xray, "nodule", against=["nodule"])
        assert np.abs(one.values).max() < 1e-5 and one.score == pytest.approx(0, abs=1e-5)
    assert explain.explain("prompt-cam", chest, xray, "nodule", against=["heart"]).values.max() > 0


def test_a_finer_map_is_the_mean_of_those_of_moved_pictures(chest, xray):
    cell = 48 // 8  # pixels of a cell of the grid
    trace, maps = chest.trace(xray, "nodule"), []
    for down in (-cell // 3, 0, cell // 3):  # a third of a cell to each side
        for along in (-cell // 3, 0, cell // 3):
            wide = np.pad(xray.pixels, ((0, 0), (8, 8), (8, 8)), mode="edge")
            picture = xray.with_(
                pixels=wide[:, 8 - down : 56 - down, 8 - along : 56 - along], window=xray.resolve_window()
            )
            values = np.pad(explain.explain("prompt-cam", chest, picture, "nodule").values, 8, mode="edge")
            maps.append(values[8 + down : 56 + down, 8 + along : 56 + along])
    fine = explain.explain("prompt-cam", chest, xray, "nodule", shifts=3)
    assert trace.grid == (8, 8) and np.ptp(fine.values) > 0
    np.testing.assert_allclose(fine.values, np.mean(maps, 0), rtol=1e-4, atol=1e-6)
    assert fine.score == pytest.approx(trace.score.item(), abs=1e-5) and fine.image is xray
    again = explain.explain("prompt-cam", chest, xray, "nodule", shifts=3, trace=trace)
    np.testing.assert_allclose(again.values, fine.values, rtol=1e-4, atol=1e-6)


def test_a_finer_map_is_of_the_frame_that_was_traced(chest, xray):
    other = np.roll(xray.pixels, 20, 1)
    both = xray.with_(pixels=np.concatenate([xray.pixels, other]), window=xray.resolve_window())
    for frame in (0, 1):
        alone = both.with_(pixels=both.pixels[frame : frame + 1])
        seen, one = (
            explain.explain("prompt-cam", chest, image, "nodule", shifts=2, trace=chest.trace(image, "nodule", number))
            for image, number in ((both, frame), (alone, 0))
        )
        assert seen.frame == frame
        np.testing.assert_allclose(seen.values, one.values, rtol=1e-4, atol=1e-6)


def test_a_finer_map_of_another_layer_and_against_another_text(chest, xray):
    layer, looks = "image_encoder.stages.0", {}
    (traced,) = traces(chest, xray, ["nodule"], layer)
    for key, options in {"layer": {"layer": layer}, "trace": {"trace": traced}, "own": {}}.items():
        looks[key] = explain.explain("grad-cam", chest, xray, "nodule", shifts=2, **options).values
    np.testing.assert_allclose(looks["trace"], looks["layer"], rtol=1e-4, atol=1e-7)
    assert np.abs(looks["layer"] - looks["own"]).max() > 0
    one = explain.explain("prompt-cam", chest, xray, "nodule", against=["nodule"], shifts=2)
    assert np.abs(one.values).max() < 1e-5


def test_what_cannot_be_moved_is_a_sentence(chest, writers, xray):
    with pytest.raises(MedVLMError, match="shifts=0 moves no picture; give 2 or more"):
        explain.explain("prompt-cam", chest, xray, "nodule", shifts=0)
    with pytest.raises(MedVLMError, match="clinical-blip may answer otherwise when its picture is moved"):
        explain.explain("grad-cam", writers["clinical-blip"], xray, "Where?", shifts=2)


def test_what_cannot_be_explained_is_a_sentence(chest, writers, xray):
    with pytest.raises(UnknownNameError, match="did you mean 'grad-cam'"):
        explain.explain("gradcam", chest, xray, "nodule")
    with pytest.raises(MedVLMError, match="legrad needs attention maps, which chexzero does not have; .*prompt-cam"):
        explain.explain("legrad", chest, xray, "nodule")
    with pytest.raises(QuestionError, match="empty"):
        explain.explain("prompt-cam", chest, xray, " ")
    with pytest.raises(QuestionError, match="empty"):
        explain.explain("grad-cam", writers["clinical-blip"], xray, " ")
    with pytest.raises(ModalityError, match="is CT, but chexzero has seen X-ray only"):
        explain.explain("prompt-cam", chest, xray.with_(modality="CT"), "nodule")
    with pytest.raises(MedVLMError, match="'mute' does not show its inside"):
        explain.methods(SimpleNamespace(name="mute"))
    with pytest.raises(MedVLMError, match="no space of images and texts"):
        explain.explain("grad-cam", writers["clinical-blip"], xray, "Where?", against=["nodule"])


def explanation(pixels, values, signed=True):
    image = MedicalImage.from_array(pixels)
    return Explanation(values.astype(np.float32), "grad-cam", "model", "nodule", 0.5, image, signed=signed)


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, (4, 5, 3)), arrays(np.float32, (4, 5), elements=st.floats(-8, 8, width=32)))
def test_a_tint_leaves_every_pixel_as_bright_as_it_was(pixels, values):
    shown = explanation(pixels, values).overlay()
    assert np.abs(shown @ LUMA - pixels @ LUMA).max() <= 0.5 + 1e-6  # rounding to whole grey levels
    np.testing.assert_array_equal(shown[values == 0], pixels[values == 0])


def test_a_tint_speaks_for_and_against():
    grey, values = np.full((2, 2, 3), 120, np.uint8), np.array([[1, -1], [0.5, 0]])
    (red, blue), (pale, none) = explanation(grey, values).overlay().astype(int)
    assert red[0] > 180 > red[2] and blue[2] > blue[0] and red[0] > pale[0] > 120 and (none == 120).all()


def test_a_picture_is_written_whole_and_says_what_it_shows(tmp_path, xray, chest):
    seen = explain.explain("prompt-cam", chest, xray, "nodule")
    path = seen.save(tmp_path / "folder" / "map.png")
    assert [file.name for file in path.parent.iterdir()] == ["map.png"]
    drawn = Image.open(io.BytesIO(seen._repr_png_()))
    assert drawn.size == (48, 48) and "prompt-cam of chexzero for 'nodule'" in drawn.text["Description"]
    assert "Not for clinical use" in drawn.text["Description"]


def test_the_command_line(tmp_path, monkeypatch, capsys):
    out = tmp_path / "map.png"
    arguments = ["explain", "chest-xray-nodules", "There is a nodule.", "--model", "chexzero", "--out", str(out)]

    def run(*more):
        monkeypatch.setattr(sys, "argv", ["medvlm-lab", *arguments, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr()

    code, said = run("--method", "prompt-cam", "--json")
    payload = json.loads(said.out)
    assert not code and payload["method"] == "prompt-cam" and payload["model"] == "chexzero" and out.is_file()
    assert Image.open(out).size == (1841, 1955) and len(payload["peak"]) == 2
    code, said = run("--method", "legrad")
    assert code == 1 and "methods that work" in said.err and len(said.err.strip().splitlines()) == 1
    code, said = run("--method", "promptcam")
    assert code == 1 and "did you mean 'prompt-cam'" in said.err
