"""The explain widget without a browser: one trace for all maps, words, masks, layers, and sentences for what fails."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.widgets import explain_state as logic

SCENE = lab.phantom("chest-xray").draw(3)


@pytest.fixture(scope="module")
def encoder():
    return lab.load("chexzero", device="cpu")


@pytest.fixture(scope="module")
def writer():
    return lab.load("clinical-blip", device="cpu")


@pytest.fixture(scope="module")
def xray():
    return lab.phantom("chest-xray").image(SCENE, 96)


@pytest.fixture(scope="module")
def masks():
    return lab.phantom("chest-xray").masks([SCENE], 96)


def tissue(height, width):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return MedicalImage.from_array(pixels, "histology")


def heard(widget):
    widget.sent = []
    widget.send = lambda content, buffers=None: widget.sent.append((content, buffers))
    return widget


class Counted:
    """A model that counts how often it is looked into."""

    def __init__(self, model):
        self.model, self.traces, self.name, self.module = model, 0, model.name, model.module

    def __getattr__(self, name):
        return getattr(self.model, name)

    def trace(self, image, text):
        self.traces += 1
        return self.model.trace(image, text)


def test_one_trace_serves_all_that_does_not_change_image_text_or_layer(encoder, xray, masks):
    model = Counted(encoder)
    widget = heard(lab.widgets.explain(model, xray, "There is consolidation.", masks))
    before = model.traces
    widget.methods = ["patch-similarity", "grad-cam-plus-plus"]
    widget.methods = ["prompt-cam", "grad-cam"]
    widget.outline = "heart"
    widget.opacity = 0.3
    assert model.traces == before
    widget.text = "There is a pacemaker."
    assert model.traces == before + 1
    widget.layer = "image_encoder.stages.0"
    assert model.traces == before + 2
    widget.image = xray
    assert model.traces == before + 3


def test_finer_maps_keep_the_trace_and_are_those_of_moved_pictures(encoder, xray):
    widget = heard(lab.widgets.explain(encoder, xray, "There is consolidation."))
    trace, coarse = widget.state.trace, logic.view(widget.state, widget.methods)[1][2]
    widget.shifts = 2
    about, buffers = widget.sent[-1]
    alone = lab.explain.explain("prompt-cam", encoder, xray, "There is consolidation.", shifts=2)
    np.testing.assert_allclose(np.frombuffer(buffers[2], "<f4").reshape(96, 96), alone.values, atol=1e-6)
    assert widget.state.trace is trace and buffers[2] != coarse
    assert "mean of 4 moved pictures" in about["panes"][0]["captions"]
    widget.methods = ["occlusion", "grad-cam"]
    once = lab.explain.explain("occlusion", encoder, xray, "There is consolidation.")
    np.testing.assert_allclose(widget.state.found["occlusion"].values, once.values, atol=1e-6)
    assert "one pass: slow enough" in widget.sent[-1][0]["panes"][0]["captions"]
    widget.shifts = 0
    assert "shifts=0 moves no picture" in widget.sent[-1][0]["panes"][1]["problem"]


def test_what_is_sent_is_what_the_method_gives(encoder, xray, masks):
    widget = heard(lab.widgets.explain(encoder, xray, "There is consolidation.", masks))
    assert widget.methods == ["prompt-cam", "grad-cam"] and widget.outline.endswith("consolidation")
    widget.methods = ["patch-similarity", "grad-cam"]
    about, (rgb, edge, *maps) = widget.sent[-1]
    alone = lab.explain.explain("patch-similarity", encoder, xray, "There is consolidation.")
    np.testing.assert_allclose(np.frombuffer(maps[0], "<f4").reshape(96, 96), alone.values, atol=1e-6)
    np.testing.assert_array_equal(np.frombuffer(rgb, np.uint8).reshape(96, 96, 3), xray.display())
    mask = np.asarray(masks[widget.outline][0])
    assert not (np.frombuffer(edge, np.uint8).reshape(96, 96).astype(bool) & ~mask).any() and any(edge)
    assert [pane["signed"] for pane in about["panes"]] == [True, False] and about["simulated"]
    assert about["panes"][0]["most"] == pytest.approx(np.abs(alone.values).max())
    hit = "inside" if mask[alone.peak] else "outside"
    assert f"largest value {hit} {widget.outline}" in about["panes"][0]["captions"]


def test_a_large_picture_is_thinned_and_its_values_stay_exact(encoder):
    image = MedicalImage.from_array(np.random.default_rng(0).integers(0, 255, (700, 1100)).astype(np.uint8))
    state = logic.look(logic.ExplainState(image, "nodule", layers=()), encoder, ["prompt-cam"])
    about, (rgb, _, shown) = logic.view(state, ["prompt-cam"])
    assert (about["rows"], about["columns"], about["step"]) == (234, 367, 3) and len(rgb) == 3 * 234 * 367
    np.testing.assert_array_equal(
        np.frombuffer(shown, "<f4").reshape(234, 367), state.found["prompt-cam"].values[::3, ::3]
    )


def test_each_word_of_a_report_has_its_own_map(writer, xray):
    widget = heard(lab.widgets.explain(writer, xray))
    assert widget.facts["kind"] == "Question" and widget.methods == ["cross-attention", "chefer"]
    widget.text = widget.facts["report"]
    about, _ = widget.sent[-1]
    assert about["words"][:2] == ["findings", ":"] and not any("#" in word or "[" in word for word in about["words"])
    whole = widget.sent[-1][1][2]
    widget.word = 5
    about, buffers = widget.sent[-1]
    looks = widget.state.found["cross-attention"].looks[logic.words(widget.state)[5][1]].mean(0)
    np.testing.assert_array_equal(np.frombuffer(buffers[2], "<f4").reshape(96, 96), looks)
    assert buffers[2] != whole and "no map for each word" in about["panes"][1]["captions"][1]
    widget.text = "Is there cardiomegaly?"
    assert widget.word == -1


@pytest.mark.parametrize(
    "pieces",
    [
        ("pneu", "##mo", "##thorax", "left", "[SEP]"), ("▁pneu", "mo", "thorax", "▁left", "</s>"),
        ("pneu", "mo", "thorax", "Ġleft", "<|im_end|>"), ("▁", "pneumo", "thorax", "<0x0A>", "left"),
        ("pneu", "mo", "thoraxĊĊ", "left"), ("pneu", "mo", "thorax", "\n\n", "left"),
    ],
)  # fmt: skip
def test_pieces_of_words_are_joined(writer, xray, pieces):
    state = logic.look(logic.ExplainState(xray, "Is there cardiomegaly?", layers=()), writer, ())
    state = logic.replace(state, trace=logic.replace(state.trace, words=pieces))
    said = logic.words(state)
    assert [word for word, _ in said] == ["pneumothorax", "left"]
    assert [pieces[i].strip("▁ĊĠ") for _, tokens in said for i in tokens][-1] == "left"


def test_a_report_is_asked_for_in_the_model_s_own_words(writer):
    from medvlm_lab.models.hub_chat import ChatAnswerer
    from medvlm_lab.models.hub_report import REQUEST
    from medvlm_lab.models.writer import REPORT

    assert logic.facts(writer, "")["report"] == REPORT
    assert logic.facts(ChatAnswerer.__new__(ChatAnswerer), "")["report"] == REQUEST
    assert logic.facts(object(), "")["report"] == ""


def test_layers_of_a_model_that_answers(writer, xray):
    widget = heard(lab.widgets.explain(writer, xray, "Is there cardiomegaly?"))
    widget.methods = ["grad-cam", "chefer"]
    own = widget.sent[-1][1][2]
    widget.layer = widget.state.layers[0]
    about, buffers = widget.sent[-1]
    assert not about["error"] and buffers[2] != own and "the same at every layer" in about["panes"][1]["captions"]


def test_layers_of_a_model_that_sees_tiles():
    """A picture of another size lies on another grid."""
    widget = heard(lab.widgets.explain(lab.load("pathology-vlm", device="cpu"), tissue(128, 128), "Is there necrosis?"))
    widget.methods = ["grad-cam", "chefer"]
    own = widget.sent[-1][1][2]
    assert widget.state.layers == ("vision.layers.0", "vision.layers.1")
    widget.layer = "vision.layers.1"
    assert not widget.sent[-1][0]["error"] and widget.sent[-1][1][2] != own
    widget.show(tissue(128, 256))
    alone = lab.explain.explain("grad-cam", widget._model, widget.image, widget.text, layer=widget.layer)
    assert not widget.sent[-1][0]["error"] and np.ptp(alone.values) > 0
    np.testing.assert_array_equal(widget.state.found["grad-cam"].values, alone.values)


@pytest.mark.parametrize(
    ("trait", "value", "words"),
    [
        ("text", "  ", "is empty"), ("layer", "stages.9", "has no layer 'stages.9'"),
        ("methods", ["chefer", "grad-cam"], "chefer needs attention maps, which chexzero does not have"),
        ("methods", ["gard-cam", "prompt-cam"], "did you mean 'grad-cam'"),
    ],
)  # fmt: skip
def test_what_fails_is_a_sentence_in_the_widget(encoder, xray, trait, value, words):
    widget = heard(lab.widgets.explain(encoder, xray))
    setattr(widget, trait, value)
    about, (*_, left, right) = widget.sent[-1]
    assert words in (about["error"] or about["panes"][0]["problem"]) and left == b""
    assert bool(right) == (trait == "methods")  # the other method still works
    found = widget._repr_mimebundle_()
    assert base64.b64decode(found[0]["image/png"]).startswith(b"\x89PNG")


def test_other_failures_are_shown_too(encoder, xray):
    class Broken(Counted):
        def trace(self, image, text):
            raise RuntimeError("out of memory")

    widget = lab.widgets.explain(Broken(encoder), xray)
    assert "out of memory" in widget.state.error
    ct = heard(lab.widgets.explain(encoder, xray))
    ct.image = MedicalImage.from_array(np.zeros((20, 20), np.uint8), "CT", name="slice")
    assert "slice is CT" in ct.sent[-1][0]["error"]
    ct.image = xray
    assert not ct.sent[-1][0]["error"] and ct.sent[-1][1][2]


def test_what_cannot_be_explained_is_refused(encoder, xray):
    with pytest.raises(MedVLMError, match="does not show its inside"):
        lab.widgets.explain(object(), xray)
    with pytest.raises(MedVLMError, match="'lung' has the shape"):
        lab.widgets.explain(encoder, xray, masks={"lung": np.ones((10, 10), bool)})


def test_a_saved_notebook_keeps_both_maps_and_no_pixels(encoder, xray, masks):
    widget = lab.widgets.explain(encoder, xray, "There is consolidation.", masks)
    bundle = widget._repr_mimebundle_()[0]
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as card:
        red = (np.asarray(card).astype(int) @ [1, 0, -1] > 60).sum(0)
        assert card.width == 928 and red[:464].any() and red[464:].any()
    assert not any(isinstance(value, bytes) for value in widget.get_state().values())
    assert callable(lab.widgets.explain)  # still the function, not a module


def test_the_true_place_follows_the_text_and_unites_both_sides(encoder, xray):
    left, right = np.zeros((2, 96, 96), bool)
    left[40:60, 60:80], right[40:60, 10:30] = True, True
    masks = {"right pleural effusion": right, "left pleural effusion": left, "right consolidation": right}
    widget = heard(lab.widgets.explain(encoder, xray, "pleural effusion", masks))
    assert widget.outline == "pleural effusion"
    np.testing.assert_array_equal(logic.true_place(widget.state, widget.outline)[0], left | right)
    widget.text = "left effusion"
    assert widget.outline == "left pleural effusion"
    widget.outline = "right consolidation"  # the reader's own choice stays for another picture, not for another text
    widget.show(xray, masks)
    assert widget.outline == "right consolidation"
    widget.text = "pacemaker lead"
    about, (_, edge, *_) = widget.sent[-1]
    assert widget.outline == "" and not edge
    assert all(pane["captions"][-1] == logic.NO_PLACE for pane in about["panes"])
    widget.text = "no pleural effusion"
    assert widget.outline == "" and widget.sent[-1][0]["panes"][0]["captions"][-1] == logic.NO_PLACE
    odd = np.arange(96 * 96).reshape(96, 96) % 2 == 1
    everywhere = {"left nodule": odd, "right nodule": ~odd}
    widget.show(xray, everywhere)
    widget.text = "nodules"
    assert f"largest value inside {widget.outline}" in widget.sent[-1][0]["panes"][0]["captions"]


def test_a_long_question_has_its_maps_and_an_unknown_word_no_confidence(writer, xray):
    long = "Is there a nodule in the lungs of this man who " * 20 + "?"
    state = logic.look(logic.ExplainState(xray, long, layers=()), writer, ["cross-attention", "chefer"])
    assert not state.problems and all(np.isfinite(seen.values).all() for seen in state.found.values())
    assert state.found["chefer"].score < 0
    state = logic.look(logic.ExplainState(xray, "Is there a haert?", layers=()), writer, ["chefer"])
    said = " ".join(logic.captions(state, "chefer", -1, ""))
    assert said.startswith("Confidence withheld. clinical-blip does not know “haert”") and "score" not in said
    known = logic.look(logic.ExplainState(xray, "Is there a nodule?", layers=()), writer, ["chefer"])
    assert logic.captions(known, "chefer", -1, "")[0].startswith("score ")


def test_a_map_without_finite_values_is_a_sentence(encoder, xray, monkeypatch):
    def nowhere(*_, **__):
        return dataclasses.replace(seen, values=np.full_like(seen.values, np.nan))

    seen = lab.explain.explain("grad-cam", encoder, xray, "consolidation")
    monkeypatch.setattr(logic, "function", lambda name: nowhere)
    state = logic.look(logic.ExplainState(xray, "consolidation", layers=()), encoder, ["grad-cam"])
    assert not state.found and "no finite values" in state.problems["grad-cam"]
