"""VQA-RAD (Lau et al., Sci Data 2018): clinicians' questions about radiographs, CT and MR of head, chest, abdomen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FOLDER = "vqa_rad"
MODALITY = None  # X-ray, CT and MR are mixed, and the file does not say which a picture is


def question_groups(rows: Sequence[dict[str, Any]]) -> list[list[int]]:
    """Row indices grouped into a question and its rephrasings, in file order.

    A clinician's `freeform` question may be followed, under consecutive `qid`s and on the same image, by its `frame`
    (the same question from a template) and by a `para`phrase with a frame of its own. A group starts at each
    `freeform` row, at a change of image, and at a gap in the numbering.
    """
    groups: list[list[int]] = []
    order = sorted(range(len(rows)), key=lambda i: int(rows[i]["qid"]))
    for i in order:
        row, last = rows[i], rows[groups[-1][-1]] if groups else None
        follows = (
            last is not None
            and row["phrase_type"] != "freeform"
            and row.get("image_name") == last.get("image_name")
            and int(row["qid"]) == int(last["qid"]) + 1
        )
        if follows:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def by_question(rows: Sequence[dict[str, Any]], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """(training, held-out) row indices that imitate the official test protocol.

    The official test set took whole groups at random, a question (`freeform`) with its rephrasing (`para`), and left
    their `frame` phrasings in training: of the 451 numbers missing from the training file, 284 (63 %) are followed by
    their frame. So here: random groups, their freeform and para rows held out, until `fraction` of the rows is reached;
    see `has_twin` for which of them have kept a frame in training.
    """
    groups = [[i for i in g if rows[i]["phrase_type"] != "frame"] for g in question_groups(rows)]
    groups = [g for g in groups if g]
    held: set[int] = set()
    for g in np.random.default_rng(seed).permutation(len(groups)):
        if len(held) >= fraction * len(rows):
            break
        held.update(groups[g])
    return [i for i in range(len(rows)) if i not in held], sorted(held)


def has_twin(rows: Sequence[dict[str, Any]]) -> list[bool]:
    """For each row, whether its group holds a `frame` row: the same question, image and answer in other words."""
    twin = [False] * len(rows)
    for group in question_groups(rows):
        framed = any(rows[i]["phrase_type"] == "frame" for i in group)
        for i in group:
            twin[i] = framed
    return twin


def has_phrases(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether every row carries the numbering and phrasing that `by_question` needs."""
    return all(str(row.get("qid", "")).isdigit() and row.get("phrase_type") for row in rows)
