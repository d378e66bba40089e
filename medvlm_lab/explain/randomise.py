"""Does a map depend on what the model has learned? Its layers are randomised from the top (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from medvlm_lab.errors import MedVLMError
from medvlm_lab.explain.grading import present, with_masks
from medvlm_lab.explain.prompts import asked
from medvlm_lab.explain.registry import function
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.tasks.base import draw
from medvlm_lab.tasks.result import Result, Score, data_title, model_name

LIMIT = 0.5  # rank correlation up to which a map of a randomised model counts as another map


@dataclass(frozen=True)
class RandomisedRow:
    """Spearman's rank correlation of a map with that of the trained model, once all layers from the top down to
    `layer` are randomised."""

    study: str
    finding: str
    layer: str
    correlation: float


@dataclass(frozen=True)
class Randomisation(Result):
    """A `Result` with one score for each step of the cascade, top to bottom, and the verdict.

    Attributes:
        passes: whether the mean correlation is within ± 0.5 once the upper half of the layers is random, and stays
            there: only then does the map show what those layers have learned, and not what the picture's edges or the
            lower layers would show through any network.
    """

    passes: bool = field(default=False)

    def __str__(self) -> str:
        return f"{super().__str__()}\n  randomisation test: {'passes' if self.passes else 'fails'}"


def randomisation(
    method: str, model: Any, data: Any, n: int | None = 8, seed: int = 0, groups: int = 6, resamples: int = 1000,
    findings: Sequence[str] | None = None, layer: str | None = None, **options: Any,
) -> Randomisation:  # fmt: skip
    """Rank correlation of maps before and after the model's layers are randomised cumulatively, the top ones first.

    A layer is randomised by shuffling each of its tensors, which keeps their scale. The model itself stays as it is.
    Maps that are empty before are left out; a map that is empty afterwards is another one (correlation 0). Of a model
    that answers, every map is of the answer that the trained one gave, however unlikely it has become.

    Args:
        data: as for `grade`. n: studies. groups: of layers, each randomised at once. layer, options: as for `explain`.

    Raises MedVLMError as `grade`.
    """
    from scipy.stats import spearmanr

    run, other = function(method), copy.copy(model)
    other.module = copy.deepcopy(model.module)
    cases = []
    for number in draw(with_masks(data).studies, n, seed):
        for name, (image, trace, _) in present(model, data, number, findings, layer).items():
            before = run(model, image, name, trace=trace, **options).values
            if np.ptp(before):  # an empty map has no order that could change
                cases.append((data.study(number).name, name, image, trace.answer, before))
    if not cases:
        raise MedVLMError("No finding in these studies has a map that shows anything; take more, or name others.")
    layers, rows = top_down(other.module), []
    chance = torch.Generator().manual_seed(seed)
    for group in np.array_split(np.arange(len(layers)), min(groups, len(layers))):
        for i in group:
            shuffle(layers[i][1], chance)
        for study, name, image, answer, before in cases:
            (trace,) = asked(other, image, [name], layer, {name: answer}).values()
            after = run(other, image, name, trace=trace, **options).values
            same = spearmanr(before, after, axis=None).statistic if np.ptp(after) else 0.0
            rows.append(RandomisedRow(study, name, layers[group[-1]][0], float(same)))
    scores = {}
    for lowest in dict.fromkeys(row.layer for row in rows):
        found = [row.correlation for row in rows if row.layer == lowest]
        scores[lowest] = Score(*bootstrap_interval(found, resamples, seed), len(found))
    titles = {lowest: f"Rank correlation, random down to {lowest}" for lowest in scores}
    data_name = data_title(data, n if n is not None else data.studies, "studies")
    passes = all(abs(score.value) <= LIMIT for score in list(scores.values())[(len(scores) - 1) // 2 :])
    return Randomisation(f"{model_name(model)}, {method}", data_name, scores, tuple(rows), titles, passes=passes)


def top_down(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every module with weights of its own, the last one first."""
    own = [(name or "the model", m) for name, m in module.named_modules() if len(list(m.parameters(recurse=False)))]
    return own[::-1]


@torch.no_grad()
def shuffle(module: nn.Module, chance: torch.Generator) -> None:
    """Puts the numbers of each of the module's own tensors into a random order."""
    for weights in module.parameters(recurse=False):
        order = torch.randperm(weights.numel(), generator=chance).to(weights.device)
        weights.copy_(weights.flatten()[order].view_as(weights))
