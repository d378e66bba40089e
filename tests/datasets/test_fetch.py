"""VQA-RAD from a loopback server that stands in for its public home; what holds for every data set is tested on it."""

import errno
import json
import os
from collections import Counter
from dataclasses import replace

import pytest
from filelock import FileLock

from medvlm_lab.datasets import dataset, fetch
from medvlm_lab.datasets.fetch import RECIPES
from medvlm_lab.datasets.recipe import Source
from medvlm_lab.datasets.vqa_rad_release import expand
from medvlm_lab.errors import DownloadError, MissingDataError, UnknownNameError


def row(kind, question, frame, answer="Yes"):
    """A row of the public file, with all the fields that it has there."""
    return {
        "qid": "1", "phrase_type": kind, "qid_linked_id": "03f451ca", "image_case_url": "https://medpix.nlm.nih.gov/",
        "image_name": "a.jpg", "image_organ": "HEAD", "evaluation": "not evaluated", "question": question,
        "question_rephrase": "NULL", "question_relation": "NULL", "question_frame": frame, "question_type": "PRES",
        "answer": answer, "answer_type": "CLOSED",
    }


@pytest.fixture
def public_home(server, zipped, monkeypatch):
    """VQA-RAD's public release in small: 2 training questions, 1 test question, 2 template phrasings."""
    rows = [
        row("freeform", "f?", "frame of f? "), row("para", "p?", "NULL", 4), row("test_freeform", "t?", "frame of t?"),
    ]
    server.files |= {
        "/questions": json.dumps(rows).encode(), "/images": zipped(**{"VQA_RAD Image Folder/a.jpg": b"jpeg"}),
    }
    sources = (Source("questions.json", server.url("/questions")), Source("images.zip", server.url("/images")))
    monkeypatch.setitem(RECIPES, "vqa_rad", replace(RECIPES["vqa_rad"], sources=sources))
    monkeypatch.setattr("time.sleep", lambda s: None)
    return server


def test_fetch_builds_the_layout(public_home, tmp_path, capsys):
    public_home.cut, public_home.drops = 40, 2
    folder = fetch("vqa_rad", tmp_path)
    assert folder == tmp_path / "vqa_rad" and os.listdir(tmp_path) == ["vqa_rad"]
    assert sorted(os.listdir(folder)) == ["images", "testset.json", "trainset.json"]
    train, test = dataset(folder), dataset(folder, "test")
    assert [i.question for i in train] == ["f?", "frame of f?", "p?", "frame of t?"]
    assert train.rows[1]["question"] == "frame of f? " and train.rows[2]["answer"] == 4  # as the public file has them
    assert [r["qid"] for r in train.rows] == [1, 2, 3, 5]
    assert [r["phrase_type"] for r in train.rows] == ["freeform", "frame", "para", "frame"]
    assert [(i.question, r["phrase_type"]) for i, r in zip(test, test.rows, strict=True)] == [("t?", "freeform")]
    out, err = capsys.readouterr()
    assert "sha256" in err and out == ""  # nothing that would spoil --json
    before = len(public_home.requests)
    assert fetch("vqa_rad", tmp_path) == folder and len(public_home.requests) == before  # there already


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/questions", b"<html>maintenance</html>"),
        ("/questions", b'[{"image_name": "a.jpg"}]'),
        ("/questions", json.dumps([row("unheard_of", "q?", "NULL")]).encode()),
        ("/images", b"<html>maintenance</html>"),
        ("/images", {"b.jpg": b"1"}),
    ],
)
def test_what_is_not_the_data_set_leaves_nothing(public_home, tmp_path, zipped, path, content):
    whole = public_home.files[path]
    public_home.files[path] = zipped(**content) if isinstance(content, dict) else content
    with pytest.raises(DownloadError, match="not the data set that was expected") as caught:
        fetch("vqa_rad", tmp_path, progress=False)
    assert os.listdir(tmp_path) == [] and "\n" not in str(caught.value)
    public_home.files[path] = whole
    assert len(dataset(fetch("vqa_rad", tmp_path, progress=False))) == 4


def test_the_next_call_goes_on_where_the_network_failed(public_home, tmp_path):
    public_home.cut, public_home.drops = 50, 0
    public_home.after_headers = lambda: setattr(public_home, "status", 404)  # the first file arrives, then no more
    with pytest.raises(DownloadError, match="404"):
        fetch("vqa_rad", tmp_path, progress=False)
    assert os.listdir(tmp_path) == [".vqa_rad-partial"]
    public_home.status, public_home.after_headers, public_home.requests[:] = None, lambda: None, []
    public_home.drops = 10_000
    cut_off = tmp_path / ".vqa_rad-partial" / "downloads" / "images.zip.part"
    with pytest.raises(DownloadError, match="what has arrived is kept"):
        public_home.after_headers = lambda: setattr(public_home, "status", 503)
        fetch("vqa_rad", tmp_path, progress=False)
    assert cut_off.stat().st_size == 50
    public_home.status, public_home.drops, public_home.after_headers, public_home.requests[:] = None, 0, bool, []
    assert len(dataset(fetch("vqa_rad", tmp_path, progress=False))) == 4
    assert public_home.requests == ["bytes=50-"]  # only the rest of the second file
    assert os.listdir(tmp_path) == ["vqa_rad"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))])
