"""Report generation: how close written reports are to the reference, and which findings they get right.

    lab.evaluate("report", model, lab.dataset("phantom:chest-xray", "test", n=500))
    ceiling(lab.dataset("phantom:chest-xray", "test", n=500))    # what knowing the whole truth would score

A scene can be worded in many ways, so that even a perfect reader's report differs from the reference: read BLEU,
METEOR, ROUGE-L and CIDEr against `ceiling`, not against 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from medvlm_lab.datasets.base import Study
from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import Interval, bootstrap_interval, paired
from medvlm_lab.metrics.chexpert import sets
from medvlm_lab.metrics.generation import bleu_counts, bleu_of, cider, f1_of, meteor, rouge_l, table
from medvlm_lab.tasks.base import Task, draw
from medvlm_lab.tasks.result import Result, Score, data_title, model_name
from medvlm_lab.tasks.sheet import Tile
from medvlm_lab.tasks.studies import needs, needs_studies, shown_frame
from medvlm_lab.text.labeller import CHEST, CHEXPERT, names, positive

TITLES = {
    "meteor": "METEOR without synonyms, mean",
    "rouge_l": "ROUGE-L, mean",
    "bleu1": "BLEU-1, corpus",
    "bleu4": "BLEU-4, corpus",
    "cider": "CIDEr-D, mean, 0 to 10",
    "f1": "F1 of the findings, all together (micro)",
    "f1_macro": "F1 of the findings, mean over findings (macro)",
    "f1_chexpert14": "F1 of CheXpert's 14 labels by the rule labeller (micro)",
    "f1_chexpert14_macro": "F1 of CheXpert's 14 labels by the rule labeller (macro)",
    "f1_chexpert5": "F1 of CheXpert's 5 competition labels by the rule labeller (micro)",
    "f1_chexpert5_macro": "F1 of CheXpert's 5 competition labels by the rule labeller (macro)",
}


@dataclass(frozen=True)
class ReportRow:
    """One scored report. `findings` are there, `labels` are what the report states by the rule labeller.

    `chexpert` and `chexpert_reference` are CheXpert's labels that report and reference state, by the rule labeller.
    `cider` lies in [0, 10] and depends on the other rows' references: None until all are known. The other scores lie
    in [0, 1].
    """

    study: str
    report: str
    reference: str
    findings: tuple[str, ...]
    labels: tuple[str, ...]
    chexpert: tuple[str, ...]
    chexpert_reference: tuple[str, ...]
    meteor: float
    rouge_l: float
    bleu1: float
    bleu4: float
    cider: float | None = None


class Reporting(Task):
    """`meteor`, `rouge_l`, `bleu1`, `bleu4`, `cider`, `f1`, `f1_macro` and `f1_chexpert...` of a model's reports.

    The model has `report(image)`, or `report_batch(images)`, which is then preferred. The truth of `f1` is the study's
    own findings, that of `f1_chexpert...` what the reference states. Both are left out for studies whose findings the
    labeller does not know. Intervals resample studies.
    With `shots`, a model that has `report_after` first sees so many other reports by each study's author.
    """

    row, resamples = ReportRow, 200

    def __init__(self, shots: int = 0):
        self.shots = shots

    def check(self, model: Any, data: Any) -> None:
        if self.shots:
            needs(model, "report_after", "write reports after examples")
        elif not callable(getattr(model, "report_batch", None)):
            needs(model, "report", "write reports")
        needs_studies(data)
        if self.shots and not callable(getattr(data, "examples", None)):
            raise MedVLMError(
                f"{getattr(data, 'name', 'The data set')} gives no examples; leave shots out, or choose a data set "
                "that has them, such as phantom:chest-xray with authors=50."
            )

    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        studies = [data.study(i) for i in numbers]
        images = [study.image() for study in studies]
        if self.shots:
            reports = model.report_after(images, [data.examples(i, self.shots) for i in numbers])
        elif hasattr(model, "report_batch"):
            reports = model.report_batch(images)
        else:
            reports = [model.report(image) for image in images]
        if len(reports) != len(studies):
            raise MedVLMError(f"Model {model_name(model)!r} gave {len(reports)} reports for {len(studies)} images.")
        if wrong := [r for r in reports if not isinstance(r.findings, str) or not isinstance(r.impression, str)]:
            raise MedVLMError(f"Model {model_name(model)!r} wrote {wrong[0]!r}, which is no report of two texts.")
        return [asdict(row) for row in _rows(studies, [_text(report) for report in reports])]

    def rows(self, said: Sequence[dict[str, Any]]) -> list[tuple[int, ReportRow]]:
        numbers, rows = zip(*super().rows(said), strict=True)
        return list(zip(numbers, _with_cider(rows), strict=True))

    def score(self, rows: Sequence[ReportRow], resamples: int, seed: int) -> dict[str, Score]:
        return score_rows(rows, resamples, seed)

    def titles(self, rows: Sequence[ReportRow], scores: dict[str, Score]) -> dict[str, str]:
        return TITLES

    def errors(self, rows: Sequence[ReportRow]) -> list[float]:
        """Findings missed or invented, among equals other words; these alone where nobody can label the findings."""
        self._labelled = set().union(*(row.findings for row in rows)) <= set(names(CHEST))
        wrong = [len(set(row.findings) ^ set(row.labels)) if self._labelled else 1 for row in rows]
        return [count and count + 1 - row.rouge_l for count, row in zip(wrong, rows, strict=True)]

    def tile(self, model: Any, data: Any, number: int, row: ReportRow) -> Tile:
        there, said = set(row.findings), set(row.labels)
        wrong = {"missed": there - said, "invented": said - there}
        heading = "; ".join(f"{what} {', '.join(sorted(names))}" for what, names in wrong.items() if names)
        heading = heading.capitalize() if self._labelled else f"ROUGE-L {row.rouge_l:.2f}"
        return Tile([shown_frame(data.study(number).image())], heading, row.reference, row.report)


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
    numbers = draw(data.studies, n, seed)
    again = [data.simulator.report(data.scene(i), np.random.default_rng((seed, i)), "usual") for i in numbers]
    rows = report_rows([data.study(i) for i in numbers], [_text(report) for report in again])
    return _result("another report of the same scene", data, rows, resamples, seed)


def _result(name: str, data: Any, rows: tuple[ReportRow, ...], resamples: int, seed: int) -> Result:
    return Result(name, data_title(data, len(rows), "studies"), score_rows(rows, resamples, seed), rows, TITLES)


def _text(report: Any) -> str:
    return f"{report.findings} {report.impression}".strip()


def report_rows(studies: Sequence[Study], written: Sequence[str]) -> tuple[ReportRow, ...]:
    """Each study's written report beside its reference, scored. Raises MedVLMError for an empty reference."""
    return _with_cider(_rows(studies, written))


