"""How close written text is to a reference: BLEU, METEOR, ROUGE-L, CIDEr, and F1 over findings.

Every text is read alike, in lower case and without punctuation, as coco-caption reads captions. A reference may be
several texts. Nothing is cut to the reference's length, and BLEU-n always means all orders from 1 to n.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import guard

ORDERS = 4  # longest n-gram of BLEU and CIDEr
SIGMA = 6.0  # words by which lengths may differ in CIDEr-D
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W_]+(?:['’-][^\W_]+)*")

Reference = str | Sequence[str]


class F1(NamedTuple):
    """F1 over all findings together, and its mean over findings, both in [0, 1]."""

    micro: float
    macro: float


def words(text: str) -> list[str]:
    """Lower-case words and numbers, without punctuation."""
    return _WORD.findall(text.lower())


def _texts(candidates: Sequence[str], references: Sequence[Reference]) -> list[tuple[list[str], list[list[str]]]]:
    """Words of each candidate and of its references. Raises MedVLMError for what cannot be compared."""
    candidates = guard.texts(candidates)
    if isinstance(references, str):
        raise MedVLMError("The references must be a list, one for each text, not one text; put it into a list.")
    if len(candidates) != len(references):
        raise MedVLMError(f"{len(candidates)} texts cannot be scored against {len(references)} references; give pairs.")
    if not len(candidates):
        raise MedVLMError("There are no texts to score; give at least one text with its reference.")
    pairs = []
    for i, (candidate, reference) in enumerate(zip(candidates, references, strict=True)):
        several = [reference] if isinstance(reference, str) else reference
        read = [words(text) for text in guard.texts(several, f"references of text {i}")]
        if not read or not all(read):
            raise MedVLMError(f"Reference {i} is empty; leave out what has no reference.")
        pairs.append((words(candidate), read))
    return pairs


def bleu_counts(candidates: Sequence[str], references: Sequence[Reference]) -> Float[np.ndarray, "n 10"]:
    """What corpus BLEU adds up, by sacrebleu: 4 clipped matches, 4 totals, the text's length, the reference's."""
    scorer = _bleu()
    rows = []
    for candidate, refs in _texts(candidates, references):
        s = scorer.sentence_score(" ".join(candidate), [" ".join(ref) for ref in refs])
        rows.append([*s.counts, *s.totals, s.sys_len, s.ref_len])
    return np.array(rows, dtype=np.float64)


@lru_cache(maxsize=1)
def _bleu():
    from sacrebleu.metrics import BLEU

    # effective_order only silences a warning: the score itself comes from the counts
    return BLEU(max_ngram_order=ORDERS, tokenize="none", smooth_method="none", effective_order=True)


def bleu_of(counts: Float[np.ndarray, "*s n 10"], order: int = ORDERS) -> Float[np.ndarray, "*s"]:
    """Corpus BLEU of `bleu_counts`, in [0, 1] (Papineni et al., 2002), for each sample of n texts."""
    if not 1 <= order <= ORDERS:
        raise MedVLMError(f"BLEU-{order} is not defined here; order must be from 1 to {ORDERS}.")
    total = counts.sum(-2)  # (*s, 10)
    matches, possible = total[..., :order], total[..., ORDERS : ORDERS + order]
    length, wanted = total[..., -2], total[..., -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.exp(np.log(matches / possible).mean(-1))  # a mean over all orders, not the last one alone
        penalty = np.exp(np.minimum(0, 1 - wanted / length))
    return np.nan_to_num(precision * penalty, nan=0.0)


def bleu(candidates: Sequence[str], references: Sequence[Reference], order: int = ORDERS) -> float:
    """Corpus BLEU-`order` in [0, 1]: geometric mean of the precisions of orders 1 to `order`, unsmoothed."""
    return float(bleu_of(bleu_counts(candidates, references), order))


class _NoSynonyms:
    """Stands in for WordNet, whose data would have to be downloaded."""

    @staticmethod
    def synsets(word: str) -> tuple[()]:
        return ()


def meteor(candidates: Sequence[str], references: Sequence[Reference]) -> Float[np.ndarray, " n"]:
    """METEOR without synonyms, each in [0, 1], by nltk: matches of equal words and equal Porter stems.

    α = .9, β = 3, γ = .5 (Lavie & Agarwal, 2007). The third stage, WordNet synonyms, only adds matches, so that the
    full score is as a rule a little higher. METEOR 1.5 (the Java program) has other weights and paraphrases and is not
    comparable: on 300 pairs of simulated reports it gave .27 where this gave .47.
    """
    from nltk.translate.meteor_score import meteor_score

    pairs, stems = _texts(candidates, references), _stems()
    return np.array([meteor_score(refs, text, stemmer=stems, wordnet=_NoSynonyms) for text, refs in pairs])


@lru_cache(maxsize=1)
def _stems() -> SimpleNamespace:
    from nltk.stem import PorterStemmer

    return SimpleNamespace(stem=lru_cache(maxsize=2**16)(PorterStemmer().stem))  # each word once, not once a pair


def rouge_l(candidates: Sequence[str], references: Sequence[Reference]) -> Float[np.ndarray, " n"]:
    """ROUGE-L, each in [0, 1]: F with β = 1 of the longest common subsequence, by rouge-score; the best reference's.

    coco-caption weighs recall more (β = 1.2), so its values differ.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=SimpleNamespace(tokenize=str.split))
    return np.array([
        max(float(scorer.score(" ".join(ref), " ".join(text))["rougeL"].fmeasure) for ref in refs)
        for text, refs in _texts(candidates, references)
    ])  # fmt: skip


