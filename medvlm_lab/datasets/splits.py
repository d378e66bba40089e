"""Held-out parts of a training file: by question (as the official test) and by image (the harder, cleaner one)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medvlm_lab.datasets import vqa_rad


def by_question(rows: Sequence[dict[str, Any]], fraction: float = 0.10, seed: int = 0) -> tuple[list[int], list[int]]:
    """(training, validation) row indices, both sorted; images are shared between the two.

    For VQA-RAD this follows the official protocol (see `vqa_rad.by_question`); rows without its numbering are held
    out at random. The same seed gives the same split on every machine.
    """
    _check(fraction)
    if vqa_rad.has_phrases(rows):
        return vqa_rad.by_question(rows, fraction, seed)
    order = np.random.default_rng(seed).permutation(len(rows))
    count = round(fraction * len(rows))
    return sorted(order[count:].tolist()), sorted(order[:count].tolist())


def by_image(rows: Sequence[dict[str, Any]], fraction: float = 0.10, seed: int = 0) -> tuple[list[int], list[int]]:
    """(training, validation) row indices, both sorted, with no image on both sides.

    Whole images are drawn at random until at least `fraction` of the rows is held out.
    """
    _check(fraction)
    where: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        where.setdefault(str(row.get("image_name", row.get("image"))), []).append(i)
    names = sorted(where)  # the split must not depend on the order of the file
    held: set[int] = set()
    for k in np.random.default_rng(seed).permutation(len(names)):
        if len(held) >= fraction * len(rows):
            break
        held.update(where[names[k]])
    return [i for i in range(len(rows)) if i not in held], sorted(held)


def _check(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
