"""Simulated abdominal CT: the same seed gives the same pixels, and masks measure what the scene says."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.abdomen_scene import LEVELS, AbdomenScene
from medvlm_lab.phantoms.base import Finding

CT = phantom("abdominal-ct")
ANATOMY = {"body", "liver", "spleen", "aorta", "gallbladder", "right kidney", "left kidney"}
NUMBERS = [f for f in dataclasses.fields(AbdomenScene) if isinstance(f.default, float) and f.name != "level"]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {f.name: draw(st.floats(f.metadata["low"], f.metadata["high"])) for f in NUMBERS}
    return CT.draw(draw(st.integers(0, 2**40))).with_(**numbers)


@given(st.lists(scenes(), min_size=1, max_size=2))
@settings(max_examples=8, deadline=None)
def test_any_valid_scene_renders(batch):
    pixels = CT.render(batch, 64)
    assert pixels.shape == (len(batch), 1, 64, 64) and pixels.dtype == torch.float32
    assert torch.isfinite(pixels).all() and -1024 <= pixels.min() and pixels.max() <= 3071
    assert torch.equal(pixels, pixels.round())


@pytest.mark.parametrize("size", [64, 75])
def test_pixels_and_masks_do_not_depend_on_the_batch(size):
    batch = CT.sample(8, 19)
    together, masks = CT.render(batch, size), CT.masks(batch, size)
    assert torch.equal(CT.render(batch[::-1], size).flip(0), together)
    for i in (0, 5, 18):
        assert torch.equal(together[i : i + 1], CT.render([batch[i]], size)), i
        alone = CT.masks([batch[i]], size)
        assert all(torch.equal(mask[i], alone[name][0]) for name, mask in masks.items())


def test_every_stated_finding_has_a_mask_and_none_unstated():
    batch = CT.sample(21, 420)
    masks = CT.masks(batch, 112)
    there = {name: mask.flatten(1).any(1).tolist() for name, mask in masks.items() if name not in ANATOMY}
    for i, scene in enumerate(batch):
        stated = {f.mask_name for f in scene.all_findings}
        assert stated == {name for name, found in there.items() if found[i]}, scene
    assert all(any(found) for found in there.values())  # the sample shows every kind on every side


def test_measurements_on_masks_agree_within_three_percent():
    batch = [s for s in CT.sample(31, 120) if s.spleen_mm > 115 or any(f.measurement for f in s.all_findings)][:24]
    measured = CT.measure(batch, CT.masks(batch, 512))
    seen = 0
    for i, scene in enumerate(batch):
        assert abs(measured["spleen_mm"][i] / scene.spleen_mm - 1) < 0.03, scene
        assert abs(measured["aorta_mm"][i] / scene.aorta_mm - 1) < 0.03, scene
        for f in scene.all_findings:
            if f.measurement and f.kind != "aortic aneurysm":
                seen += 1
                mm = measured[f"{f.mask_name.replace(' ', '_')}_mm"][i]
                assert abs(mm / f.measurement - 1) < 0.03, (f, mm)
    assert seen > 15
    assert measured["left_renal_cyst_mm"].isnan().any()


def test_anatomy_lies_where_it_belongs():
    batch = CT.sample(2, 40)
    masks = CT.masks(batch, 96)
    assert all(masks[k].flatten(1).any(1).all() for k in ANATOMY - {"gallbladder"})
    across, down = torch.arange(96.0), torch.arange(96.0)[:, None]
    x = {k: (masks[k] * across).sum((1, 2)) / masks[k].sum((1, 2)) for k in ANATOMY}
    y = {k: (masks[k] * down).sum((1, 2)) / masks[k].sum((1, 2)) for k in ANATOMY}
    assert (x["liver"] < x["spleen"]).all() and (x["right kidney"] < x["left kidney"]).all()
    assert (y["liver"] < y["right kidney"]).all()
    for name in ANATOMY - {"body"}:
        assert ((masks[name] & ~masks["body"]).sum((1, 2)) == 0).all(), name


def test_hounsfield_units_are_right():
    batch = [s.with_(dose_mgy=25.0, findings=()) for s in CT.sample(6, 14)]
    pixels, masks = CT.render(batch, 160)[:, 0], CT.masks(batch, 160)
    body = masks["body"]
    assert (pixels[:, 0, 0] < -950).all() and (pixels * body).sum() / body.sum() > -80
    for i, scene in enumerate(batch):
        for name, low, high in (("liver", (40, 55, 85), (80, 100, 135)), ("aorta", (20, 200, 100), (70, 360, 190))):
            inside = pixels[i][masks[name][i]].median()
            assert low[scene.phase] < inside < high[scene.phase], (name, inside, scene.phase)


PLAIN = AbdomenScene(seed=5, patient=5, level=0.5, phase=1, dose_mgy=30.0)
VISIBLE = [
    (Finding("cirrhosis", amount=0.8), 0), (Finding("hepatic steatosis", amount=0.5), -1),
    (Finding("liver cyst", region="right lobe", measurement=30), -1),
    (Finding("hypervascular liver lesion", region="right lobe", measurement=25), 1),
    (Finding("liver metastases", amount=0.6), -1), (Finding("gallstones", amount=0.7), 1),
    (Finding("hydronephrosis", "left", amount=0.7), -1), (Finding("kidney stone", "right", measurement=9), 1),
    (Finding("renal cyst", "left", measurement=30), 0), (Finding("renal mass", "right", measurement=40), 0),
    (Finding("aortic calcification", amount=0.8), 1), (Finding("lymphadenopathy", amount=0.9), 1),
    (Finding("ascites", amount=0.7), 0), (Finding("free air", amount=0.6), -1),
]


@pytest.mark.parametrize(("finding", "sign"), VISIBLE, ids=lambda v: getattr(v, "mask_name", None))
def test_a_finding_shows_inside_its_mask(finding, sign):
    with_it = PLAIN.with_(findings=(finding,))
    change = (CT.truth([with_it], 128) - CT.truth([PLAIN], 128))[0]
    mask = CT.masks([with_it], 128)[finding.mask_name][0]
    inside, outside = change[mask], change[~mask]
    assert inside.abs().mean() > max(8.0, 3 * outside.abs().mean())
    assert sign == 0 or inside.mean().sign() == sign


def test_what_a_level_or_phase_cannot_show_is_refused():
    for kind, (low, high) in LEVELS.items():
        region = {"liver cyst": "right lobe", "hypervascular liver lesion": "right lobe"}.get(kind, "")
        size = {"measurement": 20.0} if region else {"amount": 0.5}
        for level in (low - 0.1, high + 0.1):
            if 0 <= level <= 1:
                with pytest.raises(SceneError, match=f"level is .*{kind} it must be a number from {low} to {high}"):
                    AbdomenScene(level=level, phase=1, findings=(Finding(kind, region=region, **size),))
    lesion = Finding("hypervascular liver lesion", region="right lobe", measurement=20.0)
    with pytest.raises(SceneError, match="phase is 2.*arterial"):
        AbdomenScene(level=0.3, findings=(lesion,))
    with pytest.raises(SceneError, match="level is 0.7.*left lobe.*to 0.5"):
        AbdomenScene(level=0.7, findings=(Finding("liver cyst", region="left lobe", measurement=20.0),))
    assert AbdomenScene(aorta_mm=30.0).all_findings == ()
    assert AbdomenScene(aorta_mm=45.0).find("aortic aneurysm").measurement == 45


def test_a_volume_is_one_patient_at_several_levels():
    scene = CT.draw(3).with_(findings=(Finding("gallstones", amount=0.5), Finding("ascites", amount=0.5)), level=0.5)
    volume = CT.volume(scene, 5, 0.5)
    assert [round(s.level, 3) for s in volume] == [0.25, 0.375, 0.5, 0.625, 0.75]
    assert volume[0].find("gallstones") is None and volume[2].find("gallstones")
    pixels = CT.truth(volume, 64)
    assert (pixels[0] - pixels[1]).abs().mean() < (pixels[0] - pixels[4]).abs().mean()


def test_dose_decides_the_noise_and_hospitals_the_look():
    low, high, best = CT.render([PLAIN.with_(dose_mgy=d) for d in (1.0, 8.0, 30.0)], 128)[:, 0]
    liver = CT.masks([PLAIN], 128)["liver"][0]
    assert (low - best)[liver].std() > 2 * (high - best)[liver].std() > 2
    home, away = CT.sample(4, 24), CT.sample(4, 24, hospital=1)
    assert sum(s.phase == 0 for s in away) > sum(s.phase == 0 for s in home)
    assert [s.spleen_mm for s in home] == [s.spleen_mm for s in away]


def test_the_picture_says_that_it_is_simulated():
    image = CT.image(CT.draw(1), 128)
    assert image.simulated and image.modality == "CT" and image.units == "HU" and "simulated" in image.source
    assert image.spacing_mm[0] == pytest.approx(CT.draw(1).fov_mm / 128)
