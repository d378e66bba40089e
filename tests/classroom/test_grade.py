"""Grading: every submission gets its row, whatever it does, and harms no other."""

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nbformat
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.classroom import grade as grading
from medvlm_lab.classroom import sandbox
from medvlm_lab.classroom.exercises import ANSWERS, Verdict
from medvlm_lab.classroom.grade import grade
from medvlm_lab.classroom.submission import Grade, _answers, grade_one
from medvlm_lab.classroom.watch import MARK
from medvlm_lab.errors import MedVLMError, MissingDataError

ASK = "from medvlm_lab.classroom.exercises import check"
REST = ("check('05.2', 4)", "check('05.3', None)", "check('05.4', 80)")
HOSTILE = {  # what happens between a right answer and the rest → the words in its row
    "loop": ("while True: pass", "Cell 2: took longer than its 25 s"),
    "allocation": ("held = []\nwhile True: held.append(bytearray(20_000_000))", "Cell 2: needed more than its 500 MB"),
    "exits": ("import os; os._exit(3)", "Cell 2: its kernel died"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "Cell 2: its kernel died"),
    "deletes": ("import os, shutil; shutil.rmtree(os.getcwd()); shutil.rmtree(os.environ['HOME'], True)", ""),
    "pipe": ("import os; f = os.environ['MEDVLM_ANSWERS']; os.remove(f); os.mkfifo(f); os._exit(1)", "kernel died"),
}
NO_NOTEBOOKS = {
    "text": (b"hello", "not a notebook"),
    "empty": (b"", "not a notebook"),
    "list": (b"[]", "not a notebook"),
    "bytes": (b"\xff\xfe\x00", "not a notebook"),
    "cells": (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"x": 1}]}', "not a notebook"),
}


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals and pipes")
def test_forty_submissions_four_of_them_hostile(submit, tmp_path):
    for name, (cell, _) in HOSTILE.items():
        submit(f"0{name}.ipynb", f"{ASK}\ncheck('05.1', 0.8)", cell, *REST)
    for name, (content, _) in NO_NOTEBOOKS.items():
        (tmp_path / "submitted" / f"{name}.ipynb").write_bytes(content)
    for number in range(19):
        submit(f"renamed-{number}.ipynb", "check('99.1', 1)")
    plain = [f"student-{number}/05_fusion.ipynb" for number in range(8)]
    for name in plain:
        submit(name, f"{ASK}\ncheck('05.1', 0.8)", "1 / 0", *REST)
    submit("missing.ipynb", f"{ASK}\ncheck('05.1', 0.8)", "check('05.22', 2)")
    julia = submit("=julia.ipynb", "check('05.1')")
    notebook = nbformat.read(julia, as_version=4)
    notebook.metadata["kernelspec"] = {"name": "julia", "display_name": "Julia", "language": "julia"}
    nbformat.write(notebook, julia)
    submit(".ipynb_checkpoints/hidden.ipynb", "check('05.1')")
    before = digests(tmp_path / "submitted"), set(Path(tempfile.gettempdir()).glob("grade-*"))

    rows = {row.submission: row for row in grade(tmp_path / "submitted", tmp_path / "out", 4, 25, 500)}

    assert len(rows) == 40
    assert (digests(tmp_path / "submitted"), set(Path(tempfile.gettempdir()).glob("grade-*"))) == before
    for name, (_, words) in HOSTILE.items():
        row = rows[f"0{name}.ipynb"]
        assert words in row.error and (bool(words) or not row.error), row
        assert row.verdicts[0].right is (None if name == "pipe" else True)
        assert row.verdicts[3].right is (True if name == "deletes" else None)
    for name, (_, words) in NO_NOTEBOOKS.items():
        assert words in rows[f"{name}.ipynb"].error and "\n" not in rows[f"{name}.ipynb"].error
    for name in plain:
        assert rows[name].error == "Cell 2: ZeroDivisionError: division by zero"
        assert [verdict.right for verdict in rows[name].verdicts] == [True, False, None, True]
    missing = rows["missing.ipynb"].error
    assert "05.2, 05.3, 05.4 are missing or renamed" in missing and "Unknown exercise '05.22'" in missing
    assert "asks no exercise" in rows["renamed-0.ipynb"].error and "kernel for julia" in rows["=julia.ipynb"].error
    assert not [process for process in psutil.process_iter() if _marked(process)]

    table = list(csv.DictReader((tmp_path / "out" / "grades.csv").open()))
    assert len(table) == 40 and table[0]["submission"] == "0allocation.ipynb"
    assert "'=julia.ipynb" in {row["submission"] for row in table}
    marks = {"05.1": "right", "05.2": "wrong", "05.3": "not answered", "05.4": "right", "right": "2", "of": "4"}
    assert marks.items() <= next(row for row in table if row["submission"] == plain[0]).items()
    page = (tmp_path / "out" / "feedback" / f"{plain[0]}.html").read_text()
    assert all(words in page for words in ("That is the sum of both matches", "Not answered.", "1 / 0"))
    assert "://" not in page
    kept = json.loads((tmp_path / "out" / "grades.json").read_text())
    assert [Grade.from_dict(row) for row in kept] == list(rows.values())


