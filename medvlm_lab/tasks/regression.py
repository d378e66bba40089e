"""Regression by prompts: how far off a number is that a model reads by being asked for every value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.embeddings import numbers_of
from medvlm_lab.tasks.result import Score, model_name
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, needs_studies, shown_frame


@dataclass(frozen=True)
class RegressionRow:
    """One study: the true number and the one read, in the unit of `quantity`."""

    study: str
    quantity: str
    reference: float
    prediction: float


class Regression(Task):
    """`mae`, the mean absolute error; `mae_of_the_mean`, that of always guessing the mean; `correlation` (Pearson)."""

    row = RegressionRow

    def check(self, model: Any, data: Any) -> None:
        needs(model, "regress", "read numbers by prompts")
        needs_studies(data)

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        studies = [data.study(i) for i in numbers]
        ((quantity, values),) = model.regress([study.image() for study in studies]).items()
        lacking = [s.name for s in studies if not math.isfinite(s.values.get(quantity, math.nan))]
        if lacking:
            raise MedVLMError(f"Study {lacking[0]} does not tell {quantity}; choose a data set in which all do.")
        values = numbers_of(model, values, f"values of {quantity}")
        if values.shape != (len(studies),):
            raise MedVLMError(f"Model {model_name(model)!r} read {values.size} numbers from {len(studies)} images.")
        return [
            asdict(RegressionRow(study.name, quantity, float(study.values[quantity]), read))
            for study, read in zip(studies, values.tolist(), strict=True)
        ]

    def score(self, rows: Sequence[RegressionRow], resamples: int, seed: int) -> dict[str, Score]:
        truth, read = np.array([r.reference for r in rows]), np.array([r.prediction for r in rows])
        pairs = np.stack([truth, read], 1)
        return {
            "mae": Score(*bootstrap_interval(np.abs(truth - read), resamples, seed), len(rows)),
            "mae_of_the_mean": Score(*bootstrap_interval(np.abs(truth - truth.mean()), resamples, seed), len(rows)),
            "correlation": Score(*bootstrap_interval(pairs, resamples, seed, statistic=_correlation), len(rows)),
        }

    def titles(self, rows: Sequence[RegressionRow], scores: dict[str, Score]) -> dict[str, str]:
        return {
            "mae": f"Mean absolute error, {rows[0].quantity.replace('_', ' ')}", "correlation": "Correlation (Pearson)",
            "mae_of_the_mean": "Mean absolute error of guessing the mean",
        }  # fmt: skip

    def errors(self, rows: Sequence[RegressionRow]) -> list[float]:
        return [abs(row.prediction - row.reference) for row in rows]

    def tile(self, model: Any, data: Any, number: int, row: RegressionRow) -> Tile:
        picture = shown_frame(data.study(number).image())
        truth, read = (f"{value:.1f}" for value in (row.reference, row.prediction))
        off = f"Off by {abs(row.prediction - row.reference):.1f}"
        return Tile([picture], off, truth, read, row.quantity.replace("_", " "))


def _correlation(pairs: np.ndarray) -> np.ndarray:  # (resamples, n, 2) -> (resamples,)
    centred = pairs - pairs.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1).prod(-1))
    return (centred[..., 0] * centred[..., 1]).sum(1) / np.where(spread > 0, spread, np.nan)