def cider(candidates: Sequence[str], references: Sequence[Reference]) -> Float[np.ndarray, " n"]:
    """CIDEr-D, each in [0, 10] (Vedantam et al., 2015): cosine of tf-idf vectors, mean over orders 1 to 4, times 10.

    The idf is that of the references given. What every reference says weighs nothing: one pair alone scores 0.
    """
    pairs = [(_grams(text), [_grams(ref) for ref in refs]) for text, refs in _texts(candidates, references)]
    seen = Counter(gram for _, refs in pairs for gram in {gram for ref in refs for gram in ref})
    idf = {gram: math.log(len(pairs) / count) for gram, count in seen.items()}
    unseen = math.log(len(pairs))

    def similarity(text: Counter, ref: Counter) -> float:
        dot, a, b = (np.zeros(ORDERS) for _ in range(3))
        for gram, count in text.items():
            weight = idf.get(gram, unseen) ** 2
            a[len(gram) - 1] += weight * count**2
            dot[len(gram) - 1] += weight * min(count, ref[gram]) * ref[gram]
        for gram, count in ref.items():
            b[len(gram) - 1] += (idf[gram] * count) ** 2
        norm = np.sqrt(a * b)
        cosine = np.divide(dot, norm, out=np.zeros(ORDERS), where=norm > 0).mean()
        return float(cosine) * math.exp(-((_length(text) - _length(ref)) ** 2) / (2 * SIGMA**2))

    return np.array([10 * np.mean([similarity(text, ref) for ref in refs]) for text, refs in pairs])


def _grams(text: list[str]) -> Counter:
    return Counter(tuple(text[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(text) - n + 1))


def _length(grams: Counter) -> int:
    return sum(count for gram, count in grams.items() if len(gram) == 1)


def f1_of(said: Bool[np.ndarray, "*s n k"], there: Bool[np.ndarray, "*s n k"]) -> tuple[np.ndarray, np.ndarray]:
    """Micro and macro F1 over n studies and k findings, for each sample; NaN where no finding is there or said.

    The macro mean leaves out findings that are neither there nor said.
    """
    hits = (said & there).sum(-2)  # (*s, k)
    both = said.sum(-2) + there.sum(-2)
    known = (both > 0).sum(-1)
    with np.errstate(invalid="ignore"):
        micro = 2 * hits.sum(-1) / both.sum(-1)
        macro = (2 * hits / np.maximum(both, 1)).sum(-1) / known
    return micro, macro


def label_f1(predicted: Sequence[Iterable[str]], truth: Sequence[Iterable[str]], names: Sequence[str]) -> F1:
    """F1 of the findings named in each study against those that are there; findings outside `names` are ignored.

    Raises MedVLMError for unequal lengths, and where no finding is there or named: F1 is then undefined.
    """
    predicted, truth = (
        [guard.texts(found, f"findings of study {i}") for i, found in enumerate(sets)] for sets in (predicted, truth)
    )
    if len(predicted) != len(truth):
        raise MedVLMError(f"{len(predicted)} sets of findings cannot be scored against {len(truth)}; give pairs.")
    scores = F1(*map(float, f1_of(table(predicted, names), table(truth, names))))
    if math.isnan(scores.micro):
        raise MedVLMError(f"F1 is undefined for {len(truth)} studies in which no finding is there or named; add some.")
    return scores


def table(sets: Sequence[Iterable[str]], names: Sequence[str]) -> Bool[np.ndarray, "n k"]:
    """Which of `names` each set holds."""
    held = [[name in found for name in names] for found in map(set, sets)]
    return np.array(held, bool).reshape(len(sets), len(names))
