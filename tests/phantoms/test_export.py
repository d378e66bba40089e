"""Simulated studies as files: complete, readable, and the same after an interruption."""

import json
import stat
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError, SceneError, UnknownNameError
from medvlm_lab.phantoms import export
from medvlm_lab.phantoms.export import CHUNK, Export


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def run(out, n=5, **kw):
    return Export("chest-xray", n, out, size=kw.pop("size", 64), **kw).run(progress=False)


def test_files_agree_with_each_other(tmp_path):
    folder = run(tmp_path / "out", n=6)
    lines = [json.loads(line) for line in (folder / "studies.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    for line in lines:
        image = lab.read(folder / line["image"])
        assert (image.height, image.width) == (64, 64) and line["simulated"] and image.simulated
        assert line["report"]["impression"] and line["questions"]
        stated = {f["mask"] for f in line["findings"]}
        assert stated <= line["masks"].keys()
        for file in line["masks"].values():
            mask = lab.read(folder / file).pixels
            assert set(np.unique(mask)) == {0, 255}
    data = lab.dataset(folder)
    assert len(data) == sum(len(line["questions"]) for line in lines) and data[0].image().width == 64


def test_held_out_wording_and_other_patients_in_the_test_part(tmp_path):
    train, test = run(tmp_path / "train", n=3), run(tmp_path / "test", n=3, split="test")
    assert len(lab.dataset(test, "test")) > 10
    seeds = [{json.loads(s)["scene"]["seed"] for s in (f / "studies.jsonl").open()} for f in (train, test)]
    assert not seeds[0] & seeds[1]


def test_dicom_opens_and_repeats(tmp_path):
    folder = run(tmp_path / "a", n=2, format="dicom", masks=False)
    image = lab.read(folder / "images" / "0000000.dcm")
    assert image.modality == "X-ray" and image.spacing_mm[0] > 1 and image.simulated
    assert image.orientation == ("L", "F")
    rendered = lab.phantom("chest-xray").render(lab.phantom("chest-xray").sample(0, 1), 64)[0, 0].numpy()
    assert np.allclose(image.pixels[0], rendered, atol=1e-3)
    assert contents(folder) == contents(run(tmp_path / "b", n=2, format="dicom", masks=False))


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [1, 7, 2 * CHUNK + 3])
def test_a_resumed_export_equals_an_uninterrupted_one(tmp_path, monkeypatch, after):
    n = 2 * CHUNK + 5
    whole = contents(run(tmp_path / "whole", n=n, size=32, masks=False))
    write, count = export.write_whole, [0]

    def stop(path, content):
        count[0] += path.suffix == ".png"
        if count[0] > after:
            raise Interrupted
        write(path, content)

    monkeypatch.setattr(export, "write_whole", stop)
    with pytest.raises(Interrupted):
        run(tmp_path / "part", n=n, size=32, masks=False)
    assert not (tmp_path / "part" / "studies.jsonl").exists()
    with (tmp_path / "part" / "studies.jsonl.part").open("a") as file:
        file.write('{"image": "images/cut o')  # what a power cut leaves
    monkeypatch.setattr(export, "write_whole", write)
    assert contents(run(tmp_path / "part", n=n, size=32, masks=False)) == whole


def test_more_studies_can_be_added_and_none_taken_away(tmp_path):
    run(tmp_path / "out", n=3)
    grown = contents(run(tmp_path / "out", n=5))
    assert grown == contents(run(tmp_path / "fresh", n=5))
    with pytest.raises(MedVLMError, match="holds 5 studies already"):
        run(tmp_path / "out", n=2)
    assert contents(tmp_path / "out") == grown


def test_a_folder_is_not_shared(tmp_path):
    run(tmp_path / "out", n=2)
    with pytest.raises(MedVLMError, match="another simulation .seed is 0, not 1"):
        run(tmp_path / "out", n=2, seed=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(MedVLMError, match="not empty"):
        run(tmp_path / "mine")


def test_bad_requests(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'chest-xray'"):
        Export("chest-xay", 3, tmp_path)
    with pytest.raises(UnknownNameError, match="format 'jpeg'"):
        Export("chest-xray", 3, tmp_path, "jpeg")
    for wrong in ({"n": 0}, {"n": -4}, {"size": 0}, {"hospital": 7}, {"seed": -1}):
        with pytest.raises(SceneError, match=next(iter(wrong))):
            Export(**{"name": "chest-xray", "n": 3, "out": tmp_path, **wrong})


def test_unwritable_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(MedVLMError, match="cannot be written"):
        run(file / "out")
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        (locked / "probe").touch()
    except OSError:
        with pytest.raises(MedVLMError, match="cannot be written"):
            run(locked / "out")


def test_cines_and_recordings_are_exported_whole(tmp_path):
    cine = Export("echocardiogram", 1, tmp_path / "echo", size=48).run(False)
    with Image.open(cine / "images" / "0000000.png") as picture:
        assert picture.n_frames == 32
    again = lab.read(cine / "images" / "0000000.png")
    assert again.simulated and again.modality == "echo" and again.fps == pytest.approx(25)
    dicom = Export("echocardiogram", 1, tmp_path / "dcm", "dicom", 48).run(False)
    assert lab.read(dicom / "images" / "0000000.dcm").fps == 25
    sound = Export("heart-sounds", 1, tmp_path / "sound", size=48).run(False)
    study = json.loads((sound / "studies.jsonl").read_text())
    with wave.open(str(sound / study["audio"])) as file:
        assert file.getframerate() == 8000 and file.getnframes() == 24000
