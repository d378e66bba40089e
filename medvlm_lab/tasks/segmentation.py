"""Segmentation by phrases: how well the outlined structures overlap, and whether absent ones stay empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import bootstrap_interval, guard
from medvlm_lab.metrics.overlap import dice
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.result import BLANK, Score, model_name
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, shown_frame
from medvlm_lab.text.phrases import phrase

SEEN = 0.0005  # share of the picture from which a structure counts as visible; smaller ones are not asked for
LARGE = 0.005  # median share from which one pixel of doubt along an edge does not decide the Dice (7 × 7 of 96 × 96)
TITLES = {
    "dice": "Dice, mean over all structures",
    "dice_large": f"Dice, mean over structures that cover {LARGE:.1%} of the picture or more",
    "empty": "Absent structures with an empty mask, %",
}


@dataclass(frozen=True)
class SegmentationRow:
    """One structure in one study; `dice` in [0, 1] where it is there, None where it is absent.

    Attributes:
        share: of the picture that it truly covers. empty: whether the model's mask is.
    """

    study: str
    structure: str
    phrase: str
    present: bool
    share: float
    empty: bool
    dice: float | None


class Segmentation(Task):
    """`dice`, the mean over structures; `dice_large`, over those that typically cover `LARGE` of the picture or more;
    `empty`, the share of absent structures left empty, %; and `dice NAME` of each structure.

    Every structure that a simulated patient has or lacks is asked for, in the data set's wording, a study's in one
    batch. One that is there but not found counts as Dice 0. Intervals resample whole studies.

    Args:
        structures: names of the masks to ask for; all by default.
        wording: "usual" or "held-out" instead of the data set's own.
    """

    row = SegmentationRow

    def __init__(self, structures: Sequence[str] | None = None, wording: str | None = None):
        self.structures, self.wording = structures, wording

    def check(self, model: Any, data: Any) -> None:
        needs(model, "segment", "outline what a phrase names")
        if not callable(getattr(data, "masks", None)):
            raise MedVLMError(
                f"{getattr(data, 'name', 'The data set')} has no masks to compare with; choose one such as "
                "phantom:chest-xray."
            )

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        return [self._study(model, data, number) for number in numbers]

    def _study(self, model: Any, data: Any, number: int) -> dict[str, Any]:
        """Every structure of one study, asked for once."""
        study, truth = data.study(number), true_masks(data, number)
        names = list(truth)
        wanted = names if self.structures is None else self.structures
        truth = {name: truth[name] for name in wanted if not truth[name].any() or truth[name].mean() >= SEEN}
        rng = np.random.default_rng((self._seed, number))
        asked, image = [phrase(name, names, rng, self.wording or data.wording) for name in truth], study.image()
        if hasattr(model, "segment_batch"):
            masks = model.segment_batch([image] * len(asked), asked)
        else:
            masks = [model.segment(image, text) for text in asked]
        if len(masks) != len(asked):
            raise MedVLMError(f"Model {model_name(model)!r} gave {len(masks)} masks for {len(asked)} phrases.")
        rows = []
        for (name, mask), text, said in zip(truth.items(), asked, masks, strict=True):
            there = bool(mask.any())
            try:
                found, mask = guard.two_masks(said.pixels, mask)
            except MedVLMError as error:
                raise MedVLMError(f"What model {model_name(model)!r} outlined as {text!r}: {error}") from error
            overlap = dice(found, mask) if there else None
            rows.append(
                SegmentationRow(study.name, name, text, there, float(mask.mean()), not found.any(), overlap)
            )
        return {"study": study.name, "structures": [asdict(row) for row in rows]}

    def numbers(self, data: Any, n: int | None, seed: int) -> list[int]:
        self._seed = seed  # of the phrases
        return super().numbers(data, n, seed)

    def rows(self, said: Sequence[dict[str, Any]]) -> list[tuple[int, SegmentationRow]]:
        return [(line["item"], SegmentationRow(**row)) for line in said for row in line["structures"]]

    def score(self, rows: Sequence[SegmentationRow], resamples: int, seed: int) -> dict[str, Score]:
        return score_rows(rows, resamples, seed)

    def titles(self, rows: Sequence[SegmentationRow], scores: dict[str, Score]) -> dict[str, str]:
        return TITLES | {name: f"Dice, {name.removeprefix('dice ')}" for name in scores if name not in TITLES}

    def errors(self, rows: Sequence[SegmentationRow]) -> list[float]:
        """What the overlap lacks, among equals in large structures first; 1 where something absent was outlined."""
        return [1 - row.dice + (row.dice < 1) * row.share if row.present else float(not row.empty) for row in rows]

    def tile(self, model: Any, data: Any, number: int, row: SegmentationRow) -> Tile:
        image, truth = data.study(number).image(), true_masks(data, number)[row.structure]
        said = model.segment(image, row.phrase).pixels
        covers = f"covers {truth.mean():.1%} of the picture" if row.present else "absent"
        heading = f"{row.structure}: " + (f"Dice {row.dice:.2f}" if row.present else "invented")
        outlined = f"outlines {said.mean():.1%} of it" if said.any() else "outlines nothing"
        drawn = (image.stretched(truth), image.stretched(said))
        return Tile([shown_frame(image)], heading, covers, outlined, f"Asked: {row.phrase}", drawn)


def true_masks(data: Any, number: int) -> dict[str, np.ndarray]:
    """The masks of one study (h, w), of a cine those of its middle frame; empty where it lacks the structure."""
    masks = {name: mask.cpu().numpy() for name, mask in data.masks(number).items()}
    return {name: mask[len(mask) // 2] if mask.ndim == 3 else mask for name, mask in masks.items()}


def score_rows(rows: Sequence[SegmentationRow], resamples: int = 1000, seed: int = 0) -> dict[str, Score]:
    """See `Segmentation`; rows of several data sets may be scored together."""
    studies = {name: i for i, name in enumerate(dict.fromkeys(row.study for row in rows))}
    names = list(dict.fromkeys(row.structure for row in rows if row.present))
    table = np.full((len(studies), len(names)), np.nan)  # Dice where it is there
    absent = np.zeros((len(studies), 2))  # how many were absent, how many of these left empty
    for row in rows:
        if row.present:
            table[studies[row.study], names.index(row.structure)] = row.dice
        else:
            absent[studies[row.study]] += (1, row.empty)
    counts = np.isfinite(table)
    large = np.array([np.median([r.share for r in rows if r.present and r.structure == n]) >= LARGE for n in names])

    def overlap(which: np.ndarray) -> Score:
        """Mean over structures of each one's mean; a draw of studies that lacks a structure leaves it out."""
        if not which.any():
            return BLANK
        sums = np.concatenate([np.where(counts, table, 0)[:, which], counts[:, which]], 1)

        def statistic(draws: np.ndarray) -> np.ndarray:  # (r, studies, 2 * structures) -> (r,)
            found, count = np.split(draws.sum(1), 2, 1)
            return np.nanmean(np.where(count > 0, found / np.maximum(count, 1), np.nan), 1)

        return Score(*bootstrap_interval(sums, resamples, seed, statistic=statistic), int(counts[:, which].sum()))

    lacking = absent[absent[:, 0] > 0]
    share = lambda draws: 100 * draws[..., 1].sum(1) / draws[..., 0].sum(1)  # noqa: E731
    scores = {
        "dice": overlap(np.ones(len(names), bool)), "dice_large": overlap(large),
        "empty": Score(*bootstrap_interval(lacking, resamples, seed, statistic=share), int(absent[:, 0].sum()))
        if len(lacking) else BLANK,
    }  # fmt: skip
    for k, name in enumerate(names):
        values = table[counts[:, k], k]
        scores[f"dice {name}"] = Score(*bootstrap_interval(values, resamples, seed), len(values))
    return scores
