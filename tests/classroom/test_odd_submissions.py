"""Whatever is handed in gets its own row with a sentence, and all others are graded."""

import csv
import json
import os
import socket
import unicodedata

import nbformat
import pytest

from medvlm_lab.classroom import handed_in, submission
from medvlm_lab.classroom.grade import grade
from medvlm_lab.classroom.handed_in import content, pages, submissions
from medvlm_lab.classroom.submission import Grade, grade_one
from medvlm_lab.errors import MedVLMError

ASK = "from medvlm_lab.classroom.exercises import check\n"
ODD_ANSWERS = """
class Silent:
    def __repr__(self): raise ValueError("no repr")
deep = cyclic = []
cyclic.append(cyclic)
for _ in range(5000): deep = [deep]
for answer in (float("nan"), float("inf"), 10 ** 5000, cyclic, deep, b"\\xff", Silent(), "\\udcff", "=1+1"):
    try:
        check("05.1", answer)
    except Exception: pass
"""
NAMES = (  # bytes, as a file system holds them
    b"M\xfcller.ipynb", "ö".encode() * 120 + b".ipynb", b"a\nb\x1b[31m.ipynb", "👩\u200d⚕️ علی\u200f.ipynb".encode(),
    b"-rf.ipynb", b"=cmd|'!A1.ipynb", b"@x.ipynb", b"Chapter.IPYNB", b"chapter.ipynb", "é.ipynb".encode(),
    unicodedata.normalize("NFD", "é.ipynb").encode(), b"<b>&.ipynb", b"a?b*c:d.ipynb",
)  # fmt: skip


def notebook(*cells, **metadata) -> bytes:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=metadata)
    return nbformat.writes(made).encode()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "submitted").mkdir()
    return tmp_path / "submitted"


def refusal(folder, name) -> str:
    with pytest.raises(MedVLMError) as told:
        content(folder / name, name)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_what_is_no_file_says_what_it_is(folder, tmp_path, monkeypatch):
    (folder / "folder.ipynb").mkdir()
    (folder / "folder.ipynb" / "inside.ipynb").write_bytes(b"{}")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "zero.ipynb").symlink_to("/dev/zero")
    (folder / "out.ipynb").symlink_to("/etc/passwd")
    (folder / "loop.ipynb").symlink_to("loop.ipynb")
    (folder / "gone.ipynb").symlink_to("nowhere.ipynb")
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "round").symlink_to(folder)
    (folder / "empty.ipynb").touch()
    (folder / "own.ipynb").symlink_to(folder / "folder.ipynb" / "inside.ipynb")
    (folder / "._mac.ipynb").touch()
    with open(folder / "huge.ipynb", "wb") as file:
        file.truncate(20 << 30)
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.ipynb")
    said = {
        "folder.ipynb": "a folder", "pipe.ipynb": "a pipe", "zero.ipynb": "leads out", "out.ipynb": "leads out",
        "loop.ipynb": "cannot be opened", "gone.ipynb": "not there", "linked": "leads out", "empty.ipynb": "0 bytes",
        "round": "not followed", "huge.ipynb": "21,475 MB", "socket.ipynb": "no file",
    }  # fmt: skip
    for name, words in said.items():
        assert words in refusal(folder, name), name
    assert list(submissions(folder)) == sorted([*said, "folder.ipynb/inside.ipynb", "own.ipynb"])
    assert content(folder / "own.ipynb", "own.ipynb") == b"{}"


def test_every_name_has_a_plain_page_of_its_own():
    names = [os.fsdecode(name) for name in NAMES] + ["x/" + os.fsdecode(NAMES[0]), "a/b.ipynb", "\udcff.ipynb"]
    found = pages(names)
    folded = {unicodedata.normalize("NFC", page).casefold() for page in found.values()}
    assert len(folded) == len(names) and found["a/b.ipynb"] == "a/b.ipynb.html"
    for page in found.values():
        page.encode()
        assert page.isprintable() and not set('<>:"|?*\\\n') & set(page)
        assert max(len(part.encode()) for part in page.split("/")) <= 220


