"""Simulated patients wherever a data set is asked for."""

import tracemalloc

import numpy as np
import pytest
import torch

from medvlm_lab.datasets import by_image, by_question, dataset, names
from medvlm_lab.errors import MedVLMError, SceneError, UnknownNameError
from medvlm_lab.models.base import Answer
from medvlm_lab.phantoms.language import Grammar, forms
from medvlm_lab.tasks import evaluate

NAME = "phantom:chest-xray"


def test_an_item_is_a_question_about_a_simulated_picture():
    data = dataset(NAME, "train", n=20, seed=3)
    assert NAME in names() and len(data) == 120
    for item in data[:12]:
        assert item.question.endswith((".", "?")) and item.answer and item.modality == "X-ray"
        if mask := item.mask_name:
            assert item.mask().any() and item.mask().shape == (256, 256), mask
    image = data[0].image()
    assert image.simulated and image.height == 256
    assert np.array_equal(image.pixels, dataset(NAME, "train", n=20, seed=3)[0].image().pixels)


def test_parts_share_no_patient_and_test_is_worded_anew():
    parts = {split: dataset(NAME, split, n=40) for split in ("train", "validation", "test")}
    seeds = [{item.scene.seed for item in part} for part in parts.values()]
    assert all(len(s) == 40 for s in seeds) and len(set.union(*seeds)) == 120
    usual = {f for p in Grammar.of("chest-xray").all_patterns("usual", "ask") for f in forms(p) if "<" not in f}
    assert any(item.question in usual for item in parts["train"])
    assert not any(item.question in usual for item in parts["test"])


def test_streams_of_different_seed_differ():
    one, two = (dataset(NAME, n=30, seed=s) for s in (0, 1))
    assert not {i.scene.seed for i in one} & {i.scene.seed for i in two}


def test_it_behaves_like_a_stored_data_set():
    data = dataset(NAME, n=10)
    assert data.select([5, 1])[0] == data[5] and data[3:9:2][1] == data[5] and data[-1] == data[59]
    assert data.select([5, 1]).select([1])[0] == data[1]
    assert 0 < data.closed < len(data) and len(data.image_names) == 10
    assert data.rows[7]["question"] == data[7].question and data.rows[7]["answer_type"] in ("OPEN", "CLOSED")
    for divide in (by_image, by_question):
        rest, held = divide(data.rows, 0.2)
        assert sorted(rest + held) == list(range(60))
    with pytest.raises(IndexError):
        data[60]


def test_batches_render_each_study_once():
    data = dataset(NAME, n=9)
    seen = []
    for pixels, items in data.batches(20, size=48):
        assert pixels.shape == (len(items), 1, 48, 48)
        seen += items
        first = data.simulator.render([items[-1].scene], 48)[0]
        assert torch.equal(pixels[-1], first)
    assert seen == list(data)


class Affirmer:
    """Says yes to everything."""

    name = "affirmer"

    def answer_batch(self, images, questions):
        assert all(image.simulated for image in images)
        return [Answer("yes", 0.5, (("yes", 0.5),)) for _ in questions]


def test_a_model_is_scored_on_it_as_on_any_other():
    data = dataset(NAME, "test", n=8, size=64)
    result = evaluate("vqa", Affirmer(), data, resamples=10, progress=False)
    assert len(result.rows) == 48 and result.data == "phantom:chest-xray (test)"
    assert all(row.correct == (row.reference == "yes") for row in result.rows)


def test_memory_does_not_grow_with_n():
    dataset(NAME, n=2)[0]
    tracemalloc.start()
    data = dataset(NAME, n=10_000_000)
    assert len(data) == 60_000_000 and data[59_999_999].answer
    for i in range(0, 6000, 6):
        data[i]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6 and "60,000,000 questions" in repr(data)


def test_bad_requests(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'chest-xray'"):
        dataset("phantom:chest-xry")
    with pytest.raises(UnknownNameError, match="did you mean 'train'"):
        dataset(NAME, "trian")
    for wrong in ({"n": 0}, {"n": -1}, {"seed": -1}, {"size": 4}, {"hospital": 9}):
        with pytest.raises(SceneError, match=next(iter(wrong))):
            dataset(NAME, **wrong)
    with pytest.raises(MedVLMError, match="n is for simulated patients only"):
        dataset("vqa_rad", n=5)


def test_authors_take_turns_and_keep_their_habits():
    data = dataset(NAME, "test", n=24, authors=4, wording="usual", size=64)
    calm = [i for i in range(24) if not data.study(i).findings]
    endings = {i: data.study(i).report.rsplit(". ", 1)[-1] for i in calm}
    assert len(calm) > 4
    assert all(endings[i] == endings[j] for i in calm for j in calm if i % 4 == j % 4)
    shots = data.examples(9, 4)
    assert len(shots) == 4 and all(image.width == 64 and text.startswith("findings: ") for image, text in shots)
    names = {image.name for image, _ in shots}
    assert names == {data.study(i).image().name for i in (13, 17, 21, 1)}
    with pytest.raises(SceneError, match="fewer than 6"):
        data.examples(9, 6)
    with pytest.raises(SceneError, match="authors=1"):
        dataset(NAME, "test", n=24).examples(0, 1)
    with pytest.raises(UnknownNameError, match="held-out"):
        dataset(NAME, "test", wording="held out")
