"""Visual question answering: accuracy on closed and open questions, recall, BLEU-1, calibration, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvlm_lab.datasets.base import VQAItem
from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.metrics import (
    bootstrap_interval,
    exact_match,
    expected_calibration_error,
    sentence_bleu1,
    token_recall,
)
from medvlm_lab.tasks.base import Task, draw
from medvlm_lab.tasks.result import Score, model_name
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, shown_frame

TITLES = {
    "closed": "Closed questions, accuracy %",
    "open": "Open questions, accuracy %",
    "recall": "Open questions, token recall %",
    "bleu1": "BLEU-1, all questions, %",
    "ece": "Expected calibration error, %",
}


@dataclass(frozen=True)
class VQARow:
    """One scored question; `image_name` is published or a hash, `confidence` in [0, 1], `bleu1` in percent."""

    image_name: str
    question: str
    reference: str
    prediction: str
    confidence: float
    closed: bool
    correct: bool
    bleu1: float
    question_type: str = ""


class VQA(Task):
    """Asks the model every question and scores the answers; the data is any sequence of `VQAItem`.

    Each picture is read once: the questions are asked image by image, and the rows returned in the data set's order.
    """

    unit, row = "questions", VQARow

    def __init__(self) -> None:
        self._pictures: dict[Path, MedicalImage] = {}

    def check(self, model: Any, data: Sequence[VQAItem]) -> None:
        needs(model, "answer_batch", "answer questions")
        if not len(data):
            raise MedVLMError("The data set holds no questions to score; choose another split.")
        if not hasattr(data[0], "question"):
            raise MedVLMError(
                f"{getattr(data, 'name', 'The data set')} holds studies with reports, not questions; choose one such "
                "as vqa_rad or phantom:chest-xray."
            )

    def numbers(self, data: Sequence[VQAItem], n: int | None, seed: int) -> list[int]:
        first: dict[Path, int] = {}
        chosen = draw(len(data), n, seed)
        place = {i: first.setdefault(data[i].image_path, len(first)) for i in chosen}
        return sorted(chosen, key=place.__getitem__)

    def ask(self, model: Any, data: Sequence[VQAItem], numbers: list[int]) -> list[dict[str, Any]]:
        batch = [data[i] for i in numbers]
        # only the last batch's pictures can occur again: memory stays bounded by the batch
        needed = {item.image_path: item for item in batch}
        self._pictures = {p: self._pictures[p] if p in self._pictures else x.image() for p, x in needed.items()}
        answers = model.answer_batch([self._pictures[x.image_path] for x in batch], [x.question for x in batch])
        if len(answers) != len(batch):
            raise MedVLMError(f"Model {model_name(model)!r} gave {len(answers)} answers to {len(batch)} questions.")
        names = [x.image_name if x.public else getattr(self._pictures[x.image_path], "name", "") for x in batch]
        return [asdict(_row(model, *each)) for each in zip(batch, names, answers, strict=True)]

    def score(self, rows: Sequence[VQARow], resamples: int, seed: int) -> dict[str, Score]:
        return score_rows(rows, resamples, seed)

    def titles(self, rows: Sequence[VQARow], scores: dict[str, Score]) -> dict[str, str]:
        return TITLES

    def errors(self, rows: Sequence[VQARow]) -> list[float]:
        """The surer the model was of a wrong answer, the worse."""
        return [0.0 if row.correct else 1 + row.confidence for row in rows]

    def tile(self, model: Any, data: Sequence[VQAItem], number: int, row: VQARow) -> Tile:
        picture = shown_frame(data[number].image())
        return Tile([picture], f"Wrong, and {row.confidence:.0%} sure", row.reference, row.prediction, row.question)


def _row(model: Any, item: VQAItem, name: str, answer: Any) -> VQARow:
    if not isinstance(answer.text, str):
        raise MedVLMError(f"Model {model_name(model)!r} answered {item.question!r} by {answer.text!r}, no text.")
    if isinstance(answer.confidence, str | None) or not 0 <= answer.confidence <= 1:
        raise MedVLMError(
            f"Model {model_name(model)!r} gave the confidence {answer.confidence} to {item.question!r}; it must lie in "
            "[0, 1]."
        )
    return VQARow(
        name, item.question, item.answer, answer.text, float(answer.confidence), item.closed,
        exact_match(answer.text, item.answer), sentence_bleu1(answer.text, item.answer), item.question_type,
    )  # fmt: skip


def score_rows(rows: Sequence[VQARow], resamples: int = 1000, seed: int = 0) -> dict[str, Score]:
    """`closed`, `open`, `recall` (of open answers), `bleu1`, `ece`, in percent.

    Usable on a part of `Result.rows`, such as one question type.
    """
    parts = {
        "closed": [100.0 * r.correct for r in rows if r.closed],
        "open": [100.0 * r.correct for r in rows if not r.closed],
        "recall": [token_recall(r.prediction, r.reference) for r in rows if not r.closed],
        "bleu1": [r.bleu1 for r in rows],
    }
    scores = {k: Score(*bootstrap_interval(v, resamples, seed), len(v)) for k, v in parts.items()}
    pairs = np.array([(r.confidence, r.correct) for r in rows], dtype=np.float64).reshape(-1, 2)
    ece = bootstrap_interval(pairs, resamples, seed, statistic=_ece_percent)
    return scores | {"ece": Score(*ece, len(rows))}


def _ece_percent(pairs: np.ndarray) -> np.ndarray:  # (resamples, n, 2) -> (resamples,)
    return 100.0 * np.atleast_1d(expected_calibration_error(pairs[..., 0], pairs[..., 1]))
