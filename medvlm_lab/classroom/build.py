"""Chapters: where they are, and how a percent script becomes an executed notebook."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medvlm_lab.errors import MissingDataError, UnknownNameError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ASKED = re.compile(r'(\bcheck\("([^"]+)", )None\)')  # how a chapter asks an exercise
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Chapter:
    """A chapter: what an author edits, and what a reader opens."""

    source: Path
    notebook: Path

    @property
    def number(self) -> str:
        return self.source.stem.split("_")[0]


def chapters(numbers: Sequence[str] = (), root: Path = NOTEBOOKS) -> list[Chapter]:
    """The chapters with these numbers ("0" and "00" are the same), or all of them, in order.

    Raises:
        MissingDataError: the notebooks are not beside the package.
        UnknownNameError: a number that no chapter has.
    """
    sources = sorted((root / "src").glob("[0-9][0-9]_*.py"))
    if not sources:
        raise MissingDataError(f"No chapters in {root / 'src'}; run this from a clone of the project.")
    every = {source.stem.split("_")[0]: Chapter(source, root / f"{source.stem}.ipynb") for source in sources}
    wanted = [str(number).zfill(2) for number in numbers] or list(every)
    for number in wanted:
        if number not in every:
            raise UnknownNameError("chapter", number, every)
    return [every[number] for number in dict.fromkeys(wanted)]


def from_source(chapter: Chapter):
    """The chapter's source as an unexecuted notebook; equal sources give equal notebooks, cell ids included."""
    import jupytext

    notebook = jupytext.read(chapter.source)
    policy = notebook.metadata.get("medvlm", {"timeout": 90})
    notebook.metadata = type(notebook.metadata)({"kernelspec": KERNEL, "medvlm": policy})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"c{chapter.number}-{index:03d}"
    return notebook


def in_step(chapter: Chapter) -> bool:
    """Whether the built notebook has been executed and its cells are those of the source."""
    import nbformat

    if not chapter.notebook.exists():
        return False
    built = nbformat.read(chapter.notebook, as_version=4)
    source = from_source(chapter)
    same = [(c.cell_type, c.source) for c in built.cells] == [(c.cell_type, c.source) for c in source.cells]
    executed = all(c.execution_count for c in built.cells if c.cell_type == "code" and c.source.strip())
    return same and executed and built.metadata.get("medvlm") == source.metadata.medvlm


def solve(notebook) -> None:
    """Fills in the right answer wherever a notebook asks: `check("00.2", None)` becomes `check("00.2", 30)`.

    Raises:
        UnknownNameError: it asks an exercise that there is not.
    """
    from medvlm_lab.classroom.exercises import exercise

    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = ASKED.sub(lambda asked: f"{asked[1]}{exercise(asked[2]).truth()!r})", cell.source)


def build(
    numbers: Sequence[str] = (), jobs: int = 1, root: Path = NOTEBOOKS, solutions: Path | None = None,
    progress: bool = False,
) -> list:
    """Executes chapters' sources into their notebooks; a chapter that fails keeps the notebook it had.

    Args:
        solutions: a folder for notebooks with all exercises answered; those of the students are then left alone.

    Returns:
        one `medvlm_lab.classroom.execute.Result` per chapter.
    """
    from medvlm_lab.classroom.execute import Result, environment
    from medvlm_lab.classroom.run import each, execute_chapter

    def one(chapter: Chapter):
        notebook, target = from_source(chapter), chapter.notebook
        if solutions is not None:
            solve(notebook)
            target = solutions / target.name
        try:
            with tempfile.TemporaryDirectory() as folder:
                executed = Path(folder) / target.name
                result = execute_chapter(chapter, notebook, executed, environment(jobs))
                if result.ok:
                    _publish(executed, target)
            return result
        except OSError as error:  # no disk: the other chapters go on
            return Result(chapter.notebook.stem, 0.0, f"cannot be built: {error}")

    return each(one, chapters(numbers, root), jobs, progress=progress)


def _publish(executed: Path, target: Path) -> None:
    """Puts the executed notebook in its place in one step, without the paths and times that papermill notes."""
    import nbformat

    notebook = nbformat.read(executed, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=".tmp")
    os.close(handle)
    try:
        nbformat.write(notebook, temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
