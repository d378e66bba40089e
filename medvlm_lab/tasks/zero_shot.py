"""Zero-shot classification: findings scored by prompts alone, measured by the area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medvlm_lab.metrics import auc
from medvlm_lab.tasks.result import Result, Score, data_title, model_name
from medvlm_lab.tasks.studies import batches, chosen, needs


@dataclass(frozen=True)
class ZeroShotRow:
    """One study: each finding's score (its scale is the model's own), and what is there."""

    study: str
    scores: dict[str, float]
    findings: tuple[str, ...]


def evaluate_zero_shot(
    model: Any, data: Any, n: int | None = None, seed: int = 0, batch_size: int = 64, resamples: int = 200,
    progress: bool = True,
) -> Result:
    """`auc`, the mean over findings, and `auc NAME` for each finding that some studies have and some lack.

    The mean's interval resamples whole studies. Raises MedVLMError where the model scores no findings.
    """
    needs(model, "score_findings", "classify by prompts")
    rows = []
    for part, images in batches(chosen(data, n, seed), batch_size, model_name(model), progress):
        found = model.score_findings(images)  # name → (n,)
        for i, study in enumerate(part):
            scores = {name: float(values[i]) for name, values in found.items()}
            rows.append(ZeroShotRow(study.name, scores, tuple(sorted(study.findings))))
    scores = score_rows(rows, resamples, seed)
    titles = {name: f"Area under the ROC curve{name.removeprefix('auc').replace(' ', ', ', 1)}" for name in scores}
    return Result(model_name(model), data_title(data, len(rows), "studies"), scores, tuple(rows), titles)


def score_rows(rows: list[ZeroShotRow], resamples: int = 200, seed: int = 0) -> dict[str, Score]:
    """See `evaluate_zero_shot`."""
    from sklearn.metrics import roc_auc_score

    names = [n for n in rows[0].scores if 0 < sum(n in row.findings for row in rows) < len(rows)]
    values = np.array([[row.scores[n] for n in names] for row in rows])  # (studies, findings)
    there = np.array([[n in row.findings for n in names] for row in rows])
    each = {f"auc {n}": Score(*auc(values[:, k], there[:, k], resamples, seed), len(rows)) for k, n in enumerate(names)}

    def mean(sample: np.ndarray) -> float:
        areas = [
            roc_auc_score(there[sample, k], values[sample, k]) for k in range(len(names))
            if 0 < there[sample, k].sum() < len(sample)
        ]  # fmt: skip
        return float(np.mean(areas)) if areas else np.nan

    rng, whole = np.random.default_rng(seed), np.arange(len(rows))
    draws = [mean(rng.choice(whole, len(whole))) for _ in range(resamples)]
    low, high = np.nanquantile(draws, [0.025, 0.975]) if names else (np.nan, np.nan)
    return {"auc": Score(mean(whole), float(low), float(high), len(rows) if names else 0)} | each
