"""A blinded reader study: pairs of reports, a reader's preferences, and the errors marked and corrected in them.

    study = Study(cases, reader="r1")
    study = prefer(study, 1, "B names the side")                        # of the case in view
    study = mark(study, "A", 0, 24, "wrong location")                   # characters of report A
    study.readings()                                                    # unblinded, one for each answered case

The two parts of Flamingo-CXR's evaluation (Tanno et al., Nat Med 31:599–608, 2025): pairwise preference, and error
correction. Nothing here draws anything, so that a study can be run, resumed and tested without a browser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.reader.marks import KINDS, OMISSION, Mark, corrected, of

if TYPE_CHECKING:
    from medvlm_lab.image import MedicalImage
    from medvlm_lab.phantoms.scene import Finding

LETTERS = ("A", "B")
SCALE = {-2: "A much better", -1: "A better", 0: "equal", 1: "B better", 2: "B much better"}
CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, eq=False)
class Case:
    """An image with two reports.

    Attributes:
        name: a code without anything personal in it; it is exported.
        reports: source → text, exactly two; preferences are counted for the second one, such as "AI".
        findings: what is truly there, where the patient is simulated; None where nobody knows.
    """

    name: str
    reports: Mapping[str, str]
    image: MedicalImage | None = field(default=None, repr=False)
    findings: tuple[Finding, ...] | None = None

    def __post_init__(self) -> None:
        check_code("Case name", self.name)
        if len(self.reports) != 2 or not all(text.strip() for text in self.reports.values()):
            raise MedVLMError(f"Case {self.name} must have two reports that are not empty; give {{source: text}}.")


@dataclass(frozen=True)
class Answer:
    """What a reader has said about one case, still blinded; `step` is a key of `SCALE`, None before the choice."""

    step: int | None = None
    reason: str = ""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Reading:
    """One reader's answer to one case, unblinded.

    Attributes:
        sources: of the reports, in the case's order.
        preference: from -2 to 2, positive where the second source's report is better.
        marks: the errors, each with its source as `report`. corrected: source → the report after the corrections.
        simulated: whether a `SimulatedReader` has read.
    """

    reader: str
    case: str
    sources: tuple[str, str]
    preference: int
    reason: str = ""
    marks: tuple[Mark, ...] = ()
    corrected: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False


@dataclass(frozen=True)
class Study:
    """A reader's way through the cases; made anew by `prefer`, `mark`, `amend`, `unmark` and `go`.

    Attributes:
        reader: a code that the reader chooses, no name.
        seed: decides which source is called A in each case.
        answers: one for each case. position: the case in view.

    Raises MedVLMError for a code that could be a name, for no cases, for two of one name or of other sources.
    """

    cases: tuple[Case, ...]
    reader: str = "reader-1"
    seed: int = 0
    answers: tuple[Answer, ...] = ()
    position: int = 0

    def __post_init__(self) -> None:
        check_code("Reader", self.reader)
        if not self.cases:
            raise MedVLMError("A reader study needs at least one case; give some.")
        if len({case.name for case in self.cases}) < len(self.cases):
            raise MedVLMError("Two cases of the study have the same name; give each its own.")
        if len({tuple(case.reports) for case in self.cases}) > 1:
            raise MedVLMError("The cases have reports from different sources; give the same two for all of them.")
        object.__setattr__(self, "cases", tuple(self.cases))
        object.__setattr__(self, "answers", self.answers or (Answer(),) * len(self.cases))

    @property
    def case(self) -> Case:
        """The case in view."""
        return self.cases[self.position]

    @property
    def answer(self) -> Answer:
        """What has been said about the case in view."""
        return self.answers[self.position]

    @property
    def answered(self) -> int:
        """How many cases have a preference."""
        return sum(answer.step is not None for answer in self.answers)

    def order(self, number: int | None = None) -> dict[str, str]:
        """Letter → source in case `number`, by default the one in view."""
        number = self.position if number is None else number
        first, second = self.cases[number].reports
        turned = np.random.default_rng(self.seed).permutation(len(self.cases))[number] % 2  # in half of the cases
        return dict(zip(LETTERS, (second, first) if turned else (first, second), strict=True))

    def reports(self, number: int | None = None) -> dict[str, str]:
        """Letter → text, as `order`."""
        number = self.position if number is None else number
        return {letter: self.cases[number].reports[source] for letter, source in self.order(number).items()}

    def readings(self) -> list[Reading]:
        """The answered cases, unblinded."""
        found = []
        for number, (case, answer) in enumerate(zip(self.cases, self.answers, strict=True)):
            if answer.step is None:
                continue
            order, sources = self.order(number), tuple(case.reports)
            sign = 1 if order["B"] == sources[1] else -1
            marks = tuple(replace(m, report=order[m.report]) for m in answer.marks)
            texts = {source: corrected(case.reports[source], of(marks, source)) for source in sources}
            found.append(Reading(self.reader, case.name, sources, sign * answer.step, answer.reason, marks, texts))
        return found


def prefer(study: Study, step: int | None = None, reason: str | None = None) -> Study:
    """The study with a preference, a reason, or both, for the case in view. Raises MedVLMError for another step."""
    answer = study.answer
    if step is not None and step not in SCALE:
        raise MedVLMError(f"Preference {step!r} is not on the scale; choose from -2 (A much better) to 2.")
    return _answer(study, replace(
        answer, step=answer.step if step is None else step, reason=answer.reason if reason is None else reason
    ))  # fmt: skip


def mark(
    study: Study, letter: str, start: int, end: int, kind: str, significant: bool = False, correction: str | None = None
) -> Study:
    """The study with characters `start` to `end` of a report marked; the correction begins as the marked text.

    Raises MedVLMError for a place outside the report or over another mark, and for an empty one that is no omission.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of error", kind, KINDS)
    if letter not in LETTERS:
        raise UnknownNameError("report", letter, LETTERS)
    text = study.reports()[letter]
    if not 0 <= start <= end <= len(text):
        raise MedVLMError(f"Report {letter} has no characters {start} to {end}; it has {len(text)}.")
    if start == end and kind != OMISSION:
        raise MedVLMError(f"Nothing is marked as {kind}; select a part of the report first.")
    if any(m.start < end and start < m.end for m in of(study.answer.marks, letter)):
        raise MedVLMError("A part of this is marked already; remove that mark first.")
    made = Mark(letter, start, end, kind, significant, text[start:end] if correction is None else correction)
    return _answer(study, replace(study.answer, marks=(*study.answer.marks, made)))


