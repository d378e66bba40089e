"""DICOM as it is shown: pydicom is the oracle for tables and windows, the standard for directions and padding."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

import medvlm_lab as lab
from medvlm_lab.errors import ImageReadError, UnknownNameError
from medvlm_lab.io import read
from medvlm_lab.orientation import directions, edges, turn_for

RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16)


def item(**values):
    data = Dataset()
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def dicom(pixels, photometric="MONOCHROME2", modality="DX", stored=None, **values):
    data = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
    for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "WindowCenter", "WindowWidth"):
        del data[keyword]
    data.set_pixel_data(pixels, photometric, stored or pixels.dtype.itemsize * 8)
    data.Modality = modality
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return data


def written(data, folder, name="x.dcm"):
    data.save_as(folder / name)
    return read(folder / name)


def table(values, bits=16, first=0):
    made = item(LUTDescriptor=[len(values), first, bits], LUTData=[int(v) for v in values])
    made["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    made["LUTData"].VR = "US"
    return [made]


def most_of(data, values):
    """(least, most) of pydicom's output, as PS3.3 defines it: the table's or the stored bits' range."""
    if data.get("VOILUTSequence"):
        return 0, 2 ** int(data.VOILUTSequence[0].LUTDescriptor[2]) - 1
    if data.get("ModalityLUTSequence"):
        return 0, 2 ** int(data.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = data.BitsStored
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if data.PixelRepresentation else (0, 2**bits - 1)
    slope, intercept = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def pydicoms(data):
    """pydicom's grey levels, 0 to 255, before rounding; None where the file has no window and no table."""
    if not (data.get("VOILUTSequence") or "WindowCenter" in data):
        return None
    values = apply_modality_lut(data.pixel_array, data)
    whole = values.astype(np.int64) if np.array_equal(values, np.floor(values)) else values
    shown = apply_voi_lut(whole, data).astype(float)
    low, high = most_of(data, values)
    grey = (shown - low) / (high - low) * 255
    return 255 - grey if data.PhotometricInterpretation == "MONOCHROME1" else grey


def files():
    folders = {Path(get_testdata_file(n, download=False)).parent for n in ("CT_small.dcm", "RG1_UNCI.dcm")}
    return sorted(f for folder in folders for f in folder.rglob("*") if f.is_file() and f.stat().st_size < 4e7)


def test_display_equals_pydicoms_for_every_sample_with_a_window_or_table():
    """Within half a grey level and its rounding: pydicom maps to the stored range first, we to 0 … 255 at once."""
    compared = 0
    for file in files():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data = pydicom.dcmread(file)
                if not str(data.get("PhotometricInterpretation")).startswith("MONOCHROME"):
                    continue
                expected = pydicoms(data)
            except Exception:  # no image, or none that pydicom reads
                continue
            if expected is None:
                continue
            image = read(file)
        plane = directions(data.get("ImageOrientationPatient") or ())
        if plane is not None:
            expected = turn_for(*plane).pixels(expected[None])[0]
        elif file.name.startswith("RG3"):
            expected = expected[:, ::-1]
        shown = image.display()[..., 0]
        there = np.ones(shown.shape, bool) if image.padding is None else shown != 0
        assert np.abs(shown - expected)[there].max() <= 0.5 + 1e-3, file
        compared += 1
    assert compared > 60


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([8, 10, 12, 16]), st.integers(2, 300), st.integers(-20, 200), st.booleans(), st.randoms(),
    st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
)
def test_generated_tables_equal_pydicoms(tmp_path_factory, bits, count, first, modality, random, photometric):
    values = [random.randrange(2**bits) for _ in range(count)]
    if modality and bits not in (8, 16):
        bits, values = 16, [v * 16 for v in values]  # pydicom reads these alone
    stored = RAMP.astype(np.int16) - 60 if first < 0 else RAMP
    which = "ModalityLUTSequence" if modality else "VOILUTSequence"
    extra = {"WindowCenter": 90, "WindowWidth": 120} if modality else {}
    data = dicom(stored, photometric, **{which: table(values, bits, first)}, **extra)
    image = written(data, tmp_path_factory.mktemp("table"))
    assert np.array_equal(image.pixels[0], apply_modality_lut(stored, data))
    assert np.abs(image.display()[..., 0] - pydicoms(data)).max() <= 0.5 + 1e-3


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", None]), st.floats(-500, 700).map(lambda x: round(x, 3)),
    st.floats(1, 900).map(lambda x: round(x, 3)), st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    st.sampled_from([(1, 0), (2, -100), (0.25, 3.5)]),
)
def test_generated_windows_equal_pydicoms(tmp_path_factory, function, center, width, photometric, rescale):
    more = {} if function is None else {"VOILUTFunction": function}
    data = dicom(RAMP, photometric, WindowCenter=center, WindowWidth=width, **more)
    data.RescaleSlope, data.RescaleIntercept = rescale
    image = written(data, tmp_path_factory.mktemp("window"))
    assert np.abs(image.display()[..., 0] - pydicoms(data)).max() <= 0.5 + 2e-3
    assert np.array_equal(image.display(window=image.window), image.display())