def test_interruption_and_a_full_disk_keep_the_downloads(public_home, tmp_path, monkeypatch, stop):
    def build(downloads, folder):
        (folder / "trainset.json").write_text("[half")
        raise stop

    monkeypatch.setitem(RECIPES, "vqa_rad", replace(broken := RECIPES["vqa_rad"], build=build))
    with pytest.raises(KeyboardInterrupt if stop is KeyboardInterrupt else DownloadError) as caught:
        fetch("vqa_rad", tmp_path, progress=False)
    assert os.listdir(tmp_path) == [".vqa_rad-partial"]
    if isinstance(stop, OSError):
        assert "the disk is full" in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setitem(RECIPES, "vqa_rad", broken)
    before = len(public_home.requests)
    assert len(dataset(fetch("vqa_rad", tmp_path, progress=False))) == 4
    assert len(public_home.requests) == before and os.listdir(tmp_path) == ["vqa_rad"]


def test_a_folder_that_cannot_be_written_to(public_home, tmp_path, monkeypatch):
    def read_only(self, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", read_only)  # file permissions do not bind an administrator
    with pytest.raises(DownloadError, match="cannot be written: that disk is read-only") as caught:
        fetch("vqa_rad", tmp_path, progress=False)
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == []


def test_too_little_room_is_said_beforehand(public_home, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "vqa_rad", replace(RECIPES["vqa_rad"], disk_mb=10**9))
    with pytest.raises(DownloadError, match="needs 1000000000 MB"):
        fetch("vqa_rad", tmp_path, progress=False)
    assert public_home.requests == []


def test_two_fetches_do_not_write_into_one_folder(public_home, tmp_path):
    (tmp_path / ".vqa_rad-partial").mkdir()
    with FileLock(tmp_path / ".vqa_rad-partial" / ".lock"):
        with pytest.raises(DownloadError, match="Another process"):
            fetch("vqa_rad", tmp_path, progress=False)
    assert fetch("vqa_rad", tmp_path, progress=False).is_dir()


def test_fetch_goes_to_the_named_root(public_home, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path / "data"))
    assert fetch("vqa_rad", progress=False) == tmp_path / "data" / "vqa_rad"
    monkeypatch.delenv("MEDVLM_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetch("vqa_rad", progress=False)
    assert len(dataset("vqa_rad")) == 4


def test_fetch_says_what_it_cannot_do(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'vqa_rad'"):
        fetch("vqarad", tmp_path)
    (tmp_path / "vqa_rad").mkdir()
    with pytest.raises(DownloadError, match="move it away"):
        fetch("vqa_rad", tmp_path)
    with pytest.raises(DownloadError, match="cannot be written"):
        (tmp_path / "a_file").touch()
        fetch("vqa_rad", tmp_path / "a_file" / "data")


def test_a_row_without_its_fields_is_named():
    whole = row("freeform", "f?", "NULL")
    with pytest.raises(MissingDataError, match="Row 1 .* lacks question_frame"):
        expand([whole, {key: value for key, value in whole.items() if key != "question_frame"}])


def test_the_real_training_file_is_what_expansion_yields(real_data):
    """The public file, as far as the training file tells it, expands to that training file again, field by field."""
    rows = {r["qid"]: r for r in dataset(real_data / "vqa_rad").rows}
    public, frames = [], Counter(r["phrase_type"] for r in rows.values())["frame"]
    for qid in range(1, max(rows) + 1):
        current, following = rows.get(qid), rows.get(qid + 1)
        if current and current["phrase_type"] == "frame":
            continue
        frame = following["question"] if following and following["phrase_type"] == "frame" else "NULL"
        known = current or (following if frame != "NULL" else None) or row("freeform", "", "")
        kind = current["phrase_type"] if current else "test_freeform"
        public.append(known | {"question_frame": frame, "phrase_type": kind})
    train, test = expand(public)
    assert train == list(rows.values()) and list(train[0]) == list(rows[1])
    assert (len(public), frames, len(train), len(test)) == (2248, 1267, 3064, 451)
    assert sum(rows.get(r["qid"] + 1, {}).get("phrase_type") == "frame" for r in test) == 284
