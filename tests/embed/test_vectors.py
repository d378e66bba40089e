"""Embedding: every picture once, resumed after a kill, searched exactly, refused in one sentence."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.embed import Embeddings, encode
from medvlm_lab.embed.pictures import pictures
from medvlm_lab.errors import ImageReadError, MedVLMError, MissingDataError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io.private import FIRST_LINE, PRIVATE, neutral_name

WIDTH = 16


def rows(vectors, kinds=None):
    """Embeddings of given vectors, without pictures."""
    made = [
        {"id": f"r{i}", "path": "", "kind": (kinds or {}).get(i, "image"), "vector": v, "report": f"report {i}"}
        for i, v in enumerate(vectors)
    ]
    return Embeddings.from_rows(made, "fake-encoder", "none", FakeEncoder())


def unit(n, seed=0, d=WIDTH):
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def folder(tmp_path):
    """Twelve different pictures and a copy of the third."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (24, 20), np.uint8)).save(folder / f"p{i:02d}.png")
    (folder / "sub").mkdir()
    (folder / "sub" / "copy.png").write_bytes((folder / "p02.png").read_bytes())
    return folder


def test_batch_size_changes_nothing_and_a_copy_is_seen_once(folder):
    model = FakeEncoder()
    whole = lab.embed.embed(model, folder, progress=False)
    assert len(whole) == 13 and len(set(model.seen)) == len(model.seen) == 12
    np.testing.assert_array_equal(whole.vectors[-1], whole.vectors[2])
    by_hand = FakeEncoder().encode_images(list(lab.datasets.ImageFolder(folder)))
    np.testing.assert_array_equal(whole.vectors, by_hand)
    for size in (1, 5, 13):
        part = lab.embed.embed(FakeEncoder(), folder, batch_size=size, progress=False)
        np.testing.assert_array_equal(part.vectors, whole.vectors)
        assert part.table == whole.table
    ids = whole.table["id"].to_pylist()
    assert len(set(ids)) == 12 and ids[2] == ids[12] == neutral_name(folder / "p02.png")
    assert [whole.original(row) for row in (2, 12)] == [str(folder / "p02.png"), str(folder / "sub" / "copy.png")]


def test_what_is_known_is_not_computed_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(encode, "SHARD", 4)
    out = tmp_path / "out"

    class Killed(FakeEncoder):
        def encode_images(self, images):
            if len(self.seen) >= 8:
                raise KeyboardInterrupt
            return super().encode_images(images)

    with pytest.raises(KeyboardInterrupt):
        lab.embed.embed(Killed(), folder, out, batch_size=2, progress=False)
    assert len(list(out.glob("shard-*.parquet"))) == 2
    (out / "shard-half.parquet.part").write_bytes(b"PAR1")  # what a kill while writing leaves
    model = FakeEncoder()
    done = lab.embed.embed(model, folder, out, batch_size=2, progress=False)
    assert sorted(model.seen) == sorted(neutral_name(folder / f"p{i:02d}.png") for i in range(8, 12))
    assert [file.name for file in out.glob("*.parquet")] == ["embeddings.parquet"]
    np.testing.assert_array_equal(done.vectors, lab.embed.embed(FakeEncoder(), folder, progress=False).vectors)

    Image.fromarray(np.full((24, 20), 9, np.uint8)).save(folder / "p00.png")  # the same name, another content
    model = FakeEncoder()
    lab.embed.embed(model, folder, out, progress=False)
    assert model.seen == [neutral_name(folder / "p00.png")]


def test_vectors_of_other_weights_are_not_mixed(folder, tmp_path):
    import torch

    class Trained(FakeEncoder):
        def __init__(self, weight):
            super().__init__()
            self.module = torch.nn.Linear(1, 1)
            torch.nn.init.constant_(self.module.weight, weight)
            torch.nn.init.zeros_(self.module.bias)

    assert encode.identify(Trained(1)) == encode.identify(Trained(1)) != encode.identify(Trained(2))
    lab.embed.embed(Trained(1), folder, tmp_path, progress=False)
    with pytest.raises(MedVLMError, match="fake-encoder with other weights"):
        lab.embed.embed(Trained(2), folder, tmp_path, progress=False)
    with pytest.raises(MedVLMError, match="other weights"):
        Embeddings.load(tmp_path, Trained(2))