def amend(study: Study, number: int, significant: bool | None = None, correction: str | None = None) -> Study:
    """The study with mark `number` of the case in view called significant or not, or with another correction."""
    _check_mark(study, number)
    marks = list(study.answer.marks)
    given = {"significant": significant, "correction": correction}
    marks[number] = replace(marks[number], **{key: value for key, value in given.items() if value is not None})
    return _answer(study, replace(study.answer, marks=tuple(marks)))


def unmark(study: Study, number: int) -> Study:
    """The study without mark `number` of the case in view."""
    _check_mark(study, number)
    marks = study.answer.marks
    return _answer(study, replace(study.answer, marks=marks[:number] + marks[number + 1 :]))


def go(study: Study, position: int) -> Study:
    """The study at another case; the first or the last one where `position` lies outside."""
    return replace(study, position=min(max(position, 0), len(study.cases) - 1))


def check_code(what: str, code: str) -> None:
    """MedVLMError for what is no code: letters, digits, points, dashes."""
    if not CODE.fullmatch(code):
        raise MedVLMError(
            f"{what} {code!r} is no code; use up to 64 letters, digits, points or dashes, and nobody's name."
        )


def _check_mark(study: Study, number: int) -> None:
    if not 0 <= number < len(study.answer.marks):
        raise MedVLMError(f"Mark {number} does not exist; case {study.case.name} has {len(study.answer.marks)}.")


def _answer(study: Study, answer: Answer) -> Study:
    place = study.position
    return replace(study, answers=study.answers[:place] + (answer,) + study.answers[place + 1 :])
