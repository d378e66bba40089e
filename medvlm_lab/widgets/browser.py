"""The widgets' code for the browser."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def module(*names: str) -> str:
    """One module of JavaScript out of files of this folder, since a notebook's page can import none."""
    return "".join((HERE / name).read_text(encoding="utf-8") for name in names)


def styles(*names: str) -> str:
    """One style sheet out of files of this folder."""
    return "".join((HERE / name).read_text(encoding="utf-8") for name in names)
