"""A notebook executed by papermill in a process of its own, under a limit of time, and how that ended."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvlm_lab.classroom.watch import watch

# jsonschema's check of internationalised addresses costs each start a second, and no notebook's schema asks for it.
# What is shown inside an Output widget (ipywidgets' interact) stays in the cell: sending it back to the kernel on the
# socket that it listens on, nbclient now and then misses the kernel's reply and waits for ever (its issue 312).
PAPERMILL = """import json, sys
sys.modules["rfc3987_syntax"] = None
order, file_mb = json.loads(sys.argv[1])
if file_mb and sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_mb << 20, file_mb << 20))
from nbclient import NotebookClient
from papermill import execute_notebook
NotebookClient.on_comm_open_jupyter_widget = lambda client, message: None
execute_notebook(**order)"""
STOPPED = {
    "time": "took longer than its {seconds:.0f} s; shorten a cell or raise the limit",
    "cpu": "computed longer than its {cpu_seconds:.0f} s of processor time; shorten a cell or raise the limit",
    "memory": "needed more than its {memory_mb:.0f} MB of memory",
    "interrupt": "was interrupted",
}
KERNEL = "python3"
HANGS_S = 600.0  # by the clock: what is still running then hangs, also on a machine with other work
CORES = 2  # of the laptop that the book is written for: a chapter's promise of 90 s is 180 s of processor time
ADDED = {"injected-parameters", "papermill-error-cell-tag"}  # tags of the cells that papermill puts in
DEAD = "DeadKernelError"
LONGEST = 1000  # characters of an error; of a traceback, twenty times as many
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Result:
    """How an execution ended.

    Attributes:
        error: what went wrong, in one line; empty when it went well. cell: the code cell where, counted from 1.
        traceback: of that cell, without colours. peak_mb: the most memory at one time, children included.
        cpu_seconds: of all threads together, children included; `seconds` is by the clock.
        note: what is worth saying though it went well.
    """

    chapter: str
    seconds: float
    error: str = ""
    cell: int | None = None
    traceback: str = ""
    peak_mb: float = 0.0
    note: str = ""
    cpu_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.error

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}

    @property
    def outcome(self) -> str:
        """In one line."""
        where = f"cell {self.cell}: " if self.cell and self.error else ""
        return f"{where}{self.error or 'ok'}{self.note and f' ({self.note})'}"

    def __str__(self) -> str:
        spent = f"{self.seconds:6.1f} s {self.cpu_seconds:6.1f} CPU s"
        line = f"{self.chapter:<28} {spent} {self.peak_mb:6.0f} MB  {self.outcome}"
        return "\n".join([line, *(f"    {row}" for row in self.traceback.splitlines())])


def environment(jobs: int = 1, device: str | None = None) -> dict[str, str]:
    """The environment for a child: cores shared between jobs, the device, no trace of a surrounding pytest.

    No more than `CORES` for each: more threads on small pictures mostly wait.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    threads = min(CORES, max(1, (os.cpu_count() or 1) // jobs))
    chosen = {"MEDVLM_DEVICE": device} if device else {}
    shared = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))  # UMAP's threads are Numba's
    return {**shared, "PYDEVD_DISABLE_FILE_VALIDATION": "1", **inherited, **chosen}


def execute(
    name: str, notebook: Any, output: Path, cwd: Path, env: Mapping[str, str], seconds: float,
    memory_mb: float = float("inf"), file_mb: int | None = None, parameters: Mapping[str, Any] | None = None,
    onwards: bool = False, wrap: Sequence[str] = (), cpu_seconds: float = float("inf"),
) -> Result:
    """Executes a notebook object into `output`, which is there after a failure too, up to the cell that failed.

    Args:
        cwd, env: the working folder and environment of its kernel.
        seconds, memory_mb, cpu_seconds: limits for all of it. file_mb: how large a file it may write (not on Windows).
        parameters: put in after the cell tagged `parameters`, or at the top.
        onwards: go on behind a cell that fails. wrap: the beginning of a command that the execution runs in.
    """
    import nbformat

    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        source = Path(folder) / output.name
        nbformat.write(notebook, source)
        order = {
            "input_path": str(source), "output_path": str(output), "parameters": dict(parameters or {}),
            "kernel_name": KERNEL, "resources": {"metadata": {"path": str(cwd)}}, "progress_bar": False,
            "allow_errors": onwards,
            "execution_timeout": math.ceil(seconds),  # a cell's: holds where the watch itself was killed
        }  # fmt: skip
        command = [*wrap, sys.executable, "-c", PAPERMILL, json.dumps([order, file_mb])]
        ended = watch(command, seconds, env, memory_mb, cpu_seconds)
    cell, error, traceback = _failure(output)
    last_line = _last_line(ended.printed)
    if ended.stopped:
        error = STOPPED[ended.stopped].format(seconds=seconds, memory_mb=memory_mb, cpu_seconds=cpu_seconds)
    elif DEAD in last_line:
        error = "its kernel died"
    elif ended.code and not error:
        error = last_line
    else:
        where = cell, traceback[-20 * LONGEST :]
        return Result(name, ended.seconds, error[:LONGEST], *where, ended.peak_mb, cpu_seconds=ended.cpu_seconds)
    where = _reached(output), ""
    return Result(name, ended.seconds, error[:LONGEST], *where, ended.peak_mb, cpu_seconds=ended.cpu_seconds)


def _failure(output: Path) -> tuple[int | None, str, str]:
    """The first code cell with an error, that error and its traceback; (None, "", "") if there is none."""
    for number, (_, errors) in enumerate(_code(output), start=1):
        if errors:
            error = f"{errors[0].ename}: {' '.join(errors[0].evalue.split())}"
            return number, error, COLOURS.sub("", "\n".join(errors[0].traceback))
    return None, "", ""


def _reached(output: Path) -> int | None:
    """The last code cell that was begun, counted from 1."""
    return max((number for number, (begun, _) in enumerate(_code(output), start=1) if begun), default=None)


def _code(output: Path) -> list[tuple[bool, list[Any]]]:
    """Whether each code cell was begun, and its errors; none if nothing was written."""
    import nbformat

    try:
        executed = nbformat.reads(left_behind(output), as_version=4)
        nbformat.validate(executed)
        return [
            (cell.metadata.papermill.start_time is not None, [o for o in cell.outputs if o.output_type == "error"])
            for cell in executed.cells
            if cell.cell_type == "code" and not ADDED & set(cell.metadata.get("tags", ()))
        ]
    except Exception:  # its own program may have written anything into it, and nbformat raises as many kinds of errors
        return []


def left_behind(path: Path, most: int = 64 << 20) -> str:
    """The end of a text file that a program may have left; "" for a link or a pipe, which it may have left as well."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return ""
        with open(path, "rb") as file:
            file.seek(max(0, path.lstat().st_size - most))
            return file.read(most).decode(errors="replace")
    except OSError:
        return ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "papermill ended without a message"
