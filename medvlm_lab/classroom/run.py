"""Chapters executed (papermill) and tested (nbval), several at a time, each under the policy in its own metadata."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from medvlm_lab.classroom.build import NOTEBOOKS, Chapter, chapters
from medvlm_lab.errors import MissingDataError


@dataclass(frozen=True)
class Result:
    """How an execution ended; `error` is empty when it went well."""

    chapter: str
    seconds: float
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error

    def as_dict(self) -> dict:
        return {**asdict(self), "ok": self.ok}

    def __str__(self) -> str:
        return f"{self.chapter:<28} {self.seconds:6.1f} s  {self.error or 'ok'}"


def each(work: Callable[[Chapter], Result], todo: Sequence[Chapter], jobs: int) -> list[Result]:
    """`work` on every chapter, `jobs` at a time, results in the chapters' order."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return list(pool.map(work, todo))


def environment(jobs: int) -> dict[str, str]:
    """The environment for a child: cores shared between jobs, no trace of a surrounding pytest."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return {"OMP_NUM_THREADS": str(threads), "PYDEVD_DISABLE_FILE_VALIDATION": "1", **inherited}


def execute(chapter: Chapter, notebook, output: Path, jobs: int = 1) -> Result:
    """Executes a notebook object through papermill into `output`, at most `medvlm.timeout` seconds in all."""
    import nbformat

    limit = float(notebook.metadata.get("medvlm", {}).get("timeout", 90))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / chapter.notebook.name
        nbformat.write(notebook, source)
        command = [sys.executable, "-m", "papermill", str(source), str(output), "--kernel", "python3"]
        command += ["--cwd", str(chapter.notebook.parent), "--no-progress-bar", "--no-request-save-on-cell-execute"]
        try:
            done = subprocess.run(command, env=environment(jobs), capture_output=True, text=True, timeout=limit)
            error = "" if done.returncode == 0 else _last_line(done.stderr)
        except subprocess.TimeoutExpired:  # the kernel ends by itself when papermill is gone
            error = f"took longer than its {limit:.0f} s; raise medvlm.timeout in its header, or shorten a cell"
    return Result(chapter.notebook.stem, time.perf_counter() - start, error)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "papermill ended without a message"


def _built(numbers: Sequence[str], root: Path) -> list[Chapter]:
    todo = chapters(numbers, root)
    for chapter in todo:
        if not chapter.notebook.exists():
            raise MissingDataError(f"{chapter.notebook} is not built; run 'medvlm-lab chapters build'.")
    return todo


def run(numbers: Sequence[str] = (), jobs: int = 1, root: Path = NOTEBOOKS) -> list[Result]:
    """Executes built chapters and throws the output away: does each still run, and how long does it take?

    Raises:
        MissingDataError: a chapter has not been built.
    """
    import nbformat

    def one(chapter: Chapter) -> Result:
        with tempfile.TemporaryDirectory() as folder:
            notebook = nbformat.read(chapter.notebook, as_version=4)
            return execute(chapter, notebook, Path(folder) / chapter.notebook.name, jobs=jobs)

    return each(one, _built(numbers, root), jobs)


def lab_command(options: Sequence[str] = (), root: Path = NOTEBOOKS) -> list[str]:
    """The command that opens JupyterLab on the first chapter, with further JupyterLab options.

    Raises:
        MissingDataError: the chapter has not been built.
    """
    (first,) = _built(["00"], root)
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    extra = ["--allow-root"] if as_root else []  # root is usual in containers, where JupyterLab would refuse to start
    return [sys.executable, "-m", "jupyterlab", str(first.notebook), *extra, *options]


def test(numbers: Sequence[str] = (), jobs: int = 1, root: Path = NOTEBOOKS, quiet: bool = False) -> Result:
    """Checks built chapters with `nbval --nbval-lax`, one worker per file.

    Raises:
        MissingDataError: a chapter has not been built.
    """
    files = [str(chapter.notebook) for chapter in _built(numbers, root)]
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
    command += ["--nbval-cell-timeout=90", "-n", str(jobs), "--dist", "loadfile", *files]
    start = time.perf_counter()
    done = subprocess.run(command, env=environment(jobs), cwd=root.parent, capture_output=quiet, text=True)
    error = "" if done.returncode == 0 else f"nbval found failing cells (pytest exit {done.returncode})"
    return Result("nbval", time.perf_counter() - start, error)


test.__test__ = False  # pytest would collect it wherever it is imported
