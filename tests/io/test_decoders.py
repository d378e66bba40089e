"""Native decoders on damaged files, in a child process: whatever they do there, pytest must be able to report it."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from medvlm_lab.errors import ImageReadError
from medvlm_lab.io import read

CODED = {  # one file per decoder, small
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "JPEG 2000 colour": "SC_rgb_gdcm_KY.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG lossless": "SC_rgb_jpeg_gdcm.dcm",
    "JPEG": "SC_rgb_small_odd_jpeg.dcm",
    "JPEG extended": "JPGExtended.dcm",
    "RLE": "MR_small_RLE.dcm",
}
CHILD = """
import sys
from pathlib import Path
from medvlm_lab.errors import ImageReadError
from medvlm_lab.io import read
for file in sorted(Path(sys.argv[1]).iterdir()):
    print(file.name, flush=True)
    try:
        read(file)
    except ImageReadError as error:
        assert len(str(error)) < 400 and "\\n" not in str(error), error
"""


def coded_at(good: bytes) -> int:
    """Where the pixels begin."""
    return max(good.rfind(b"\xe0\x7f\x10\x00"), 0) + 12


def damage(good: bytes, seed: int) -> bytes:
    """Cut, or with up to 20 bits flipped: anywhere after the header, in the coded header, or in the DICOM header."""
    chance, start = random.Random(seed), coded_at(good)
    if seed % 5 == 0:
        return good[: chance.randrange(start, len(good))]
    low, high = ((start, len(good)), (start, start + 120), (start - 600, start), (start, start + 400))[seed % 5 - 1]
    bad = bytearray(good)
    for _ in range(chance.randint(1, 20 if seed % 5 == 1 else 4)):
        bad[chance.randrange(max(0, low), min(high, len(bad)))] ^= 1 << chance.randrange(8)
    return bytes(bad)


def run(folder: Path) -> None:
    """Read every file of a folder in a child process: no signal, no trace, no hang."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stdout.splitlines()[-1:], done.stderr[-600:])
    assert "panicked" not in done.stderr and "Traceback" not in done.stderr, done.stderr[-600:]


@pytest.mark.parametrize("name", CODED.values(), ids=CODED.keys())
def test_damaged_code_never_ends_or_stops_the_process(tmp_path, name):
    good = Path(get_testdata_file(name, download=False)).read_bytes()
    for seed in range(60):
        (tmp_path / f"{seed:03}.dcm").write_bytes(damage(good, seed))
    run(tmp_path)


def test_damage_that_once_hung_or_panicked(tmp_path):
    """No rows in a JPEG(-LS) header: libjpeg searches for ever. A JP2 box of length 0: pydicom does. RLE: a panic."""
    jpeg_ls = bytearray(Path(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)).read_bytes())
    at = jpeg_ls.find(b"\xff\xf7")
    jpeg_ls[at + 5 : at + 7] = bytes(2)
    jp2 = bytearray(Path(get_testdata_file("GDCMJ2K_TextGBR.dcm", download=False)).read_bytes())
    at = jp2.find(b"\x00\x00\x00\x0cjP  ") + 12
    jp2[at : at + 4] = bytes(4)
    rle = bytearray(Path(get_testdata_file("MR_small_RLE.dcm", download=False)).read_bytes())
    rle[coded_at(rle) + 90] ^= 0x40
    for index, bad in enumerate((jpeg_ls, jp2)):
        (tmp_path / f"{index}.dcm").write_bytes(bad)
        with pytest.raises(ImageReadError, match="size"):
            read(tmp_path / f"{index}.dcm")
    (tmp_path / "2.dcm").write_bytes(rle)
    run(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp", "bmp"])
def test_damaged_pictures_never_stop_the_process(tmp_path, suffix):
    y, x = np.mgrid[:40, :48]
    picture = Image.fromarray((128 + 60 * np.sin(x / 5) + 40 * np.cos(y / 7)).astype(np.uint8))
    picture.save(tmp_path / f"good.{suffix}", **({"compression": "tiff_lzw"} if suffix == "tif" else {}))
    good = (tmp_path / f"good.{suffix}").read_bytes()
    for seed in range(60):
        (tmp_path / f"{seed:03}.{suffix}").write_bytes(damage(good, seed))
    run(tmp_path)


def test_a_second_frame_of_another_size_is_refused(tmp_path):
    import pydicom
    from pydicom.encaps import generate_frames

    data = pydicom.dcmread(get_testdata_file("emri_small_jpeg_ls_lossless.dcm", download=False))
    frames = [bytearray(frame) for frame in generate_frames(data.PixelData, number_of_frames=10)]
    at = frames[7].find(b"\xff\xf7")
    frames[7][at + 5 : at + 7] = bytes(2)
    data.PixelData = encapsulate([bytes(frame) for frame in frames])
    data.save_as(tmp_path / "x.dcm")
    with pytest.raises(ImageReadError, match="size"):
        read(tmp_path / "x.dcm")
