"""Errors marked in a report, and the report that their corrections make of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

OMISSION, FALSE, LOCATION, SEVERITY, OTHER = "omission", "false finding", "wrong location", "wrong severity", "other"
KINDS = (OMISSION, FALSE, LOCATION, SEVERITY, OTHER)


@dataclass(frozen=True)
class Mark:
    """Characters `start` to `end` of a report, marked as an error.

    Attributes:
        report: the letter of the report, or its source once unblinded.
        kind: one of `KINDS`. An omission may be empty, with its correction to be put in at that place.
        correction: what shall stand there instead; "" takes the marked text out.
    """

    report: str
    start: int
    end: int
    kind: str
    significant: bool = False
    correction: str = ""


def of(marks: Iterable[Mark], report: str) -> list[Mark]:
    """The marks in one report, in the order of the text."""
    return sorted((m for m in marks if m.report == report), key=lambda m: (m.start, m.end))


def corrected(text: str, marks: Iterable[Mark]) -> str:
    """The report with every correction in place of what was marked; the marks are those of this report."""
    pieces, last = [], 0
    for m in sorted(marks, key=lambda m: (m.start, m.end)):
        gap = " " if m.start == m.end and m.correction else ""  # an omission is put in between words
        pieces += [text[last : m.start], gap, m.correction, gap]
        last = m.end
    joined = "".join([*pieces, text[last:]])
    return re.sub(r"[ \t]+(?=[ \t\n.,;]|$)", "", joined).strip()
