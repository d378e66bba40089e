"""Chapters executed (papermill) and tested (nbval), several at a time, each under the policy in its own metadata."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from medvlm_lab.classroom.build import NOTEBOOKS, Chapter, chapters
from medvlm_lab.classroom.execute import Result, environment, execute
from medvlm_lab.classroom.watch import STOP
from medvlm_lab.engine import spread
from medvlm_lab.errors import MedVLMError, MissingDataError


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


def execute_chapter(chapter: Chapter, notebook: Any, output: Path, env: Mapping[str, str], **options: Any) -> Result:
    """Executes a chapter's notebook object beside its pictures, at most `medvlm.timeout` seconds in all."""
    limit = float(notebook.metadata.get("medvlm", {}).get("timeout", 90))
    return execute(chapter.notebook.stem, notebook, output, chapter.notebook.parent, env, limit, **options)


def built(numbers: Sequence[str], root: Path) -> list[Chapter]:
    """The chapters of these numbers; MissingDataError where one has not been built."""
    todo = chapters(numbers, root)
    for chapter in todo:
        if not chapter.notebook.exists():
            raise MissingDataError(f"{chapter.notebook} is not built; run 'medvlm-lab chapters build'.")
    return todo


def run(
    numbers: Sequence[str] = (), jobs: int = 1, root: Path = NOTEBOOKS, device: str | None = None,
    parameters: Mapping[str, Any] | None = None, engine: str = "local", progress: bool = False,
) -> list[Result]:
    """Executes built chapters and throws the output away: does each still run, how long, in how much memory?

    Args:
        device: sets `MEDVLM_DEVICE`. parameters: variables, set in the cell tagged `parameters` or at the top.
        engine: "local" or "ray"; see `medvlm_lab.engine.spread`.

    Raises:
        MissingDataError: a chapter has not been built. MedVLMError: a parameter's name is none in Python.
    """
    import nbformat

    for name in parameters or {}:
        if not name.isidentifier():
            raise MedVLMError(f"{name!r} cannot be a parameter: it is no name in Python; write --param seed=3.")

    def one(chapter: Chapter) -> Result:
        try:
            with tempfile.TemporaryDirectory() as folder:
                notebook = nbformat.read(chapter.notebook, as_version=4)
                output = Path(folder) / chapter.notebook.name
                return execute_chapter(chapter, notebook, output, environment(jobs, device), parameters=parameters)
        except (OSError, ValueError) as error:  # no notebook, no disk: the other chapters go on
            return Result(chapter.notebook.stem, 0.0, f"cannot be run: {' '.join(str(error).split())}")

    gpu = (device or "").startswith("cuda")
    return each(one, built(numbers, root), jobs, engine, gpu, progress)


def lab_command(options: Sequence[str] = (), root: Path = NOTEBOOKS) -> list[str]:
    """The command that opens JupyterLab on the first chapter, with further JupyterLab options.

    Raises:
        MissingDataError: the chapter has not been built.
    """
    (first,) = built(["00"], root)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    extra = ["--allow-root"] if as_root else []  # root is usual in containers, where JupyterLab would refuse to start
    return [sys.executable, "-m", "jupyterlab", str(first.notebook), *extra, *options]


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
    files = [str(chapter.notebook) for chapter in built(numbers, root)]
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    command += ["--nbval-cell-timeout=90", "-n", str(jobs), "--dist", "loadfile", *files]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment(jobs), cwd=root.parent, capture_output=quiet, text=True)
    error = "" if done.returncode == 0 else f"nbval found failing cells (pytest exit {done.returncode})"
    return Result("nbval", time.perf_counter() - start, error)


test.__test__ = False  # pytest would collect it wherever it is imported
