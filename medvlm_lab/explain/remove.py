"""Does the map go when the finding goes? The same patient with and without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.explain.prompts import asked
from medvlm_lab.explain.registry import function
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.phantoms.base import Phantom
from medvlm_lab.phantoms.places import place
from medvlm_lab.phantoms.scene import Scene, scene_seed
from medvlm_lab.tasks.result import Result, Score, model_name

SEARCHED = 100  # patients looked through for each one with the finding
TITLES = {
    "share_with": "Share of the map inside the finding's place, finding there, %",
    "share_without": "The same once it is gone, %",
    "gone": "Part of what the map held there that goes with the finding, %",
    "score_with": "Score, finding there",
    "score_without": "Score once it is gone",
}


@dataclass(frozen=True)
class RemovedRow:
    """One patient with and without the finding; masses are sums of the map's positive values inside its true place."""

    study: str
    share_with: float
    share_without: float
    gone: float
    score_with: float
    score_without: float


def counterfactual(
    method: str, model: Any, phantom: Phantom, finding: str, n: int = 20, seed: int = 0, size: int = 128,
    resamples: int = 1000, layer: str | None = None, **options: Any,
) -> Result:  # fmt: skip
    """How much of the map inside a finding's true place goes when the finding is taken out of the scene.

    Maps and scores of a model that answers are of the answer that it gave with the finding there.

    Args:
        phantom: of `lab.phantom`. finding: one that its scenes list, not one that follows from their numbers.
        n: patients that have it. size: pixels per side. layer, options: as for `explain`.

    Raises UnknownNameError for a finding that the phantom does not know, MedVLMError for one that cannot be taken out
    or that the model has no prompts for, and as `explain`.
    """
    kinds = phantom.scene.kinds
    if finding not in kinds:
        raise UnknownNameError("finding", finding, kinds)
    if kinds[finding].derived:
        raise MedVLMError(f"{finding} follows from the scene's numbers; choose a finding that can be taken out.")
    run, rows = function(method), []
    for scene in having(phantom, finding, n, seed):
        rest = tuple(f for f in scene.findings if f.kind != finding)
        views = [phantom.image(s, size) for s in (scene, phantom.adjust(scene, findings=rest))]
        maps, said = [], {}
        for image in views:
            trace = asked(model, image, [finding], layer, said).get(finding)
            if trace is None:
                raise MedVLMError(f"{model_name(model)} has no prompts for {finding!r}; choose another finding.")
            maps.append(run(model, image, finding, trace=trace, **options))
            said = {finding: trace.answer}  # the second map is of the same answer
        masks = {name: mask[0] for name, mask in phantom.masks([scene], size).items()}
        mask = place(masks, finding, maps[0].frame)
        if not mask.any():
            continue
        (held, share), (left, still) = (mass(seen.values, mask) for seen in maps)
        gone = 100 * (1 - left / held) if held else 0.0
        rows.append(RemovedRow(views[0].name, 100 * share, 100 * still, gone, maps[0].score, maps[1].score))
    if not rows:
        raise MedVLMError(f"No patient of {phantom.name} drawn with seed {seed} shows {finding}; take another seed.")
    scores = {key: column([getattr(row, key) for row in rows], resamples, seed) for key in TITLES}
    return Result(f"{model_name(model)}, {method}", f"{phantom.name} without {finding}", scores, tuple(rows), TITLES)


def having(phantom: Phantom, finding: str, n: int, seed: int) -> list[Scene]:
    """Up to `n` test patients that have the finding, among `SEARCHED` for each."""
    found: list[Scene] = []
    for i in range(SEARCHED * n):
        scene = phantom.draw(scene_seed("test", seed, i))
        found += [scene] if scene.find(finding) else []
        if len(found) == n:
            break
    return found


def mass(values: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """Sum of the positive values inside the mask, and its share of all of them."""
    positive = np.maximum(values, 0)
    inside, whole = float(positive[mask].sum()), float(positive.sum())
    return inside, inside / whole if whole else 0.0


def column(values: list[float], resamples: int, seed: int) -> Score:
    """The mean over patients with its interval."""
    return Score(*bootstrap_interval(values, resamples, seed), len(values))
