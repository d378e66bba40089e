"""The colour rule that tells stained micrographs from everything else in PathVQA."""

from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from medvlm_lab.datasets.micrographs import is_stained_micrograph

CLOTHS = ((20, 20, 25), (40, 80, 150), (60, 120, 110), (235, 235, 235), (120, 120, 125), (180, 200, 205))
TISSUES = (
    (150, 40, 35), (110, 30, 35), (180, 120, 90), (200, 150, 110), (90, 35, 30), (205, 165, 130), (120, 60, 70),
    (190, 110, 110), (175, 60, 75),
)


def accepted(picture):
    image = picture if isinstance(picture, Image.Image) else Image.open(picture)
    image = image.convert("RGB")
    image.thumbnail((432, 432))
    return is_stained_micrograph(np.asarray(image))


def specimen(seed, n=96):
    """A specimen of two mottled flesh colours on a photographer's cloth, unevenly lit, with wet highlights."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:n, :n] / n
    cloth, (one, two) = np.array(CLOTHS[rng.integers(len(CLOTHS))]), np.array(TISSUES)[rng.choice(len(TISSUES), 2)]
    radius = rng.uniform(0.25, 0.6, 2)
    inside = (((x - 0.5) / radius[0]) ** 2 + ((y - 0.5) / radius[1]) ** 2 < 1)[..., None]
    mottle = gaussian_filter(rng.normal(size=(n, n)), 4)[..., None]
    flesh = np.where(mottle > 0, one, two) + rng.normal(0, 12, (n, n, 1))
    highlight = 90 * (gaussian_filter(rng.normal(size=(n, n)), 2) > 0.3)[..., None] * inside
    light = 0.75 + 0.4 * x[..., None]
    return np.clip(np.where(inside, flesh, cloth) * light + highlight, 0, 255).astype(np.uint8)


def test_it_accepts_sections_stained_with_haematoxylin_and_eosin():
    skin = np.full((64, 64, 3), (240, 236, 242), np.uint8)  # background, eosin, haematoxylin
    skin[16:48], skin[24:32, ::3] = (224, 142, 186), (112, 78, 150)
    assert is_stained_micrograph(skin)


def test_it_refuses_specimens_on_cloth():
    assert sum(is_stained_micrograph(specimen(seed)) for seed in range(150)) <= 3


@pytest.mark.parametrize("level", [0, 127, 255])
def test_it_refuses_grey(level):
    assert not is_stained_micrograph(np.full((8, 8, 3), level, np.uint8))


def test_it_refuses_photographs():
    folder = Path(skimage.__file__).parent / "data"
    names = "astronaut.png chelsea.png coffee.png color.png hubble_deep_field.jpg retina.jpg rocket.jpg".split()
    assert [name for name in names if accepted(folder / name)] == []


def test_its_figures_on_real_data(real_data, real_micrographs):
    micrographs = sorted((real_micrographs / "images").glob("*.jpg"))
    radiographs = sorted((real_data / "vqa_rad" / "images").glob("*.jpg"))
    assert np.mean([accepted(path) for path in micrographs[::5]]) > 0.98  # 868 of all 871
    assert not any(accepted(path) for path in radiographs[::5])  # none of all 314
