"""A folder of submitted notebooks graded, each in processes of its own; an interrupted grading is continued.

    rows.jsonl            a line for each submission, written when it is finished: what is there is not run again
    feedback/NAME.html    for each student
    grades.csv            a row for each submission, when all are finished
    grades.json           the same with every explanation
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from medvlm_lab.classroom.execute import HANGS_S, left_behind
from medvlm_lab.classroom.feedback import feedback
from medvlm_lab.classroom.handed_in import digest, pages, submissions
from medvlm_lab.classroom.run import each
from medvlm_lab.classroom.sandbox import check_bubblewrap
from medvlm_lab.classroom.submission import Grade, grade_one
from medvlm_lab.errors import MissingDataError
from medvlm_lab.io.whole import append, write_whole
from medvlm_lab.text.plain import no_formula, printable

MARKS = {True: "right", False: "wrong", None: "not answered"}
ROWS, TABLE, GRADES, PAGES = "rows.jsonl", "grades.csv", "grades.json", "feedback"


def grade(
    folder: str | Path, out: str | Path, jobs: int = 1, seconds: float = HANGS_S, memory_mb: float = 4000,
    sandbox: bool = False, engine: str = "local", progress: bool = False,
) -> list[Grade]:
    """Grades every notebook below `folder` into the folder `out`; what is none has a row that says what it is.

    Args:
        seconds, memory_mb: limits for each submission, all its processes together.
        sandbox: run each in bubblewrap; see `medvlm_lab.classroom.sandbox` for what is guarded with and without.
        engine: "local" or "ray"; see `medvlm_lab.engine.spread`.

    Returns:
        a grade for each submission, in the order of their names.

    Raises:
        MissingDataError: there is no notebook. MedVLMError: no sandbox can be made. OSError: `out` cannot be written.
    """
    folder, out = Path(folder).expanduser(), Path(out).expanduser()
    paths = submissions(folder) if folder.is_dir() else {}
    if not paths:
        raise MissingDataError(f"No notebook in {folder}; put the submitted .ipynb files there, or into folders in it.")
    out.mkdir(parents=True, exist_ok=True)
    if sandbox:
        check_bubblewrap(out.resolve())
    finished = {name: row for name, row in _finished(out).items() if name in paths}
    done = {name: row for name, row in finished.items() if row.content == digest(paths[name], name)}
    page = pages(paths)
    write_whole(out / ROWS, "".join(_line(row) for row in done.values()))
    one = partial(grade_one, seconds=seconds, memory_mb=memory_mb, sandbox=sandbox, jobs=jobs)
    todo = [(path, name) for name, path in paths.items() if name not in done]
    rows = each(one, todo, jobs, engine, progress=progress, unit="submission", then=partial(_keep, out, page))
    done |= {row.submission: row for row in rows}
    grades = [done[name] for name in paths]
    for row in grades:  # of an earlier grading, when its name was like no other's
        if not (out / PAGES / page[row.submission]).is_file():
            _write_page(out, page, row)
    write_whole(out / GRADES, json.dumps([row.as_dict() for row in grades], indent=1, ensure_ascii=False) + "\n")
    write_whole(out / TABLE, _table(grades, page))
    return grades


def _line(row: Grade) -> str:
    return json.dumps(row.as_dict(), ensure_ascii=False) + "\n"


def _keep(out: Path, page: Mapping[str, str], row: Grade) -> None:
    """Writes a student's page, and then the row, which says that all is there."""
    _write_page(out, page, row)
    if row.final:
        append(out / ROWS, _line(row))


def _write_page(out: Path, page: Mapping[str, str], row: Grade) -> None:
    write_whole(out / PAGES / page[row.submission], feedback(row))


def _finished(out: Path) -> dict[str, Grade]:
    """The rows of an earlier grading; a line that was cut off is passed over."""
    rows = {}
    for line in left_behind(out / ROWS).splitlines():
        try:
            row = Grade.from_dict(json.loads(line))
            rows[row.submission] = row
        except (ValueError, TypeError, KeyError):
            pass
    return rows


def _table(grades: list[Grade], page: Mapping[str, str]) -> str:
    exercises = sorted({verdict.exercise for row in grades for verdict in row.verdicts})
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["submission", "chapter", "right", "of", *exercises, "seconds", "peak_mb", "error", "feedback"])
    for row in grades:
        marks = {verdict.exercise: MARKS[verdict.right] for verdict in row.verdicts}
        cells = [marks.get(name, "") for name in exercises]
        spent = [f"{row.seconds:.1f}", f"{row.peak_mb:.0f}"]
        name, error, html = map(_cell, (row.submission, row.error, f"{PAGES}/{page[row.submission]}"))
        table.writerow([name, row.chapter, row.right, len(row.verdicts), *cells, *spent, error, html])
    return text.getvalue()


def _cell(text: str) -> str:
    return no_formula(printable(text))
