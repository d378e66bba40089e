"""A reader study on disk: saved after every answer and resumed, exported as JSON and CSV, read back for a panel.

A saved study holds letters only, so that whoever looks into it stays blinded; an export names the sources. Neither
holds images or anything about the patient but the case's code.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from medvlm_lab.errors import CannotWriteError, MedVLMError
from medvlm_lab.io.whole import write_whole
from medvlm_lab.reader.marks import KINDS, Mark, of
from medvlm_lab.reader.study import LETTERS, SCALE, Answer, Case, Reading, Study
from medvlm_lab.text.plain import no_formula

NOTE = "Reader study of MedVLM Lab. Not for clinical use."


def save(study: Study, path: str | Path) -> None:
    """Writes the study so that an interruption leaves the last whole state. Raises MedVLMError where it cannot."""
    path = Path(path).expanduser()
    state = {
        "note": NOTE, "reader": study.reader, "seed": study.seed, "position": study.position,
        "cases": {
            case.name: {"reports": _digest(case), **asdict(answer)}
            for case, answer in zip(study.cases, study.answers, strict=True)
        },
    }  # fmt: skip
    try:
        write_whole(path, json.dumps(state, ensure_ascii=False, indent=1))
    except CannotWriteError as error:
        raise MedVLMError(f"The study cannot be saved: {error}") from error


def resume(study: Study, path: str | Path) -> Study:
    """The study as it was saved in `path`; as given where there is no such file.

    Raises MedVLMError for a file that is damaged, or of another reader, seed, or set of reports.
    """
    path = Path(path).expanduser()
    if not path.exists():
        return study
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        same = (state["reader"], state["seed"]) == (study.reader, study.seed) and {
            name: answer["reports"] for name, answer in state["cases"].items()
        } == {case.name: _digest(case) for case in study.cases}
        answers = tuple(_answer(state["cases"][case.name]) for case in study.cases) if same else ()
        position = int(state["position"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MedVLMError(f"{path} holds no saved study that can be read ({error}); choose another path.") from error
    if not same:
        raise MedVLMError(f"{path} belongs to another reader, seed or set of reports; choose another path.")
    return replace(study, answers=answers, position=min(max(position, 0), len(study.cases) - 1))


def to_json(readings: Sequence[Reading]) -> str:
    """The readings with every mark, correction and corrected report."""
    return json.dumps({"note": NOTE, "readings": [asdict(r) for r in readings]}, ensure_ascii=False, indent=1)


def to_csv(readings: Sequence[Reading]) -> str:
    """One line a reading: preference, and for each source its errors, the significant ones, the corrected report."""
    out = io.StringIO()
    own = [f"{source} {what}" for source in _sources(readings) for what in ("errors", "significant", "corrected")]
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["reader", "simulated", "case", "preference", "step", "reason", *own])
    for r in readings:
        cells: list[Any] = [r.reader, "yes" if r.simulated else "no", r.case, spoken(r), r.preference, r.reason]
        for source in r.sources:
            marks = of(r.marks, source)
            cells += [len(marks), sum(m.significant for m in marks), r.corrected[source]]
        table.writerow([no_formula(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue()


def read(path: str | Path) -> list[Reading]:
    """Readings that `to_json` wrote, such as those of the other readers of a panel. Raises MedVLMError."""
    try:
        rows = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))["readings"]
        return [
            Reading(**{**row, "sources": tuple(row["sources"]), "marks": tuple(Mark(**m) for m in row["marks"])})
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MedVLMError(f"{path} holds no exported readings ({error}); export a study as JSON first.") from error


def spoken(reading: Reading) -> str:
    """The preference in words, with the sources' names: "AI much better"."""
    return SCALE[reading.preference].replace("A ", f"{reading.sources[0]} ").replace("B ", f"{reading.sources[1]} ")


def _sources(readings: Sequence[Reading]) -> tuple[str, ...]:
    return readings[0].sources if readings else ()


def _digest(case: Case) -> str:
    """Tells reports apart without naming their sources."""
    return hashlib.sha256("\0".join(sorted(case.reports.values())).encode()).hexdigest()[:16]


def _answer(saved: dict[str, Any]) -> Answer:
    marks = tuple(Mark(**m) for m in saved["marks"])
    if saved["step"] not in (None, *SCALE) or any(m.kind not in KINDS or m.report not in LETTERS for m in marks):
        raise ValueError("an answer is not one of those that can be given")
    return Answer(saved["step"], str(saved["reason"]), marks)
