"""Visual question answering: normalised exact match, token recall, BLEU-1, calibration.

Three mistakes found in public scoring scripts are ruled out here and tested: counting every answer but "no" as yes,
cutting the prediction to the reference's length, and calling weights (0, 1, 0, 0) BLEU-2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from medvlm_lab.errors import MedVLMError, ScoreError
from medvlm_lab.metrics import guard
from medvlm_lab.metrics.answers import normalize_answer


def exact_match(prediction: str, reference: str) -> bool:
    """Whether both normalise to the same text. An answer that is neither yes nor no is wrong for a yes/no question.

    Raises ScoreError for None and NaN. See `answers.normalize_answer`.
    """
    return normalize_answer(prediction) == normalize_answer(reference)


def token_recall(prediction: str, reference: str) -> float:
    """The share of the reference's words that the answer holds, in percent: the open score of LLaVA-Med and PA-LLaVA.

    Words of the normalised texts; one that the reference says twice must be said twice. Nothing is taken off for what
    the answer says besides, so that long answers score high: read it beside `exact_match`. Both empty gives 100.
    """
    wanted, said = (Counter(normalize_answer(text).split()) for text in (reference, prediction))
    if not wanted:
        return 0.0 if said else 100.0
    return 100.0 * (wanted & said).total() / wanted.total()


def sentence_bleu1(prediction: str, reference: str) -> float:
    """BLEU-1 of one answer in percent: clipped unigram precision times the brevity penalty (Papineni et al., 2002).

    Computed by sacrebleu on the normalised texts, without smoothing: no word in common gives 0. Both empty gives 100.
    """
    p, r = normalize_answer(prediction), normalize_answer(reference)
    if not p or not r:
        return 100.0 if p == r else 0.0
    return _scorer().sentence_score(p, [r]).score


@lru_cache(maxsize=1)
def _scorer():
    from sacrebleu.metrics import BLEU

    # the texts are normalised already; with a single n-gram order the "effective" order is that order
    return BLEU(max_ngram_order=1, tokenize="none", smooth_method="none", effective_order=True)


def bleu1(predictions: Sequence[str], references: Sequence[str]) -> float:
    """Mean of `sentence_bleu1` over the answers, in percent; NaN for none.

    Raises MedVLMError when the two differ in length.
    """
    if len(predictions) != len(references):
        raise MedVLMError(f"{len(predictions)} answers cannot be scored against {len(references)}; give pairs.")
    scores = [sentence_bleu1(p, r) for p, r in zip(predictions, references, strict=True)]
    return float(np.mean(scores)) if scores else float("nan")


def expected_calibration_error(
    confidence: Sequence[float] | np.ndarray, correct: Sequence[bool] | np.ndarray, bins: int = 10
) -> float:
    """Expected calibration error in [0, 1] (Guo et al., 2017): mean over equal-width bins of |accuracy - confidence|.

    Args:
        confidence: in [0, 1], shape (..., n); leading axes are separate samples and give an array of errors.
        correct: of the same shape.
        bins: (0, 1/bins], ..., (1 - 1/bins, 1]; a confidence of 0 belongs to the first.

    Raises ScoreError for different shapes, a confidence outside [0, 1], and what is neither right nor wrong; empty
    input gives NaN.
    """
    c, ok = guard.finite(confidence, "confidences"), guard.zero_one(correct, "values of correct")
    guard.at_least(bins, 1, "The number of bins")
    if c.shape != ok.shape:
        raise ScoreError(f"confidence {c.shape} and correct {ok.shape} differ in shape; give pairs.")
    if not c.size:
        return float("nan")
    if not (np.all(c >= 0) and np.all(c <= 1)):
        raise ScoreError("A confidence must lie in [0, 1]; divide percents by 100.")
    which = np.clip(np.ceil(c * bins).astype(int) - 1, 0, bins - 1)
    # |sum over the bin of (correct - confidence)| / n is the bin's gap weighted by its share
    gaps = sum(np.abs(np.where(which == b, ok - c, 0.0).sum(-1)) for b in range(bins))
    error = gaps / c.shape[-1]
    return float(error) if np.ndim(error) == 0 else error