def test_the_modality_table_of_angiography_is_not_shown(tmp_path):
    data = dicom(RAMP, modality="XA", ModalityLUTSequence=table(range(255, -1, -1)))
    assert np.array_equal(written(data, tmp_path).pixels[0], RAMP)


def test_presentation_shape_inverse_inverts_once(tmp_path):
    plain = written(dicom(RAMP, WindowCenter=128, WindowWidth=256), tmp_path).display()
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        data = dicom(RAMP, kind, WindowCenter=128, WindowWidth=256, PresentationLUTShape="INVERSE")
        assert np.array_equal(written(data, tmp_path).display(), 255 - plain)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_out_of_the_window(tmp_path, kind):
    pixels = np.full((64, 64), -2000, np.int16)
    pixels[8:56, 8:56] = np.linspace(100, 200, 48).astype(np.int16)
    pixels[0] = -1990
    data = dicom(pixels, kind, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980)
    data.RescaleSlope, data.RescaleIntercept = 2, 10
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        data[keyword].VR = "SS"
    image = written(data, tmp_path)
    shown = image.display()[..., 0]
    assert (shown[:8] == 0).all() and np.ptp(shown[8:56, 8:56]) == 255
    center, width = image.resolve_window()
    assert 200 < center - width / 2 < 220 and 400 < center + width / 2 < 420
    data["PixelPaddingValue"].VR, data["PixelPaddingValue"].value = "US", 2**16 - 2000  # as some scanners write it
    data["PixelPaddingRangeLimit"].VR, data["PixelPaddingRangeLimit"].value = "US", 2**16 - 1980
    assert written(data, tmp_path).padding == image.padding


def frames_of(*entries, stored=(100, 300, 200), **more):
    groups = [item(**{k: [v] for k, v in entry.items()}) for entry in entries]
    pixels = np.stack([np.full((8, 8), v, np.uint16) for v in stored])
    return dicom(pixels, modality="MR", PerFrameFunctionalGroupsSequence=groups, **more)


def test_frames_are_sorted_by_place_and_keep_their_windows(tmp_path):
    data = frames_of(*(
        {"PlanePositionSequence": item(ImagePositionPatient=[0, 0, z]),
         "FrameVOILUTSequence": item(WindowCenter=c, WindowWidth=51)} for z, c in ((0, 100), (20, 300), (10, 200))
    ))  # fmt: skip
    image = written(data, tmp_path)
    assert image.pixels[:, 0, 0].tolist() == [100, 200, 300]
    assert {int(image.display(k)[0, 0, 0]) for k in range(3)} == {130}
    still = image.still(2)
    assert still.frames == 1 and np.array_equal(still.display(), image.display(2))


def test_frames_of_one_place_are_sorted_by_dimension_index(tmp_path):
    entries = [
        {"PlanePositionSequence": item(ImagePositionPatient=[0, 0, 5]),
         "FrameContentSequence": item(DimensionIndexValues=list(index))} for index in ((2, 1), (1, 2), (1, 1))
    ]  # fmt: skip
    assert written(frames_of(*entries), tmp_path).pixels[:, 0, 0].tolist() == [200, 300, 100]