def _marked(process) -> bool:
    """Started for a submission; chapters that other tests run meanwhile bear a mark, too, but no place for answers."""
    try:
        return {MARK, ANSWERS} <= process.environ().keys()
    except psutil.Error:
        return False


def test_an_interrupted_grading_is_continued(submit, tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        submit(f"{name}.ipynb", "check('05.1')")
    right = (Verdict("05.1", True, "w"),)

    def run(interrupted=False):
        """The submissions that a grading runs, and its rows."""
        ran = []

        def fake(submission, **_):
            path, name = submission
            ran.append(name)
            return Grade(name, hashlib.sha256(path.read_bytes()).hexdigest(), "05", right, {"05.1": 0.8})

        def write(row):
            if interrupted and row.submission == "b.ipynb":
                raise KeyboardInterrupt
            return ""

        monkeypatch.setattr(grading, "grade_one", fake)
        monkeypatch.setattr(grading, "feedback", write)
        return ran, grade(tmp_path / "submitted", tmp_path / "out")

    with pytest.raises(KeyboardInterrupt):
        run(interrupted=True)
    with open(tmp_path / "out" / "rows.jsonl", "a") as file:
        kept = {json.loads(line)["submission"] for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()}
        file.write('{"submission": "b.ipynb", "content"')  # cut off
    assert "b.ipynb" not in kept
    ran, rows = run()
    assert set(ran) == {"a.ipynb", "b.ipynb", "c.ipynb"} - kept and [row.right for row in rows] == [1, 1, 1]
    submit("a.ipynb", "check('05.1', 1)")  # handed in again
    assert run()[0] == ["a.ipynb"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_an_interruption_ends_what_is_running(submit, tmp_path):
    submit("loop.ipynb", "check('05.1', 1)", f"open({str(tmp_path / 'begun')!r}, 'w')\nwhile True: pass")
    command = ["grade", str(tmp_path / "submitted"), "--out", str(tmp_path / "out")]
    listen = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it
    start = [sys.executable, "-m", "medvlm_lab.cli", "chapters", *command]
    with subprocess.Popen(start, preexec_fn=listen) as process:
        deadline = time.monotonic() + 40
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        kernels = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert kernels and not psutil.wait_procs(kernels, 5)[1]


def test_without_disk_a_row_says_so_and_is_tried_again(submit, tmp_path, monkeypatch):
    submit("a.ipynb", f"{ASK}\ncheck('05.1', 0.8)")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("medvlm_lab.classroom.submission.execute", full)
        (row,) = grade(tmp_path / "submitted", tmp_path / "out")
    assert "No space left on device" in row.error and (tmp_path / "out" / "rows.jsonl").read_text() == ""
    (row,) = grade(tmp_path / "submitted", tmp_path / "out")
    assert row.right == 1


def test_a_notebook_cannot_give_itself_marks(submit):
    forged = (
        "import json, os, medvlm_lab.classroom.exercises as e\n"
        "e._same = lambda *_: True\n"
        "claim = json.dumps({'exercise': '05.1', 'right': True})\n"
        "open(os.environ['MEDVLM_ANSWERS'], 'w').write(f'[1]\\nnonsense\\n{claim}\\n')"
    )
    path = submit("a.ipynb", forged, "print(e.check('05.2', 99))", "os.environ.clear(); e.check('05.3', 20)")
    row = grade_one((path, "a.ipynb"), seconds=60, memory_mb=1000)
    assert row.right == 0 and row.answers == {"05.2": 99.0}


def test_a_submission_sees_its_own_home_and_no_secrets(submit, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    code = "import os, tempfile\nfrom pathlib import Path\nhome = Path.home()\n" + (
        "assert Path.cwd() == home and Path(tempfile.gettempdir()).is_relative_to(home)\n"
        "assert 'SECRET_TOKEN' not in os.environ and Path('a.ipynb').exists()"
    )
    row = grade_one((submit("a.ipynb", code, f"{ASK}\ncheck('05.1', '0,8')"), "a.ipynb"), seconds=60, memory_mb=1000)
    assert row.right == 1 and "Cell" not in row.error


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_submission_cannot_write_a_file_without_end(submit, monkeypatch):
    monkeypatch.setattr("medvlm_lab.classroom.submission.FILE_MB", 1)
    path = submit("a.ipynb", "open('big', 'wb').write(bytes(3 << 20))", f"{ASK}\ncheck('05.1', 0.8)")
    row = grade_one((path, "a.ipynb"), seconds=60, memory_mb=1000)
    assert "File too large" in row.error and row.right == 1


@given(st.lists(st.one_of(st.text(), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps))))
def test_any_journal_can_be_read(tmp_path_factory, lines):
    journal = tmp_path_factory.mktemp("box") / "answers"
    journal.write_bytes("\n".join([*lines, '{"exercise": "05.1", "answer": 2}']).encode("utf-8", "replace"))
    assert _answers(journal) == {"05.1": 2}


def test_a_folder_without_notebooks(tmp_path):
    with pytest.raises(MissingDataError, match="No notebook"):
        grade(tmp_path, tmp_path / "out")


def test_the_sandbox_command_allows_one_folder_and_no_network():
    command = sandbox.bubblewrap(Path("/tmp/box"))
    assert command[0] == "bwrap" and {"--unshare-all", "--die-with-parent", "--new-session"} <= set(command)
    assert [command[i + 1] for i, part in enumerate(command) if part == "--bind"] == ["/tmp/box"]
    assert command[command.index("--ro-bind") + 1] == "/" and "--share-net" not in command and command[-1] == "--"


def test_without_bubblewrap_it_says_what_is_not_guarded(submit, tmp_path, monkeypatch):
    submit("a.ipynb", "check('05.1')")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MedVLMError, match="apt install bubblewrap.*Not guarded"):
        grade(tmp_path / "submitted", tmp_path / "out", sandbox=True)


def test_in_the_sandbox_nothing_else_can_be_written_or_reached(submit, tmp_path):
    try:
        sandbox.check_bubblewrap(tmp_path)
    except MedVLMError as error:
        pytest.skip(str(error).split(";")[0])
    outside = tmp_path / "outside"
    outside.mkdir()
    path = submit(
        "a.ipynb",
        f"from pathlib import Path\nPath({str(outside)!r}, 'x').write_text('x')",
        "import socket\nprint(socket.create_connection(('192.0.2.1', 80), timeout=3))",
        f"import os\nos.kill({os.getpid()}, 0)",
        f"{ASK}\nPath('mine').write_text('x')\ncheck('05.1', 0.8)",
    )
    row = grade_one((path, "a.ipynb"), seconds=60, memory_mb=1000, sandbox=True)
    assert row.right == 1 and "Read-only file system" in row.error and os.listdir(outside) == []
    for number, error in ((1, "unreachable"), (2, "No such process")):
        cells = [f"{ASK}\ncheck('05.1', 0.8)", nbformat.read(path, as_version=4).cells[number].source]
        again = submit(f"b{number}.ipynb", *cells)
        assert error in grade_one((again, "b.ipynb"), seconds=60, memory_mb=1000, sandbox=True).error
