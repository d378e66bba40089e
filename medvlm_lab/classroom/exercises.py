"""Exercises that check themselves: `lab.check("00.1")` asks, `lab.check("00.1", 2)` says why it is right or wrong."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from medvlm_lab.classroom import given
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
        tolerance: how far off, relatively, a number may be (rounding). What `why` prints is right in any case: a number
            may be off by half of the last digit that is printed there. A count must be met.
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

    def accepts(self, answer: Any) -> bool:
        """Whether an answer is right, whatever its unit is."""
        return given.same(answer, self.truth(), self.tolerance, self.why)


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
    if answer is None or answer is ... or (isinstance(answer, str) and not answer.strip()):
        return Verdict(exercise_id, None, asked.question)
    if journal := os.environ.get(ANSWERS):
        with open(journal, "a", encoding="utf-8") as file:
            file.write(json.dumps({"exercise": exercise_id, "answer": noted(answer)}) + "\n")
    truth = asked.truth()
    right = asked.accepts(answer)
    if right and (unit := given.foreign_unit(answer, asked.question)):
        return Verdict(exercise_id, False, f"The number fits, but {unit!r} is not the unit that is asked for.")
    if right:
        return Verdict(exercise_id, True, asked.why)
    known = asked.mistakes() if callable(asked.mistakes) else asked.mistakes
    for mistake, explanation in known.items():
        if given.same(answer, mistake, asked.tolerance):
            return Verdict(exercise_id, False, explanation)
    if slip := given.slip(answer, truth, asked.question, asked.accepts):
        return Verdict(exercise_id, False, f"{slip} {asked.hint}")
    expected = "a number" if given.number(truth) else "a word"
    if (given.number(answer) is None) != (given.number(truth) is None):
        return Verdict(exercise_id, False, f"{_short(answer)} was given where {expected} is expected. {asked.hint}")
    return Verdict(exercise_id, False, asked.hint)


def _short(answer: Any) -> str:
    plain = isinstance(answer, str | int) and not isinstance(answer, bool)
    return repr(noted(answer)) if plain else repr(answer)[:LONGEST]


def noted(answer: Any) -> float | str:
    """An answer as a number or a short text, which gets the same verdict."""
    found = None if isinstance(answer, str) else given.number(answer)
    try:
        return str(answer).strip()[:LONGEST] if found is None else found.value
    except ValueError:  # an int of thousands of digits
        return "a number that is too large"