def _rows(studies: Sequence[Study], written: Sequence[str]) -> list[ReportRow]:
    """All but CIDEr."""
    references = [study.report for study in studies]
    counts = bleu_counts(written, references)[:, None]  # (n, 1, 10): each text is a corpus of one
    scores = (meteor(written, references), rouge_l(written, references), bleu_of(counts, 1), bleu_of(counts, 4))
    return [
        ReportRow(
            study.name, text, study.report, tuple(sorted(study.findings)), _stated(text), _stated(text, CHEXPERT),
            _stated(study.report, CHEXPERT), *map(float, own),
        )
        for study, text, *own in zip(studies, written, *scores, strict=True)
    ]  # fmt: skip


def _stated(text: str, vocabulary: str = CHEST) -> tuple[str, ...]:
    return tuple(sorted(positive(text, vocabulary)))


def _with_cider(rows: Sequence[ReportRow]) -> tuple[ReportRow, ...]:
    values = cider([row.report for row in rows], [row.reference for row in rows])
    return tuple(replace(row, cider=float(value)) for row, value in zip(rows, values, strict=True))


def score_rows(rows: Sequence[ReportRow], resamples: int = 200, seed: int = 0) -> dict[str, Score]:
    """See `Reporting`; usable on a part of `Result.rows`. CIDEr keeps the idf of all of them."""
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
    if all(set(row.findings) <= set(names(CHEST)) for row in rows):
        kinds = {"f1": (("labels", "findings"), names(CHEST))}
        kinds |= {f"f1_{k}": (("chexpert", "chexpert_reference"), known) for k, known in sets().items()}
        for name, (parts, known) in kinds.items():
            held = np.stack([table([getattr(row, part) for row in rows], known) for part in parts], 1)
            for k, end in enumerate(("", "_macro")):
                found[name + end] = (held, lambda x, k=k: f1_of(x[:, :, 0] > 0, x[:, :, 1] > 0)[k])
    return {name: found[name] for name in TITLES if name in found}
