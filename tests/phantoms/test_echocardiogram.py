"""Simulated echocardiograms: the same seed gives the same cine, and masks measure what the scene says."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.echo_cycle import FPS, beat
from medvlm_lab.phantoms.echo_scene import EchoScene

ECHO = phantom("echocardiogram")
NUMBERS = [f for f in dataclasses.fields(EchoScene) if isinstance(f.default, float)]
EXPLICIT = [k for k, kind in EchoScene.kinds.items() if not kind.derived]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {f.name: draw(st.floats(f.metadata["low"], f.metadata["high"])) for f in NUMBERS}
    kinds = draw(st.sets(st.sampled_from(EXPLICIT)))
    found = [Finding(k, amount=draw(st.floats(0.05, 1)) if EchoScene.kinds[k].graded else None) for k in kinds]
    seed, view = draw(st.integers(0, 2**40)), draw(st.integers(0, 1))
    return EchoScene(seed=seed, findings=tuple(found), five_chamber=view, **numbers)


@given(scenes())
@settings(max_examples=12, deadline=None)
def test_any_valid_scene_renders_with_a_mask_for_each_finding(scene):
    cine, masks = ECHO.render([scene], 64), ECHO.masks([scene], 64)
    assert cine.shape == (1, 32, 64, 64) and torch.isfinite(cine).all() and 0 <= cine.min() and cine.max() <= 1
    there = {name for name in scene.kinds if masks[name].any()}
    assert there == {f.mask_name for f in scene.all_findings}


@given(scenes())
@settings(max_examples=60, deadline=None)
def test_a_cine_shows_the_full_and_the_empty_ventricle(scene):
    volume, full = beat(scene).volume_ml, scene.ventricle_ml
    empty = full * (1 - scene.ejection_fraction_percent / 100)
    assert volume.max() == pytest.approx(full, rel=0.01) and volume.min() == pytest.approx(empty, rel=0.03)


@pytest.mark.parametrize("size", [33, 96])
def test_pixels_do_not_depend_on_the_batch(size):
    batch = ECHO.sample(8, 4)
    together, masks = ECHO.render(batch, size), ECHO.masks(batch, size)
    assert torch.equal(together[2], ECHO.render([batch[2]], size)[0])
    alone = ECHO.masks([batch[2]], size)
    assert all(torch.equal(mask[2], alone[name][0]) for name, mask in masks.items())


def test_every_stated_finding_has_a_mask_and_none_unstated():
    batch = ECHO.sample(21, 70)
    masks = ECHO.masks(batch, 64)
    there = {name: masks[name].flatten(1).any(1).tolist() for name in EchoScene.kinds}
    for i, scene in enumerate(batch):
        assert {f.mask_name for f in scene.all_findings} == {name for name, found in there.items() if found[i]}, scene
    assert all(any(found) for found in there.values())


def test_measurements_agree_with_the_scene():
    """Ejection fraction within 1.5 points, volumes within 3 %."""
    batch = ECHO.sample(31, 8)
    measured = ECHO.measure(batch, ECHO.masks(batch, 256))
    for i, scene in enumerate(batch):
        assert measured["ejection_fraction_percent"][i] == pytest.approx(scene.ejection_fraction_percent, abs=1.5)
        assert measured["ventricle_ml"][i] == pytest.approx(scene.ventricle_ml, rel=0.03)
        assert measured["atrium_ml"][i] == pytest.approx(scene.atrium_ml, rel=0.03)


def test_chambers_lie_where_an_apical_view_has_them():
    batch = [s.with_(axis_degrees=0.0) for s in ECHO.sample(2, 5)]
    masks = ECHO.masks(batch, 96)
    rows, columns = torch.arange(96.0)[:, None], torch.arange(96.0)
    names = ("left ventricle", "right ventricle", "left atrium", "right atrium")
    place = lambda k, axis: (masks[k] * axis).sum((1, 2, 3)) / masks[k].sum((1, 2, 3))  # noqa: E731
    across, down = ({k: place(k, axis) for k in names} for axis in (columns, rows))
    assert (across["right ventricle"] < across["left ventricle"]).all()  # the patient's right on the picture's left
    assert (across["right atrium"] < across["left atrium"]).all()
    assert all((down[f"{side} ventricle"] < down[f"{side} atrium"]).all() for side in ("left", "right"))
    total = sum(masks[k].int() for k in (*names, "left ventricular wall"))
    assert total.max() == 1  # no pixel belongs to two
    cine = ECHO.render(batch, 96)
    mean = {k: (cine * masks[k]).sum() / masks[k].sum() for k in ("left ventricle", "left ventricular wall")}
    assert mean["left ventricle"] < 0.5 * mean["left ventricular wall"]  # blood is dark


PLAIN = EchoScene(seed=5, noise=0.0)
VISIBLE = [(Finding("pericardial effusion", amount=0.7), -1)] + [(Finding(k), 1) for k in EXPLICIT[1:]]


@pytest.mark.parametrize(("finding", "sign"), VISIBLE, ids=lambda v: getattr(v, "kind", None))
def test_a_finding_shows_inside_its_mask(finding, sign):
    plain = PLAIN.with_(five_chamber=int(finding.kind == "TAVR valve"))
    with_it = plain.with_(findings=(finding,))
    change = (ECHO.render([with_it], 160) - ECHO.render([plain], 160))[0]
    mask = ECHO.masks([with_it], 160)[finding.mask_name][0]
    inside, outside = change[mask], change[~mask]
    assert inside.abs().mean() > 3 * outside.abs().mean() and inside.mean().sign() == sign


def test_speckle_moves_with_the_tissue():
    """Between neighbouring frames the septum changes far less than noise would."""
    cine = ECHO.render([PLAIN.with_(heart_rate_bpm=50.0)], 128)[0]
    wall = ECHO.masks([PLAIN.with_(heart_rate_bpm=50.0)], 128)["left ventricular wall"][0]
    still = wall[26] & wall[25]
    assert np.corrcoef(cine[25][still], cine[26][still])[0, 1] > 0.6


def test_hospitals_shift_the_picture_and_not_the_patient():
    means = [ECHO.render(ECHO.sample(4, 4, hospital=h), 64).mean().item() for h in range(4)]
    assert max(means) > 1.25 * min(means)
    assert [s.all_findings for s in ECHO.sample(4, 24)] == [s.all_findings for s in ECHO.sample(4, 24, hospital=2)]


def test_the_cine_says_what_it_is():
    image = ECHO.image(ECHO.draw(1), 64)
    assert image.simulated and image.modality == "echo" and image.frames == 32 and image.fps == FPS


def test_bad_values_are_refused_by_name():
    with pytest.raises(SceneError, match="ejection_fraction_percent is 140.*10.0 to 80.0"):
        EchoScene(ejection_fraction_percent=140.0)
    with pytest.raises(SceneError, match="follows from the scene's numbers"):
        EchoScene(findings=(Finding("dilated left atrium", amount=0.5),))