def test_a_data_set_brings_what_is_known(tmp_path):
    data = lab.dataset("phantom:chest-xray", n=3, size=32)
    made = lab.embed.embed(FakeEncoder(), data, tmp_path, progress=False)
    study, row = data.study(1), made.table.slice(1, 1).to_pylist()[0]
    assert (row["id"], row["report"], row["modality"]) == (study.name, study.report, "X-ray")
    assert row["findings"] == sorted(study.findings) and dict(row["numbers"]) == study.values
    loaded = Embeddings.load(tmp_path, FakeEncoder(), data)
    assert loaded.table == made.table
    np.testing.assert_array_equal(loaded.vectors, made.vectors)
    np.testing.assert_array_equal(loaded.image(1).pixels, study.image().pixels)
    with pytest.raises(MissingDataError, match="images="):
        Embeddings.load(tmp_path).image(1)
    with_texts = loaded.texts()
    assert with_texts.of_kind("text").sum() == 3 and with_texts.table["patient"][4].as_py() == study.name
    again = Embeddings.load(with_texts.save(tmp_path / "all.parquet"))
    assert again.table == with_texts.table and again.encoder is None


def test_questions_bring_each_picture_once(folder):
    item = lab.datasets.VQAItem(folder / "p01.png", "?", "!", True, "", "p01.png", "X-ray", public=True)
    assert [p.study().name for p in pictures([item, item])] == ["p01.png"]
    own = replace(item, public=False)
    assert [p.study().name for p in pictures([own])] == [neutral_name(folder / "p01.png")] and "p01" not in repr(own)


def test_original_names_lie_beside_the_vectors_only(folder, tmp_path):
    out = tmp_path / "out"
    lab.embed.embed(FakeEncoder(), folder, out, patients=["Ilse"] * 13, progress=False)
    assert (out / PRIVATE).read_text().splitlines()[0] == FIRST_LINE and (out / PRIVATE).stat().st_mode & 0o077 == 0
    loaded = Embeddings.load(out)
    assert loaded.original(3) == str(folder / "p03.png") and loaded.originals[3].original_patient == "Ilse"
    np.testing.assert_array_equal(loaded.image(3).pixels, lab.read(folder / "p03.png").pixels)
    (out / PRIVATE).unlink()
    with pytest.raises(MissingDataError, match="put private-names.csv beside the vectors"):
        Embeddings.load(out).image(3)
    assert Embeddings.load(out).original(3) == ""


def test_lists_and_patients():
    images = [MedicalImage.from_array(np.full((8, 8), v, np.uint8) + np.eye(8, dtype=np.uint8)) for v in (1, 2, 1)]
    made = lab.embed.embed(FakeEncoder(), images, patients=["a", "a", "b"], progress=False)
    assert made.table["patient"].to_pylist() == ["patient-1", "patient-1", "patient-2"]
    assert [known.original_patient for known in made.originals] == ["a", "a", "b"]
    assert made.table["id"].to_pylist() == ["image-0", "image-1", "image-2"]
    assert made.image(2) is images[2]


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 50), st.integers(0, 99))
def test_nearest_is_what_sorting_all_cosines_gives(n, k, seed):
    made = rows(unit(n, seed))
    query = unit(1, seed + 1)[0]
    cosines = made.vectors.astype(np.float64) @ query
    found = made.nearest(query, k)
    assert len(found) == min(k, n)
    np.testing.assert_allclose([f.cosine for f in found], np.sort(cosines)[::-1][:k], atol=1e-6)
    assert all(f.row != 1 for f in made.nearest(1, n)) and len(made.nearest(1, n)) == n - 1


def test_a_text_and_an_image_are_queries_too(folder):
    made = lab.embed.embed(FakeEncoder(), folder, progress=False).texts(["aaa", "sss"])
    assert made.nearest("sss", 1)[0].id == "sss"
    name = neutral_name(folder / "p05.png")
    assert made.nearest(folder / "p05.png", 1)[0].id == made.nearest(made.image(5), 1)[0].id == name


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0.5, 0.99))
def test_duplicates_are_all_pairs_above_the_threshold(seed, threshold):
    vectors = unit(30, seed, 3)
    vectors[7] = vectors[21]
    made = rows(vectors, {0: "text"})
    expected = {
        (i, j) for i in range(1, 30) for j in range(i + 1, 30) if vectors[i] @ vectors[j] >= threshold
    }
    found = made.duplicates(threshold)
    assert {pair[:2] for pair in found} == expected and (7, 21) in expected
    assert [c for *_, c in found] == sorted((c for *_, c in found), reverse=True)


