"""Running a task: batch by batch, kept in a folder, taken up again after an interruption, scored at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medvlm_lab.errors import ImageReadError, MedVLMError, MissingDataError
from medvlm_lab.io.private import Original, write_originals
from medvlm_lab.tasks.base import Task
from medvlm_lab.tasks.journal import Journal, data_settings, weights_code
from medvlm_lab.tasks.result import Result, data_title, model_name
from medvlm_lab.tasks.sheet import sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEFT_OUT = "left_out"  # in a row: why the picture of its item cannot be read


def run(
    name: str, task: Task, model: Any, data: Any, n: int | None, seed: int, batch_size: int, resamples: int | None,
    progress: bool, out: str | Path | None,
) -> Result:
    """See `tasks.evaluate`; `name` is the task's."""
    from medvlm_lab.progress import tqdm

    task.check(model, data)
    if batch_size < 1:
        raise MedVLMError(f"batch_size is {batch_size}; it must be at least 1.")
    numbers = task.numbers(data, n, seed)
    journal = Journal(out, _claim(name, task, model, data, numbers, seed)) if out else None
    said = journal.said(numbers) if journal else []
    bar = tqdm(
        total=len(numbers), initial=len(said), unit=f" {task.unit}", desc=model_name(model), disable=not progress
    )
    with bar:
        for start in range(len(said), len(numbers), batch_size):
            part = numbers[start : start + batch_size]
            new = [{"item": i} | line for i, line in zip(part, _asked(task, model, data, part), strict=True)]
            if journal:
                journal.add(new)
            said += new
            bar.update(len(new))
    result = _result(task, model, data, said, resamples or task.resamples, seed)
    if journal:
        journal.finish(result, str(getattr(model, "device", "cpu")))
        write_originals(journal.folder, _originals(data, numbers))
    return result


def _asked(task: Task, model: Any, data: Any, part: list[int]) -> list[dict[str, Any]]:
    """What the model says of each item; of one whose picture cannot be read, why. The others go on."""
    try:
        return task.ask(model, data, part)
    except (ImageReadError, MissingDataError) as error:
        if len(part) == 1:
            return [{LEFT_OUT: error.kept}]
        return [line for number in part for line in _asked(task, model, data, [number])]


def _originals(data: Any, numbers: list[int]) -> Iterator[Original]:
    """The files behind the neutral names of a reader's own pictures."""
    if not hasattr(data, "study"):  # questions
        own = [data[i] for i in numbers if not data[i].public]
        yield from (Original(item.name, str(item.image_path)) for item in own if item.image_path.is_file())
    elif not getattr(data, "public", True):
        for number in numbers:
            with suppress(MissingDataError):  # it is left out
                if (study := data.study(number)).file:
                    yield Original(study.name, str(study.file))


def _claim(name: str, task: Task, model: Any, data: Any, numbers: list[int], seed: int) -> dict[str, Any]:
    return {
        "task": name, "model": model_name(model), "weights": weights_code(model), "data": data_settings(data),
        "n": len(numbers), "seed": seed, "options": {k: v for k, v in vars(task).items() if not k.startswith("_")},
    }  # fmt: skip


def _result(task: Task, model: Any, data: Any, said: list[dict[str, Any]], resamples: int, seed: int) -> Result:
    left_out = tuple(line[LEFT_OUT] for line in said if LEFT_OUT in line)
    said = [line for line in said if LEFT_OUT not in line]
    if not said:
        raise ImageReadError(f"No picture of {data_title(data, 0, task.unit)} can be read. The first: {left_out[0]}")
    numbers, rows = zip(*task.rows(said), strict=True)
    scores = task.score(rows, resamples, seed)
    name, title = model_name(model), data_title(data, len(said), task.unit)

    def worst(k: int) -> Figure:
        errors = task.errors(rows)
        wrong = sorted((i for i in range(len(rows)) if errors[i] > 0), key=lambda i: -errors[i])
        tiles = [task.tile(model, data, numbers[i], rows[i]) for i in wrong[:k]]
        count = f"the {len(tiles)} worst" if wrong else "nothing wrong"
        simulated = "Simulated patients. " if hasattr(data, "simulator") else ""
        return sheet(tiles, f"{name} on {title}: {count}", f"{simulated}Not for clinical use.")

    return Result(name, title, scores, rows, task.titles(rows, scores), worst, left_out)
