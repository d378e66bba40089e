"""What a reader may do wrong, through the command line and with the bundled model: one sentence, exit code 1."""

import json
import struct
import sys
import zlib

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from medvlm_lab import cli


@pytest.fixture
def refusal(monkeypatch, capsys):
    """Runs `medvlm-lab ARGS`, which must fail, and returns its one sentence."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["medvlm-lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == 1 and out == "" and "Traceback" not in err
        assert len(err.strip().splitlines()) == 1, err
        return err

    return run


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_pictures_that_cannot_be_answered(refusal, tmp_path):
    huge, nan, cut = tmp_path / "huge.png", tmp_path / "nan.npy", tmp_path / "cut.dcm"
    huge.write_bytes(png_header(20_000, 20_000))
    np.save(nan, np.full((8, 8), np.nan, np.float32))
    whole = open(get_testdata_file("CT_small.dcm", download=False), "rb").read()
    cut.write_bytes(whole[: len(whole) // 2])
    assert "limit" in refusal("answer", huge, "Is it normal?")
    assert "NaN" in refusal("answer", nan, "Is it normal?")
    assert "cut.dcm" in refusal("answer", cut, "Is it normal?")


@pytest.mark.parametrize("sample", ["retina", "echo-cine", "bone-scan"])
def test_a_modality_that_the_model_never_saw(refusal, sample):
    sentence = refusal("answer", sample, "Is it normal?")
    assert sample in sentence and "X-ray, CT, MR, histology" in sentence


def test_unknown_names_suggest_the_nearest(refusal):
    assert "vit-bert-vqa" in refusal("answer", "leg-xray", "Why?", "--model", "vit-bert-vqq")
    assert "leg-xray" in refusal("answer", "leg-xry", "Why?")
    assert "vit-bert-vqa" in refusal("train", "vit-bert-vq")


def test_nothing_is_left_behind_where_a_file_stands_in_the_way(refusal, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path / "absent"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    refusal("train", "vit-bert-vqa", "--out", blocked / "run")
    refusal("evaluate", "vqa", "--model", "vit-bert-vqa", "--data", "vqa_rad", "--split", "validation")
    assert sorted(tmp_path.iterdir()) == [blocked]


def test_a_single_pixel_is_an_image(monkeypatch, capsys, tmp_path):
    from PIL import Image

    Image.new("L", (1, 1)).save(tmp_path / "one.png")
    monkeypatch.setattr(sys, "argv", ["medvlm-lab", "answer", str(tmp_path / "one.png"), "Is it normal?", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code and json.loads(capsys.readouterr().out)["text"]
