"""Zero-shot classification: findings or classes scored by prompts alone, measured by the area under the ROC curve.

    lab.evaluate("zero-shot", lab.load("chexzero"), lab.dataset("iu_xray", "test"))
    lab.evaluate("zero-shot", lab.load("plip"), lab.dataset("bach", "all"), templates=("an H&E image of {}",))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.metrics import auc, bootstrap_interval
from medvlm_lab.metrics.ranking import areas
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.embeddings import numbers_of, rows_of
from medvlm_lab.tasks.result import Score, model_name
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, needs_studies, shown_frame

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

#: Prompts of a class; their embeddings are averaged.
TEMPLATES = ("an image of {}.", "a medical image showing {}.", "this is {}.", "{} is present.")


@dataclass(frozen=True)
class ZeroShotRow:
    """One study: each finding's or class's score (its scale is the model's own), and what is there."""

    study: str
    scores: dict[str, float]
    findings: tuple[str, ...]


class ZeroShot(Task):
    """`auc`, the mean over findings that some studies have and some lack, and `auc NAME` of every finding.

    Of a data set with classes, each class against all others; and `accuracy` in percent, for which the class with the
    highest score is taken. The mean's interval resamples whole studies. A finding that all studies have, or none, has
    no area: n is 0.

    Args:
        templates: prompts of a class, with a {} for it.
    """

    row, resamples = ZeroShotRow, 200

    def __init__(self, templates: Sequence[str] = TEMPLATES):
        self.templates = templates

    def check(self, model: Any, data: Any) -> None:
        self._classes = getattr(data, "classes", None)
        if self._classes:
            self._score = class_scorer(model, self._classes, self.templates)
        else:
            needs(model, "score_findings", "classify by prompts")
            self._score = model.score_findings
        needs_studies(data)

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        studies = [data.study(i) for i in numbers]
        found = self._score([study.image() for study in studies])  # name → (n,)
        found = {name: numbers_of(model, values, f"scores of {name}") for name, values in found.items()}
        if uneven := [name for name, values in found.items() if values.shape != (len(studies),)]:
            raise MedVLMError(f"Model {model_name(model)!r} must give {uneven[0]} one score for each of the images.")
        rows = []
        for i, study in enumerate(studies):
            scores = {name: float(values[i]) for name, values in found.items()}
            rows.append(asdict(ZeroShotRow(study.name, scores, tuple(sorted(study.findings)))))
        return rows

    def score(self, rows: Sequence[ZeroShotRow], resamples: int, seed: int) -> dict[str, Score]:
        scores = score_rows(rows, resamples, seed)
        if self._classes:
            hits = [100.0 * (max(row.scores, key=row.scores.get) in row.findings) for row in rows]
            scores["accuracy"] = Score(*bootstrap_interval(hits, resamples, seed), len(hits))
        return scores

    def titles(self, rows: Sequence[ZeroShotRow], scores: dict[str, Score]) -> dict[str, str]:
        found = {name: f"Area under the ROC curve{name.removeprefix('auc').replace(' ', ', ', 1)}" for name in scores}
        return found | ({"accuracy": "Accuracy, %"} if self._classes else {})

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
        return Tile([picture], name, there, f"scored {side} {share:.0%} of the others")


def _places(values: Sequence[float]) -> np.ndarray:
    """The share of the other values below each, 0 to 1; equals count half."""
    from scipy.stats import rankdata

    return (rankdata(values) - 1) / max(1, len(values) - 1)


def separable(rows: Sequence[ZeroShotRow]) -> list[str]:
    """The findings that some studies have and some lack."""
    return [name for name in rows[0].scores if 0 < sum(name in row.findings for row in rows) < len(rows)]


def class_scorer(
    model: Any, classes: Mapping[str, str], templates: Sequence[str] = TEMPLATES
) -> Callable[[Sequence[MedicalImage]], dict[str, Float[Tensor, " n"]]]:
    """Images → each class's log-probability, by an ensemble of prompts (Radford et al. 2021, sections 3.1.2 and 3.1.4).

    A class's embedding is the mean of its prompts' unit rows, brought to unit length; the cosines, times CLIP's scale
    of 100, go through a softmax, for the classes exclude each other.

    Args:
        model: an `ImageTextEncoder`.
        classes: name → how a prompt calls it. templates: prompts with a {} for that.

    Raises MedVLMError where the model embeds no images or texts, or a template has no place for the class.
    """
    from torch.nn import functional as F

    for method in ("encode_images", "encode_texts"):
        needs(model, method, "embed images and texts")
    if not templates or any("{}" not in template for template in templates):
        raise MedVLMError(f"templates are {templates!r}; give at least one, each with a {{}} for the class.")
    prompts = [template.replace("{}", name) for name in classes.values() for template in templates]
    texts = rows_of(model, model.encode_texts(prompts), len(prompts), "texts")
    rows = F.normalize(texts.unflatten(0, (len(classes), -1)).mean(1), dim=-1)  # (classes, d)
    # in double precision: what is nearly certain would otherwise be equally certain
    def sure(images: Sequence[MedicalImage]) -> dict[str, Float[Tensor, " n"]]:
        pictures = rows_of(model, model.encode_images(images), len(images))
        return dict(zip(classes, (100 * rows.double() @ pictures.double().T).log_softmax(0), strict=True))

    return sure


def score_rows(rows: Sequence[ZeroShotRow], resamples: int = 200, seed: int = 0) -> dict[str, Score]:
    """The areas; see `ZeroShot`."""
    scores = {name: Score(*([np.nan] * 3), 0) for name in ("auc", *(f"auc {n}" for n in rows[0].scores))}
    if not (names := separable(rows)):
        return scores
    pairs = np.array([[(row.scores[n], n in row.findings) for n in names] for row in rows])  # (studies, findings, 2)
    for k, name in enumerate(names):
        scores[f"auc {name}"] = Score(*auc(*pairs[:, k].T, resamples, seed), len(rows))

    def mean(draws: np.ndarray) -> np.ndarray:  # (resamples, studies, findings, 2) -> (resamples,)
        found = areas(*np.moveaxis(draws, (3, 1), (0, 3)))  # (resamples, findings)
        known = ~np.isnan(found)
        return np.where(known, found, 0).sum(1) / np.where(known.any(1), known.sum(1), np.nan)

    return scores | {"auc": Score(*bootstrap_interval(pairs, resamples, seed, statistic=mean), len(rows))}
