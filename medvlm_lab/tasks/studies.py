"""What the tasks on whole studies share: which studies, and their pictures batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from medvlm_lab.datasets.base import Study
from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.tasks.result import model_name


def drawn(data: Any, n: int | None, seed: int) -> list[int]:
    """The numbers of the data set's studies, or of `n` of them drawn at random.

    Raises MedVLMError for a data set without studies, or for nothing to score.
    """
    if not callable(getattr(data, "study", None)):
        raise MedVLMError(
            f"{getattr(data, 'name', 'The data set')} holds questions, not studies with reports; choose one such as "
            "phantom:chest-xray."
        )
    if n is not None and n < 1:
        raise MedVLMError(f"Nothing to score with n={n}; it must be at least 1.")
    if n is None or n >= data.studies:
        return list(range(data.studies))
    return sorted(np.random.default_rng(seed).choice(data.studies, n, replace=False).tolist())


def chosen(data: Any, n: int | None, seed: int) -> list[Study]:
    """The studies that `drawn` draws."""
    return [data.study(i) for i in drawn(data, n, seed)]


def needs(model: Any, method: str, what: str) -> None:
    """MedVLMError where the model lacks a capability, naming it."""
    if not callable(getattr(model, method, None)):
        raise MedVLMError(
            f"Model {model_name(model)!r} does not {what} (it has no {method}); choose one that `medvlm-lab models` "
            "lists with that capability."
        )


def batches(
    studies: list[Study], batch_size: int, title: str, progress: bool
) -> Iterator[tuple[list[Study], list[MedicalImage]]]:
    """Studies with their pictures, `batch_size` at a time: memory does not grow with their number."""
    from tqdm.auto import tqdm

    if batch_size < 1:
        raise MedVLMError(f"batch_size is {batch_size}; it must be at least 1.")
    with tqdm(total=len(studies), unit="study", desc=title, disable=not progress) as bar:
        for i in range(0, len(studies), batch_size):
            part = studies[i : i + batch_size]
            yield part, [study.image() for study in part]
            bar.update(len(part))
