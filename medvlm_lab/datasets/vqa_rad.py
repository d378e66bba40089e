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

    The official test set takes a group's `freeform` and `para` phrasing and leaves its `frame` phrasing in training.
    So: random groups that have a frame, their freeform and para rows held out, until `fraction` of the rows is reached.
    """
    groups = [g for g in question_groups(rows) if _is_complete(rows, g)]
    held: set[int] = set()
    for g in np.random.default_rng(seed).permutation(len(groups)):
        if len(held) >= fraction * len(rows):
            break
        held.update(i for i in groups[g] if rows[i]["phrase_type"] != "frame")
    return [i for i in range(len(rows)) if i not in held], sorted(held)


def _is_complete(rows: Sequence[dict[str, Any]], group: list[int]) -> bool:
    kinds = {rows[i]["phrase_type"] for i in group}
    return "frame" in kinds and "freeform" in kinds


def has_phrases(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether every row carries the numbering and phrasing that `by_question` needs."""
    return all(str(row.get("qid", "")).isdigit() and row.get("phrase_type") for row in rows)
