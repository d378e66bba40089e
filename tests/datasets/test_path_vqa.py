"""PathVQA from a loopback server, in shards of a few rows."""

import hashlib
import io
import json
import os
from dataclasses import replace

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from medvlm_lab.datasets import dataset, fetch, path_vqa
from medvlm_lab.datasets.fetch import RECIPES
from medvlm_lab.datasets.path_vqa import answer_type, question_type
from medvlm_lab.datasets.recipe import Source
from medvlm_lab.errors import DownloadError


def picture(seed, tint, size=(400, 300), mode="RGB"):
    noise = np.random.default_rng(seed).normal(0, 12, (size[1], size[0], 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.array(tint) + noise, 0, 255).astype(np.uint8)).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


EOSIN, FLESH = (225, 150, 190), (150, 60, 50)
STAINED, SMALL, GROSS = picture(1, EOSIN), picture(2, EOSIN, (200, 120)), picture(3, FLESH)
CMYK = picture(4, EOSIN, mode="CMYK")
FIRST = [
    (STAINED, "Where is this from? ", "Liver"), (GROSS, "what is present?", "liver"),
    (STAINED, "is tissue present?", "Yes"), (b"no picture", "what is lost?", "all"), (None, "what is lost?", "all"),
    (SMALL, "what is present?", "fat"), (STAINED, "what is present?", None),
]
SECOND = [(GROSS, "does it show fat?", "no")]  # a shard without a micrograph
THIRD = [(CMYK, "why is it pink?", "eosin"), (STAINED, "what is present?", "liver"), (STAINED[:900], "is it?", "no")]


def shard(rows, **columns):
    images = pyarrow.array(
        [{"bytes": data, "path": "train_0001.jpg"} if data else None for data, _, _ in rows],
        pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
    )
    questions, answers = ([row[k] for row in rows] for k in (1, 2))
    table = pyarrow.table({"image": images, "question": questions, "answer": answers} | columns)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, row_group_size=2)
    return buffer.getvalue()


def serve(server, monkeypatch, **shards):
    server.files |= {f"/{name}": data for name, data in shards.items()}
    sources = tuple(
        Source(f"{name}.parquet", server.url(f"/{name}"), hashlib.sha256(data).hexdigest())
        for name, data in shards.items()
    )
    monkeypatch.setitem(RECIPES, "path_vqa", replace(path_vqa.RECIPE, sources=sources))
    monkeypatch.setattr("time.sleep", lambda s: None)


@pytest.fixture
def mirror(server, monkeypatch):
    serve(server, monkeypatch, train_0=shard(FIRST), train_1=shard(SECOND), train_2=shard(THIRD))
    return server


def name(data):
    return hashlib.sha256(data).hexdigest()[:12] + ".jpg"


def test_fetch_builds_the_layout(mirror, tmp_path, capsys):
    mirror.cut, mirror.drops = 3_000, 5
    folder = fetch("path_vqa", tmp_path)
    assert os.listdir(tmp_path) == ["pathvqa_histology"] and sorted(os.listdir(folder)) == ["images", "trainset.json"]
    assert json.loads((folder / "trainset.json").read_text()) == [
        {"image": name(image), "question": q, "answer": a, "question_type": kind, "answer_type": closed}
        for image, q, a, kind, closed in [
            (STAINED, "where is this from?", "liver", "POSITION", "OPEN"),
            (STAINED, "is tissue present?", "yes", "YESNO", "CLOSED"),
            (SMALL, "what is present?", "fat", "ATTRIBUTE", "OPEN"),
            (CMYK, "why is it pink?", "eosin", "OTHER", "OPEN"),
            (STAINED, "what is present?", "liver", "ATTRIBUTE", "OPEN"),
        ]
    ]
    assert sorted(os.listdir(folder / "images")) == sorted(name(image) for image in (STAINED, SMALL, CMYK))
    kept = {n: Image.open(folder / "images" / n) for n in os.listdir(folder / "images")}
    assert {n: (i.size, i.mode, i.format) for n, i in kept.items()} == {
        name(STAINED): ((384, 288), "RGB", "JPEG"), name(SMALL): ((200, 120), "RGB", "JPEG"),
        name(CMYK): ((384, 288), "RGB", "JPEG"),
    }
    assert dataset(folder)[0].modality == "histology"
    assert "2 pictures cannot be read" in capsys.readouterr().err


