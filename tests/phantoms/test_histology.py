"""Simulated H&E: the same seed gives the same pixels, stains unmix, and masks count what the scene says."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2hed

import medvlm_lab as lab
from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.base import Finding
from medvlm_lab.phantoms.export import Export
from medvlm_lab.phantoms.histology_masks import ANATOMY
from medvlm_lab.phantoms.histology_scene import HistologyScene

SLIDE = phantom("histology")
SPECS = [f for f in dataclasses.fields(HistologyScene) if "low" in f.metadata and f.name != "seed"]


@st.composite
def scenes(draw):
    """Any scene that the validation lets through, however odd."""
    numbers = {}
    for f in SPECS:
        kind = st.integers if isinstance(f.default, int) else st.floats
        numbers[f.name] = draw(kind(f.metadata["low"], f.metadata["high"]))
    return SLIDE.draw(draw(st.integers(0, 2**40))).with_(**numbers)


@given(scenes())
@settings(max_examples=12, deadline=None)
def test_any_valid_scene_renders_and_shows_its_findings(scene):
    pixels, masks = SLIDE.render([scene], 64), SLIDE.masks([scene], 128)
    assert pixels.shape == (1, 3, 64, 64) and pixels.dtype == torch.float32
    assert torch.isfinite(pixels).all() and 0 <= pixels.min() and pixels.max() <= 1
    assert torch.allclose(pixels * 255, (pixels * 255).round(), atol=1e-4)
    assert {f.mask_name for f in scene.all_findings} == {
        name for name, mask in masks.items() if name not in ANATOMY and mask.any()
    }


@pytest.mark.parametrize("size", [64, 75])
def test_pixels_and_masks_do_not_depend_on_the_batch(size):
    batch = SLIDE.sample(8, 9)
    together, masks = SLIDE.render(batch, size), SLIDE.masks(batch, size)
    assert torch.equal(SLIDE.render(batch[::-1], size).flip(0), together)
    for i in (0, 5, 8):
        assert torch.equal(together[i : i + 1], SLIDE.render([batch[i]], size)), i
        alone = SLIDE.masks([batch[i]], size)
        assert all(torch.equal(mask[i], alone[name][0]) for name, mask in masks.items())


def test_every_stated_finding_has_a_mask_and_none_unstated():
    batch = SLIDE.sample(21, 110)
    masks = SLIDE.masks(batch, 128)
    there = {name: mask.flatten(1).any(1).tolist() for name, mask in masks.items() if name not in ANATOMY}
    for i, scene in enumerate(batch):
        assert {f.mask_name for f in scene.all_findings} == {name for name, found in there.items() if found[i]}, scene
    assert all(any(found) and not all(found) for found in there.values())
    shown = {(s.organ, s.diagnosis) for s in batch}
    assert len(shown) == 8 and {s.objective for s in batch} == {"10x", "20x", "40x"}
    assert {s.grade for s in batch} == {"", "low", "intermediate", "high"}


def test_measurements_on_masks_agree():
    batch = [s for s in SLIDE.sample(31, 90) if s.mitoses or s.necrotic][:22]
    measured = SLIDE.measure(batch, SLIDE.masks(batch, 400))
    for i, scene in enumerate(batch):
        assert measured["mitoses"][i] == scene.mitoses, scene
        if scene.necrotic:
            assert abs(measured["necrosis_percent"][i] / scene.necrosis_percent - 1) < 0.03, scene
    crowded = SLIDE.measure(many := [s.with_(mitoses=12) for s in batch[:6]], SLIDE.masks(many, 256))
    assert (crowded["mitoses"] == 12).all()
    assert measured["necrosis_percent"].isnan().any() or all(s.diagnosis > 1 for s in batch)


@pytest.mark.parametrize("organ", [0, 1])
def test_nuclei_measure_what_the_scene_says(organ):
    """Where nuclei do not overlap; crowded ones hide parts of each other, as on a slide."""
    plain = [HistologyScene(organ=organ, patient=p, field_um=300.0) for p in (1, 2)]
    large = [s.with_(nuclear_area_um2=60.0) for s in plain]
    varied = [s.with_(nuclear_variation=0.5) for s in plain]
    read = [SLIDE.measure(s, SLIDE.masks(s, 512)) for s in (plain, large, varied)]
    assert (abs(read[0]["nuclear_area_um2"] / 36 - 1) < 0.12).all()
    assert (read[1]["nuclear_area_um2"] > 1.35 * read[0]["nuclear_area_um2"]).all()
    assert (read[2]["nuclear_area_variation"] > 1.8 * read[0]["nuclear_area_variation"]).all()
    assert (read[0]["nuclei_per_mm2"] > 1000).all()


def test_the_same_structures_at_every_size():
    batch = SLIDE.sample(6, 8)
    fine, coarse = SLIDE.masks(batch, 256), SLIDE.masks(batch, 128)
    for name in ("epithelium", "lumen", "stroma", "fat", "tissue"):
        shares = [m[name].float().mean((1, 2)) for m in (fine, coarse)]
        assert (abs(shares[0] - shares[1]) < 0.03).all(), name
    small = torch.nn.functional.avg_pool2d(SLIDE.render(batch, 256), 2)
    assert (small - SLIDE.render(batch, 128)).abs().mean() < 0.04


def test_unmixing_the_picture_finds_the_nuclei():
    """Ruifrok and Johnston's vectors, as scikit-image has them, on pictures of the home laboratory."""
    for scene in SLIDE.sample(4, 8):
        blue = rgb2hed(SLIDE.image(scene, 384).pixels[0])[..., 0]
        nuclei = SLIDE.masks([scene], 384)["nuclei"][0].numpy()
        dark, light = blue[nuclei], blue[~nuclei]
        assert np.median(dark) > 1.6 * np.median(light) > 0
        rank = np.searchsorted(np.sort(light), dark) / light.size
        assert rank.mean() > 0.87  # area under the curve


