"""Tasks: what a model is scored on. Each asks for a capability, never for a concrete class.

>>> result = lab.evaluate("vqa", model, lab.dataset("vqa_rad", "validation"))
>>> result.scores["closed"].value
"""

from __future__ import annotations

import importlib
from typing import Any

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.tasks.result import Result, Score

__all__ = ["TASKS", "Result", "Score", "evaluate"]

#: task → module and function
TASKS = {
    "vqa": ("medvlm_lab.tasks.vqa", "evaluate_vqa"),
    "zero-shot": ("medvlm_lab.tasks.zero_shot", "evaluate_zero_shot"),
    "retrieval": ("medvlm_lab.tasks.retrieval", "evaluate_retrieval"),
    "regression": ("medvlm_lab.tasks.regression", "evaluate_regression"),
    "report": ("medvlm_lab.tasks.report", "evaluate_report"),
    "segmentation": ("medvlm_lab.tasks.segmentation", "evaluate_segmentation"),
}


def evaluate(
    task: str, model: Any, data: Any, n: int | None = None, seed: int = 0, batch_size: int = 64, **options: Any
) -> Result:
    """Score a model on a data set.

    Args:
        task: a name in `TASKS`.
        model: has the capability that the task asks for; "vqa" needs `answer_batch(images, questions)`.
        data: the data set: for "vqa" a `VQADataset` or any sequence of `VQAItem`, for the others one with studies.
        n: score only this many items, drawn at random with `seed`; all by default.
        seed: of the draw and of the bootstrap.
        batch_size: questions or studies per call of the model.

    Raises:
        UnknownNameError: no such task.
        MedVLMError: the model lacks the capability, or there is nothing to score.
    """
    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    module, function = TASKS[task]
    run = getattr(importlib.import_module(module), function)
    return run(model, data, n=n, seed=seed, batch_size=batch_size, **options)
