"""What the reader-study widget knows and shows: a study, what a message does to it, a view. No widget library."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medvlm_lab.errors import MedVLMError
from medvlm_lab.reader import records
from medvlm_lab.reader.marks import KINDS, OMISSION, Mark, corrected, of
from medvlm_lab.reader.simulated import SimulatedReader
from medvlm_lab.reader.study import SCALE, Study, amend, go, mark, prefer, unmark
from medvlm_lab.reader.truth import sentences

DISCLAIMER = "Not for clinical use."
ABOUT_PANEL = "The panel is simulated: its readers err and prefer by stated rules, not as people were measured to."


@dataclass(frozen=True)
class ReaderState:
    """A study in view.

    Attributes:
        panel: simulated readers to compare with. path: where the study is saved after every answer, None for nowhere.
        results: whether the results are in view. error: one sentence to show the reader, or "".
    """

    study: Study
    panel: tuple[SimulatedReader, ...] = ()
    path: Path | None = None
    results: bool = False
    error: str = ""


def start(study: Study, panel: Sequence[SimulatedReader] = (), path: str | Path | None = None) -> ReaderState:
    """The study, resumed from `path` where it was saved. Raises MedVLMError for a file of another study."""
    resumed = study if path is None else records.resume(study, path)
    return ReaderState(resumed, tuple(panel), None if path is None else Path(path))


def act(state: ReaderState, message: dict[str, Any]) -> ReaderState:
    """The state after the reader's hand: `{"do": name, …}`; with a sentence in `error` for what cannot be done.

    `go` to a case, `prefer` a step or give a reason, `mark` a part of a report, `amend` or `unmark` a mark, `show` the
    results or the cases. Whatever changes the study is saved at once.
    """
    given = {key: value for key, value in message.items() if key != "do"}
    changes = {"go": go, "prefer": prefer, "mark": mark, "amend": amend, "unmark": unmark}
    try:
        if message.get("do") == "show":
            return show(state, **given)
        if message.get("do") not in changes:
            raise MedVLMError(f"{message.get('do')!r} is nothing that can be done here.")
        state = replace(state, study=changes[message["do"]](state.study, **given), error="")
        if state.path is not None:
            records.save(state.study, state.path)
        return state
    except (MedVLMError, TypeError) as error:  # TypeError: a message with other fields
        return replace(state, error=str(error))


def show(state: ReaderState, results: bool) -> ReaderState:
    """The results in view, or the cases. Results name the sources: they wait for the last answer."""
    left = len(state.study.cases) - state.study.answered
    if results and left:
        which = f"{left} case{'s' if left > 1 else ''}"
        return replace(state, error=f"Results name the sources of the reports; answer the remaining {which} first.")
    return replace(state, results=results, error="")


def simulated(study: Study) -> bool:
    """Whether the patient in view is simulated: the image says so, or the truth is known."""
    case = study.case
    return bool(case.findings is not None or (case.image is not None and case.image.simulated))


def view(state: ReaderState) -> dict[str, Any]:
    """Everything that the browser draws, except picture and results."""
    study = state.study
    return {
        "reader": study.reader, "position": study.position, "count": len(study.cases), "answered": study.answered,
        "done": [answer.step is not None for answer in study.answers], "case": study.case.name,
        "simulated": bool(study.case.image is not None and study.case.image.simulated),
        "scale": [[step, words] for step, words in SCALE.items()], "step": study.answer.step,
        "reason": study.answer.reason, "kinds": list(KINDS), "omission": OMISSION,
        "reports": [_report(study, letter, text) for letter, text in study.reports().items()],
        "marks": [
            {
                "report": m.report, "kind": m.kind, "significant": m.significant, "correction": m.correction,
                "text": study.reports()[m.report][m.start : m.end],
            }
            for m in study.answer.marks
        ],
        "results": state.results, "error": state.error,
        "disclaimer": f"{'Simulated. ' if simulated(study) else ''}{DISCLAIMER}",
        "saved": "" if state.path is None else f"Saved in {state.path.name} after every answer",
    }  # fmt: skip


def _report(study: Study, letter: str, text: str) -> dict[str, Any]:
    marks = of(study.answer.marks, letter)
    return {
        "letter": letter, "segments": segments(text, letter, study.answer.marks),
        "sentences": [[a, b, text[a:b]] for a, b in sentences(text)], "length": len(text),
        "corrected": corrected(text, marks) if marks else "",
    }  # fmt: skip


def segments(text: str, letter: str, marks: Sequence[Mark]) -> list[tuple[str, int]]:
    """Pieces that join to the report, each with the number of its mark among all of the case, from 1, or 0."""
    own = sorted((m.start, m.end, number) for number, m in enumerate(marks, 1) if m.report == letter)
    pieces, last = [], 0
    for start, end, number in own:
        pieces += [(text[last:start], 0), (text[start:end], number)]
        last = end
    return [(piece, number) for piece, number in [*pieces, (text[last:], 0)] if piece or number]


def picture(state: ReaderState) -> str:
    """The image in view as a data URL, its grey values as its own window says; "" where the case has none."""
    image = state.study.case.image
    if image is None:
        return ""
    buffer = io.BytesIO()
    image.pil(image.reading_frame).save(buffer, "PNG")
    return data_url(buffer.getvalue())


def data_url(png: bytes) -> str:
    """A PNG for an <img>."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def export(state: ReaderState, form: str) -> tuple[str, str]:
    """(file name, content) of the answered cases, as "csv" or "json". Raises MedVLMError before the first answer."""
    readings = state.study.readings()
    if not readings:
        raise MedVLMError("There is nothing to export yet; answer a case first.")
    write = {"csv": records.to_csv, "json": records.to_json}[form]
    return f"reader-study-{state.study.reader}.{form}", write(readings)
