"""A patient before and after a change as any model reads it, and the workbench; no browser."""

import base64
import dataclasses
import io

import numpy as np
import pytest
from fakes import FakeAnswerer, FakeEncoder
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.io.private import neutral_name
from medvlm_lab.models.base import Report
from medvlm_lab.widgets import counterfactual_state as logic
from medvlm_lab.widgets import explain_card, studio_state
from medvlm_lab.widgets.readout import Readout, readout, render_values, render_words


@pytest.fixture(scope="module")
def encoder():
    return lab.load("chexzero", device="cpu")


@pytest.fixture(scope="module")
def widget(encoder):
    return lab.widgets.counterfactual(encoder, seed=1, patients=8)


def row(widget, label):
    return next(r for r in widget.controls.findings.children if r.children[0].description == label).children


class Everything(FakeAnswerer, FakeEncoder):
    """Answers, reports and scores, but shows nothing of its inside."""

    def __init__(self):
        FakeAnswerer.__init__(self)
        FakeEncoder.__init__(self)

    def report(self, image, indication=None):
        return Report("The heart is large. <b>No effusion.</b>", "Cardiomegaly.")

    def score_findings(self, images):
        return {"edema": np.full(len(images), 0.25)}


def test_a_finding_put_in_moves_scores_map_and_place(widget):
    before, svg = widget.now, widget.places.value
    box = row(widget, "right pleural effusion")[0]
    box.value = True
    assert widget.before is before and widget.now.scene.find("pleural effusion", "right")
    assert widget.now.says.values["pleural effusion"] > before.says.values["pleural effusion"] + 0.3
    assert "▲" in widget.values.value and widget.places.value != svg and svg.count("<circle") == 10
    assert "side right pleural effusion" in widget.pictures.value
    widget.keep.click()
    assert widget.before is widget.now and "▲" not in widget.values.value
    box.value = False
    assert widget.now.scene == before.scene and "▼" in widget.values.value


def test_numbers_texts_methods_and_patients(widget):
    ratio = next(s for s in widget.controls.numbers.children if s.description == "cardiothoracic ratio")
    ratio.value = 0.62
    assert "cardiomegaly" in {f.kind for f in widget.now.scene.all_findings}
    widget.text.value = "cardiomegaly"
    assert widget.before.seen.text == widget.now.seen.text == "cardiomegaly" and not widget.status.value
    widget.method.value = "patch-similarity"
    assert set(widget.now.seen.found) == {"patch-similarity"} == set(widget.before.seen.found)
    widget.next.click()
    assert widget.now.scene.seed == 2 and widget.before is widget.now
    assert base64.b64decode(widget._repr_mimebundle_()["image/png"]).startswith(b"\x89PNG")


def test_what_fails_is_a_sentence_in_the_widget(widget):
    widget.text.value = " "
    assert "is empty" in widget.status.value and 'role="alert"' in widget.status.value
    widget.text.value = "nodule"
    assert widget.status.value == ""
    scene = widget.now.scene
    widget._set(studio_state.change(widget.studio, cardiothoracic_ratio=3.0))
    assert "cardiothoracic_ratio" in widget.status.value and widget.now.scene == scene


def test_every_capability_is_read():
    widget = lab.widgets.counterfactual(Everything(), "chest-xray", "Is it round?", patients=6)
    assert widget.method.options == ("no map",) and widget.now.says.answer == "yes"
    assert {"yes", "edema"} <= set(widget.now.says.values) and widget.places.value.count("<circle") == 8
    assert "&lt;b&gt;No effusion.&lt;/b&gt;" in widget.words.value and "Cardiomegaly." in widget.words.value
    outlined = lab.widgets.counterfactual(lab.load("prompt-segmenter", device="cpu"), text="the heart")
    assert 2 < outlined.now.says.values["the heart, % of the picture"] < 30 and outlined.places.value == ""


def test_both_maps_share_one_scale(widget):
    widget.text.value, widget.method.value = "pleural effusion", "prompt-cam"
    before, now = widget.before.seen.found["prompt-cam"], widget.now.seen.found["prompt-cam"]
    faint = dataclasses.replace(now, values=before.values / 100)
    gone = dataclasses.replace(
        widget.now, seen=dataclasses.replace(widget.now.seen, found={"prompt-cam": faint}, masks={})
    )
    full = logic.scale(widget.before, gone, "prompt-cam")
    assert full == np.abs(before.values).max()
    shown, picture = np.asarray(explain_card.pane(gone.seen, "prompt-cam", full=full)), faint.image.display()
    assert np.abs(shown.astype(int) - picture).max() <= 2  # on its own scale it would be as red as the one before
    assert np.abs(faint.overlay().astype(int) - picture).max() > 20
    assert logic.ONE_SCALE in logic.pictures_html(widget.before, gone, "prompt-cam")
    assert logic.scale(widget.before, gone, "no map") is None
    assert logic.ONE_SCALE not in logic.pictures_html(widget.before, gone, "no map")