def test_odd_names_and_contents_are_rows_of_their_own(folder, tmp_path, monkeypatch):
    def fake(handed, **_):
        path, name = handed
        if name == "chapter.ipynb":
            raise AssertionError("is never run")
        return Grade(name, "hash", "05", error="=HYPERLINK(1)\nx")

    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"{}")
    os.remove(folder / "chapter.ipynb")
    monkeypatch.setattr("medvlm_lab.classroom.grade.grade_one", fake)
    rows = grade(folder, tmp_path / "out", jobs=2)
    assert len(rows) == len(NAMES) - 1
    table = list(csv.DictReader((tmp_path / "out" / "grades.csv").read_text(encoding="utf-8").splitlines()))
    assert len(table) == len(rows)
    for row in table:
        assert not row["submission"].startswith(("=", "+", "-", "@")) and row["error"] == "'=HYPERLINK(1)\\nx"
        assert row["submission"].replace("\u200d", "").isprintable()
        assert (tmp_path / "out" / row["feedback"].removeprefix("'")).is_file()
    kept = json.loads((tmp_path / "out" / "grades.json").read_text(encoding="utf-8"))
    assert [row["submission"] for row in kept] == [row.submission for row in rows]
    assert all("\x1b" not in str(row) and "\n" not in str(row) for row in rows)


@pytest.mark.parametrize("kernelspec", [None, 3, "x", [], {"language": ["x"]}, {"language": None}])
def test_odd_metadata_is_no_traceback(kernelspec, tmp_path):
    data = json.loads(notebook("1"))
    data["metadata"]["kernelspec"] = kernelspec
    (tmp_path / "a.ipynb").write_text(json.dumps(data))
    row = grade_one((tmp_path / "a.ipynb", "a.ipynb"), 5, 500)
    assert row.error and "\n" not in row.error and row.final


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"nbformat": 1e999}', b'{"cells": NaN}', b"\xff\xfe{", b"{}", b"null", b"PK\x03\x04"]
)
def test_what_is_no_notebook_is_said(body, tmp_path):
    (tmp_path / "a.ipynb").write_bytes(body)
    row = grade_one((tmp_path / "a.ipynb", "a.ipynb"), 5, 500)
    assert "not a notebook" in row.error and "\n" not in row.error


def test_an_unforeseen_error_stops_no_other(tmp_path, monkeypatch):
    (tmp_path / "a.ipynb").write_bytes(notebook(ASK + "check('05.1', 1)"))

    def fails(*_, **__):
        raise RecursionError("too deep\nby far")

    monkeypatch.setattr(submission, "_in_box", fails)
    row = grade_one((tmp_path / "a.ipynb", "a.ipynb"), 5, 500)
    assert row.error == "It could not be graded (RecursionError: too deep by far); look at it by hand."

    def unreadable(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(submission, "read", unreadable)
    row = grade_one((tmp_path / "a.ipynb", "a.ipynb"), 5, 500)
    assert row.error == "It could not be run here (Permission denied); grade again." and not row.final


def test_odd_answers_and_an_old_notebook_are_graded(folder, tmp_path):
    (folder / "answers.ipynb").write_bytes(
        notebook(ASK + "check('05.1', 0.8)", ODD_ANSWERS, "import os; os.chdir('/')", "check('05.4', 80)")
    )
    old = {
        "nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""},
        "worksheets": [{"metadata": {}, "cells": [
            {"cell_type": "code", "collapsed": False, "input": [ASK, "check('05.4', 80)"], "language": "python",
             "metadata": {}, "outputs": []}
        ]}],
    }  # fmt: skip
    (folder / "old.ipynb").write_text(json.dumps(old))
    answers, third = grade(folder, tmp_path / "out", jobs=2, seconds=100)
    assert [verdict.right for verdict in answers.verdicts][3] is True and not answers.traceback
    assert [verdict.right for verdict in third.verdicts][3] is True
    assert len(list(csv.DictReader((tmp_path / "out" / "grades.csv").open(encoding="utf-8")))) == 2
    assert handed_in.digest(folder / "old.ipynb", "old.ipynb") == third.content