def test_the_next_call_goes_on_with_the_next_shard(mirror, tmp_path):
    second = mirror.files.pop("/train_1")
    with pytest.raises(DownloadError, match="404"):
        fetch("path_vqa", tmp_path, progress=False)
    downloads = tmp_path / ".pathvqa_histology-partial" / "downloads"
    assert os.listdir(downloads) == ["train_0.parquet.rows"]  # the shard itself has made room for the next one
    (downloads / "train_1.parquet.part").write_bytes(second[:500])
    mirror.files["/train_1"], mirror.requests[:] = second, []
    assert len(dataset(fetch("path_vqa", tmp_path, progress=False))) == 5
    assert mirror.requests == ["bytes=500-", None] and os.listdir(tmp_path) == ["pathvqa_histology"]


def test_an_interrupted_extraction_is_done_again(mirror, tmp_path, monkeypatch):
    whole = path_vqa.keep_micrograph

    def interrupted(data, path):
        if data == SMALL:
            path.write_bytes(b"half a picture")
            raise KeyboardInterrupt
        return whole(data, path)

    monkeypatch.setattr(path_vqa, "keep_micrograph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("path_vqa", tmp_path, progress=False)
    monkeypatch.setattr(path_vqa, "keep_micrograph", whole)
    folder = fetch("path_vqa", tmp_path, progress=False)
    assert Image.open(folder / "images" / name(SMALL)).size == (200, 120)
    assert len(mirror.requests) == 3  # each shard once


def test_wrong_bytes_keep_the_other_shards(mirror, tmp_path):
    mirror.files["/train_1"] = shard(THIRD)
    with pytest.raises(DownloadError, match="other bytes than expected"):
        fetch("path_vqa", tmp_path, progress=False)
    assert os.listdir(tmp_path) == [".pathvqa_histology-partial"]
    assert os.listdir(tmp_path / ".pathvqa_histology-partial" / "downloads") == ["train_0.parquet.rows"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<html>maintenance</html>", "not a whole Parquet file"),
        (shard(FIRST)[:2000] + shard(FIRST)[-300:], "not a whole Parquet file"),
        (shard([(STAINED, "q?", "a")], image=[b"bare bytes"]), "lacks one of the columns"),
        (shard(SECOND), "No stained micrograph"),
    ],
)
def test_what_is_not_the_data_set_leaves_nothing(server, tmp_path, monkeypatch, data, says):
    serve(server, monkeypatch, train_0=data)
    with pytest.raises(DownloadError, match=says) as caught:
        fetch("path_vqa", tmp_path, progress=False)
    assert os.listdir(tmp_path) == [] and "\n" not in str(caught.value)


def test_the_sources_are_pinned():
    sources = path_vqa.RECIPE.sources
    assert len(sources) == 7 and all(len(source.sha256) == 64 for source in sources)
    assert all(f"/resolve/{path_vqa.REVISION}/data/train-0000{i}-of-" in s.url for i, s in enumerate(sources))


@pytest.mark.parametrize(
    ("question", "label"),
    [
        ("Are cells present?", "YESNO"), ("did it grow?", "OTHER"), ("did large cells grow?", "SIZE"), ("", "OTHER"),
        ("where is it?", "POSITION"), ("how many views?", "ATTRIBUTE"), ("what shows a close-up view?", "PLANE"),
        ("what has a nested or solid structure?", "CHOICE"), ("why the discoloration?", "COLOR"),
    ],
)
def test_question_types(question, label):
    assert question_type(question) == label


def test_the_labels_are_those_of_the_real_file(real_micrographs):
    for row in dataset(real_micrographs).rows:
        assert question_type(row["question"]) == row["question_type"], row
        assert answer_type(row["answer"]) == row["answer_type"], row
