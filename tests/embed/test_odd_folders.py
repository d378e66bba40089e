"""Folders as they are: other files, links, names that are not UTF-8, damaged pictures. None stops the others."""

import os
import sys

import numpy as np
import pytest
from fakes import FakeEncoder
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.datasets import ImageFolder
from medvlm_lab.embed import Embeddings
from medvlm_lab.errors import ImageReadError, MissingDataError, ModalityError


@pytest.fixture
def folder(tmp_path):
    """Three pictures that differ."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (24, 20), np.uint8)
        Image.fromarray(pixels).save(folder / f"p{i}.png")
    return folder


def embedded(images, **options) -> Embeddings:
    return lab.embed.embed(FakeEncoder(), images, progress=False, **options)


def test_what_is_no_picture_is_passed_over(folder):
    (folder / "README").write_text("BMI of the patients, GIF8 and RIFF")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "INDEX").write_bytes(b"\0" * 128 + b"DICM" + b"1.2.840.10008.1.3.10\0")
    (folder / "table.csv").write_text("a,b")
    (folder / "no-suffix").write_bytes((folder / "p0.png").read_bytes())
    (folder / "1.2.840.113619.2.55").write_bytes((folder / "p1.png").read_bytes())
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    found = [path.name for path in ImageFolder(folder).paths]
    assert found == ["1.2.840.113619.2.55", "no-suffix", "p0.png", "p1.png", "p2.png"]


def test_linked_folders_are_read_once(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "q.png").write_bytes((folder / "p0.png").read_bytes())
    (tmp_path / "other" / "back").symlink_to(folder)
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "again").symlink_to(tmp_path / "other")
    (folder / "self").symlink_to(folder / "self")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    names = [path.relative_to(folder).as_posix() for path in ImageFolder(folder).paths]
    assert names == ["again/q.png", "p0.png", "p1.png", "p2.png"]
    made = embedded(folder)
    assert len(made) == 4 and not made.failures


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems want UTF-8")
def test_a_name_that_is_not_utf8_is_kept_and_found_again(folder, tmp_path):
    os.rename(folder / "p2.png", os.fsencode(folder) + b"/R\xf6.png")
    made = embedded(folder, out=tmp_path / "out")
    read = Embeddings.load(tmp_path / "out")
    assert len(made) == 3 and read.table == made.table
    row = next(i for i in range(3) if "R" in os.path.basename(read.original(i)))
    np.testing.assert_array_equal(read.image(row).pixels, ImageFolder(folder)[-3 + row].pixels)


def test_damaged_pictures_are_left_out_and_named(folder, tmp_path):
    (folder / "empty.png").write_bytes(b"")
    (folder / "p1.png").write_bytes((folder / "p1.png").read_bytes()[:60])
    for size in (1, 2, 64):
        made = embedded(folder, batch_size=size, out=tmp_path / f"out-{size}")
        assert len(made) == 2 and len(made.failures) == 2 and "2 left out" in repr(made)
        assert [os.path.basename(failure.file) for failure in made.failures] == ["empty.png", "p1.png"]
        assert "0 bytes" in made.failures[0].error and "damaged" in made.failures[1].error
        np.testing.assert_array_equal(made.image(1).pixels, ImageFolder(folder)[3].pixels)
    (folder / "empty.png").write_bytes((folder / "p0.png").read_bytes())  # mended: the next run has it
    assert len(embedded(folder, out=tmp_path / "out-64").failures) == 1


def test_a_folder_inside_that_may_not_be_read_is_counted(folder, tmp_path, monkeypatch):
    (folder / "Zarquon").mkdir()
    scandir = os.scandir

    def refusing(path):
        if path == folder / "Zarquon":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = ImageFolder(folder)
    assert "3 images, 1 left out" in repr(found)
    (failure,) = lab.embed.embed(FakeEncoder(), folder, progress=False).failures
    assert str(folder / "Zarquon") in failure.error and "Zarquon" not in failure.kept
    for path in found.paths:
        path.unlink()
    with pytest.raises(MissingDataError, match="Zarquon cannot be read"):
        ImageFolder(folder)


def test_an_image_that_the_model_refuses_is_left_out(folder):
    class Choosy(FakeEncoder):
        def encode_images(self, images):
            if any(image.pixels[0, 0, 0] == chosen for image in images):
                raise ModalityError("This one is of another kind.")
            return super().encode_images(images)

    chosen = ImageFolder(folder)[1].pixels[0, 0, 0]
    made = lab.embed.embed(Choosy(), folder, progress=False)
    assert len(made) == 2 and [f.error for f in made.failures] == ["This one is of another kind."]


def test_nothing_that_can_be_embedded_is_one_sentence(tmp_path):
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(ImageReadError, match="None of 2 images.*0 bytes"):
        embedded(tmp_path)


def test_videos_are_embedded_as_they_are_read(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "cine.avi"), "w") as file:
        stream = file.add_stream("mjpeg", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuvj420p"
        for i in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 60 * i, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert ImageFolder(tmp_path)[0].frames == 3 and len(embedded(tmp_path)) == 1
