"""A scene holds only what exists, and says what is wrong with anything else."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError, SceneError, UnknownNameError
from medvlm_lab.phantoms import names, phantom
from medvlm_lab.phantoms.base import Finding, scene_seed
from medvlm_lab.phantoms.chest_scene import ChestScene

XRAY = phantom("chest-xray")
NUMBERS = [f for f in dataclasses.fields(ChestScene) if "low" in f.metadata]


@pytest.mark.parametrize("spec", NUMBERS, ids=lambda f: f.name)
def test_every_number_is_checked(spec):
    low, high = spec.metadata["low"], spec.metadata["high"]
    for good in (low, high):
        ChestScene(**{spec.name: good})
    for bad in (low - 1, high + 1, float("nan"), "x", None):
        with pytest.raises(SceneError, match=rf"^{spec.name} is .*from {low}"):
            ChestScene(**{spec.name: bad})


@pytest.mark.parametrize(
    ("finding", "error", "says"),
    [
        (Finding("pleural efusion", "left", amount=0.5), UnknownNameError, "did you mean 'pleural effusion'"),
        (Finding("pleural effusion", amount=0.5), SceneError, "side of pleural effusion is ''.*'right' or 'left'"),
        (Finding("pleural effusion", "left"), SceneError, "amount of pleural effusion is None"),
        (Finding("pleural effusion", "left", amount=1.4), SceneError, "amount .* is 1.4; .* from 0 to 1"),
        (Finding("pleural effusion", "left", amount=0.0), SceneError, "leave the finding out"),
        (Finding("nodule", "left", "mid zone", measurement=-3), SceneError, "is -3; .* from 8 to 30 mm"),
        (Finding("nodule", "left", "apex", measurement=10), SceneError, "region of nodule is 'apex'"),
        (Finding("nodule", "left", "mid zone", measurement=10, at=(0, 2)), SceneError, "at of nodule"),
        (Finding("nodule", "left", "mid zone", amount=0.5, measurement=10), SceneError, "has none"),
        (Finding("consolidation", "left", "middle lobe", amount=0.5), SceneError, "the left lung has"),
        (Finding("cardiomegaly", amount=0.5), SceneError, "follows from the scene's numbers"),
    ],
)
def test_impossible_findings_are_named(finding, error, says):
    with pytest.raises(error, match=says) as caught:
        ChestScene(findings=(finding,))
    assert "\n" not in str(caught.value)


def test_a_finding_is_given_once_per_side():
    with pytest.raises(SceneError, match="'left nodule' twice"):
        ChestScene(findings=(Finding("nodule", "left", "mid zone", measurement=9),) * 2)


def test_derived_findings_follow_the_numbers():
    assert ChestScene(cardiothoracic_ratio=0.50).all_findings == ()
    assert ChestScene(cardiothoracic_ratio=0.62).find("cardiomegaly").severity == "severe"
    assert ChestScene(inflation=0.6).find("hyperinflation").severity == "mild"


@given(st.integers(0, 2**20), st.integers(0, 2**27), st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_scenes_survive_json_and_their_seed_decides_them(seed, index, hospital):
    scene = XRAY.draw(scene_seed("validation", seed, index), hospital)
    assert ChestScene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene
    assert XRAY.draw(scene.seed, hospital) == scene
    with pytest.raises(SceneError, match="'colour' is no field"):
        ChestScene.from_dict({"colour": 1})


def test_parts_never_share_a_scene():
    seeds = {p: {scene_seed(p, s, i) for s in (0, 1, 2**22 - 1) for i in (0, 2**28 - 1)} for p in ("train", "test")}
    assert len(seeds["train"]) == 6 and not seeds["train"] & seeds["test"]
    assert max(seeds["test"]) < 2**52


@pytest.mark.parametrize(
    "call",
    [
        lambda: scene_seed("train", -1, 0),
        lambda: scene_seed("train", 0, 2**28),
        lambda: scene_seed("training", 0, 0),
        lambda: XRAY.sample(0, 0),
        lambda: XRAY.sample(0, -5),
        lambda: XRAY.timeline(0, 0),
        lambda: XRAY.sample(0, 1, hospital=9),
        lambda: XRAY.render([ChestScene()], 0),
        lambda: XRAY.render([ChestScene()], 10**6),
        lambda: XRAY.masks([ChestScene()], -4),
        lambda: phantom("chest-xrays"),
    ],
)
def test_bad_requests_are_one_sentence(call):
    with pytest.raises(MedVLMError) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_nearest_phantom_is_suggested():
    assert "chest-xray" in names()
    with pytest.raises(UnknownNameError, match="did you mean 'chest-xray'"):
        phantom("chest-xrays")
