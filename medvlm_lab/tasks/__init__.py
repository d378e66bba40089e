"""Tasks: what a model is scored on. Each asks for a capability, never for a concrete class.

>>> result = lab.evaluate("vqa", model, lab.dataset("vqa_rad", "validation"))
>>> result.scores["closed"].value
"""

from __future__ import annotations

from typing import Any

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.tasks.vqa import VQAResult, evaluate_vqa

__all__ = ["TASKS", "VQAResult", "evaluate"]

TASKS = {"vqa": evaluate_vqa}


def evaluate(
    task: str, model: Any, data: Any, n: int | None = None, seed: int = 0, batch_size: int = 64, **options: Any
) -> VQAResult:
    """Score a model on a data set.

    Args:
        task: a name in `TASKS`.
        model: has the capability that the task asks for; "vqa" needs `answer_batch(images, questions)`.
        data: the data set, for "vqa" a `VQADataset` or any sequence of `VQAItem`.
        n: score only this many items, drawn at random with `seed`; all by default.
        seed: of the draw and of the bootstrap.
        batch_size: questions per call of the model.

    Raises:
        UnknownNameError: no such task.
        MedVLMError: the model lacks the capability, or there is nothing to score.
    """
    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    return TASKS[task](model, data, n=n, seed=seed, batch_size=batch_size, **options)
