"""An uploaded file that cannot be read is called as the reader calls it, never by where it lay meanwhile."""

import io
import tempfile

import pytest
from PIL import Image

from medvlm_lab.errors import ImageReadError
from medvlm_lab.widgets.upload import read_upload


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 7).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.png", "C:\\a.png", "x/" + "ö" * 300 + ".png", "", "nul\0.png", "\x1b[31m", "."])
def test_any_name_is_read(name):
    assert read_upload(name, picture("PNG")).pixels.max() == 7


@pytest.mark.parametrize("ending", [".png", ".dcm", ".nii.gz", ".nii", ".npy", ".avi", ".tif", ".txt", ""])
@pytest.mark.parametrize("content", [b"", b"x", b"\x89PNG\r\n\x1a\n", b"\0" * 128 + b"DICM", b"\x93NUMPY\0"])
def test_damaged_files_name_no_temporary_place(ending, content):
    with pytest.raises(ImageReadError) as told:
        read_upload("My scan" + ending, content)
    for said in (str(told.value), told.value.kept):
        assert tempfile.gettempdir() not in said and "\n" not in said and "sent-file" not in said
    assert "My scan" in str(told.value)
