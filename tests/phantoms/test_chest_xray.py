"""Simulated chest X-rays: the same seed gives the same pixels, and masks measure what the scene says."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.chest_scene import ChestScene

XRAY = phantom("chest-xray")
ANATOMY = {"right lung", "left lung", "heart", "thorax"}
NUMBERS = [f for f in dataclasses.fields(ChestScene) if isinstance(f.default, float)]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {f.name: draw(st.floats(f.metadata["low"], f.metadata["high"])) for f in NUMBERS}
    drawn = XRAY.draw(draw(st.integers(0, 2**40)))
    return drawn.with_(**numbers, marker=draw(st.integers(0, 3)))


@given(st.lists(scenes(), min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_any_valid_scene_renders(batch):
    pixels = XRAY.render(batch, 64)
    assert pixels.shape == (len(batch), 1, 64, 64) and pixels.dtype == torch.float32
    assert torch.isfinite(pixels).all() and 0 <= pixels.min() and pixels.max() <= 1


@pytest.mark.parametrize("size", [32, 75, 128, 200])
def test_pixels_do_not_depend_on_the_batch(size):
    batch = XRAY.sample(8, 37)
    together = XRAY.render(batch, size)
    assert torch.equal(together, XRAY.render(batch, size))
    for i in (0, 5, 17, 36):
        assert torch.equal(together[i : i + 1], XRAY.render([batch[i]], size)), i
    backwards = XRAY.render(batch[::-1], size)
    assert torch.equal(backwards.flip(0), together)


def test_masks_do_not_depend_on_the_batch():
    batch = XRAY.sample(9, 20)
    together = XRAY.masks(batch, 96)
    alone = XRAY.masks([batch[7]], 96)
    assert all(torch.equal(mask[7], alone[name][0]) for name, mask in together.items())


def test_every_stated_finding_has_a_mask_and_none_unstated():
    batch = XRAY.sample(21, 1000)
    masks = XRAY.masks(batch, 112)
    there = {name: mask.flatten(1).any(1).tolist() for name, mask in masks.items() if name not in ANATOMY}
    for i, scene in enumerate(batch):
        stated = {f.mask_name for f in scene.all_findings}
        assert stated == {name for name, found in there.items() if found[i]}, scene
    assert all(any(found) for found in there.values())  # the sample shows every kind on every side


def test_measurements_on_masks_agree_within_three_percent():
    batch = XRAY.sample(31, 70)
    measured = XRAY.measure(batch, XRAY.masks(batch, 512))
    stated = np.array([s.cardiothoracic_ratio for s in batch])
    assert np.abs(measured["cardiothoracic_ratio"].numpy() / stated - 1).max() < 0.03
    sizes = 0
    for side in ("right", "left"):
        for scene, mm in zip(batch, measured[f"{side}_nodule_mm"].tolist(), strict=True):
            f = scene.find("nodule", side)
            assert (f is None) == np.isnan(mm)
            if f:
                sizes += 1
                assert abs(mm / f.measurement - 1) < 0.03, scene
    assert sizes > 5


def test_anatomy_lies_where_it_belongs():
    batch = XRAY.sample(2, 40)
    masks = XRAY.masks(batch, 128)
    center = {k: (masks[k].float() * torch.arange(128.0)).sum((1, 2)) / masks[k].sum((1, 2)) for k in ANATOMY}
    assert (center["right lung"] < center["left lung"]).all()  # the patient's right is on the picture's left
    assert (center["heart"] > center["thorax"]).all()  # the heart's larger part lies to the patient's left
    assert not (masks["right lung"] & masks["left lung"]).any() and not (masks["right lung"] & masks["heart"]).any()
    pixels = XRAY.render(batch, 128)[:, 0]
    mean = {k: (pixels * masks[k]).sum((1, 2)) / masks[k].sum((1, 2)) for k in ("left lung", "heart")}
    assert (mean["left lung"] < mean["heart"]).all()  # air is dark


PLAIN = ChestScene(seed=5, patient=5, noise=0.0, blur=0.0)
VISIBLE = [
    (Finding("pleural effusion", "left", amount=0.6), 1),
    (Finding("pneumothorax", "right", amount=0.6), -1),
    (Finding("consolidation", "right", "middle lobe", amount=0.6), 1),
    (Finding("consolidation", "left", "lower lobe", amount=0.3), 1),
    (Finding("nodule", "right", "mid zone", measurement=15), 1),
    (Finding("pulmonary edema", amount=0.5), 1),
    (Finding("rib fracture", "left", "5th rib"), 0),
    (Finding("pacemaker", "left"), 1),
    (Finding("central line", "right"), 1),
    (Finding("endotracheal tube"), 1),
    (Finding("nasogastric tube"), 1),
    (Finding("sternotomy wires"), 1),
]


@pytest.mark.parametrize(("finding", "sign"), VISIBLE, ids=lambda v: getattr(v, "mask_name", None))
def test_a_finding_shows_inside_its_mask(finding, sign):
    with_it = PLAIN.with_(findings=(finding,))
    change = (XRAY.render([with_it], 256) - XRAY.render([PLAIN], 256))[0, 0]
    mask = XRAY.masks([with_it], 256)[finding.mask_name][0]
    inside, outside = change[mask], change[~mask]
    assert inside.abs().mean() > max(0.012, 4 * outside.abs().mean())
    assert sign == 0 or inside.mean().sign() == sign


def test_patients_keep_their_anatomy_over_time():
    studies = XRAY.timeline(6, 5)
    assert [s.visit for s in studies] == list(range(5)) and len({s.seed for s in studies}) == 5
    for name in ("thorax_mm", "depth_mm", "bone", "patient"):
        assert len({getattr(s, name) for s in studies}) == 1
    assert XRAY.timeline(6, 5) == studies


def test_hospitals_shift_the_picture_and_not_the_patient():
    pixels = [XRAY.render(XRAY.sample(4, 24, hospital=h), 96) for h in range(4)]
    means = [p.mean().item() for p in pixels]
    assert max(means) - min(means) > 0.05
    home, away = XRAY.sample(4, 24), XRAY.sample(4, 24, hospital=2)
    assert [s.all_findings for s in home] == [s.all_findings for s in away]


def test_the_picture_says_that_it_is_simulated():
    image = XRAY.image(XRAY.draw(1), 128)
    assert image.simulated and image.modality == "X-ray" and "simulated" in image.source
    assert image.spacing_mm[0] == pytest.approx(XRAY.draw(1).fov_mm / 128)


def test_pictures_can_be_trained_on():
    weight = torch.ones(1, 1, 3, 3, requires_grad=True)
    torch.nn.functional.conv2d(XRAY.render(XRAY.sample(0, 2), 32), weight).sum().backward()
    assert weight.grad is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_picture():
    batch = XRAY.sample(8, 8)
    one, two = XRAY.render(batch, 128), XRAY.render(batch, 128, device="cuda")
    assert (one - two.cpu()).abs().max() < 0.02
    assert torch.equal(two, XRAY.render(batch, 128, device="cuda"))
