"""Identification: a patient's earlier study among those of many, by pictures alone (EchoCLIP-R does this).

    lab.evaluate("identification", lab.load("chexzero"), lab.dataset("phantom:chest-xray", "test", n=200))

What a model that was trained for findings tells of the person is what privacy has to reckon with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import bootstrap_interval, recall_at, retrieval_ranks
from medvlm_lab.metrics.ranking import placements
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.embeddings import from_text, rows_of, to_text
from medvlm_lab.tasks.result import Score
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, needs_studies, shown_frame

TITLES = {
    "recall_at_1": "Same patient first, %", "recall_at_10": "Same patient among the first ten, %",
    "mean_rank": "Mean rank of the same patient", "auc": "Area under the ROC curve, same or other patient",
}  # fmt: skip


@dataclass(frozen=True)
class IdentificationRow:
    """One patient: at which place the earlier study was found for the later one, from 1.

    Attributes:
        found: number of the patient whose earlier study came first.
        area: the patient's part in the area under the curve; the mean over patients is the area itself.
    """

    study: str
    rank: int
    found: int
    area: float


class Identification(Task):
    """`recall_at_1`, `recall_at_10`, `mean_rank` (chance (n + 1) / 2) and `auc` of same against other pairs.

    Later studies are looked for among the earlier ones of all patients. Intervals resample patients, for `auc` by each
    one's share in all its pairs (Hájek's projection).
    """

    row = IdentificationRow

    def check(self, model: Any, data: Any) -> None:
        needs(model, "encode_images", "embed images")
        needs_studies(data)
        if not callable(getattr(data, "later", None)):
            raise MedVLMError(f"{data.name} holds no second study of a patient; choose one such as phantom:chest-xray.")

    def numbers(self, data: Any, n: int | None, seed: int) -> list[int]:
        numbers = super().numbers(data, n, seed)
        if len(numbers) < 2:
            raise MedVLMError("One patient cannot be mistaken for another; score at least 2.")
        return numbers

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        studies = [data.study(i) for i in numbers]
        parts = (studies, [data.later(i) for i in numbers])
        encoded = (model.encode_images([study.image() for study in part]) for part in parts)
        rows = (to_text(rows_of(model, part, len(studies))) for part in encoded)
        return [
            {"study": study.name, "earlier_row": before, "later_row": after}
            for study, before, after in zip(studies, *rows, strict=True)
        ]

    def rows(self, said: Sequence[dict[str, Any]]) -> list[tuple[int, IdentificationRow]]:
        before, after = (from_text(line[part] for line in said) for part in ("earlier_row", "later_row"))
        similarity = after @ before.T  # (later, earlier)
        ranks = zip(said, retrieval_ranks(similarity)[0].tolist(), similarity.argmax(1).tolist(), strict=True)
        areas = patient_areas(similarity.double().numpy()).tolist()
        return [
            (line["item"], IdentificationRow(line["study"], rank, said[best]["item"], area))
            for (line, rank, best), area in zip(ranks, areas, strict=True)
        ]

    def score(self, rows: Sequence[IdentificationRow], resamples: int, seed: int) -> dict[str, Score]:
        ranks = np.array([row.rank for row in rows])
        parts = {
            "recall_at_1": recall_at(ranks, 1), "recall_at_10": recall_at(ranks, 10), "mean_rank": ranks,
            "auc": [row.area for row in rows],
        }  # fmt: skip
        return {k: Score(*bootstrap_interval(v, resamples, seed), len(rows)) for k, v in parts.items()}

    def titles(self, rows: Sequence[IdentificationRow], scores: dict[str, Score]) -> dict[str, str]:
        return TITLES

    def errors(self, rows: Sequence[IdentificationRow]) -> list[float]:
        return [row.rank - 1.0 for row in rows]

    def tile(self, model: Any, data: Any, number: int, row: IdentificationRow) -> Tile:
        studies = (data.later(number), data.study(number), data.study(row.found))
        return Tile(
            [shown_frame(study.image()) for study in studies], f"Same patient at place {row.rank:,}",
            f"middle, {row.study}", f"right, {studies[2].name}", "Left: the later study",
        )  # fmt: skip


def patient_areas(similarity: np.ndarray) -> np.ndarray:  # (n, n) -> (n,)
    """Each patient's part in the area of same against other pairs: A + its influence as same pair, row and column."""
    n = len(similarity)
    other = ~np.eye(n, dtype=bool)
    wins, losses = placements(similarity.diagonal(), similarity[other])
    area, each = wins.mean(), np.zeros((n, n))
    each[other] = losses
    return wins + (each.sum(0) + each.sum(1)) / (n - 1) - 2 * area
