"""Which frame a model reads, and that pixels which are not square reach it in their true proportions."""

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.preprocess import frames_read, square_of

STILL = {"vit-bert-vqa": "unknown", "chexzero": "X-ray", "clinical-blip": "X-ray", "flamingo-cxr": "X-ray",
         "prompt-segmenter": "X-ray"}  # fmt: skip


@pytest.fixture(scope="module")
def models():
    return {name: lab.load(name) for name in (*STILL, "echo-clip", "pathology-vlm")}


def picture(seed=0, shape=(96, 96)):
    xray = lab.phantom("chest-xray")
    image = xray.image(xray.draw(seed), shape[0])
    return np.rint(image.pixels[0] * 255).astype(np.uint8)


def seen(model, image):
    if model.name == "prompt-segmenter":
        return model.pixels(image)
    return model.pixels([image])


@pytest.mark.parametrize("name", STILL)
def test_a_still_model_reads_the_middle_frame(models, name):
    frames, model = np.stack([picture(seed) for seed in range(3)]), models[name]
    window = {"window": (127.5, 255.0)}
    middle = MedicalImage.from_array(frames[1], STILL[name], **window)
    for fps in (None, 25.0):
        whole = MedicalImage.from_array(frames, STILL[name], fps=fps, **window)
        torch.testing.assert_close(seen(model, whole), seen(model, middle))
    if name == "prompt-segmenter":
        found, alone = (model.segment(image, "the right lung").pixels for image in (whole, middle))
        assert found.any() and np.array_equal(found, alone)
    assert model.trace(whole, "heart").view.frame == 1


def test_a_model_of_cines_reads_evenly_spaced_frames_of_a_cine_and_the_middle_of_a_volume(models):
    frames = np.zeros((30, 40, 40), np.uint8)
    cine, volume = MedicalImage.from_array(frames, "echo"), MedicalImage.from_array(frames, "unknown")
    assert frames_read([cine], 12) == [np.linspace(0, 29, 12).round().astype(int).tolist()]
    assert frames_read([volume, cine.still()], 12) == [[15], [0]] and frames_read([cine], 1) == [[15]]
    assert frames_read([volume, cine], 3) == [[15, 15, 15], [0, 14, 29]] and frames_read([], 3) == []
    assert models["echo-clip"].pixels([cine]).shape[1] == 12


@pytest.mark.parametrize("name", [*STILL, "pathology-vlm"])
def test_models_get_square_pixels(models, name):
    flat = MedicalImage.from_array(
        picture()[::3], STILL.get(name, "unknown"), spacing_mm=(3, 1), window=(127.5, 255.0)
    )
    square, model = MedicalImage.from_array(flat.picture(), flat.modality), models[name]
    assert square.pixels.shape == (1, 96, 96, 3)
    if name == "pathology-vlm":
        box = model.trace(flat, "is there a tumor?").view
        other = model.trace(square, "is there a tumor?").view
    else:
        torch.testing.assert_close(seen(model, flat), seen(model, square))
        box, other = (model.trace(image, "heart").view for image in (flat, square))
    assert box.size == (32, 96) and np.allclose(np.array(box.box) * (3, 1, 3, 1), other.box)


def test_masks_and_maps_stay_in_the_image_s_own_pixels(models):
    model = models["prompt-segmenter"]
    flat = MedicalImage.from_array(picture()[::3], "X-ray", spacing_mm=(3, 1), window=(127.5, 255.0))
    square = MedicalImage.from_array(flat.picture(), "X-ray")
    found, whole = (model.segment(image, "the right lung").pixels for image in (flat, square))
    assert found.shape == (32, 96) and whole.any()
    agree = flat.stretched(found)
    assert (agree & whole).sum() / (agree | whole).sum() > 0.9
    shown = lab.explain.explain("prompt-cam", models["chexzero"], flat, "the heart is enlarged")
    assert shown.values.shape == (32, 96) and shown.overlay().shape == (32, 96, 3)


def test_black_is_black_to_a_model():
    assert square_of(MedicalImage.from_array(np.zeros((3, 30, 40), np.uint16)), 32).max() == 0
