"""Cross-modal retrieval: each image's own report among all reports, and each report's image among all images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from medvlm_lab.metrics import bootstrap_interval, retrieval_ranks
from medvlm_lab.tasks.result import Result, Score, data_title, model_name
from medvlm_lab.tasks.studies import batches, chosen, needs

TITLES = {
    "mcmrr": "Mean cross-modal retrieval rank (MCMRR)", "mcmrr_percent": "MCMRR, % of the studies (chance 50)",
    "recall_at_1": "Right one first, %", "recall_at_10": "Right one among the first ten, %",
}  # fmt: skip


@dataclass(frozen=True)
class RetrievalRow:
    """One study: at which place its report was found for its image, and its image for its report, from 1."""

    study: str
    report: str
    report_rank: int
    image_rank: int


def evaluate_retrieval(
    model: Any, data: Any, n: int | None = None, seed: int = 0, batch_size: int = 64, resamples: int = 1000,
    progress: bool = True,
) -> Result:
    """`mcmrr`, `mcmrr_percent`, `recall_at_1` and `recall_at_10` over both directions, in percent where so named.

    Intervals resample queries, not the gallery. Raises MedVLMError where the model embeds no images or no texts.
    """
    for method in ("encode_images", "encode_texts"):
        needs(model, method, "embed images and texts")
    studies, images = chosen(data, n, seed), []
    for _, pictures in batches(studies, batch_size, model_name(model), progress):
        images.append(model.encode_images(pictures))
    similarity = torch.cat(images) @ model.encode_texts([study.report for study in studies]).T  # (images, reports)
    there, back = retrieval_ranks(similarity)
    rows = tuple(
        RetrievalRow(study.name, study.report, a, b)
        for study, a, b in zip(studies, there.tolist(), back.tolist(), strict=True)
    )
    ranks = torch.stack([there, back], 1).numpy()  # (n, 2)
    parts = {
        "mcmrr": ranks, "mcmrr_percent": 100 * ranks / len(ranks), "recall_at_1": 100.0 * (ranks <= 1),
        "recall_at_10": 100.0 * (ranks <= 10),
    }  # fmt: skip
    scores = {k: Score(*bootstrap_interval(v.mean(1), resamples, seed), len(ranks)) for k, v in parts.items()}
    return Result(model_name(model), data_title(data, len(rows), "studies"), scores, rows, TITLES)
