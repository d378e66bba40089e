"""The command line on machines as they are: no home, no UTF-8, a reader that has gone, a full disk, no folder."""

import os
import subprocess
import sys

import pytest

from medvlm_lab import cli
from medvlm_lab.datasets.base import data_root
from medvlm_lab.devices import device
from medvlm_lab.errors import CannotWriteError, ImageReadError, MedVLMError
from medvlm_lab.io import read
from medvlm_lab.tasks import evaluate

CLI = [sys.executable, "-m", "medvlm_lab.cli"]


@pytest.fixture
def homeless(monkeypatch):
    """A user without HOME and without an entry in the list of users, as containers have them."""
    import pwd

    def none(*_):
        raise KeyError("uid not found")

    for name in ("HOME", "XDG_CACHE_HOME", "MEDVLM_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", none)
    monkeypatch.setattr(pwd, "getpwnam", none)


def call(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["medvlm-lab", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0, *capsys.readouterr()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX has lists of users")
@pytest.mark.parametrize("command", [("doctor",), ("models",), ("data", "list"), ("samples",)])
def test_without_a_home(command, capsys, monkeypatch, homeless):
    code, out, _ = call(capsys, monkeypatch, *command)
    assert code == 0 and out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX has lists of users")
def test_without_a_home_what_needs_one_is_a_sentence(capsys, monkeypatch, homeless):
    embed = ("embed", "~/x", "--model", "chexzero", "--out", "~/y")
    for command in (("answer", "~/x.png", "Why?"), ("data", "fetch", "vqa_rad"), embed):
        code, out, err = call(capsys, monkeypatch, *command)
        assert code == 1 and not out and "HOME" in err and len(err.splitlines()) == 1
    assert data_root() is None


def test_what_a_terminal_cannot_show_is_written_out():
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for options in ([], ["--json"]):
        ended = subprocess.run([*CLI, "models", "scoreboard", *options], capture_output=True, text=True, env=env)
        assert ended.returncode == 0 and "\\u2013" in ended.stdout + "\\u2013" * bool(options), ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_an_output_that_is_full_or_gone_is_no_traceback():
    with open("/dev/full", "w") as full:
        ended = subprocess.run([*CLI, "samples"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and len(ended.stderr.splitlines()) == 1 and "disk is full" in ended.stderr
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([*CLI, "samples"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert ended.returncode == 1 and ended.stderr == ""


def test_a_device_is_never_overwritten(capsys, monkeypatch):
    from medvlm_lab.explain.explanation import Explanation

    monkeypatch.setattr(Explanation, "_repr_png_", lambda self: b"picture")
    with pytest.raises(CannotWriteError, match="is a device"):
        Explanation.save(object.__new__(Explanation), "/dev/null")


def test_one_damaged_picture_stops_no_evaluation(tmp_path):
    import numpy as np
    import torch
    from PIL import Image

    import medvlm_lab as lab

    class Brightness:
        name = "brightness"

        def encode_images(self, images):
            return torch.tensor([[float(i.pixels.mean() > 100), float(i.pixels.mean() <= 100)] for i in images])

        def encode_texts(self, texts):
            return torch.tensor([[float("light" in text), float("light" not in text)] for text in texts])

    for kind, value in (("dark", 20), ("light", 220)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((16, 16), value + i, np.uint8)).save(tmp_path / "data" / kind / f"{i}.png")
    (tmp_path / "data" / "dark" / "1.png").write_bytes(b"")
    data = lab.dataset(tmp_path / "data", "all")
    for size in (1, 64):
        out = tmp_path / f"out-{size}"
        result = evaluate("zero-shot", Brightness(), data, batch_size=size, out=out, progress=False)
        assert result.scores["accuracy"].n == 5 and result.scores["accuracy"].value == 100.0
        assert len(result.left_out) == 1 and "0 bytes" in result.left_out[0] and "1 left out" in str(result)
        again = evaluate("zero-shot", Brightness(), data, batch_size=size, out=out, progress=False)
        assert again.left_out == result.left_out
    for path in (tmp_path / "data").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(ImageReadError, match="No picture of .* can be read"):
        evaluate("zero-shot", Brightness(), data, progress=False)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX lets a folder in use be deleted")
def test_a_folder_that_was_deleted_meanwhile_is_a_sentence(tmp_path, capsys, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    code, _, said = call(capsys, monkeypatch, "samples")
    assert code == 1 and "does not exist any more" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(ImageReadError, match="is a pipe"):
        read(tmp_path / "x.png")


def test_a_device_without_numbers_is_refused():
    with pytest.raises(MedVLMError, match="Device 'meta' is not available"):
        device("meta")
