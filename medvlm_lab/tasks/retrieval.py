"""Cross-modal retrieval: each image's own report among all reports, and each report's image among all images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvlm_lab.metrics import bootstrap_interval, recall_at, retrieval_ranks
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.embeddings import from_text, rows_of, to_text
from medvlm_lab.tasks.result import Score
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, needs_studies, shown_frame

TITLES = {
    "mcmrr": "Mean cross-modal retrieval rank (MCMRR)", "mcmrr_percent": "MCMRR, % of the studies (chance 50)",
    "recall_at_1": "Right one first, %", "recall_at_10": "Right one among the first ten, %",
}  # fmt: skip


@dataclass(frozen=True)
class RetrievalRow:
    """One study: at which place its report was found for its image, and its image for its report, from 1.

    `found` is the report that came first for the image.
    """

    study: str
    report: str
    report_rank: int
    image_rank: int
    found: str


class Retrieval(Task):
    """`mcmrr`, `mcmrr_percent`, `recall_at_1` and `recall_at_10` over both directions, in percent where so named.

    Intervals resample queries, not the gallery.
    """

    row = RetrievalRow

    def check(self, model: Any, data: Any) -> None:
        for method in ("encode_images", "encode_texts"):
            needs(model, method, "embed images and texts")
        needs_studies(data)

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        studies = [data.study(i) for i in numbers]
        reports = [study.report for study in studies]
        images = rows_of(model, model.encode_images([study.image() for study in studies]), len(studies))
        texts = rows_of(model, model.encode_texts(reports), len(reports), "texts")
        parts = (to_text(images), to_text(texts))
        names = ("study", "report", "image_row", "text_row")
        return [
            dict(zip(names, (study.name, study.report, *rows), strict=True))
            for study, *rows in zip(studies, *parts, strict=True)
        ]

    def rows(self, said: Sequence[dict[str, Any]]) -> list[tuple[int, RetrievalRow]]:
        images, texts = (from_text(line[part] for line in said) for part in ("image_row", "text_row"))
        similarity = images @ texts.T  # (images, reports)
        there, back = retrieval_ranks(similarity)
        ranks = zip(said, there.tolist(), back.tolist(), similarity.argmax(1).tolist(), strict=True)
        return [
            (line["item"], RetrievalRow(line["study"], line["report"], a, b, said[best]["report"]))
            for line, a, b, best in ranks
        ]

    def score(self, rows: Sequence[RetrievalRow], resamples: int, seed: int) -> dict[str, Score]:
        ranks = np.array([(row.report_rank, row.image_rank) for row in rows])  # (n, 2)
        parts = {
            "mcmrr": ranks, "mcmrr_percent": 100 * ranks / len(ranks), "recall_at_1": recall_at(ranks, 1),
            "recall_at_10": recall_at(ranks, 10),
        }  # fmt: skip
        return {k: Score(*bootstrap_interval(v.mean(1), resamples, seed), len(ranks)) for k, v in parts.items()}

    def titles(self, rows: Sequence[RetrievalRow], scores: dict[str, Score]) -> dict[str, str]:
        return TITLES

    def errors(self, rows: Sequence[RetrievalRow]) -> list[float]:
        return [row.report_rank - 1.0 for row in rows]

    def tile(self, model: Any, data: Any, number: int, row: RetrievalRow) -> Tile:
        picture = shown_frame(data.study(number).image())
        return Tile([picture], f"Own report at place {row.report_rank:,}", row.report, row.found)
