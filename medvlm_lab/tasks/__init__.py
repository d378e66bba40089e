"""Tasks: what a model is scored on. Each asks for a capability, never for a concrete class.

>>> result = lab.evaluate("vqa", model, lab.dataset("vqa_rad", "validation"))
>>> result.scores["closed"].value
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.tasks.result import Result, Score

__all__ = ["TASKS", "Result", "Score", "evaluate"]

#: task → module and class
TASKS = {
    "vqa": ("medvlm_lab.tasks.vqa", "VQA"),
    "zero-shot": ("medvlm_lab.tasks.zero_shot", "ZeroShot"),
    "retrieval": ("medvlm_lab.tasks.retrieval", "Retrieval"),
    "identification": ("medvlm_lab.tasks.identification", "Identification"),
    "regression": ("medvlm_lab.tasks.regression", "Regression"),
    "report": ("medvlm_lab.tasks.report", "Reporting"),
    "segmentation": ("medvlm_lab.tasks.segmentation", "Segmentation"),
}


def evaluate(
    task: str,
    model: Any,
    data: Any,
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 64,
    resamples: int | None = None,
    progress: bool = True,
    out: str | Path | None = None,
    **options: Any,
) -> Result:
    """Score a model on a data set.

    Args:
        task: a name in `TASKS`.
        model: has the capability that the task asks for; "vqa" needs `answer_batch(images, questions)`.
        data: the data set: for "vqa" a `VQADataset` or any sequence of `VQAItem`, for the others one with studies.
        n: score only this many items, drawn at random with `seed`; all by default.
        seed: of the draw and of the bootstrap.
        batch_size: questions or studies per call of the model.
        resamples: of the bootstrap; the task's own number by default.
        progress: whether to show how many items are done, and how many a second.
        out: a folder in which what the model says is kept as it is said, and then the scores (see `tasks.journal`).
            The same call goes on where an earlier one was interrupted.
        options: of the task; see its class.

    Raises:
        UnknownNameError: no such task, or no such option of it.
        MedVLMError: the model lacks the capability, there is nothing to score, or `out` belongs to something else.
    """
    from medvlm_lab.tasks.run import run

    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    module, name = TASKS[task]
    cls = getattr(importlib.import_module(module), name)
    if unknown := set(options) - set(known := inspect.signature(cls).parameters):
        raise UnknownNameError(f"option of {task}", min(unknown), known or ["(none)"])
    return run(task, cls(**options), model, data, n, seed, batch_size, resamples, progress, out)
