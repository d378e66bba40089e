"""Chapters: where they are, and how a percent script becomes an executed notebook."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError
from medvlm_lab.io.whole import write_whole

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

    def built(self) -> Path:
        """Where its notebook is; MissingDataError where it has not been built."""
        if not self.notebook.exists():
            raise MissingDataError(f"{self.notebook} is not built; run 'medvlm-lab chapters build {self.number}'.")
        return self.notebook


def chapters(numbers: Sequence[str] = (), root: Path = NOTEBOOKS) -> list[Chapter]:
    """The chapters with these numbers ("0" and "00" are the same), or all of them, in order.

    Raises:
        MissingDataError: the notebooks are not beside the package.
        UnknownNameError: a number that no chapter has.
    """
    every = _every(root)
    todo = asked(numbers, root)
    for number in todo:
        if number not in every:
            raise UnknownNameError("chapter", number, every)
    return [every[number] for number in todo]


def asked(numbers: Sequence[str] = (), root: Path = NOTEBOOKS) -> list[str]:
    """The numbers that are asked for, two digits each and each once, whether there is such a chapter or not."""
    return list(dict.fromkeys(str(number).zfill(2) for number in numbers)) or list(_every(root))


def _every(root: Path) -> dict[str, Chapter]:
    sources = sorted((root / "src").glob("[0-9][0-9]_*.py"))
    if not sources:
        raise MissingDataError(f"No chapters in {root / 'src'}; run this from a clone of the project.")
    return {source.stem.split("_")[0]: Chapter(source, root / f"{source.stem}.ipynb") for source in sources}


def from_source(chapter: Chapter):
    """The chapter's source as an unexecuted notebook; equal sources give equal notebooks, cell ids included.

    Raises:
        MedVLMError: the source cannot be read.
    """
    import jupytext

    try:
        notebook = jupytext.read(chapter.source)
        policy = {"timeout": 90, **notebook.metadata.get("medvlm", {})}
    except Exception as error:  # no text, no YAML: jupytext raises as many kinds of errors as there are mistakes
        why = " ".join(str(error).split())[:200]
        raise MedVLMError(
            f"{chapter.source} is no source of a chapter ({why}); save it as UTF-8, with a header like the others'."
        ) from error
    notebook.metadata = type(notebook.metadata)({"kernelspec": KERNEL, "medvlm": policy})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"c{chapter.number}-{index:03d}"
    return notebook


def from_built(chapter: Chapter):
    """The chapter's notebook.

    Raises:
        MissingDataError: it has not been built. MedVLMError: its file is damaged.
    """
    try:
        return parse(chapter.built().read_bytes())
    except ValueError as error:
        again = f"run 'medvlm-lab chapters build {chapter.number}'."
        raise MedVLMError(f"{chapter.notebook} is not a notebook ({error}); {again}") from error


def parse(data: bytes) -> Any:
    """A notebook from the bytes of its file; ValueError says in one line why they are none."""
    import nbformat

    try:
        notebook = nbformat.reads(data.decode("utf-8-sig"), as_version=4)
        nbformat.validate(notebook)
        return notebook
    except Exception as error:  # a file can be wrong in every way, and nbformat raises as many kinds of errors
        raise ValueError(str(error).splitlines()[0][:200] if str(error) else type(error).__name__) from error


def in_step(chapter: Chapter) -> bool:
    """Whether the built notebook has been executed and its cells are those of the source."""
    if not chapter.notebook.exists():
        return False
    built, source = from_built(chapter), from_source(chapter)
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

    `medvlm.timeout` in its header is its author's promise: at most so many seconds on two cores that do nothing else.
    It is counted in processor time, `CORES` times as many seconds, so that other work on the machine breaks no promise.

    Args:
        solutions: a folder for notebooks with all exercises answered; those of the students are then left alone.

    Returns:
        one `medvlm_lab.classroom.execute.Result` per chapter.
    """
    from medvlm_lab.classroom.execute import CORES, HANGS_S, environment
    from medvlm_lab.classroom.run import each_chapter, execute_chapter

    def one(chapter: Chapter):
        notebook, target = from_source(chapter), chapter.notebook
        if solutions is not None:
            solve(notebook)
            target = solutions / target.name
        with tempfile.TemporaryDirectory() as folder:
            executed = Path(folder) / target.name
            promised = CORES * float(notebook.metadata.medvlm["timeout"])
            result = execute_chapter(chapter, notebook, executed, environment(jobs), HANGS_S, cpu_seconds=promised)
            if result.ok:
                _publish(executed, target)
        return result

    return each_chapter(one, numbers, root, jobs, progress=progress)


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
    write_whole(target, nbformat.writes(notebook).rstrip("\n") + "\n")

