"""Chapters executed (papermill) and tested (nbval), several at a time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from medvlm_lab.classroom.build import NOTEBOOKS, Chapter, asked, chapters, from_built
from medvlm_lab.classroom.execute import HANGS_S, Result, environment, execute
from medvlm_lab.classroom.watch import STOP
from medvlm_lab.engine import spread
from medvlm_lab.errors import MedVLMError

SETS = re.compile(r"^(\w+)\b[^=\n]*=", re.MULTILINE)  # `seed = 0`, `seed: int = 0`


def each(
    work: Callable[[Any], Any], todo: Sequence, jobs: int, engine: str = "local", gpu: bool = False,
    progress: bool = False, unit: str = "chapter", then: Callable[[Any], None] = lambda result: None,
) -> list:
    """`work` on all of `todo`, results in its order; the bar shows the rate and the time left.

    `then` gets each result as soon as it is there, one at a time.
    """
    from tqdm import tqdm

    results = {}
    bar = tqdm(total=len(todo), unit=unit, disable=not progress)
    try:
        with bar, closing(spread(work, todo, jobs, engine, gpu, STOP.set)) as spreading:
            for number, result in spreading:
                results[number] = result
                then(result)
                bar.update()
    finally:
        STOP.clear()  # nothing is under way any more
    return [results[number] for number in range(len(todo))]


def each_chapter(
    work: Callable[[Chapter], Result], numbers: Sequence[str], root: Path, jobs: int = 1, **options: Any
) -> list[Result]:
    """`work` on the chapter of each number: what is wrong with one stands in its result, and the others go on."""

    def one(number: str) -> Result:
        name = number
        try:
            (chapter,) = chapters([number], root)
            name = chapter.notebook.stem
            return work(chapter)
        except (MedVLMError, OSError, ValueError) as error:  # no such chapter, no notebook, no disk
            return Result(name, 0.0, " ".join(str(error).split()))

    return each(one, asked(numbers, root), jobs, **options)


def execute_chapter(
    chapter: Chapter, notebook: Any, output: Path, env: Mapping[str, str], seconds: float, **options: Any
) -> Result:
    """Executes a chapter's notebook object beside its pictures."""
    return execute(chapter.notebook.stem, notebook, output, chapter.notebook.parent, env, seconds, **options)


def run(
    numbers: Sequence[str] = (), jobs: int = 1, root: Path = NOTEBOOKS, device: str | None = None,
    parameters: Mapping[str, Any] | None = None, engine: str = "local", progress: bool = False,
    seconds: float = HANGS_S, memory_mb: float = float("inf"), cpu_seconds: float = float("inf"),
) -> list[Result]:
    """Executes built chapters and throws the output away: does each still run, how long, in how much memory?

    Args:
        device: sets `MEDVLM_DEVICE`.
        parameters: variables, set after the cell tagged `parameters` (`# %% tags=["parameters"]` in the source), which
            gives each its usual value; a chapter without it gets them at the top, and its result says so.
        engine: "local" or "ray"; see `medvlm_lab.engine.spread`.
        seconds, memory_mb, cpu_seconds: limits for each chapter, all its processes together. `seconds` is by the clock
            and ends what hangs; `cpu_seconds` is processor time, which is the same on a machine with other work.

    Raises:
        MedVLMError: a parameter's name is none in Python.
    """
    for name in parameters or {}:
        if not name.isidentifier():
            raise MedVLMError(f"{name!r} cannot be a parameter: it is no name in Python; write --param seed=3.")

    def one(chapter: Chapter) -> Result:
        notebook = from_built(chapter)
        with tempfile.TemporaryDirectory() as folder:
            output, env = Path(folder) / chapter.notebook.name, environment(jobs, device)
            result = execute_chapter(
                chapter, notebook, output, env, seconds, memory_mb=memory_mb, parameters=parameters,
                cpu_seconds=cpu_seconds,
            )  # fmt: skip
        unknown = sorted((parameters or {}).keys() - _parameters(notebook))
        return replace(result, note=f"no parameter of it: {', '.join(unknown)}" if unknown else "")

    gpu = (device or "").startswith("cuda")
    return each_chapter(one, numbers, root, jobs, engine=engine, gpu=gpu, progress=progress)


def _parameters(notebook: Any) -> set[str]:
    """The names that a notebook's cells tagged `parameters` set."""
    tagged = (cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    return {name for source in tagged for name in SETS.findall(source)}


def lab_command(options: Sequence[str] = (), root: Path = NOTEBOOKS) -> list[str]:
    """The command that opens JupyterLab on the first chapter, with further JupyterLab options.

    Raises:
        MissingDataError: the chapter has not been built.
    """
    (first,) = chapters(["00"], root)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    extra = ["--allow-root"] if as_root else []  # root is usual in containers, where JupyterLab would refuse to start
    return [sys.executable, "-m", "jupyterlab", str(first.built()), *extra, *options]


def lab_environment() -> dict[str, str]:
    """Environment variables for JupyterLab: its own, and the book's settings, which a reader can change.

    Nothing is fetched from outside, and widgets are answered by the kernel's main thread: where JupyterLab sends them
    to a thread of their own, they run beside the cells, pyplot is not safe, and the stop button does not reach them.
    """
    paths = [str(Path(__file__).parent), os.environ.get("JUPYTER_CONFIG_PATH", "")]  # this folder holds `labconfig`
    return {**os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, paths))}


def test(numbers: Sequence[str] = (), jobs: int = 1, root: Path = NOTEBOOKS, quiet: bool = False) -> Result:
    """Checks built chapters with `nbval --nbval-lax`, one worker per file.

    Raises:
        MissingDataError: a chapter has not been built.
    """
    files = [str(chapter.built()) for chapter in chapters(numbers, root)]
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    command += [f"--nbval-cell-timeout={HANGS_S:.0f}", "-n", str(jobs), "--dist", "loadfile", *files]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment(jobs), cwd=root.parent, capture_output=quiet, text=True)
    error = "" if done.returncode == 0 else f"nbval found failing cells (pytest exit {done.returncode})"
    return Result("nbval", time.perf_counter() - start, error)


test.__test__ = False  # pytest would collect it wherever it is imported
