"""Zero-shot classification: findings or classes scored by prompts alone, measured by the area under the ROC curve.

    lab.evaluate("zero-shot", lab.load("chexzero"), lab.dataset("iu_xray", "test"))
    lab.evaluate("zero-shot", lab.load("plip"), lab.dataset("bach", "all"), templates=("an H&E image of {}",))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.metrics import auc, bootstrap_interval
from medvlm_lab.tasks.result import Result, Score, data_title, model_name
from medvlm_lab.tasks.studies import batches, chosen, needs

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


def evaluate_zero_shot(
    model: Any, data: Any, n: int | None = None, seed: int = 0, batch_size: int = 64, resamples: int = 200,
    progress: bool = True, templates: Sequence[str] = TEMPLATES,
) -> Result:
    """`auc`, the mean over findings, and `auc NAME` for each finding that some studies have and some lack.

    Of a data set with classes, each class against all others, by `templates` with a {} for the class; and `accuracy`
    in percent, for which the class with the highest score is taken. The mean's interval resamples whole studies.
    Raises MedVLMError where the model scores no findings, or for classes embeds no images and texts.
    """
    classes = getattr(data, "classes", None)
    if classes:
        score = class_scorer(model, classes, templates)
    else:
        needs(model, "score_findings", "classify by prompts")
        score = model.score_findings
    rows = []
    for part, images in batches(chosen(data, n, seed), batch_size, model_name(model), progress):
        found = score(images)  # name → (n,)
        for i, study in enumerate(part):
            scores = {name: float(values[i]) for name, values in found.items()}
            rows.append(ZeroShotRow(study.name, scores, tuple(sorted(study.findings))))
    scores = score_rows(rows, resamples, seed)
    titles = {name: f"Area under the ROC curve{name.removeprefix('auc').replace(' ', ', ', 1)}" for name in scores}
    if classes:
        hits = [100.0 * (max(row.scores, key=row.scores.get) in row.findings) for row in rows]
        scores["accuracy"] = Score(*bootstrap_interval(hits, resamples, seed), len(hits))
        titles["accuracy"] = "Accuracy, %"
    return Result(model_name(model), data_title(data, len(rows), "studies"), scores, tuple(rows), titles)


def class_scorer(
    model: Any, classes: Mapping[str, str], templates: Sequence[str] = TEMPLATES
) -> Callable[[Sequence[MedicalImage]], dict[str, Float[Tensor, " n"]]]:
    """Images → each class's cosine with them, by an ensemble of prompts (Radford et al. 2021, section 3.1.4).

    A class's embedding is the mean of its prompts' unit rows, brought to unit length.

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
    texts = model.encode_texts([template.replace("{}", name) for name in classes.values() for template in templates])
    rows = F.normalize(texts.unflatten(0, (len(classes), -1)).mean(1), dim=-1)  # (classes, d)
    return lambda images: dict(zip(classes, rows @ model.encode_images(images).T, strict=True))


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
