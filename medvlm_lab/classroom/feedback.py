"""What a student gets back: each exercise with the answer given, whether it is right, and why; the cell that failed."""

from __future__ import annotations

from html import escape

from medvlm_lab.classroom.exercises import exercise
from medvlm_lab.classroom.report import page, trace
from medvlm_lab.classroom.submission import Grade
from medvlm_lab.text.plain import printable


def feedback(grade: Grade) -> str:
    """A grade as a page of HTML; it loads nothing."""
    parts = []
    if grade.chapter:
        parts.append(f"<p><b>{grade.right} of {len(grade.verdicts)}</b> exercises of chapter {grade.chapter}.</p>")
    if grade.error:
        parts.append(f"<p><b>{escape(grade.error)}</b></p>")
    for verdict in grade.verdicts:
        question = f"<p>{escape(exercise(verdict.exercise).question)}</p>"
        given = "Not answered." if verdict.right is None else f"Your answer: {grade.answers[verdict.exercise]}"
        said = "" if verdict.right is None else verdict._repr_html_()
        parts.append(f"<h2>{verdict.exercise}</h2>{question}<p>{escape(given)}</p>{said}")
    if grade.traceback:
        parts.append(trace(f"Cell {grade.cell}", grade.traceback))
    return page(printable(grade.submission), *parts)
