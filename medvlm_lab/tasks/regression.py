"""Regression by prompts: how far off a number is that a model reads by being asked for every value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.tasks.result import Result, Score, data_title, model_name
from medvlm_lab.tasks.studies import batches, chosen, needs


@dataclass(frozen=True)
class RegressionRow:
    """One study: the true number and the one read, in the unit of `quantity`."""

    study: str
    quantity: str
    reference: float
    prediction: float


def evaluate_regression(
    model: Any, data: Any, n: int | None = None, seed: int = 0, batch_size: int = 64, resamples: int = 1000,
    progress: bool = True,
) -> Result:
    """`mae`, the mean absolute error; `mae_of_the_mean`, that of always guessing the mean; `correlation` (Pearson).

    Raises MedVLMError where the model reads no numbers, or the studies lack the one that it reads.
    """
    needs(model, "regress", "read numbers by prompts")
    rows = []
    for part, images in batches(chosen(data, n, seed), batch_size, model_name(model), progress):
        for quantity, values in model.regress(images).items():
            if quantity not in part[0].values:
                raise MedVLMError(f"The studies do not tell {quantity}; choose a data set that does.")
            pairs = zip(part, values.tolist(), strict=True)
            rows += [RegressionRow(study.name, quantity, float(study.values[quantity]), v) for study, v in pairs]
    truth, read = np.array([r.reference for r in rows]), np.array([r.prediction for r in rows])
    pairs = np.stack([truth, read], 1)
    scores = {
        "mae": Score(*bootstrap_interval(np.abs(truth - read), resamples, seed), len(rows)),
        "mae_of_the_mean": Score(*bootstrap_interval(np.abs(truth - truth.mean()), resamples, seed), len(rows)),
        "correlation": Score(*bootstrap_interval(pairs, resamples, seed, statistic=_correlation), len(rows)),
    }
    titles = {
        "mae": f"Mean absolute error, {rows[0].quantity.replace('_', ' ')}", "correlation": "Correlation (Pearson)",
        "mae_of_the_mean": "Mean absolute error of guessing the mean",
    }  # fmt: skip
    return Result(model_name(model), data_title(data, len(rows), "studies"), scores, tuple(rows), titles)


def _correlation(pairs: np.ndarray) -> np.ndarray:  # (resamples, n, 2) -> (resamples,)
    centred = pairs - pairs.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1).prod(-1))
    return (centred[..., 0] * centred[..., 1]).sum(1) / np.where(spread > 0, spread, np.nan)