def test_duplicates_across_blocks(monkeypatch):
    from medvlm_lab.embed import vectors as module

    made = rows(unit(30, 1, 3))
    whole = [pair[:2] for pair in made.duplicates(0.8)]
    monkeypatch.setattr(module, "BLOCK", 7)
    assert [pair[:2] for pair in made.duplicates(0.8)] == whole


def test_the_gap_is_the_distance_of_the_means():
    made = rows(np.eye(4, dtype=np.float32), {2: "text", 3: "text"})
    assert made.gap() == pytest.approx(1.0)
    with pytest.raises(MedVLMError, match=r"texts\(\)"):
        rows(unit(3)).gap()


def test_clusters_get_the_name_that_tells_them_apart():
    made = rows(unit(20))
    texts = made.encode_texts(["aaaaaa", "tttttt"])
    shift = unit(1, 5)[0]  # a gap between images and texts
    vectors = np.repeat(texts, 10, 0) + shift + 0.02 * unit(20, 3)
    made = rows(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).label_clusters(["aaaaaa", "tttttt"], 2)
    assert made.table["cluster"].to_pylist() == ["aaaaaa"] * 10 + ["tttttt"] * 10
    again = made.texts(["b"]).label_clusters(["tttttt", "bb"], 3)
    assert again.table["cluster"].to_pylist()[-1] == ""
    with pytest.raises(MedVLMError, match="21 clusters of 20 images"):
        made.label_clusters(["a", "b"], 21)


def test_bad_input_is_one_sentence(folder, tmp_path):
    mute = type("Mute", (), {"name": "mute"})()
    with pytest.raises(MedVLMError, match="'mute' does not embed images"):
        lab.embed.embed(mute, folder)
    (tmp_path / "empty").mkdir()
    for images, said in (
        (tmp_path / "empty", "holds no image file"), ([], "no images to embed"), ([3], "Item 0 is a int"),
        (folder / "nosuch", "does not exist"), (7, "A int holds no images"),
    ):  # fmt: skip
        with pytest.raises(MedVLMError, match=said):
            lab.embed.embed(FakeEncoder(), images, progress=False)
    with pytest.raises(MedVLMError, match="2 patients for 13 images"):
        lab.embed.embed(FakeEncoder(), folder, patients=["a", "b"], progress=False)
    with pytest.raises(MedVLMError, match="batch_size is 0"):
        lab.embed.embed(FakeEncoder(), folder, batch_size=0)
    (folder / "p03.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(ImageReadError, match=r"is damaged"):
        lab.embed.embed(FakeEncoder(), [folder / "p03.png"], progress=False)

    broken = FakeEncoder()
    broken.encode_images = lambda images: np.full((len(images), WIDTH), np.nan, np.float32)
    with pytest.raises(MedVLMError, match="fake-encoder.*must be finite numbers"):
        lab.embed.embed(broken, [folder / "p00.png"], tmp_path / "nan", progress=False)
    assert not list(tmp_path.glob("nan/*.parquet"))
    with pytest.raises(MedVLMError, match="unit length"):
        rows(2 * unit(3))


def test_files_that_are_gone_or_damaged(folder, tmp_path):
    made = lab.embed.embed(FakeEncoder(), folder, tmp_path / "out", progress=False)
    (folder / "p04.png").unlink()
    with pytest.raises(MissingDataError, match=r"p04\.png was moved or deleted after it was embedded"):
        made.image(4)
    with pytest.raises(MissingDataError, match="No vectors in"):
        Embeddings.load(tmp_path / "nosuch")
    (tmp_path / "out" / "embeddings.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(MissingDataError, match="damaged"):
        Embeddings.load(tmp_path / "out")
    with pytest.raises(MedVLMError, match="not at hand"):
        Embeddings(made.vectors, made.table, "m", "i").nearest("effusion")
