"""Report generation: how close written reports are to the reference, and which findings they get right.

    lab.evaluate("report", model, lab.dataset("phantom:chest-xray", "test", n=500))
    ceiling(lab.dataset("phantom:chest-xray", "test", n=500))    # what knowing the whole truth would score

A scene can be worded in many ways, so that even a perfect reader's report differs from the reference: read BLEU,
METEOR, ROUGE-L and CIDEr against `ceiling`, not against 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medvlm_lab.datasets.base import Study
from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import Interval, bootstrap_interval, paired
from medvlm_lab.metrics.generation import bleu_counts, bleu_of, cider, f1_of, meteor, rouge_l, table
from medvlm_lab.tasks.result import Result, Score, data_title, model_name
from medvlm_lab.tasks.studies import batches, chosen, drawn, needs
from medvlm_lab.text.labeller import CHEST, names, positive

TITLES = {
    "meteor": "METEOR without synonyms, mean",
    "rouge_l": "ROUGE-L, mean",
    "bleu1": "BLEU-1, corpus",
    "bleu4": "BLEU-4, corpus",
    "cider": "CIDEr-D, mean, 0 to 10",
    "f1": "F1 of the findings, all together (micro)",
    "f1_macro": "F1 of the findings, mean over findings (macro)",
}


@dataclass(frozen=True)
class ReportRow:
    """One scored report. `findings` are there, `labels` are what the report states by the rule labeller.

    `cider` lies in [0, 10] and depends on the other rows' references; the other scores lie in [0, 1].
    """

    study: str
    report: str
    reference: str
    findings: tuple[str, ...]
    labels: tuple[str, ...]
    meteor: float
    rouge_l: float
    bleu1: float
    bleu4: float
    cider: float


def evaluate_report(
    model: Any,
    data: Any,
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 16,
    resamples: int = 200,
    progress: bool = True,
    shots: int = 0,
) -> Result:
    """`meteor`, `rouge_l`, `bleu1`, `bleu4`, `cider`, `f1` and `f1_macro` of a model's reports.

    The model has `report(image)`, or `report_batch(images)`, which is then preferred. The truth of F1 is the study's
    own findings; F1 is left out for studies whose findings the labeller does not know. Intervals resample studies.
    With `shots`, a model that has `report_after` first sees so many other reports by each study's author.

    Raises MedVLMError where the model writes no reports, or there is nothing to score.
    """
    if shots:
        needs(model, "report_after", "write reports after examples")
    elif not callable(getattr(model, "report_batch", None)):
        needs(model, "report", "write reports")
    studies, written = chosen(data, n, seed), []
    numbers = iter(drawn(data, n, seed))
    for part, images in batches(studies, batch_size, model_name(model), progress):
        if shots:
            reports = model.report_after(images, [data.examples(next(numbers), shots) for _ in images])
        elif hasattr(model, "report_batch"):
            reports = model.report_batch(images)
        else:
            reports = [model.report(image) for image in images]
        if len(reports) != len(part):
            raise MedVLMError(f"Model {model_name(model)!r} gave {len(reports)} reports for {len(part)} images.")
        written += [_text(report) for report in reports]
    return _result(model_name(model), data, report_rows(studies, written), resamples, seed)


def ceiling(data: Any, n: int | None = None, seed: int = 0, resamples: int = 200) -> Result:
    """What a reporter who knows the whole truth scores: another report of each scene, in the usual wording.

    No strict bound: whoever always chooses the commonest wording scores a little higher (METEOR by about .05), and
    what a report denies is chance, too.

    Raises MedVLMError for a data set that is not simulated.
    """
    if not hasattr(data, "simulator"):
        raise MedVLMError(
            f"{getattr(data, 'name', 'The data set')} is not simulated, so that nobody knows its whole truth; choose "
            "one such as phantom:chest-xray."
        )
    numbers = drawn(data, n, seed)
    again = [data.simulator.report(data.scene(i), np.random.default_rng((seed, i)), "usual") for i in numbers]
    rows = report_rows([data.study(i) for i in numbers], [_text(report) for report in again])
    return _result("another report of the same scene", data, rows, resamples, seed)


def _result(name: str, data: Any, rows: tuple[ReportRow, ...], resamples: int, seed: int) -> Result:
    return Result(name, data_title(data, len(rows), "studies"), score_rows(rows, resamples, seed), rows, TITLES)


def _text(report: Any) -> str:
    return f"{report.findings} {report.impression}".strip()


def report_rows(studies: Sequence[Study], written: Sequence[str]) -> tuple[ReportRow, ...]:
    """Each study's written report beside its reference, scored. Raises MedVLMError for an empty reference."""
    references = [study.report for study in studies]
    counts = bleu_counts(written, references)[:, None]  # (n, 1, 10): each text is a corpus of one
    scores = (
        meteor(written, references), rouge_l(written, references), bleu_of(counts, 1), bleu_of(counts, 4),
        cider(written, references),
    )  # fmt: skip
    rows = []
    for study, text, *own in zip(studies, written, *scores, strict=True):
        labels = tuple(sorted(positive(text)))
        rows.append(ReportRow(study.name, text, study.report, tuple(sorted(study.findings)), labels, *map(float, own)))
    return tuple(rows)


def score_rows(rows: Sequence[ReportRow], resamples: int = 200, seed: int = 0) -> dict[str, Score]:
    """See `evaluate_report`; usable on a part of `Result.rows`. CIDEr keeps the idf of all of them."""
    return {
        name: _score(bootstrap_interval(values, resamples, seed, statistic=statistic), len(rows))
        for name, (values, statistic) in _measured(rows).items()
    }


def compare(a: Result, b: Result, resamples: int = 1000, seed: int = 0) -> dict[str, Score]:
    """How much more model `a` scores than `b` on the same studies, each difference with its 95 % interval.

    Raises MedVLMError where the two were not scored on the same studies.
    """
    if [row.study for row in a.rows] != [row.study for row in b.rows]:
        raise MedVLMError(
            f"{a.model} and {b.model} were scored on different studies; score both with the same n and seed."
        )
    theirs = _measured(b.rows)
    return {
        name: _score(paired(values, theirs[name][0], resamples, seed, statistic), len(a.rows))
        for name, (values, statistic) in _measured(a.rows).items()
    }


def _score(interval: Interval, n: int) -> Score:
    return Score(*interval, 0 if np.isnan(interval.value) else n)  # F1 of studies without any finding is undefined


def _measured(rows: Sequence[ReportRow]) -> dict[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]]:
    """What each score is made of, one row a study, and how it follows from drawn rows: (r, n, ...) → (r,)."""
    counts = bleu_counts([row.report for row in rows], [row.reference for row in rows])
    found = {name: (np.array([getattr(row, name) for row in rows]), None) for name in ("meteor", "rouge_l", "cider")}
    found |= {"bleu1": (counts, lambda x: bleu_of(x, 1)), "bleu4": (counts, lambda x: bleu_of(x, 4))}
    known = names(CHEST)
    if all(set(row.findings) <= set(known) for row in rows):
        sets = np.stack([table([getattr(row, part) for row in rows], known) for part in ("labels", "findings")], 1)
        for k, name in enumerate(("f1", "f1_macro")):
            found[name] = (sets, lambda x, k=k: f1_of(x[:, :, 0] > 0, x[:, :, 1] > 0)[k])
    return {name: found[name] for name in TITLES if name in found}
