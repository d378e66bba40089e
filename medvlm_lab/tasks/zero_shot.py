"""Zero-shot classification: findings scored by prompts alone, measured by the area under the ROC curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medvlm_lab.metrics import auc
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.result import Score
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, needs_studies, shown_frame


@dataclass(frozen=True)
class ZeroShotRow:
    """One study: each finding's score (its scale is the model's own), and what is there."""

    study: str
    scores: dict[str, float]
    findings: tuple[str, ...]


class ZeroShot(Task):
    """`auc`, the mean over findings that some studies have and some lack, and `auc NAME` of every finding.

    The mean's interval resamples whole studies. A finding that all studies have, or none, has no area: n is 0.
    """

    row, resamples = ZeroShotRow, 200

    def check(self, model: Any, data: Any) -> None:
        needs(model, "score_findings", "classify by prompts")
        needs_studies(data)

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        studies = [data.study(i) for i in numbers]
        found = model.score_findings([study.image() for study in studies])  # name → (n,)
        rows = []
        for i, study in enumerate(studies):
            scores = {name: float(values[i]) for name, values in found.items()}
            rows.append(asdict(ZeroShotRow(study.name, scores, tuple(sorted(study.findings)))))
        return rows

    def score(self, rows: Sequence[ZeroShotRow], resamples: int, seed: int) -> dict[str, Score]:
        return score_rows(list(rows), resamples, seed)

    def titles(self, rows: Sequence[ZeroShotRow], scores: dict[str, Score]) -> dict[str, str]:
        return {name: f"Area under the ROC curve{name.removeprefix('auc').replace(' ', ', ', 1)}" for name in scores}

    def errors(self, rows: Sequence[ZeroShotRow]) -> list[float]:
        """How many studies, as a share, are ranked the wrong way round with this one, for its worst finding."""
        places = {name: _places([row.scores[name] for row in rows]) for name in separable(rows)}
        self._worst = {
            row.study: max(((1 - p[i] if name in row.findings else p[i]), name) for name, p in places.items())
            for i, row in enumerate(rows)
        } if places else {}  # fmt: skip
        return [self._worst[row.study][0] if self._worst else 0.0 for row in rows]

    def tile(self, model: Any, data: Any, number: int, row: ZeroShotRow) -> Tile:
        share, name = self._worst[row.study]
        there, side = ("there", "below") if name in row.findings else ("absent", "above")
        picture = shown_frame(data.study(number).image())
        return Tile([picture], name, there, f"scored {side} {share:.0%} of the studies")


def _places(values: Sequence[float]) -> np.ndarray:
    """The share of the other values below each, 0 to 1; equals count half."""
    from scipy.stats import rankdata

    return (rankdata(values) - 1) / max(1, len(values) - 1)


def separable(rows: Sequence[ZeroShotRow]) -> list[str]:
    """The findings that some studies have and some lack."""
    return [name for name in rows[0].scores if 0 < sum(name in row.findings for row in rows) < len(rows)]

def score_rows(rows: list[ZeroShotRow], resamples: int = 200, seed: int = 0) -> dict[str, Score]:
    """See `ZeroShot`."""
    from sklearn.metrics import roc_auc_score

    names = separable(rows)
    values = np.array([[row.scores[n] for n in names] for row in rows])  # (studies, findings)
    there = np.array([[n in row.findings for n in names] for row in rows])
    each = {f"auc {n}": Score(*([np.nan] * 3), 0) for n in rows[0].scores}
    for k, name in enumerate(names):
        each[f"auc {name}"] = Score(*auc(values[:, k], there[:, k], resamples, seed), len(rows))

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