def test_tissue_lies_where_it_belongs():
    batch = SLIDE.sample(2, 24)
    masks, pixels = SLIDE.masks(batch, 200), SLIDE.render(batch, 200)
    assert not (masks["epithelium"] & (masks["stroma"] | masks["lumen"])).any()
    assert not (masks["epithelial nuclei"] & ~masks["nuclei"]).any()
    for i, scene in enumerate(batch):
        empty, cells = masks["lumen"][i] & ~masks["nuclei"][i], masks["nuclei"][i]
        if scene.hospital == 0 and empty.sum() > 200:
            assert pixels[i].mean(0)[empty].median() > 0.85 > pixels[i].mean(0)[cells].median() + 0.15
        assert masks["fat"][i].any() <= (scene.organ == 0)


PLAIN = {d: HistologyScene(seed=5, patient=5, diagnosis=d, field_um=420.0) for d in range(4)}
VISIBLE = [
    (PLAIN[2], {"necrosis_percent": 20.0}, "necrosis"), (PLAIN[3], {"desmoplasia": 0.9}, "desmoplastic stroma"),
    (PLAIN[2], {"mitoses": 4}, "mitoses"), (PLAIN[3], {"nuclear_variation": 0.5}, "nuclear pleomorphism"),
    (PLAIN[0], {"findings": (Finding("lymphocytic infiltrate", amount=0.5),)}, "lymphocytic infiltrate"),
    (PLAIN[1], {"findings": (Finding("calcification", amount=0.8),)}, "calcification"),
]  # fmt: skip


@pytest.mark.parametrize(("scene", "change", "name"), VISIBLE, ids=lambda v: v if isinstance(v, str) else None)
def test_a_finding_shows_inside_its_mask(scene, change, name):
    with_it = scene.with_(**change)
    assert with_it.find(name) and not scene.find(name)
    changed = (SLIDE.stains([with_it], 256) - SLIDE.stains([scene], 256))[0].abs().sum(0)
    mask = SLIDE.masks([with_it], 256)[name][0]
    assert changed[mask].mean() > max(0.08, 2.5 * changed[~mask].mean())


def test_one_field_has_one_diagnosis():
    for d, kind in enumerate(("benign hyperplasia", "in situ carcinoma", "invasive carcinoma"), 1):
        assert PLAIN[d].all_findings == (Finding(kind),)
        with pytest.raises(SceneError, match=f"{kind} follows from the scene's numbers"):
            HistologyScene(findings=(Finding(kind),))
    assert PLAIN[0].all_findings == () == PLAIN[0].with_(necrosis_percent=20.0, desmoplasia=0.9).all_findings
    assert PLAIN[2].with_(necrosis_percent=20.0).find("necrosis").severity == "moderate"
    with pytest.raises(SceneError, match="diagnosis is 4; it must be a whole number from 0 to 3"):
        HistologyScene(diagnosis=4)


def test_grade_follows_the_nottingham_score():
    best = PLAIN[3].with_(gland_formation=0.9, mitoses=0)
    worst = PLAIN[3].with_(gland_formation=0.0, nuclear_variation=0.5, mitoses=6)
    assert (best.grade, worst.grade, PLAIN[1].grade) == ("low", "high", "")
    assert [s.grade_step for s in (PLAIN[1], best, worst)] == [0, 1, 3]
    assert PLAIN[2].grade == "low" and PLAIN[2].with_(necrosis_percent=10.0).grade == "intermediate"


def test_hospitals_stain_differently_and_keep_the_tissue():
    home, away = SLIDE.sample(4, 10), SLIDE.sample(4, 10, hospital=1)
    assert [s.nuclear_area_um2 for s in home] == [s.nuclear_area_um2 for s in away]
    red = [SLIDE.render(batch, 96).mean((2, 3)) for batch in (home, away)]
    assert (red[1][:, 0] - red[1][:, 2]).mean() < (red[0][:, 0] - red[0][:, 2]).mean() - 0.03


@pytest.mark.parametrize("format_", ["png", "dicom"])
def test_colour_pictures_are_exported_and_read_back(tmp_path, format_):
    folder = Export("histology", 2, tmp_path / "out", format_, 96).run(False)
    study = json.loads((folder / "studies.jsonl").read_text().splitlines()[0])
    image = lab.read(folder / study["image"])
    rendered = SLIDE.render([SLIDE.draw(study["scene"]["seed"])], 96)[0].permute(1, 2, 0).numpy()
    assert image.pixels.shape == (1, 96, 96, 3) and image.simulated
    assert np.array_equal(image.pixels[0], np.rint(rendered * 255))
    if format_ == "png":
        assert Image.open(folder / study["image"]).mode == "RGB"
    else:
        assert image.modality == "histology" and image.spacing_mm is not None


def test_the_picture_says_that_it_is_simulated():
    image = SLIDE.image(SLIDE.draw(1), 128)
    assert image.simulated and image.modality == "histology" and image.pixels.shape == (1, 128, 128, 3)
    assert "simulated" in image.source and image.spacing_mm[0] == pytest.approx(SLIDE.draw(1).field_um / 128000)
