"""Maps graded on simulated patients, whose findings have a true place: pointing game, overlap, insertion, deletion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from medvlm_lab.errors import MedVLMError
from medvlm_lab.explain.explanation import Explanation
from medvlm_lab.explain.prompts import asked
from medvlm_lab.explain.registry import function
from medvlm_lab.image import MedicalImage
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.models.trace import Trace
from medvlm_lab.phantoms.places import place
from medvlm_lab.tasks.base import draw
from medvlm_lab.tasks.result import Result, Score, data_title, model_name

STEPS = 16  # in which pixels are added or removed
NEAR = 0.03  # of the longer side: the 15 pixels that Zhang et al. 2018 allow on pictures of 500
LARGE = 0.01  # share of the picture from which a finding is larger than what a coarse grid can miss
TITLES = {
    "pointing": "Pointing game: largest value inside the finding, %",
    "pointing_large": f"Pointing game, findings that cover {LARGE:.0%} of the picture or more, %",
    "pointing_near": f"Pointing game, largest value inside or within {NEAR:.0%} of the picture's longer side, %",
    "pointing_near_large": f"The same, findings that cover {LARGE:.0%} of the picture or more, %",
    "chance": "Share of the picture that the findings cover: a blind guess's pointing game, %",
    "iou": "Intersection over union at each map's best threshold",
    "insertion": "Insertion: mean score while pixels are added, largest first",
    "deletion": "Deletion: mean score while pixels are removed, largest first",
}


@dataclass(frozen=True)
class GradeRow:
    """One finding in one study.

    Attributes:
        share: of the picture that it covers. hit, near: whether the map's largest value lies inside, or nearly.
        iou: in [0, 1].
        insertion, deletion: areas under the score's curve; a similarity, or of a model that generates a probability.
    """

    study: str
    finding: str
    share: float
    hit: bool
    near: bool
    iou: float
    insertion: float
    deletion: float


def grade(
    method: str, model: Any, data: Any, n: int | None = None, seed: int = 0, resamples: int = 1000,
    progress: bool = True, findings: Sequence[str] | None = None, layer: str | None = None, **options: Any,
) -> Result:  # fmt: skip
    """`pointing` (also `_large`, `_near`, `_near_large`), `iou`, `insertion` and `deletion` over the findings that are
    there, and `pointing NAME` of each. Intervals resample whole studies.

    Args:
        method: a name in `METHODS`. data: simulated patients, or any data set with studies and masks.
        n: studies, drawn with `seed`; all by default. findings: to ask for; all that the model has prompts for.
        layer, options: as for `explain`.

    Raises MedVLMError where the data set has no masks or no study has such a finding, and as `explain`.
    """
    from medvlm_lab.progress import tqdm

    run, rows = function(method), []
    numbers = draw(with_masks(data).studies, n, seed)
    for number in tqdm(numbers, unit="study", desc=f"{model_name(model)}, {method}", disable=not progress):
        for name, (image, trace, mask) in present(model, data, number, findings, layer).items():
            seen = run(model, image, name, trace=trace, **options)
            area, away = float(mask.mean()), distance(mask, seen.peak)
            rows.append(GradeRow(
                data.study(number).name, name, area, away == 0, away <= NEAR * max(mask.shape),
                best_iou(seen.values, mask), *curves(seen, trace),
            ))  # fmt: skip
    if not rows:
        raise MedVLMError(f"None of {len(numbers)} studies has a finding that can be seen; take more, or name others.")
    scores = score_rows(rows, resamples, seed)
    titles = {name: TITLES.get(name, f"Pointing game, {name.removeprefix('pointing ')}, %") for name in scores}
    title = data_title(data, len(numbers), "studies")
    return Result(f"{model_name(model)}, {method}", title, scores, tuple(rows), titles)


def with_masks(data: Any) -> Any:
    """The data set itself; MedVLMError where it has no masks."""
    if not callable(getattr(data, "masks", None)):
        raise MedVLMError(
            f"{getattr(data, 'name', 'The data set')} has no masks to compare with; choose one such as "
            "phantom:chest-xray."
        )
    return data


def present(
    model: Any, data: Any, number: int, findings: Sequence[str] | None = None, layer: str | None = None
) -> dict[str, tuple[MedicalImage, Trace, Bool[np.ndarray, "h w"]]]:
    """Each finding of a study that can be seen in the frame that the model looks at: picture, trace, true place."""
    study = data.study(number)
    there = [name for name in sorted(study.findings) if findings is None or name in findings]
    if not there:
        return {}
    image, masks = study.image(), data.masks(number)
    found = {}
    for name, trace in asked(model, image, there, layer).items():
        mask = place(masks, name, trace.view.frame)
        if mask.any():
            found[name] = image, trace, mask
    return found


def distance(mask: Bool[np.ndarray, "h w"], point: tuple[int, int]) -> float:
    """Pixels from a point to the mask, 0 inside."""
    return float(np.hypot(*(np.argwhere(mask) - point).T).min())


def best_iou(values: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> float:
    """The largest intersection over union with the true place that any threshold reaches."""
    order = np.argsort(-values, axis=None, kind="stable")
    ranked, inside = values.ravel()[order], mask.ravel()[order].cumsum()
    union = np.arange(1, len(order) + 1) + mask.sum() - inside
    last = np.append(ranked[1:] != ranked[:-1], True)  # equal values pass a threshold together
    return float((inside / union)[last].max())


@torch.no_grad()
def curves(seen: Explanation, trace: Trace) -> tuple[float, float]:
    """Areas under the score while pixels are added to an empty picture, and removed from the whole one.

    Petsiuk et al. 2018 (RISE), algorithm 1, on the model's own input; padding comes last.
    """
    pixels = trace.pixels
    values = trace.view.to_input(torch.from_numpy(seen.values), tuple(pixels.shape[-2:]))
    order = values.flatten().argsort(descending=True, stable=True).argsort().view(values.shape)  # each pixel's rank
    levels = torch.linspace(0, order.numel(), STEPS + 1).view(-1, *[1] * (pixels.ndim - 1))
    shown = (order < levels).to(pixels)  # (steps + 1, *1, h, w)
    areas = []
    for mask in (shown, 1 - shown):
        scores = trace.rescore(pixels * mask)
        scores = scores if trace.embedding is not None else scores.exp()
        areas.append(float((scores[1:] + scores[:-1]).mean() / 2))
    return areas[0], areas[1]


def score_rows(rows: Sequence[GradeRow], resamples: int = 1000, seed: int = 0) -> dict[str, Score]:
    """See `grade`."""
    studies = {name: i for i, name in enumerate(dict.fromkeys(row.study for row in rows))}

    def mean(values: Iterator[tuple[GradeRow, float]]) -> Score:
        table = np.zeros((len(studies), 2))
        for row, value in values:
            table[studies[row.study]] += value, 1
        table = table[table[:, 1] > 0]
        ratio = lambda draws: draws[..., 0].sum(1) / draws[..., 1].sum(1)  # noqa: E731
        return Score(*bootstrap_interval(table, resamples, seed, statistic=ratio), int(table[:, 1].sum()))

    scores = {
        "pointing": mean((row, 100 * row.hit) for row in rows),
        "pointing_large": mean((row, 100 * row.hit) for row in rows if row.share >= LARGE),
        "pointing_near": mean((row, 100 * row.near) for row in rows),
        "pointing_near_large": mean((row, 100 * row.near) for row in rows if row.share >= LARGE),
        "chance": mean((row, 100 * row.share) for row in rows),
        **{key: mean((row, getattr(row, key)) for row in rows) for key in ("iou", "insertion", "deletion")},
    }
    for name in sorted({row.finding for row in rows}):
        scores[f"pointing {name}"] = mean((row, 100 * row.hit) for row in rows if row.finding == name)
    return scores
