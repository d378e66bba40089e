"""SLAKE (Liu et al., ISBI 2021, arXiv:2102.09542): questions in two languages about CT, MR and X-ray; the English ones.

    train.json, validate.json, test.json   img_name, question, answer, q_lang, answer_type, content_type, ...
    imgs/xmlab1/source.jpg ...             642 pictures
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medvlm_lab.datasets.base import ROW, read_rows
from medvlm_lab.datasets.layout import Questions
from medvlm_lab.errors import MissingDataError

LANGUAGE = "en"


def read(path: Path) -> list[dict[str, Any]]:
    """The English rows, with VQA-RAD's fields beside their own. Raises MissingDataError where there is none."""
    rows = [row | {ROW: i} for i, row in enumerate(read_rows(path)) if row.get("q_lang") == LANGUAGE]
    if not rows:
        raise MissingDataError(f"Question file {path} holds no question whose q_lang is {LANGUAGE!r}; use SLAKE's own.")
    return [row | {"image_name": row.get("img_name"), "question_type": row.get("content_type")} for row in rows]


FILES = {"train": "train.json", "validation": "validate.json", "test": "test.json"}
LAYOUT = Questions("slake", None, ("*.json", "imgs"), FILES, "imgs", read)
