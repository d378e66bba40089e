"""An answer as a student writes it: the number in it, its unit, or its word; and the slips that happen everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from medvlm_lab.metrics.answers import normalize_answer

_NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|[.,]\d+)(?:e[+-]?\d+)?"
_GIVEN = re.compile(rf"[\s~≈=]*({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*([^\d\s.,][^\d]*)?\s*", re.IGNORECASE)
_GAP = re.compile(r"(?<![\d.,])([+-]?[1-9]\d{0,2}(?:[ _'\u2009\u202f\xa0]\d{3})+)(?![\d_'])")  # 74 112, 74_112
_PRINTED = re.compile(r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?")
_PERCENT = re.compile(r"\b(?:percent|percentage|per cent|points)\b")
_ALIASES = {
    "percent": "%", "percentage": "%", "gigabyte": "gb", "millimeter": "mm", "millimetre": "mm", "hounsfield": "hu",
    "px": "pixel", "per": "", "cent": "%", "unit": "",
}  # fmt: skip
_FACTORS = ("thousand", "million", "billion", "k", "m")
ROUGH = 0.02  # relative: half of a last digit that is still a rounding
CLOSE = 0.1  # relative: how near a number is that was rounded too far


class Number(NamedTuple):
    """What was written as a number: its value, the same with a comma read otherwise (60,653), and the unit's words."""

    value: float
    other: float
    units: tuple[str, ...] = ()


def number(answer: Any) -> Number | None:
    """The number in an answer: of Python, NumPy, PyTorch or in words of digits, with a unit or not; None for others.

    "60,5", "74,112", "74 112", "4/7", "≈ 31 %" and "14 GB" count; True, NaN, lists and numbers spelt out do not.
    """
    if isinstance(answer, str):
        plain = _GAP.sub(lambda found: re.sub(r"[^\d+-]", "", found[1]), answer.replace("−", "-"))
        match = _GIVEN.fullmatch(plain.rstrip(" .!;"))
        if not match:
            return None
        values = [_values(match[1]), _values(match[2] or "1")]
        if 0 in values[1]:
            return None
        value, other = (top / values[1][0] for top in values[0])
        return Number(value, other, _units(match[3] or "")) if math.isfinite(value) else None
    if isinstance(answer, list | tuple | set | dict | bytes) or str(getattr(answer, "dtype", "")).endswith("bool"):
        return None
    try:
        value = float(answer.item() if hasattr(answer, "item") else answer)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return Number(value, value) if math.isfinite(value) and not isinstance(answer, bool) else None


def _values(text: str) -> tuple[float, float]:
    """With a comma for thousands where it may be one, and for decimals."""
    decimal = float(text.replace(",", ".")) if text.count(",") + text.count(".") < 2 else float(text.replace(",", ""))
    thousands = re.fullmatch(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", text)
    return (float(text.replace(",", "")), decimal) if thousands else (decimal, decimal)


def _units(text: str) -> tuple[str, ...]:
    words = re.findall(r"%|[^\W\d_]+", text.lower())
    stems = [word if len(word) < 3 else word.rstrip("s") for word in words]
    return tuple(filter(None, (_ALIASES.get(stem, stem) for stem in stems)))


def word(answer: Any) -> str:
    """The word in an answer, in lower case without punctuation; True is yes and False no, as "True" and "False" are."""
    text = normalize_answer(str(answer))
    return {"true": "yes", "false": "no"}.get(text, text)


def half_digit(truth: float, why: str) -> float:
    """Half of the last digit to which an explanation rounds the truth; 0 where it prints it exactly, or not.

    Printed digits that say less than `ROUGH` are other numbers, such as the 1 of 1 - 0.7 beside a truth of 0.5.
    """
    half = 0.0
    for text in _PRINTED.findall(why):
        value, step = float(text.replace(",", "")), 0.5 * 10.0 ** -len(text.partition(".")[2])
        if not math.isclose(value, truth, rel_tol=1e-12) and abs(value - truth) <= step <= ROUGH * abs(truth):
            half = max(half, step)
    return half


def agrees(given: float, truth: float, tolerance: float, half: float) -> bool:
    """Whether a number is the truth to the last digit that is printed, and within `tolerance`, relatively.

    A whole number that is printed exactly is a count: it must be met, however large it is.
    """
    allowed = max(tolerance * abs(truth), half * (1 + 1e-9), 1e-9)
    if not half and float(truth).is_integer():
        allowed = min(allowed, 0.499)
    return abs(given - truth) <= allowed * (1 + 1e-12)


def same(answer: Any, expected: Any, tolerance: float, why: str = "") -> bool:
    """Whether an answer is the expected number, with its unit or not, or the expected word."""
    found, wanted = number(answer), number(expected)
    if wanted is None:
        return found is None and word(answer) == word(expected)
    if found is None:
        return False
    values, half = list(found[:2]), half_digit(wanted.value, why)
    if found.units == ("%",) and 0 < abs(wanted.value) < 1:
        values.append(found.value / 100)  # 60 % is 0.6
    return any(agrees(value, wanted.value, tolerance, half) for value in values)


def foreign_unit(answer: Any, question: str) -> str | None:
    """The first word behind a number that the question does not hold, such as MB where GB are asked for."""
    found, known = number(answer), set(_units(question))
    for unit in found.units if found else ():
        if unit in _FACTORS or (unit not in known and unit != "%"):
            return unit
    return None


def slip(answer: Any, truth: Any, question: str, matches: Callable[[float], bool]) -> str | None:
    """What went wrong with a number, where it is one of the slips that may happen in every exercise; else None.

    matches: whether a number would be right.
    """
    found, wanted = number(answer), number(truth)
    if isinstance(answer, list | tuple | set) and len(answer) == 1 and wanted:
        return f"{answer!r} holds the answer in brackets; give what is in it."
    if found is None or wanted is None:
        return None
    value, percent = found.value, bool(_PERCENT.search(question.lower()))
    if percent and matches(100 * value):
        return "As a share, yes; the question asks for percent."
    if not percent and 0 < abs(wanted.value) < 1 and matches(value / 100):
        return "In percent, yes; the question asks for a number between 0 and 1."
    if value and matches(-value):
        return "The size is right; look at the sign."
    for factor, what in ((1000, "a thousand times too small"), (1e-3, "a thousand times too large")):
        if value and matches(value * factor):
            return f"That is {what}; look at the unit, or at the decimal point."
    decimals = len(f"{value:g}".partition(".")[2])
    if abs(value - wanted.value) <= CLOSE * abs(wanted.value) and abs(value - wanted.value) <= 0.5 * 10.0**-decimals:
        return "Nearly: that is rounded too far; give one more digit."
    return None
