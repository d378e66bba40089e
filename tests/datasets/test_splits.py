"""Held-out parts: disjoint, complete, repeatable, and true to the official protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.datasets import by_image, by_question, dataset
from medvlm_lab.datasets.vqa_rad import has_twin, question_groups
from medvlm_lab.metrics import normalize_answer

IMAGES = st.lists(st.integers(0, 9), min_size=1, max_size=60)


@given(IMAGES, st.floats(0.01, 0.9), st.integers(0, 5))
def test_by_image_shares_no_image(images, fraction, seed):
    rows = [{"image": f"{i}.jpg"} for i in images]
    train, held = by_image(rows, fraction, seed)
    assert sorted(train + held) == list(range(len(rows)))
    assert not {images[i] for i in train} & {images[i] for i in held}
    assert len(held) >= fraction * len(rows)
    assert (train, held) == by_image(rows, fraction, seed)


@given(IMAGES, st.floats(0.01, 0.9), st.integers(0, 5))
def test_by_question_without_phrasing_draws_rows(images, fraction, seed):
    rows = [{"image": f"{i}.jpg"} for i in images]
    train, held = by_question(rows, fraction, seed)
    assert sorted(train + held) == list(range(len(rows)))
    assert len(held) == round(fraction * len(rows))


def test_groups_end_at_freeform_image_and_gap():
    def row(qid, image, kind):
        return {"qid": qid, "image_name": image, "phrase_type": kind}

    rows = [
        row(1, "a", "freeform"), row(2, "a", "frame"), row(3, "a", "para"), row(4, "a", "freeform"),
        row(5, "b", "frame"), row(7, "b", "frame"), row(6, "b", "para"),
    ]
    assert question_groups(rows) == [[0, 1, 2], [3], [4, 6, 5]]


def test_by_question_follows_the_official_protocol(rows):
    train, held = by_question(rows, 0.2, seed=1)
    assert sorted(train + held) == list(range(len(rows)))
    assert {rows[i]["phrase_type"] for i in held} == {"freeform", "para"}
    assert 0.2 * len(rows) <= len(held) <= 0.2 * len(rows) + 2
    held_set = set(held)
    for group in question_groups(rows):  # a group's questions go together, its frames stay
        inside = [i in held_set for i in group if rows[i]["phrase_type"] != "frame"]
        assert all(inside) or not any(inside)
    assert by_question(rows, 0.2, seed=1) == (train, held)
    assert by_question(rows, 0.2, seed=2) != (train, held)


def test_by_image_does_not_depend_on_the_files_order(rows):
    _, held = by_image(rows)
    _, mirrored = by_image(rows[::-1])
    assert {rows[i]["image_name"] for i in held} == {rows[::-1][i]["image_name"] for i in mirrored}


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5])
def test_senseless_fractions(rows, fraction):
    with pytest.raises(ValueError, match="fraction"):
        by_question(rows, fraction)


def test_the_real_split_looks_like_the_official_test(real_data):
    held = dataset(real_data / "vqa_rad", "validation")
    assert 307 <= len(held) <= 312  # 10 % of 3,064, in whole groups
    assert 0.5 < held.closed / len(held) < 0.7
    # As in the official test: 63 % of its questions left their frame in training, 77 % of its open answers occur there.
    train = dataset(real_data / "vqa_rad", "train")
    _, indices = by_question(train.rows)
    twins = [has_twin(train.rows)[i] for i in indices]
    assert 0.55 < sum(twins) / len(twins) < 0.7
    rest = {normalize_answer(i.answer) for i in dataset(real_data / "vqa_rad", "train-minus-validation")}
    known = [normalize_answer(i.answer) in rest for i in held if not i.closed]
    assert 0.7 < sum(known) / len(known) < 0.85
