"""Values, polarity and proportions of NIfTI, TIFF, PNG and arrays; sources that are no path."""

import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydicom.data import get_testdata_file

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io import read

GREY = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "f4", "f8"])
def test_tiff_keeps_values_and_polarity(tmp_path, dtype, photometric):
    array = (GREY // 2 - 60).astype(dtype) if dtype[0] != "u" else (GREY * (np.iinfo(dtype).max // 255)).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", array, photometric=photometric)
    image = read(tmp_path / "x.tif")
    first, last = image.display()[[0, -1], [0, -1], 0]
    assert (first > last) == (photometric == "miniswhite")
    if (dtype, photometric) != ("u1", "miniswhite"):  # which Pillow inverts itself
        assert np.array_equal(image.pixels[0], array)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(st.sampled_from([np.int64, np.uint64, np.uint32, np.int32, np.float64]), (5, 6, 7)))
def test_nifti_and_arrays_never_wrap(tmp_path_factory, volume):
    if volume.dtype.kind == "f":
        volume = np.where(np.isfinite(volume), volume, 0)
    file = tmp_path_factory.mktemp("wide") / "v.nii"
    nib.save(nib.Nifti1Image(volume, np.diag([-1, -1, 1, 1]), dtype=volume.dtype), file)
    for pixels in (read(file).pixels, MedicalImage.from_array(volume.transpose(2, 1, 0)).pixels):
        expected = volume.transpose(2, 1, 0)
        if pixels.dtype == np.float32:
            expected = expected.astype(np.float32)
        assert pixels.dtype == expected.dtype and np.array_equal(pixels, expected)


def test_nan_outside_the_body_is_dark(tmp_path):
    volume = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    volume[0] = np.nan
    volume[1, 0, 0] = np.inf
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "t.nii.gz")
    image = read(tmp_path / "t.nii.gz")
    low, high = np.percentile(volume[np.isfinite(volume)], (1, 99))
    center, width = image.resolve_window()
    assert (center - width / 2, center + width / 2) == pytest.approx((low, high), abs=1e-5)
    assert (image.display(3)[:, -1] == 0).all()  # x = 0 is the patient's left, at the right of the picture
    nib.save(nib.Nifti1Image(np.full((3, 3, 3), np.nan, np.float32), np.eye(4)), tmp_path / "n.nii")
    with pytest.raises(ImageReadError, match="holds no number"):
        read(tmp_path / "n.nii")
    flat = np.array([[np.nan, 1.0, 2.0]])
    with pytest.raises(ImageReadError, match="fill_nan=True"):
        MedicalImage.from_array(flat)
    assert MedicalImage.from_array(flat, fill_nan=True).display()[0, :, 0].tolist()[::2] == [0, 255]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3), st.tuples(*[st.sampled_from([1, 3])] * 3))
def test_nifti_proportions_and_letters_follow_the_affine(tmp_path_factory, order, signs, zooms):
    ras = np.zeros((12, 12, 4), np.int16)
    stored = nib.Nifti1Image(ras, np.diag([*zooms, 1])).as_reoriented(np.array(list(zip(order, signs, strict=True))))
    file = tmp_path_factory.mktemp("nii") / "v.nii"
    nib.save(stored, file)
    image = read(file)
    assert image.orientation == ("L", "P") and image.spacing_mm == (zooms[1], zooms[0])
    finer = min(zooms[:2])
    assert image.pil().size == (12 * zooms[0] // finer, 12 * zooms[1] // finer)
    stored.header["sform_code"], stored.header["qform_code"] = 0, 0
    nib.save(nib.Nifti1Image(ras, None), file)
    assert read(file).orientation is None


def test_unequal_dots_per_inch_make_tall_pixels(tmp_path):
    Image.fromarray(GREY.astype(np.uint8)).save(tmp_path / "fax.png", dpi=(200, 100))
    image = read(tmp_path / "fax.png")
    assert image.pixel_aspect == pytest.approx(2, rel=0.01) and image.pil().size == (16, 32)


def test_a_stretched_picture_has_a_bound():
    image = MedicalImage.from_array(np.zeros((300, 300), np.uint8), spacing_mm=(0.01, 10.0))
    assert image.picture_size == (4, 4096)


@pytest.mark.parametrize("name", ["CT_small.dcm", "a.png", "b.tif", "c.npy", "d.nii", "e.nii.gz"])
def test_bytes_and_open_files_are_read_as_the_path_is(tmp_path, name):
    path = Path(get_testdata_file(name, download=False)) if name.endswith("dcm") else tmp_path / name
    if name.endswith(("png", "tif")):
        Image.fromarray(GREY.astype(np.uint8)).save(path)
    elif name.endswith("npy"):
        np.save(path, GREY)
    elif "nii" in name:
        nib.save(nib.Nifti1Image(GREY[..., None].astype(np.int16), np.eye(4)), path)
    expected = read(path)
    with path.open("rb") as file:
        found = [read(path.read_bytes()), read(io.BytesIO(path.read_bytes())), read(file)]
    for image in found:
        assert np.array_equal(image.pixels, expected.pixels) and image.orientation == expected.orientation
        assert image.modality == expected.modality and image.name == expected.name
    with pytest.raises(ImageReadError):
        read(path.read_bytes()[: path.stat().st_size // 8])


def test_arrays_and_pillow_images_are_read():
    colours = np.dstack([GREY, GREY, GREY[::-1]]).astype(np.uint8)
    for source in (colours, Image.fromarray(colours)):
        image = read(source, modality="fundus")
        assert image.modality == "fundus" and np.array_equal(image.pixels[0], colours)
    grey = read(Image.fromarray(GREY.astype(np.uint8)))
    assert np.array_equal(grey.display()[..., 0], GREY)
    assert read(image) is image and read(GREY).pixels.shape == (1, 16, 16)
    for wrong in (None, 7, {"a": 1}, io.StringIO("text"), b"", b"hello there", object(), [[1, 2], [3]]):
        with pytest.raises(ImageReadError):
            read(wrong)
