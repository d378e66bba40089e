"""The phantom studio without a browser: what the sliders say is what is drawn, worded and exported."""

import json

import numpy as np
import pytest

import medvlm_lab as lab
from medvlm_lab.errors import UnknownNameError
from medvlm_lab.widgets import studio_state as logic


@pytest.fixture(scope="module")
def healthy():
    xray = lab.phantom("chest-xray")
    scene = next(s for s in xray.sample(0, 50) if not s.all_findings)
    return logic.StudioState("chest-xray", scene)


def place(state, label):
    return next(p for p in logic.places(state.scene) if p.label == label)


def test_every_number_has_a_slider_within_its_range(healthy):
    found = {c.field: c for c in logic.controls(healthy.scene)}
    assert "cardiothoracic_ratio" in found and not set(found) & set(logic.HIDDEN)
    for name, control in found.items():
        assert control.low <= getattr(healthy.scene, name) <= control.high and control.about


def test_a_finding_put_in_is_drawn_worded_and_asked(healthy):
    effusion = place(healthy, "right pleural effusion")
    ill = logic.put(healthy, effusion, True, amount=0.8)
    assert not ill.error and ill.scene.find("pleural effusion", "right").severity == "severe"
    assert "right pleural effusion" in logic.mask_names(ill)
    assert "effusion" in logic.report_html(ill)
    assert logic.picture_html(ill) != logic.picture_html(healthy)
    assert "right pleural effusion" in logic.picture_html(ill)  # the alternative text says it
    well = logic.put(ill, effusion, False)
    assert well.scene == healthy.scene


def test_the_ratio_slider_brings_cardiomegaly(healthy):
    large = logic.change(healthy, cardiothoracic_ratio=0.62)
    assert large.scene.find("cardiomegaly") and "cardiomegaly" in logic.mask_names(large)


def test_an_impossible_value_is_a_sentence_and_changes_nothing(healthy):
    refused = logic.change(healthy, cardiothoracic_ratio=3.0)
    assert "cardiothoracic_ratio" in refused.error and refused.scene == healthy.scene
    assert 'role="alert"' in logic.picture_html(refused)


def test_each_side_offers_its_own_lobes(healthy):
    assert "middle lobe" in place(healthy, "right consolidation").regions
    assert "lingula" in place(healthy, "left consolidation").regions
    assert "lingula" not in place(healthy, "right consolidation").regions


def test_outline_is_the_masks_border():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    line = logic.outline(mask)
    assert line[5, 5] and line[6, 10] and not line[10, 10] and not line[4, 10] and not (line & ~mask).any()


@pytest.mark.parametrize("name", lab.phantoms.names())
def test_every_phantom_can_be_built_by_hand(name):
    state = logic.start(name, seed=3)
    assert logic.controls(state.scene) and logic.places(state.scene)
    names = logic.mask_names(state)
    outlined = logic.replace(state, shown=tuple(names))
    assert logic.picture(outlined).size == logic.picture(state).size
    assert logic.report_html(state) and "<td>" in logic.questions_html(state)
    for place in logic.places(state.scene):  # each may be refused by this scene, but only with a sentence
        region = place.regions[0] if place.regions else ""
        tried = logic.put(state, place, True, region, 0.6, (place.low + min(place.high, 1e6)) / 2)
        assert tried.error or tried.scene.find(place.kind, place.side) is not None


def test_a_finding_elsewhere_moves_the_slice():
    state = logic.StudioState("brain-mr", lab.phantom("brain-mr").scene(position=0.9))
    place = next(p for p in logic.places(state.scene) if p.label == "left lacunar infarct")
    assert place.regions == ("basal ganglia", "thalamus")
    moved = logic.put(state, place, True, "thalamus", measured=9.0)
    assert not moved.error and moved.scene.find("lacunar infarct", "left") and moved.scene.position < 0.6
    high = next(p for p in logic.places(moved.scene) if p.label == "right brain tumour")
    refused = logic.put(moved, high, True, "parietal lobe", measured=30.0)  # no slice goes through both
    assert "parietal lobe" in refused.error and refused.scene == moved.scene


def test_shell_follows_and_exports(tmp_path):
    studio = lab.widgets.phantom_studio("chest-xray", seed=1)
    before = studio.view.value
    row = next(r for r in studio.controls.findings.children if r.children[0].description == "left pneumothorax")
    row.children[0].value = True
    assert studio.state.scene.find("pneumothorax", "left") and "left pneumothorax" in studio.masks.value
    assert studio.view.value != before and "neumothorax" in studio.report.value
    ratio = next(s for s in studio.controls.numbers.children if s.description == "cardiothoracic ratio")
    ratio.value = 0.6
    assert studio.state.scene.cardiothoracic_ratio == pytest.approx(0.6)
    studio.folder.value = str(tmp_path)
    studio.export.click()
    study = json.loads((tmp_path / "chest-xray-001" / "study.json").read_text())
    assert "left pneumothorax" in study["masks"] and (tmp_path / "chest-xray-001" / "image.png").is_file()
    studio.export.click()
    assert (tmp_path / "chest-xray-002").is_dir()
    blocked = tmp_path / "file"
    blocked.write_text("")
    studio.folder.value = str(blocked)
    studio.export.click()
    assert "cannot be written" in studio.exported.value
    studio.new.click()
    assert studio.seed.value == 2 == studio.state.scene.seed
    assert "image/png" in studio._repr_mimebundle_()


@pytest.mark.parametrize("name", lab.phantoms.names())
def test_the_patient_in_view_is_the_seeds(name):
    studio = lab.widgets.phantom_studio(name, seed=10)
    drawn = lab.phantom(name).draw(10)
    sliders = list(studio.controls.numbers.children)
    sliders += [c for row in studio.controls.findings.children for c in row.children if hasattr(c, "number")]
    for slider in sliders:
        slider.set_state({"value": slider.value})  # what a browser sends back
    assert studio.state.scene == drawn
    assert studio.state.scene == lab.phantom(name).draw(studio.seed.value)


def test_going_to_another_phantom_and_back_is_the_same_patient_with_new_controls():
    studio = lab.widgets.phantom_studio("heart-sounds", seed=4)
    first, old = studio.state.scene, studio.controls.numbers.children
    studio.phantom.value = "histology"
    studio.phantom.value = "heart-sounds"
    assert studio.state.scene == first and all(slider.comm is None for slider in old)
    old[0].set_state({"value": old[0].max})  # a hand's late message
    assert studio.state.scene == first


def test_what_can_be_heard_has_a_player():
    studio = lab.widgets.phantom_studio("heart-sounds", seed=1)
    assert studio.sound.value.startswith('<audio controls src="data:audio/wav;base64,UklGR')
    studio.phantom.value = "chest-xray"
    assert studio.sound.value == ""


def test_unknown_phantom_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="chest-xray"):
        lab.widgets.phantom_studio("chest-xry")
