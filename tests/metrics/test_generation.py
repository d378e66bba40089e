"""Scores of written text: the values that the libraries document, and the mistakes seen in public scripts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics.generation import (
    bleu,
    bleu_counts,
    bleu_of,
    cider,
    f1_of,
    label_f1,
    meteor,
    rouge_l,
    table,
    words,
)  # fmt: skip

PARTY = "It is a guide to action which ensures that the military always obeys the commands of the party"
PARTY_REFERENCES = [
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
]
BOOK = "he read the book because he was interested in world history"
BOOK_REFERENCES = ["he was interested in world history because he read the book"]
TEXTS = st.lists(st.sampled_from("no small left effusion heart lungs are clear".split()), min_size=1, max_size=9)
SCORES = (bleu, meteor, rouge_l, cider)


def test_words():
    assert words("The Left-sided effusion, 12 mm; ratio 0.52.") == "the left-sided effusion 12 mm ratio 0.52".split()


def test_bleu_is_what_nltk_documents():
    assert bleu([PARTY], [PARTY_REFERENCES]) == pytest.approx(0.504567, abs=1e-6)
    assert bleu([PARTY, BOOK], [PARTY_REFERENCES, BOOK_REFERENCES]) == pytest.approx(0.592078, abs=1e-6)


def test_corpus_bleu_is_sacrebleu_s():
    from sacrebleu import corpus_bleu

    texts, references = (
        [PARTY.lower(), BOOK, "no effusion"],
        [PARTY_REFERENCES[0].lower(), *BOOK_REFERENCES, "effusion"],
    )
    expected = corpus_bleu(texts, [references], tokenize="none", smooth_method="none").score / 100
    assert bleu(texts, references) == pytest.approx(expected)


def test_bleu2_is_the_mean_over_both_orders():
    # 3 of 4 words and 1 of 3 pairs; weights (0, 1, 0, 0) would give the pairs' 1/3 alone
    assert bleu(["a b x c"], ["a b c d"], 2) == pytest.approx(math.sqrt(3 / 4 * 1 / 3))
    assert bleu(["a b x c"], ["a b c d"], 1) == pytest.approx(3 / 4)
    with pytest.raises(MedVLMError, match="BLEU-5 .* from 1 to 4"):
        bleu(["a"], ["a"], 5)


def test_nothing_is_cut_to_the_reference_s_length():
    reference, long = "no pleural effusion is seen", "no pleural effusion is seen and the heart is very large"
    assert bleu([reference], [reference]) == pytest.approx(1)
    assert bleu([long], [reference], 1) == pytest.approx(5 / 11)
    for score in (meteor, rouge_l):
        assert score([long], [reference])[0] < 0.95 * score([reference], [reference])[0]
    assert cider([long, "x"], [reference, "y"])[0] < cider([reference, "x"], [reference, "y"])[0]


def test_short_texts_pay_the_brevity_penalty():
    assert bleu(["no effusion"], ["no effusion is seen"], 1) == pytest.approx(math.exp(1 - 4 / 2))


def test_rouge_l_is_what_rouge_score_documents():
    text, reference = "The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog"
    assert rouge_l([text], [reference])[0] == pytest.approx(0.588235, abs=1e-6)


def test_rouge_l_is_neither_coco_s_nor_rouge_1():
    text, reference = "The quick brown dog jumps on the log.", "The quick brown fox jumps over the lazy dog"
    precision, recall = 5 / 8, 5 / 9  # the quick brown jumps the
    coco = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    assert rouge_l([text], [reference])[0] == pytest.approx(2 * precision * recall / (precision + recall))
    assert rouge_l([text], [reference])[0] - coco > 0.005  # β = 1.2 weighs recall more
    assert rouge_l(["effusion left"], ["left effusion"])[0] == pytest.approx(0.5)  # ROUGE-1 would be 1


def test_meteor_is_what_nltk_documents_where_no_synonym_matters():
    assert meteor([PARTY], [PARTY_REFERENCES])[0] == pytest.approx(0.6944, abs=5e-5)
    assert meteor(["non matching hypothesis"], ["this is a cat"])[0] == 0


def test_meteor_counts_stems_and_order_but_no_synonyms():
    same, stem, other, mixed = meteor(
        ["enlarged hearts", "enlarging heart", "big heart", "hearts enlarged"], ["enlarged hearts"] * 4
    )
    assert same == stem == pytest.approx(1 - 0.5 * (1 / 2) ** 3)  # two matches in one chunk
    assert mixed == pytest.approx(0.5) and other == pytest.approx(0.25)


def test_cider_of_identical_pairs_and_of_one_pair():
    texts = ["the heart is enlarged today", "no left pleural effusion seen", "a nodule in right apex"]
    assert cider(texts, texts) == pytest.approx([10, 10, 10])
    assert cider(texts[:1], texts[:1])[0] == 0  # what all references say weighs nothing, and here there is only one


def test_cider_by_hand():
    # idf: ln 2 for "a", "b", "c", "d", ("a", "b"), ("c", "d"). "a": one of two words, no pair, one word shorter
    half = 10 * math.exp(-1 / 72) * (1 / math.sqrt(2)) / 4
    assert cider(["a", "c d"], ["a b", "c d"]) == pytest.approx([half, 5])


def test_cider_penalises_repeating_a_word():
    once, often = cider(["large effusion", "x"], ["large effusion", "y"])[0], cider(
        ["large effusion effusion effusion", "x"], ["large effusion", "y"]
    )[0]  # fmt: skip
    assert often < 0.8 * once


@pytest.mark.parametrize("score", SCORES)
def test_what_cannot_be_scored_is_a_sentence(score):
    with pytest.raises(MedVLMError, match="2 texts cannot be scored against 1 references; give pairs"):
        score(["a", "b"], ["a"])
    for empty in ("", " . ", []):
        with pytest.raises(MedVLMError, match="Reference 1 is empty"):
            score(["a", "b"], ["a", empty])
    with pytest.raises(MedVLMError, match="no texts to score"):
        score([], [])
    assert np.all(score([""], ["a b"]) == 0)  # an empty text is a bad text, not an error


@settings(deadline=None, max_examples=30)
@given(TEXTS, TEXTS)
def test_scores_lie_in_their_ranges_and_a_copy_is_never_worse(text, reference):
    pairs = [" ".join(text), "other words entirely"], [" ".join(reference), "something else"]
    copies = [pairs[1][0], pairs[0][1]], pairs[1]
    for score, most in zip(SCORES, (1, 1, 1, 10), strict=True):
        value, best = np.max(score(*pairs)), np.max(score(*copies))
        assert 0 <= value <= most + 1e-9 and value <= best + 1e-9


def test_bleu_of_many_samples_at_once():
    counts = bleu_counts([PARTY, BOOK], [PARTY_REFERENCES, BOOK_REFERENCES])
    draws = counts[np.array([[0, 0], [0, 1]])]
    assert bleu_of(draws) == pytest.approx([bleu([PARTY], [PARTY_REFERENCES]), 0.592078], abs=1e-6)


def test_label_f1_known_values():
    truth, said = [{"a", "b"}, {"a"}, set()], [{"a"}, {"a", "c"}, {"x"}]
    scores = label_f1(said, truth, ("a", "b", "c", "never"))
    assert scores.micro == pytest.approx(2 * 2 / (3 + 3))
    assert scores.macro == pytest.approx((1 + 0 + 0) / 3)  # "never" is neither there nor said


def test_label_f1_is_scikit_learn_s():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    said, there = rng.random((2, 60, 4)) < 0.4
    micro, macro = f1_of(said, there)
    assert micro == pytest.approx(f1_score(there, said, average="micro"))
    assert macro == pytest.approx(f1_score(there, said, average="macro"))


def test_label_f1_refuses_what_is_undefined():
    with pytest.raises(MedVLMError, match="undefined for 2 studies"):
        label_f1([set(), set()], [set(), set()], ("a",))
    with pytest.raises(MedVLMError, match="1 sets of findings cannot be scored against 2"):
        label_f1([set()], [set(), set()], ("a",))
    assert table([], ("a", "b")).shape == (0, 2)