@pytest.mark.parametrize("codes", list(itertools.product("LR", "AP")))
def test_axial_slices_are_shown_from_the_feet(tmp_path, codes):
    x, y = ({"L": 1, "R": -1}[codes[0]], {"P": 1, "A": -1}[codes[1]])
    pixels = np.arange(35, dtype=np.uint16).reshape(5, 7)
    image = written(dicom(pixels, modality="CT", ImageOrientationPatient=[x, 0, 0, 0, y, 0]), tmp_path)
    assert image.orientation == ("L", "P")
    assert np.array_equal(image.pixels[0], pixels[::y, ::x])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_plane_is_turned_to_the_nearest_convention(seed):
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    row, column = rotation[:, 0], rotation[:, 1]
    assume(np.diff(np.sort(np.abs(np.cross(row, column))))[-1] > 0.002)  # else two planes are as near
    turn = turn_for(row, column)
    right, down = (column, row) if turn.transpose else (row, column)
    right, down = right * (-1 if turn.flip_columns else 1), down * (-1 if turn.flip_rows else 1)
    axis = int(np.abs(np.cross(row, column)).argmax())
    wanted = {2: ([1, 0, 0], [0, 1, 0]), 1: ([1, 0, 0], [0, 0, -1]), 0: ([0, 1, 0], [0, 0, -1])}[axis]
    # signs are free, so both terms are positive in the best turn
    best = max(abs(a @ wanted[0]) + abs(b @ wanted[1]) for a, b in ((row, column), (column, row)))
    assert right @ wanted[0] + down @ wanted[1] == pytest.approx(best, abs=0.01)


def test_a_mirrored_film_is_turned_with_its_boxes_and_spacing(tmp_path):
    pixels = np.arange(60, dtype=np.uint16).reshape(6, 10)
    data = dicom(pixels, PatientOrientation=["R", "F"], PixelSpacing=[1, 2], BurnedInAnnotation="YES")
    image = written(data, tmp_path)
    assert np.array_equal(image.pixels[0], pixels[:, ::-1]) and image.orientation == ("L", "F")
    data.PatientOrientation = ["F", "L"]
    sideways = written(data, tmp_path)
    assert np.array_equal(sideways.pixels[0], pixels.T) and sideways.spacing_mm == (2, 1)
    assert sideways.burned_in == ((0, 0, 1, 10),)  # the band at the stored top is at the left now
    assert written(dicom(pixels, modality="MG", PatientOrientation=["A", "R"]), tmp_path).orientation == ("A", "R")
    assert written(dicom(pixels, PatientOrientation=["L", "F"]), tmp_path).pixels[0, 0, 1] == 1


def test_the_samples_lie_on_their_backs_and_carry_their_letters():
    image = lab.sample("abdomen-ct")
    stored = pydicom.dcmread(get_testdata_file("explicit_VR-UN.dcm", download=False)).pixel_array
    assert np.array_equal(image.pixels[0], stored[::-1])
    assert edges(image.orientation) == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert lab.sample("chest-xray-nodules").orientation == ("L", "F")
    assert lab.sample("brain-mr-volume").orientation == ("L", "P")
    assert lab.sample("retina").orientation is None


@pytest.mark.parametrize("given", [{"PixelSpacing": [1, 2]}, {"PixelAspectRatio": [1, 2]}])
def test_pixels_that_are_not_square(tmp_path, given):
    pixels = np.zeros((100, 50), np.uint16)
    pixels[25:75, 12:37] = 1000
    image = written(dicom(pixels, **given), tmp_path)
    shown = np.asarray(image.pil())[..., 0] > 127
    assert shown.shape == (100, 100) and image.display().shape == (100, 50, 3)
    assert shown.any(0).sum() == pytest.approx(shown.any(1).sum(), abs=1)


def test_ct_without_rescale_is_not_hounsfield(tmp_path):
    data = dicom(RAMP, modality="CT")
    image = written(data, tmp_path)
    assert image.units == "stored values" and not image.presets
    with pytest.raises(UnknownNameError, match="CT stored values"):
        image.display(window="bone")
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    assert written(data, tmp_path).units == "HU"


def test_a_missing_decoder_is_named(monkeypatch):
    with pytest.raises(ImageReadError, match=r"12-bit JPEG Extended.*decoder is missing.*python-gdcm"):
        read(get_testdata_file("JPEG-lossy.dcm", download=False))
    from pydicom.pixels import get_decoder

    decoder = get_decoder("1.2.840.10008.1.2.4.51")
    monkeypatch.setattr(decoder, "_available", {k: v for k, v in decoder._available.items() if k == "pillow"})
    with pytest.raises(ImageReadError, match=r"decoder is missing; pillow refuse.*pip install pylibjpeg"):
        read(get_testdata_file("JPGExtended.dcm", download=False))
