"""Texts from elsewhere, such as names of files, made fit for a terminal, a table and a spreadsheet."""

from __future__ import annotations

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")
JOINERS = "\u200c\u200d"  # of Persian words and of emoji


def printable(text: str) -> str:
    r"""The text with control characters, marks of direction and halves of characters written out, such as `\x1b`."""
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in text)


def no_formula(text: str) -> str:
    """A cell that a spreadsheet takes for no formula: an apostrophe before `=`, `+`, `-` and `@`."""
    return f"'{text}" if text.startswith(FORMULAS) else text