def test_a_change_to_begin_with(encoder):
    made = lab.widgets.counterfactual(encoder, seed=1, patients=6, change="pleural effusion")
    assert not made.before.scene.find("pleural effusion") and made.now.scene.find("pleural effusion", "right")
    assert row(made, "right pleural effusion")[0].value and made.studio.scene == made.now.scene
    with Image.open(io.BytesIO(made.png())) as card:
        way = np.asarray(card)[44:337, 634:927].astype(int)
        assert card.width == 943 and (way.min(-1) > 200).any()  # the white line in the third picture
    start = studio_state.start("chest-xray", 1)
    left = logic.changed(logic.changed(start, "pleural effusion"), "left pleural effusion")
    assert left.scene.find("pleural effusion", "left") and left.scene.find("pleural effusion", "right")
    assert logic.changed(left, "pleural effusion").scene == start.scene
    assert logic.changed(start, {"cardiothoracic_ratio": 0.62}).scene.find("cardiomegaly")
    for change, words in (
        ("plural effusion", "did you mean 'pleural effusion'"), ("cardiomegaly", "follows from the scene's numbers"),
        ({"cardiothoracic": 0.6}, "Unknown number"), ({"cardiothoracic_ratio": 9.0}, "it must be a number from"),
    ):  # fmt: skip
        with pytest.raises(MedVLMError, match=words):
            logic.changed(start, change)


MODELS = ("vit-bert-vqa", "clinical-blip", "flamingo-cxr", "pathology-vlm", "chexzero", "echo-clip", "prompt-segmenter")


@pytest.mark.parametrize("name", MODELS)
def test_the_first_text_is_about_this_phantom(name):
    model, read = lab.load(name, device="cpu"), 0
    for phantom in map(lab.phantom, lab.phantoms.names()):
        scene = phantom.draw(3)
        image = phantom.image(scene, 64)
        text = logic.first_text(model, phantom, scene, image)
        named = {*scene.kinds, *phantom.masks([scene], 64)}
        assert any(word.lower() in text.lower() for word in named), (phantom.name, text)
        said = readout(model, image, text)
        assert not said.error or image.modality in said.error, said.error  # refused for its modality, not for its text
        read += not said.error
        assert name != "pathology-vlm" or phantom.name != "histology" or "cardiomegaly" not in text
    assert read


def test_the_readers_patient_is_the_seeds_until_a_slider_moves(widget_of_seed_ten):
    widget, drawn = widget_of_seed_ten, lab.phantom("chest-xray").draw(10)
    assert widget.studio.scene == drawn == widget.before.scene == widget.now.scene
    for slider in widget.controls.numbers.children:  # what a browser sends back
        slider.set_state({"value": slider.value})
    assert widget.studio.scene == drawn and widget.now is widget.before
    slider = next(s for s in widget.controls.numbers.children if s.description == "cardiothoracic ratio")
    home, read = slider.value, widget.before
    slider.value = 0.62
    changed = {f.name for f in dataclasses.fields(drawn) if getattr(widget.now.scene, f.name) != getattr(drawn, f.name)}
    assert changed == {"cardiothoracic_ratio"} and widget.before is read
    slider.value = home
    assert widget.now.scene == drawn


@pytest.fixture
def widget_of_seed_ten(encoder):
    return lab.widgets.counterfactual(encoder, seed=10, patients=0)


@pytest.mark.parametrize("name", ["abdominal-ct", "brain-mr", "echocardiogram"])
def test_every_finding_of_a_phantom_can_be_begun_with(name):
    start = studio_state.start(name, 3)
    for kind, about in start.scene.kinds.items():
        if kind == "hypervascular liver lesion":
            with pytest.raises(MedVLMError, match="it must be 1, the arterial phase"):
                logic.changed(start, kind)
        elif not about.derived:
            had, made = bool(start.scene.find(kind)), logic.changed(start, kind)
            assert bool(made.scene.find(kind)) != had, kind


def test_an_encoder_shows_the_place_of_a_model_that_answers(encoder):
    answers = FakeAnswerer()
    made = lab.widgets.counterfactual(
        answers, text="Is there pleural effusion?", seed=1, patients=6, change="pleural effusion", encoder=encoder
    )
    assert made.now.says.answer == "yes" and list(made.now.says.values)[:2] == ["yes", "no"]
    assert made.now.says.values["pleural effusion"] > made.before.says.values["pleural effusion"] + 0.3
    assert made.places.value.count("<circle") == 8 and "space of chexzero" in made.places.value
    assert "fake; place and further scores: chexzero" in made._footer.value
    with pytest.raises(MedVLMError, match="'fake' does not embed images"):
        lab.widgets.counterfactual(answers, text="Why?", encoder=answers)


def test_answer_report_map_and_place_of_two_models(encoder):
    blip = lab.load("clinical-blip", device="cpu")
    made = lab.widgets.counterfactual(blip, text="Is there pleural effusion?", patients=6, encoder=encoder)
    says = made.now.says
    assert says.answer and says.report and made.method.value in made.now.seen.found and says.row is not None
    assert "pleural effusion" in says.values and made.places.value


