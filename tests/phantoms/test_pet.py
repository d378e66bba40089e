"""Simulated PET: the same seed gives the same pixels, and masks measure what the scene says."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.pet import ORGANS
from medvlm_lab.phantoms.pet_scene import PetScene

PET = phantom("pet")
NUMBERS = [f for f in dataclasses.fields(PetScene) if isinstance(f.default, float)]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {f.name: draw(st.floats(f.metadata["low"], f.metadata["high"])) for f in NUMBERS}
    numbers |= {name: draw(st.integers(0, 1)) for name in ("corrected", "camera")}
    return PET.draw(draw(st.integers(0, 2**40))).with_(**numbers)


@given(scenes())
@settings(max_examples=3, deadline=None)
def test_any_valid_scene_renders(scene):
    pixels = PET.render([scene], 64)
    assert pixels.shape == (1, 1, 64, 64) and torch.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() > 1


def test_pixels_and_masks_do_not_depend_on_the_batch():
    batch = PET.sample(8, 2)
    together, masks = PET.render(batch, 75), PET.masks(batch, 75)
    assert torch.equal(together[1:], PET.render(batch[1:], 75))
    assert all(torch.equal(masks[name][1], mask[0]) for name, mask in PET.masks(batch[1:], 75).items())


def test_every_stated_finding_has_a_mask_and_none_unstated():
    batch = PET.sample(21, 160)
    masks = PET.masks(batch, 100)
    there = {name: mask.flatten(1).any(1).tolist() for name, mask in masks.items() if name not in ORGANS}
    for i, scene in enumerate(batch):
        assert {f.mask_name for f in scene.all_findings} == {name for name, found in there.items() if found[i]}, scene
    assert all(any(found) for found in there.values())  # the sample shows every kind on every side
    assert all(masks[name].flatten(1).any(1).all() for name in ORGANS)


def test_measurements_on_masks_agree_within_three_percent():
    batch = [s for s in PET.sample(31, 60) if any(f.measurement for f in s.findings)]
    measured, seen = PET.measure(batch, PET.masks(batch, 640)), 0
    for i, scene in enumerate(batch):
        for f in scene.findings:
            if f.measurement:
                seen += 1
                mm = measured[f"{f.mask_name.replace(' ', '_')}_mm"][i]
                assert abs(mm / f.measurement - 1) < 0.03, (f, mm)
    assert seen > 15


def test_anatomy_lies_where_it_belongs():
    masks = PET.masks(PET.sample(2, 20), 100)
    across, down = torch.arange(100.0), torch.arange(100.0)[:, None]
    x = {k: (masks[k] * across).sum((1, 2)) / masks[k].sum((1, 2)) for k in ORGANS}
    y = {k: (masks[k] * down).sum((1, 2)) / masks[k].sum((1, 2)) for k in ORGANS}
    for first, second in (("liver", "spleen"), ("right kidney", "left kidney"), ("right lung", "heart")):
        assert (x[first] < x[second]).all()
    for first, second in (("brain", "heart"), ("heart", "liver"), ("liver", "left kidney"), ("left kidney", "bladder")):
        assert (y[first] < y[second]).all()


PLAIN = PetScene(seed=5, patient=5, counts=4.0, heart_suv=1.5)
EXTRA = {
    "hypermetabolic lung lesion": {"region": "upper lobe"},
    "hypermetabolic liver lesion": {"region": "right lobe"},
}


@pytest.fixture(scope="module")
def plain():
    return PET.render([PLAIN], 160)[0, 0]


@pytest.mark.parametrize("kind", PetScene.kinds)
def test_a_finding_shows_inside_its_mask(kind, plain):
    spec = PetScene.kinds[kind]
    size = {"measurement": 30.0} if spec.unit else {"amount": 0.7}
    finding = Finding(kind, spec.sides[-1] if spec.sides else "", **size, **EXTRA.get(kind, {}))
    with_it = PLAIN.with_(findings=(finding,))
    change = PET.render([with_it], 160)[0, 0] - plain
    mask = PET.masks([with_it], 160)[finding.mask_name][0]
    assert change[mask].mean() > max(0.4, 4 * change[~mask].abs().mean())


def test_uptake_comes_back_in_suv_only_when_corrected(plain):
    masks = PET.masks([PLAIN], 160)
    assert plain[masks["liver"][0]].median() == pytest.approx(PLAIN.liver_suv, rel=0.2)
    assert plain[masks["bladder"][0]].max() == pytest.approx(PLAIN.bladder_suv, rel=0.25)
    on, off = (PET.coronal([PLAIN.with_(corrected=c)], 0.0, 160)[0, 0] for c in (1, 0))
    lung, liver = masks["right lung"][0], masks["liver"][0]
    assert off[lung].mean() / off[liver].mean() > 1.5 * on[lung].mean() / on[liver].mean()


def test_spect_is_coarser_and_noisier_and_says_so():
    lesion = PLAIN.with_(findings=(Finding("hypermetabolic lung lesion", "left", "upper lobe", measurement=16.0),))
    pet, spect = (PET.render([lesion.with_(camera=c)], 160)[0, 0] for c in (0, 1))
    masks = PET.masks([lesion], 160)
    spot = masks["left hypermetabolic lung lesion"][0]
    assert 1.5 < spect[spot].max() < 0.7 * pet[spot].max()  # blurred, and still above the lung
    assert spect[masks["liver"][0]].median() == pytest.approx(PLAIN.liver_suv, rel=0.3)
    flat = PLAIN.with_(counts=1.0)
    for camera, least in ((0, 0.0), (1, 0.08)):
        one, two = (PET.coronal([flat.with_(camera=camera, seed=s)], 0.0, 96)[0, 0] for s in (5, 6))
        noise = (one - two)[PET.masks([flat], 96)["liver"][0]].abs().mean() / PLAIN.liver_suv
        assert least <= noise < least + 0.2
    answers = {q.question_type: q.answer for q in PET.questions(lesion.with_(camera=1))}
    assert answers["MODALITY"] == "spect"


def test_more_counts_make_less_noise():
    best = PET.coronal([PLAIN], 0.0, 96)[0, 0]
    few, many = (PET.coronal([PLAIN.with_(counts=c, seed=6)], 0.0, 96)[0, 0] for c in (0.1, 2.0))
    body = best > 0.4
    assert (few - best)[body].abs().mean() > 2 * (many - best)[body].abs().mean()


def test_hospitals_shift_the_picture_and_not_the_patient():
    home, away = PET.sample(4, 40), PET.sample(4, 40, hospital=3)
    assert [s.all_findings for s in home] == [s.all_findings for s in away]
    assert np.mean([s.resolution_mm for s in away]) > np.mean([s.resolution_mm for s in home]) + 2
    assert sum(s.corrected for s in away) < sum(s.corrected for s in home)


def test_impossible_scenes_are_refused():
    with pytest.raises(SceneError, match="counts is 9.0; it must be a number from 0.1 to 4"):
        PetScene(counts=9.0)
    with pytest.raises(SceneError, match="measurement of hypermetabolic lung lesion is 5.* from 12 to 70 mm"):
        PetScene(findings=(Finding("hypermetabolic lung lesion", "left", "upper lobe", measurement=5),))


def test_the_picture_says_that_it_is_simulated():
    image = PET.image(PET.draw(1), 128)
    assert image.simulated and image.inverted and image.modality == "nuclear medicine" and image.units == "SUV"
