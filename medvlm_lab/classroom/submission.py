"""One submitted notebook: run in a box of its own, its answers checked here.

The student's program only says what was answered: `lab.check` notes each answer in a file. Whether it is right is
decided afterwards, in the grader's own process, so that a notebook cannot give itself marks; to write into that file is
to answer. The package holds the right answers, though, and nothing keeps a student from reading them there.
"""

from __future__ import annotations

import hashlib
import json
import re
import site
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medvlm_lab.classroom.answers import EXERCISES
from medvlm_lab.classroom.build import parse
from medvlm_lab.classroom.execute import environment, execute, left_behind
from medvlm_lab.classroom.exercises import ANSWERS, Verdict, check, noted
from medvlm_lab.classroom.handed_in import content as read
from medvlm_lab.classroom.sandbox import bubblewrap
from medvlm_lab.datasets.base import DATA_VARIABLE, data_root
from medvlm_lab.errors import CannotWriteError, MedVLMError
from medvlm_lab.text.plain import printable

FILE_MB = 1024
KEPT = (
    "PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MEDVLM_DEVICE",
    "SYSTEMROOT",
)  # fmt: skip
ASKS = re.compile(r"""\bcheck\(\s*["'](\d\d\.\d+)["']""")


@dataclass(frozen=True)
class Grade:
    """What came of a submission.

    Attributes:
        submission: its path in the folder. content: a hash of its bytes. chapter: its number, "" if it has none.
        verdicts: one for each exercise of the chapter. answers: exercise → what was answered last.
        error: what went wrong, in one sentence; the other fields are `Result`'s.
        final: whether a second try would end alike; not so without disk or kernel.
    """

    submission: str
    content: str
    chapter: str = ""
    verdicts: tuple[Verdict, ...] = ()
    answers: Mapping[str, float | str] | None = None
    seconds: float = 0.0
    peak_mb: float = 0.0
    error: str = ""
    cell: int | None = None
    traceback: str = ""
    final: bool = True

    @property
    def right(self) -> int:
        return sum(verdict.right is True for verdict in self.verdicts)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Grade:
        return cls(**{**row, "verdicts": tuple(Verdict(**verdict) for verdict in row["verdicts"])})

    def __str__(self) -> str:
        marks = f"{self.right} of {len(self.verdicts)}"
        name, error = printable(self.submission), printable(self.error)
        return f"{name:<40} {marks:>7} {self.seconds:6.1f} s {self.peak_mb:6.0f} MB  {error}".rstrip()


def grade_one(
    submission: tuple[Path, str], seconds: float, memory_mb: float, sandbox: bool = False, jobs: int = 1
) -> Grade:
    """Runs one submission (its path, its name) and checks what it answered.

    Nothing is raised for a notebook that is none, or that fails: that stands in the grade.
    """
    (path, name), content = submission, ""
    try:
        data = read(path, name)
        content = hashlib.sha256(data).hexdigest()
        with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as folder:
            return _in_box(data, Grade(name, content), Path(folder).resolve(), seconds, memory_mb, sandbox, jobs)
    except (CannotWriteError, OSError) as error:  # no disk, no memory for another process, a file that may not be read
        why = " ".join(str(error.strerror or error).split())
        return Grade(name, content, error=f"It could not be run here ({why}); grade again.", final=False)
    except MedVLMError as error:
        return Grade(name, content, error=str(error))
    except Exception as error:  # a notebook can be wrong in every way: it stops no other
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Grade(name, content, error=f"It could not be graded ({why}); look at it by hand.")


def _in_box(
    data: bytes, grade: Grade, box: Path, seconds: float, memory_mb: float, sandbox: bool, jobs: int
) -> Grade:
    notebook = _read(data)
    asked, chapter = _exercises(notebook)
    work = box / "work"
    (work / "tmp").mkdir(parents=True)
    try:
        (work / Path(grade.submission).name).write_bytes(data)
    except OSError:  # another file system than that of the submissions may not hold its name
        (work / "submission.ipynb").write_bytes(data)
    env = {key: value for key, value in environment(jobs).items() if key in KEPT}
    env |= {ANSWERS: str(box / "answers"), "HOME": str(work), "PYTHONUSERBASE": site.getuserbase()}
    env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(work / "tmp"))
    if root := data_root():
        env[DATA_VARIABLE] = str(root.resolve())
    ended = execute(
        grade.submission, notebook, box / "executed.ipynb", work, env, seconds, onwards=True,
        wrap=bubblewrap(box) if sandbox else (), memory_mb=memory_mb, file_mb=FILE_MB,
    )  # fmt: skip
    answers = _answers(box / "answers")
    expected = [name for name in EXERCISES if name.startswith(f"{chapter}.")]
    verdicts = tuple(check(name, answers.get(name)) for name in expected)
    missing = [name for name in expected if name not in asked and name not in answers]
    absent = f"The cells of {', '.join(missing)} are missing or renamed; put them back." if missing else ""
    error = f"Cell {ended.cell}: {ended.error}" if ended.cell and ended.error else ended.error
    return Grade(
        grade.submission, grade.content, chapter, verdicts, answers, ended.seconds, ended.peak_mb,
        " ".join(filter(None, (absent, error))), ended.cell, ended.traceback, final=ended.ok or ended.cell is not None,
    )  # fmt: skip


def _read(data: bytes) -> Any:
    """The code of a notebook, as a new one; MedVLMError where it is none, or not in Python."""
    import nbformat

    try:
        found = parse(data)
    except ValueError as error:
        raise MedVLMError(f"It is not a notebook ({error}); hand in the .ipynb file as JupyterLab saved it.") from error
    kernel = found.metadata.get("kernelspec")
    language = kernel.get("language", "python") if isinstance(kernel, Mapping) else "python"
    if str(language).lower() != "python":
        raise MedVLMError(f"It needs a kernel for {language}, which is not here; hand in a notebook in Python.")
    code = (cell.source for cell in found.cells if cell.cell_type == "code")
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in code])


def _exercises(notebook: Any) -> tuple[set[str], str]:
    """The exercises that a notebook asks, and the chapter of most of them; MedVLMError where it asks none."""
    asked = {name for cell in notebook.cells for name in ASKS.findall(cell.source)}
    of_chapter = Counter(name.split(".")[0] for name in asked & EXERCISES.keys())
    if not of_chapter:
        raise MedVLMError("It asks no exercise of any chapter; hand in a chapter, its lab.check cells as they were.")
    return asked, of_chapter.most_common(1)[0][0]


def _answers(journal: Path) -> dict[str, float | str]:
    """The last answer to each exercise; lines that say nothing are passed over."""
    found = {}
    for line in left_behind(journal, most=1 << 20).splitlines():
        try:
            note = json.loads(line)
            found[note["exercise"]] = noted(note["answer"])
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
    return {name: answer for name, answer in found.items() if name in EXERCISES}