def test_changes_are_marked():
    before = Readout("no", "The heart is normal. No effusion.", {"no": 0.9, "yes": 0.1})
    now = Readout("yes", "The heart is normal. There is an effusion.", {"yes": 0.8, "<i>": 0.1})
    words, values = render_words(now, before), render_values(now, before)
    assert "no → <b>yes</b>" in words and "<mark>There is an effusion.</mark>" in words
    assert "<s>No effusion.</s>" in words and "<mark>The heart" not in words
    assert "▲ 0.7" in values and "–" in values and "<i>" not in values
    assert "before" not in render_values(now) and "<mark>" not in render_words(now)


def test_what_cannot_be_read_is_refused(encoder):
    with pytest.raises(MedVLMError, match="is echo, but chexzero has seen X-ray only"):
        lab.widgets.counterfactual(encoder, "echocardiogram")
    with pytest.raises(UnknownNameError, match="chest-xray"):
        lab.widgets.counterfactual(encoder, "chest-xry")

    class Broken:
        def answer(self, image, question):
            raise RuntimeError("out of memory")

    assert "out of memory" in readout(Broken(), None, "Why?").error


@pytest.fixture
def folder(tmp_path):
    xray = lab.phantom("chest-xray")
    for seed in range(6):
        Image.fromarray(xray.image(xray.draw(seed), 64).display()).save(tmp_path / f"p{seed}.png")
    return tmp_path


def bench(encoder, images, **options):
    made = lab.embed.embed(encoder, images, progress=False)
    return lab.widgets.workbench(encoder, made, projection=lab.embed.project(made, "pca", n_neighbors=2), **options)


def broken(*_):
    raise OSError("disk")


def test_a_click_on_the_map_opens_in_both_widgets(encoder, folder, monkeypatch):
    shown = bench(encoder, folder, answerer=FakeAnswerer())
    names = [neutral_name(folder / f"p{i}.png") for i in range(6)]
    assert shown.map.ids == names[:1] and shown.explain.image.name == names[0] == shown.ask.image.name
    shown.map.selection = [3]
    assert shown.explain.image.name == names[3] == shown.ask.image.name
    shown.map.selection = [1, 2]  # a lasso opens none
    assert shown.explain.image.name == names[3]
    (folder / "p4.png").unlink()
    shown.map.selection = [4]
    assert f"{names[4]} was moved or deleted" in shown.explain.state.error == shown.ask.state.error
    shown.map.selection = [2]
    assert not shown.explain.state.error and not shown.ask.state.error
    monkeypatch.setattr(type(shown.map.state.embeddings), "image", broken)
    shown.map.selection = [1]
    assert "The image cannot be opened (OSError: disk)" in shown.explain.state.error == shown.ask.state.error
    monkeypatch.undo()
    shown.map.selection = [2]
    assert base64.b64decode(shown._repr_mimebundle_()["image/png"]).startswith(b"\x89PNG")


def test_scores_stand_where_nothing_answers_and_texts_become_prompts(encoder, folder):
    made = lab.embed.embed(encoder, folder, progress=False).texts(["There is a nodule."])
    flat = lab.embed.project(made, "pca", n_neighbors=2)
    shown = lab.widgets.workbench(encoder, made, projection=flat)
    before = shown.ask.view.value
    assert "pneumothorax" in before and "Not for clinical use." in shown.ask.children[-1].value
    shown.map.selection = [6]
    assert shown.explain.text == "There is a nodule."
    shown.map.selection = [5]
    assert shown.ask.view.value != before and shown.ask.image.name == neutral_name(folder / "p5.png")


def test_masks_of_simulated_patients_come_along(encoder):
    data = lab.dataset("phantom:chest-xray", "test", n=20, size=64)
    flat = lab.embed.project(lab.embed.embed(encoder, data, progress=False), "pca", n_neighbors=2)
    shown = lab.widgets.workbench(encoder, data, text="heart", projection=flat)
    shown.map.selection = [2]
    assert "heart" in shown.explain.state.masks and shown.explain.outline == "heart"


def test_no_confidence_of_a_question_with_an_unknown_word():
    model, xray = lab.load("vit-bert-vqa", device="cpu"), lab.phantom("chest-xray")
    image = xray.image(xray.draw(3), 64)
    assert set(readout(model, image, "Is there cardiomegaly?").values) == {"yes", "no"}
    says = readout(model, image, "Is the haert large?")
    assert says.answer and says.values == {} and "haert" in says.note


class Told:
    """Stands for the page's keeper of the saved picture."""

    def __init__(self):
        self.times = 0

    def touch(self):
        self.times += 1


def test_the_saved_picture_follows_every_change(encoder, folder):
    counter = lab.widgets.counterfactual(encoder, seed=1, patients=0)
    counter._keeper = told = Told()
    counter.text.value = "pacemaker"
    assert told.times and "pacemaker" in counter.alt()
    shown = bench(encoder, folder, answerer=Everything())
    shown._keeper = told = Told()
    shown.explain.text = "pacemaker lead"
    assert told.times and "pacemaker lead" in shown.alt()
    shown._below.selected_index, told.times = 1, 0
    shown.ask.ask("Is it round?")
    assert told.times and "Is it round? yes" in shown.alt()
