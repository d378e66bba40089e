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


@pytest.mark.parametrize("modality", ["unknown", "X-ray", "CT"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.float32, np.float64, bool])
def test_a_constant_picture_shows_its_own_value(dtype, modality):
    shape = (9, 8)
    assert (MedicalImage.from_array(np.zeros(shape, dtype), modality).display() == 0).all()
    brightest = np.iinfo(dtype).max if np.dtype(dtype).kind in "ui" else 1
    assert (MedicalImage.from_array(np.full(shape, brightest, dtype), modality).display() == 255).all()
    if np.dtype(dtype).kind == "f":
        assert (MedicalImage.from_array(np.full(shape, 0.5, dtype), modality).display() == 128).all()
    assert (MedicalImage.from_array(np.full(shape, 100, np.uint8), modality).display() == 100).all()


def test_a_constant_ct_is_shown_in_the_window_of_the_abdomen():
    water = MedicalImage.from_array(np.zeros((4, 4), np.int16), "CT", units="HU")
    assert water.resolve_window() == WINDOW_PRESETS["CT"]["abdomen"] and (water.display() == 96).all()


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(st.sampled_from([np.int64, np.uint64, np.float64, np.float32]), (5, 6)))
def test_wide_numbers_are_kept_and_shown(array):
    if array.dtype.kind == "f":
        array = np.where(np.isfinite(array), array, 0)
        array = array.clip(-1e300, 1e300) if array.dtype == np.float64 else array
    image = MedicalImage.from_array(array)
    expected = array if image.pixels.dtype == array.dtype else array.astype(np.float32)
    assert np.array_equal(image.pixels[0], expected)
    shown, order = image.display()[..., 0].ravel().astype(int), np.argsort(expected.ravel(), kind="stable")
    assert (np.diff(shown[order]) >= 0).all()


@pytest.mark.parametrize("value", [np.int32(1000), -5.0, 2**40])
def test_colours_out_of_range_are_refused(value):
    with pytest.raises(ImageReadError, match="expected 0 to 1, 0 to 255 or 16-bit"):
        MedicalImage.from_array(np.full((4, 4, 3), value))


def test_whole_numbers_out_of_range_are_no_rounding():
    for value in (-1, 256):
        with pytest.raises(ImageReadError, match="colours from"):
            MedicalImage.from_array(np.full((4, 4, 3), value, np.int32))


def test_colours_that_overshoot_a_little_stay_bright():
    assert MedicalImage.from_array(np.full((4, 4, 3), 1.0000002)).pixels.max() == 255
    assert MedicalImage.from_array(np.full((4, 4, 3), 200, np.uint16)).pixels.max() == 200


def test_boxes_and_masks_are_stretched_with_the_picture():
    pixels = np.full((40, 20), 255, np.uint8)
    image = MedicalImage.from_array(pixels, spacing_mm=(1, 2), burned_in=((0, 0, 20, 4),))
    shown = np.asarray(image.pil())
    assert shown.shape == (40, 40, 3) and (shown[:4] == shown[0, 0]).all() and (shown[4:] == 255).all()
    mask = np.zeros((40, 20), bool)
    mask[10:20, 5:10] = True
    assert np.array_equal(image.stretched(mask), np.repeat(mask, 2, axis=1))
    assert (image.picture() == 255).all()  # a model gets what is under the box


def test_the_frame_that_models_read_is_shown():
    volume = MedicalImage.from_array(np.arange(7, dtype=np.uint8)[:, None, None] * np.ones((7, 70, 70), np.uint8) * 36)
    assert volume.reading_frame == 3 and not volume.cine and volume.with_(modality="echo").cine
    still = volume.still()
    assert still.frames == 1 and np.array_equal(still.display(), volume.display(3))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(volume._repr_png_()))), volume.display(3))
