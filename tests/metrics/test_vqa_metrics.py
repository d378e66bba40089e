"""Answer scoring: known values, the mistakes seen in public scripts, and properties."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import (
    bleu1,
    exact_match,
    expected_calibration_error,
    normalize_answer,
    sentence_bleu1,
    token_recall,
)

WORDS = st.lists(st.sampled_from("left right lung lobe no yes mass opacity 2 cm".split()), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Yes. ", "yes"),
        ("The left lung", "left lung"),
        ("X-ray", "xray"),
        ("Crohn's disease", "crohns disease"),
        ("two", "2"),
        ("4.5 cm", "4.5 cm"),
        ("1,000", "1000"),
        ("<5%", "<5%"),
        ("a", "a"),  # a label in the picture, not an article
        ("A/P", "ap"),
        ("right_sided", "right sided"),
        ("", ""),
        ("ＣＴ", "ct"),
    ],
)
def test_normalize_answer(text, expected):
    assert normalize_answer(text) == expected


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing(text):
    once = normalize_answer(text)
    assert normalize_answer(once) == once


@given(st.text(max_size=40))
def test_exact_match_ignores_case_and_blanks(text):
    assert exact_match(f"  {text} ", text)


def test_an_answer_that_is_not_no_is_not_yes():
    assert not exact_match("", "yes")
    assert not exact_match("pneumonia", "yes")
    assert not exact_match("not sure", "yes")
    assert not exact_match("yes and no", "yes")


def test_a_prediction_is_not_cut_to_the_references_length():
    assert not exact_match("left lung and pleura", "left lung")
    assert sentence_bleu1("left lung and pleura", "left lung") == pytest.approx(50)


def test_token_recall():
    assert token_recall("the left lung base", "left lung") == 100  # what is said besides costs nothing
    assert token_recall("left", "left lung") == 50 and token_recall("right", "left lung") == 0
    assert token_recall("lung", "lung to lung") == pytest.approx(100 / 3)  # said once, wanted twice
    assert token_recall("two", "2 nodules") == 50  # normalised alike
    assert token_recall("", "") == 100 and token_recall("x", "") == 0


@given(WORDS, WORDS)
def test_token_recall_is_full_for_whoever_says_the_reference_too(prediction, reference):
    p, r = " ".join(prediction), " ".join(reference)
    assert 0 <= token_recall(p, r) <= token_recall(f"{p} {r}", r) == 100


def test_bleu1_known_values():
    assert sentence_bleu1("cat sat on mat", "cat sat on mat") == pytest.approx(100)
    assert sentence_bleu1("cat sat", "cat sat on mat") == pytest.approx(100 * math.exp(1 - 4 / 2))  # brevity penalty
    assert sentence_bleu1("left left left left", "left lung") == pytest.approx(25)  # clipped: one of four
    assert sentence_bleu1("right", "left") == 0
    assert sentence_bleu1("", "left") == 0
    assert sentence_bleu1("", "") == 100
    assert bleu1(["left", "right lung"], ["left", "left lung"]) == pytest.approx(75)
    assert math.isnan(bleu1([], []))
    with pytest.raises(MedVLMError, match="1 answers cannot be scored against 0"):
        bleu1(["a"], [])


def test_bleu1_looks_at_single_words_only():
    # weights (0, 1, 0, 0) would score the reversed order 0: that is bigram precision, not BLEU-1
    assert sentence_bleu1("lobe upper left", "left upper lobe") == pytest.approx(100)


@given(WORDS, WORDS)
def test_bleu1_agrees_with_its_definition(prediction, reference):
    p, r = " ".join(prediction), " ".join(reference)
    clipped = sum(min(prediction.count(w), reference.count(w)) for w in set(prediction))
    penalty = min(1.0, math.exp(1 - len(reference) / len(prediction)))
    assert sentence_bleu1(p, r) == pytest.approx(100 * penalty * clipped / len(prediction))


def test_calibration_error_known_values():
    assert expected_calibration_error([0.9, 0.9], [1, 0]) == pytest.approx(0.4)
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0
    # two bins of two: |1 - .95| and |.5 - .25|, equally weighted
    assert expected_calibration_error([0.95, 0.95, 0.25, 0.25], [1, 1, 1, 0]) == pytest.approx((0.05 + 0.25) / 2)
    assert math.isnan(expected_calibration_error([], []))
    for bad in ([1.2], [-0.1], [math.nan]):
        with pytest.raises(ValueError):
            expected_calibration_error(bad, [1])
    with pytest.raises(ValueError):
        expected_calibration_error([0.5], [1, 0])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50), st.integers(1, 20))
def test_calibration_error_lies_between_the_overall_gap_and_one(pairs, bins):
    confidence, correct = zip(*pairs, strict=True)
    error = expected_calibration_error(confidence, correct, bins)
    overall = abs(sum(correct) - sum(confidence)) / len(pairs)
    assert overall - 1e-9 <= error <= 1 + 1e-9
