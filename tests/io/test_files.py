"""NIfTI, raster and NumPy files; damaged bytes of every kind."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydicom.data import get_testdata_file

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io import read


@settings(max_examples=24, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_nifti_orientation_does_not_matter(tmp_path_factory, order, signs):
    ras = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    stored = nib.Nifti1Image(ras, np.diag([1, 2, 3, 1])).as_reoriented(np.array(list(zip(order, signs, strict=True))))
    file = tmp_path_factory.mktemp("nii") / "v.nii.gz"
    nib.save(stored, file)
    image = read(file)
    assert image.pixels.shape == (5, 4, 3) and image.spacing_mm == (2, 1)
    assert image.pixels[0, 0, 0] == ras[2, 3, 0]  # top left: the patient's right, front


@settings(max_examples=15, deadline=None)
@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), st.tuples(st.integers(1, 9), st.integers(5, 9))))
def test_round_trips(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("round")
    Image.fromarray(array).save(folder / "a.png")
    np.save(folder / "a.npy", array)
    for name in ("a.png", "a.npy"):
        assert np.array_equal(read(folder / name).pixels[0], array)


@pytest.mark.parametrize("suffix", ["dcm", "jpeg", "rle", "png", "nii.gz", "npy", "tif"])
def test_damaged_files_fail_in_one_sentence(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 255, (16, 17), dtype=np.uint8)
    file = tmp_path / f"x.{suffix}"
    real = {"dcm": "CT_small.dcm", "jpeg": "JPEG2000.dcm", "rle": "MR_small_RLE.dcm"}
    if suffix in real:
        good = open(get_testdata_file(real[suffix], download=False), "rb").read()
        file = tmp_path / "x.dcm"
    else:
        if suffix == "npy":
            np.save(file, pixels)
        elif suffix == "nii.gz":
            nib.save(nib.Nifti1Image(pixels[..., None], np.eye(4)), file)
        else:
            Image.fromarray(pixels).save(file)
        good = file.read_bytes()
    random = np.random.default_rng(len(suffix))
    for case in range(10):
        bad = bytearray(good)
        if case < 5:
            bad = bad[: int(len(bad) * case / 5)]
        else:
            for _ in range(8):
                bad[random.integers(len(bad))] ^= 1 << int(random.integers(8))
        file.write_bytes(bytes(bad))
        try:
            assert isinstance(read(file), MedicalImage)  # a flipped pixel is still an image
            assert case >= 5, f"truncated to {len(bad)} of {len(good)} bytes was accepted"
        except ImageReadError as error:
            assert len(str(error)) < 400 and "\n" not in str(error)


def test_nan_unknown_missing_and_oversized(tmp_path):
    np.save(tmp_path / "nan.npy", np.array([[np.nan, 1.0]]))
    (tmp_path / "notes.txt").write_text("hello")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "big.png")
    for name, word in (("nan.npy", "NaN"), ("notes.txt", "not an image"), ("none.png", "opened"), ("big.png", "limit")):
        with pytest.raises(ImageReadError, match=word):
            read(tmp_path / name)


def test_eight_bit_grey_is_shown_as_it_was_saved(tmp_path):
    grey = np.arange(40, 104, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read(tmp_path / "grey.png").display()[..., 0], grey)
