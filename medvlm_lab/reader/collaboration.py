"""Clinician and model together: the model's report, corrected by a reader, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import Interval, bootstrap_interval, paired
from medvlm_lab.metrics.generation import f1_of, table
from medvlm_lab.reader.scores import rows
from medvlm_lab.reader.simulated import SimulatedReader, panel
from medvlm_lab.reader.simulated import readings as read_all
from medvlm_lab.reader.study import Case, Reading
from medvlm_lab.tasks.result import Result, Score
from medvlm_lab.text.labeller import names, positive

TITLES = {
    "f1_before": "F1 of the findings in the report as written",
    "f1_after": "F1 of the findings after the corrections",
    "f1_gain": "gain in F1",
    "accepted_before": "as written: equal or preferred to the other report, %",
    "accepted_after": "corrected: equal or preferred to the other report, %",
    "accepted_gain": "gain, percentage points",
}


@dataclass(frozen=True)
class EditedRow:
    """One report before and after; the judges' shares who find it equal to or better than the other report."""

    case: str
    before: str
    after: str
    accepted_before: float
    accepted_after: float


def edited(cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
    """The cases that the readings are about, the second source's report as its reader has corrected it."""
    texts = {r.case: r.corrected[r.sources[1]] for r in readings}
    return [
        replace(case, reports={**case.reports, list(case.reports)[1]: texts[case.name]})
        for case in cases if case.name in texts
    ]  # fmt: skip


def collaborate(
    cases: Sequence[Case], readings: Sequence[Reading], judges: Sequence[SimulatedReader] | None = None,
    resamples: int = 1000, seed: int = 0,
) -> Result:  # fmt: skip
    """`f1_before`, `f1_after`, `f1_gain`; `accepted_before`, `accepted_after`, `accepted_gain`.

    F1 (micro) of the findings that the rule labeller reads out of the second source's report, against the truth.
    Accepted, in % of the cases: at least half of the simulated judges (by default a panel of 5) find it equal to or
    better than the other report. Intervals resample the cases.

    Raises MedVLMError for readings of several readers, for none, or for cases whose truth nobody knows.
    """
    if len({r.reader for r in readings}) != 1:
        raise MedVLMError("Collaboration is scored for one reader at a time; give the readings of one.")
    after = edited(cases, readings)
    before = [case for case in cases if case.name in {c.name for c in after}]
    if not before or any(case.findings is None for case in before):
        raise MedVLMError("Collaboration is scored against what is truly there; give simulated cases.")
    source, judges = readings[0].sources[1], judges or panel(seed=seed)
    there = table([{f.kind for f in case.findings} for case in before], names())
    f1 = lambda x: f1_of(x[:, :, 0] > 0, x[:, :, 1] > 0)[0]  # noqa: E731
    labels = [
        np.stack([table([positive(c.reports[source]) for c in part], names()), there], 1)  # (n, 2, k)
        for part in (before, after)
    ]
    shares = [{row.case: row.accepted for row in rows(read_all(judges, part))} for part in (before, after)]
    accepted = [[100.0 * (share[case.name] >= 0.5) for case in before] for share in shares]
    found = {
        "f1_before": bootstrap_interval(labels[0], resamples, seed, statistic=f1),
        "f1_after": bootstrap_interval(labels[1], resamples, seed, statistic=f1),
        "f1_gain": paired(labels[1], labels[0], resamples, seed, f1),
        "accepted_before": bootstrap_interval(accepted[0], resamples, seed),
        "accepted_after": bootstrap_interval(accepted[1], resamples, seed),
        "accepted_gain": paired(accepted[1], accepted[0], resamples, seed),
    }
    scores = {name: _score(interval, len(before)) for name, interval in found.items()}
    lines = tuple(
        EditedRow(b.name, b.reports[source], a.reports[source], *(share[b.name] for share in shares))
        for b, a in zip(before, after, strict=True)
    )
    who = f"{source} with {readings[0].reader}, judged by {len(judges)} simulated readers"
    return Result(who, f"{len(before)} cases", scores, lines, TITLES)


def _score(interval: Interval, n: int) -> Score:
    return Score(*interval, 0 if np.isnan(interval.value) else n)
