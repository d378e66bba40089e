"""Exercises that check themselves: `lab.check("00.1")` asks, `lab.check("00.1", 2)` says why it is right or wrong."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medvlm_lab.errors import UnknownNameError

ANSWERS = "MEDVLM_ANSWERS"  # names the file in which answers are noted
LONGEST = 200  # characters of a word that is noted


@dataclass(frozen=True)
class Exercise:
    """A question with one right answer.

    Attributes:
        question: what is asked, with the unit of the answer.
        answer: a number or a word, or a function that computes it from the samples on this machine.
        why: what explains the right answer.
        hint: what helps after any other wrong answer.
        mistakes: wrong answers with a known cause → the explanation of that cause.
        tolerance: how far off, relatively, a number may be (rounding).
    """

    question: str
    answer: Any | Callable[[], Any]
    why: str
    hint: str
    mistakes: Mapping[Any, str] | Callable[[], Mapping[Any, str]] = field(default_factory=dict)
    tolerance: float = 0.005

    def truth(self) -> Any:
        """The right answer, computed where it is a function."""
        return self.answer() if callable(self.answer) else self.answer


@dataclass(frozen=True)
class Verdict:
    """What `check` says; `right` is None as long as no answer was given."""

    exercise: str
    right: bool | None
    text: str

    def __str__(self) -> str:
        mark = {True: "Right", False: "Not yet", None: "Question"}[self.right]
        return f"{self.exercise}  {mark}: {self.text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        mark, color = {True: ("✓ Right", "#009e73"), False: ("✗ Not yet", "#d55e00"), None: ("? Question", "#0072b2")}[
            self.right
        ]
        return (
            f'<div role="status" style="border-left: 4px solid {color}; padding-left: .8em">'
            f"<b>{html.escape(self.exercise)} {mark}.</b> {html.escape(self.text)}</div>"
        )


def exercise(exercise_id: str) -> Exercise:
    """The exercise of this id; UnknownNameError where there is none."""
    from medvlm_lab.classroom.answers import EXERCISES

    if exercise_id not in EXERCISES:
        raise UnknownNameError("exercise", exercise_id, EXERCISES)
    return EXERCISES[exercise_id]


def check(exercise_id: str, answer: Any = None) -> Verdict:
    """Checks an answer, and explains a wrong one; without an answer, asks the question.

    Where `MEDVLM_ANSWERS` names a file, each answer is noted there for the grader, which checks it again by itself.

    Raises:
        UnknownNameError: no exercise has this id.
    """
    asked = exercise(exercise_id)
    if answer is None or answer == "" or answer is ...:
        return Verdict(exercise_id, None, asked.question)
    if journal := os.environ.get(ANSWERS):
        with open(journal, "a", encoding="utf-8") as file:
            file.write(json.dumps({"exercise": exercise_id, "answer": noted(answer)}) + "\n")
    truth = asked.truth()
    if _same(answer, truth, asked.tolerance):
        return Verdict(exercise_id, True, asked.why)
    known = asked.mistakes() if callable(asked.mistakes) else asked.mistakes
    for mistake, explanation in known.items():
        if _same(answer, mistake, asked.tolerance):
            return Verdict(exercise_id, False, explanation)
    expected = "a number" if _number(truth) is not None else "a word"
    if (_number(answer) is None) != (_number(truth) is None):
        return Verdict(exercise_id, False, f"{answer!r} was given where {expected} is expected. {asked.hint}")
    return Verdict(exercise_id, False, asked.hint)


def noted(answer: Any) -> float | str:
    """An answer as a number or a short word, which gets the same verdict."""
    number = _number(answer)
    return str(answer)[:LONGEST] if number is None else number


def _number(value: Any) -> float | None:
    """The value as a finite number; "60 %" and "60,5" count, True and False do not."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value.strip().rstrip("%").replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _same(given: Any, expected: Any, tolerance: float) -> bool:
    number, target = _number(given), _number(expected)
    if number is not None and target is not None:
        return math.isclose(number, target, rel_tol=tolerance, abs_tol=1e-9)
    return str(given).strip().lower() == str(expected).strip().lower()
