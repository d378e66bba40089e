"""A command under watch: what time, processor time and memory it takes with its children, and an end when too much."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import psutil

PACE_S = 0.1  # between two looks at the processes
MARK = "MEDVLM_WATCHED"  # in the environment of all that a command starts
STOP = threading.Event()  # set on an interruption: every watch ends
LOG_BYTES = 1 << 16  # of the end of what it prints


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit status. printed: the end of what it printed.
        seconds: by the clock, so that other work on the machine counts. cpu_seconds: that its processes computed, all
            their threads added up, which other work hardly changes.
        peak_mb: the most memory that its processes held at one time, pages that they share counted in each of them.
        stopped: "" where it ended by itself, else "time", "cpu", "memory" or "interrupt".
    """

    code: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    stopped: str
    printed: str


def watch(
    command: Sequence[str], seconds: float, env: Mapping[str, str], memory_mb: float = float("inf"),
    cpu_seconds: float = float("inf"),
) -> Ended:
    """Runs a command in a session of its own, and ends it with everything that it started.

    Args:
        seconds, memory_mb, cpu_seconds: limits for the whole, looked at ten times a second.

    Raises OSError where it cannot be started.
    """
    mark = uuid4().hex
    start = time.perf_counter()
    peak, stopped, spent = 0, "", {}
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
            env={**env, MARK: mark}, start_new_session=True,
        )  # fmt: skip
        root = psutil.Process(process.pid)  # knows its process from a later one of the same number
        try:
            while process.poll() is None and not stopped:
                used = _used(root, spent)
                peak = max(peak, used)
                if used > memory_mb * 1e6:
                    stopped = "memory"
                elif time.perf_counter() - start > seconds:
                    stopped = "time"
                elif sum(spent.values()) > cpu_seconds:
                    stopped = "cpu"
                elif STOP.is_set():
                    stopped = "interrupt"
                else:
                    _pause(process)
        finally:
            _end(root, mark)
            process.wait()
        printed.seek(max(0, os.fstat(printed.fileno()).st_size - LOG_BYTES))
        text = printed.read(LOG_BYTES).decode(errors="replace")
    return Ended(
        process.returncode, time.perf_counter() - start, sum(spent.values()), peak / 1e6, stopped, text
    )


def _pause(process: subprocess.Popen) -> None:
    try:
        process.wait(PACE_S)
    except subprocess.TimeoutExpired:
        pass


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:  # ended meanwhile
        return []


def _used(root: psutil.Process, spent: dict[psutil.Process, float]) -> int:
    """Bytes that a process and its descendants hold now; notes in `spent` how many seconds each has computed so far.

    What a process does after the last look at it, a tenth of a second, is not counted.
    """
    total = 0
    for process in _tree(root):
        try:
            total += process.memory_info().rss
            times = process.cpu_times()
            spent[process] = times.user + times.system  # a process is equal to itself only, whatever its number
        except psutil.Error:
            pass
    return total


def _end(root: psutil.Process, mark: str) -> None:
    """Kills a process, its descendants, and whatever else bears its mark, such as what a kernel has left behind."""
    for process in (*_tree(root), *(process for process in psutil.process_iter() if _bears(process, mark))):
        try:
            process.kill()
        except psutil.Error:
            pass


def _bears(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except psutil.Error:  # another user's, or it has ended
        return False
