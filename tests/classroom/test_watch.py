"""Commands under watch: limits hold for all that they start, and nothing of it is left."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from medvlm_lab.classroom.watch import watch

ENV = dict(os.environ)


def python(code, seconds=30, **limits):
    return watch([sys.executable, "-c", code], seconds, ENV, **limits)


def gone(pid):
    """Whether a process has ended, soon at the latest."""
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_an_end_by_itself():
    ended = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (ended.code, ended.stopped) == (3, "") and "out" in ended.printed and "err" in ended.printed


def test_only_the_end_of_what_is_printed_is_kept():
    ended = python("print('a' * 1_000_000); print('the end')")
    assert ended.printed.endswith("the end\n") and len(ended.printed) <= 1 << 16


def test_memory_counts_children():
    hold = "import time; held = bytearray(80_000_000); time.sleep(1.5)"
    ended = python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])")
    assert ended.stopped == "" and 80 < ended.peak_mb < 200


def test_too_much_memory_and_too_much_time_are_stopped():
    grow = "held = []\nwhile True: held.append(bytearray(10_000_000))"
    ended = python(grow, memory_mb=150)
    assert ended.stopped == "memory" and ended.peak_mb > 150 and ended.seconds < 20
    ended = python("while True: pass", seconds=1)
    assert ended.stopped == "time" and 1 <= ended.seconds < 10


def test_processor_time_counts_children_and_threads_but_not_waiting():
    work = "import time; end = time.process_time() + 1.0\nwhile time.process_time() < end: pass"
    both = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])\n{work}"
    ended = python(both)
    assert ended.stopped == "" and 1.7 < ended.cpu_seconds < 4 and ended.cpu_seconds <= 2 * ended.seconds
    ended = python("import time; time.sleep(1.5)", cpu_seconds=1)
    assert ended.stopped == "" and ended.cpu_seconds < 1 < ended.seconds
    ended = python("while True: pass", cpu_seconds=1)
    assert ended.stopped == "cpu" and 1 < ended.cpu_seconds < 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("end", ["time.sleep(60)", "pass"], ids=["stopped", "ended"])
def test_what_detached_itself_is_ended_too(tmp_path, end):
    note = tmp_path / "pid"
    code = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(note)!r}, "w").write(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
os.wait()
while not os.path.exists({str(note)!r}) or not os.path.getsize({str(note)!r}):
    time.sleep(0.01)
{end}
"""
    python(code, seconds=3)
    assert gone(int(note.read_text()))


def test_a_command_that_is_not_there():
    with pytest.raises(OSError):
        watch([str(Path("/no/such/program"))], 1, ENV)
