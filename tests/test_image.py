"""Pixels, windowing and limits of MedicalImage."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from medvlm_lab.errors import ImageReadError, UnknownNameError
from medvlm_lab.image import COVER, WINDOW_PRESETS, MedicalImage, check_size

grey = hnp.arrays(np.int16, st.tuples(st.integers(1, 12), st.integers(4, 12)))


@settings(max_examples=40, deadline=None)
@given(grey, st.floats(-2000, 2000), st.floats(1, 5000), st.booleans())
def test_windowing_is_monotone(array, center, width, inverted):
    image = MedicalImage.from_array(array, inverted=inverted)
    shown = image.display(window=(center, width))[..., 0].astype(int)
    steps = np.diff(shown.ravel()[np.argsort(array.ravel(), kind="stable")])
    assert (steps <= 0).all() if inverted else (steps >= 0).all()


def test_window_maps_its_edges_and_center():
    image = MedicalImage.from_array(np.array([[-160, 40, 240, 900]], np.int16), "CT")
    assert image.display(window="mediastinum")[0, :, 0].tolist() == [0, 128, 255, 255]
    with pytest.raises(UnknownNameError, match="'lung'"):
        image.display(window="lungs")
    assert {"lung", "bone", "brain", "abdomen"} <= set(WINDOW_PRESETS["CT"])


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((5, 6), (1, 5, 6)),
        ((5, 6, 3), (1, 5, 6, 3)),
        ((5, 6, 4), (1, 5, 6, 3)),
        ((2, 5, 6), (2, 5, 6)),
        ((2, 5, 6, 3), (2, 5, 6, 3)),
        ((1, 1), (1, 1, 1)),
    ],
)
def test_from_array_shapes(shape, expected):
    image = MedicalImage.from_array(np.zeros(shape, np.uint8))
    assert image.pixels.shape == expected
    assert image.display().shape == (image.height, image.width, 3) and image.display().dtype == np.uint8


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.0, np.nan]]),
        np.array([[np.inf, 1.0]]),
        np.zeros((0, 4)),
        np.zeros(3),
        np.array([["a"]]),
        np.full((2, 2, 3), np.nan),
    ],
)
def test_unusable_arrays_are_refused(array):
    with pytest.raises(ImageReadError):
        MedicalImage.from_array(array)


def test_oversized_states_the_limit():
    with pytest.raises(ImageReadError, match="100,000,000"):
        check_size(20_000, 20_000)
    with pytest.raises(ImageReadError, match="100,000,000"):
        MedicalImage(pixels=np.broadcast_to(np.uint8(0), (1, 20_000, 20_000)))


def test_frame_out_of_range_and_notebook_picture():
    image = MedicalImage.from_array(np.zeros((2, 4, 5), np.uint8))
    with pytest.raises(ImageReadError, match="Frame 2"):
        image.display(2)
    assert Image.open(io.BytesIO(image._repr_png_())).size == (5, 4)


def test_kept_pictures_cover_burned_in_text_and_models_get_the_pixels():
    image = MedicalImage.from_array(np.full((40, 60), 200, np.uint8), window=(127.5, 255), burned_in=((0, 0, 60, 4),))
    shown = np.asarray(image.pil())
    assert (shown[:4] == COVER).all() and (shown[4:] == 200).all() and (image.display() == 200).all()
    assert (image.covered(np.zeros((10, 15, 3), np.uint8))[0] == COVER).all()  # boxes follow a smaller picture
    png = np.asarray(Image.open(io.BytesIO(image._repr_png_())))
    assert (png[:4] == COVER).all()
    everything = image.with_(burned_in=())
    assert (np.asarray(everything.pil()) == 200).all()
