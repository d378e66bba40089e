"""PMC-VQA (Zhang et al., 2023, arXiv:2305.10415): multiple-choice questions about figures of PubMed Central articles.

    train.csv, test.csv   Figure_path, Question, Choice A to D, and the right letter (`Answer_label`, or `Answer`)
    images/               the figures (images.zip)

`test_clean.csv`, checked by people, and the second edition's files are read with `questions=`. As in the paper's own
code the choices stand after the question, and the answer is the text of the right one. Questions count as closed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from medvlm_lab.datasets.base import said
from medvlm_lab.datasets.layout import Questions
from medvlm_lab.datasets.tables import read_table
from medvlm_lab.errors import MissingDataError

LETTERS = "ABCD"
_LETTER = re.compile(r"^\s*[A-D]\s*:\s*")


def read(path: Path) -> list[dict[str, Any]]:
    """The rows with VQA-RAD's fields; `choices` holds the four texts. Raises MissingDataError for an unknown answer."""
    columns = ("Figure_path", "Question", *(f"Choice {letter}" for letter in LETTERS))
    table, rows = read_table(path, columns, ("Answer_label", "Answer")), []
    for number, (figure, question, *texts, right, answer) in enumerate(table):
        choices = {letter: _LETTER.sub("", text).strip() for letter, text in zip(LETTERS, texts, strict=True)}
        label = (right or answer).strip()
        if label not in choices:
            raise MissingDataError(f"Row {number} of {path} has the answer {label!r}; it must be A, B, C or D.")
        if not said(question):
            raise MissingDataError(f"Row {number} of {path} has no question; leave it out, or mend it.")
        listed = " ".join(f"{letter}: {text}" for letter, text in choices.items())
        rows.append(
            {
                "image_name": figure.strip(), "question": f"{question.strip()} Choices: {listed}",
                "answer": choices[label], "answer_type": "CLOSED", "choices": tuple(choices.values()),
            }
        )  # fmt: skip
    return rows


LAYOUT = Questions("pmc_vqa", None, ("t*.csv", "images"), {"train": "train.csv", "test": "test.csv"}, read=read)
