"""Visual question answering: accuracy on closed and open questions, BLEU-1, calibration, each with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvlm_lab.datasets.base import VQAItem
from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import bootstrap_interval, exact_match, expected_calibration_error, sentence_bleu1
from medvlm_lab.tasks.result import Result, Score, data_title, model_name

TITLES = {
    "closed": "Closed questions, accuracy %",
    "open": "Open questions, accuracy %",
    "bleu1": "BLEU-1, all questions, %",
    "ece": "Expected calibration error, %",
}


@dataclass(frozen=True)
class VQARow:
    """One scored question; `confidence` in [0, 1], `bleu1` in percent."""

    image_name: str
    question: str
    reference: str
    prediction: str
    confidence: float
    closed: bool
    correct: bool
    bleu1: float
    question_type: str = ""


def evaluate_vqa(
    model: Any,
    data: Sequence[VQAItem],
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    resamples: int = 1000,
    progress: bool = True,
) -> Result:
    """Ask the model every question of `data` and score the answers; see `tasks.evaluate`.

    Each picture is read once: the questions are asked image by image, and the rows returned in the data set's order.
    """
    if not callable(getattr(model, "answer_batch", None)):
        raise MedVLMError(
            f"Model {model_name(model)!r} does not answer questions (it has no answer_batch); choose one that "
            "`medvlm-lab models` lists with the capability Answerer."
        )
    if batch_size < 1 or (n is not None and n < 1):
        raise MedVLMError(f"Nothing to score with n={n} and batch_size={batch_size}; both must be at least 1.")
    items = list(data)
    if n is not None and n < len(items):
        chosen = np.random.default_rng(seed).choice(len(items), n, replace=False)
        items = [items[i] for i in sorted(chosen.tolist())]
    if not items:
        raise MedVLMError("The data set holds no questions to score; choose another split.")
    rows = tuple(_answers(model, items, batch_size, progress))
    return Result(model_name(model), data_title(data, len(items)), score_rows(rows, resamples, seed), rows, TITLES)


def _answers(model: Any, items: list[VQAItem], batch_size: int, progress: bool) -> Iterator[VQARow]:
    from tqdm.auto import tqdm

    first: dict[Path, int] = {}
    for item in items:
        first.setdefault(item.image_path, len(first))
    order = sorted(range(len(items)), key=lambda i: first[items[i].image_path])
    rows: dict[int, VQARow] = {}
    pictures: dict[Path, Any] = {}
    with tqdm(total=len(items), unit="question", desc=model_name(model), disable=not progress) as bar:
        for start in range(0, len(order), batch_size):
            batch = [items[i] for i in order[start : start + batch_size]]
            # only the last batch's pictures can occur again: memory stays bounded by the batch
            needed = {item.image_path: item for item in batch}
            pictures = {p: pictures[p] if p in pictures else item.image() for p, item in needed.items()}
            answers = model.answer_batch([pictures[x.image_path] for x in batch], [x.question for x in batch])
            if len(answers) != len(batch):
                raise MedVLMError(f"Model {model_name(model)!r} gave {len(answers)} answers to {len(batch)} questions.")
            for i, item, answer in zip(order[start:], batch, answers, strict=False):
                if not 0 <= answer.confidence <= 1:
                    raise MedVLMError(
                        f"Model {model_name(model)!r} gave the confidence {answer.confidence} to {item.question!r}; it "
                        "must lie in [0, 1]."
                    )
                rows[i] = VQARow(
                    item.image_name, item.question, item.answer, answer.text, float(answer.confidence), item.closed,
                    exact_match(answer.text, item.answer), sentence_bleu1(answer.text, item.answer), item.question_type,
                )
            bar.update(len(batch))
    return (rows[i] for i in range(len(items)))


def score_rows(rows: Sequence[VQARow], resamples: int = 1000, seed: int = 0) -> dict[str, Score]:
    """`closed`, `open`, `bleu1`, `ece` in percent. Usable on a part of `Result.rows`, such as one question type."""
    parts = {
        "closed": [100.0 * r.correct for r in rows if r.closed],
        "open": [100.0 * r.correct for r in rows if not r.closed],
        "bleu1": [r.bleu1 for r in rows],
    }
    scores = {k: Score(*bootstrap_interval(v, resamples, seed), len(v)) for k, v in parts.items()}
    pairs = np.array([(r.confidence, r.correct) for r in rows], dtype=np.float64).reshape(-1, 2)
    ece = bootstrap_interval(pairs, resamples, seed, statistic=_ece_percent)
    return scores | {"ece": Score(*ece, len(rows))}


def _ece_percent(pairs: np.ndarray) -> np.ndarray:  # (resamples, n, 2) -> (resamples,)
    return 100.0 * np.atleast_1d(expected_calibration_error(pairs[..., 0], pairs[..., 1]))
