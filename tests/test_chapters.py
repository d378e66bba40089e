"""The book itself: sources and notebooks in step, its form, exercises and their solutions."""

import re

import pytest

import medvlm_lab
from medvlm_lab.classroom.answers import EXERCISES
from medvlm_lab.classroom.build import chapters, from_source, in_step, solve
from medvlm_lab.classroom.run import test as nbval

ALL = chapters()
each_chapter = pytest.mark.parametrize("chapter", ALL, ids=[chapter.source.stem for chapter in ALL])


@each_chapter
def test_notebook_is_built_from_its_source(chapter):
    assert in_step(chapter), f"run 'medvlm-lab chapters build {chapter.number}'"


@each_chapter
def test_chapter_keeps_the_books_form(chapter):
    notebook = from_source(chapter)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.metadata.medvlm["timeout"] <= 90
    assert notebook.cells[0].source.startswith(f"# {chapter.number}") and "?" in notebook.cells[0].source
    assert sum(len(source.splitlines()) for source in code) <= 120
    asked = {name for source in code for name in re.findall(r'check\("([\d.]+)"', source)}
    assert len(asked) >= 3 and asked == {name for name in EXERCISES if name.startswith(f"{chapter.number}.")}
    first = notebook.cells[0].source
    assert "*Learning goals.*" in first and re.search(r"^Time: \d+ minutes", first, re.MULTILINE)
    markdown = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    quiz, _, rest = markdown.partition("\n## Quiz\n")[2].partition("\n**Summary.** ")
    assert len(re.findall(r"<details><summary>.+?</summary>.+?</details>", quiz, re.DOTALL)) >= 2
    sources, _, links = rest.partition("\n**Further reading.** ")[2].partition("\n\n")
    beside = {c.notebook.name for c in ALL if abs(int(c.number) - int(chapter.number)) == 1}
    assert sources and beside <= set(re.findall(r"\]\((\w+\.ipynb)\)", links))


@each_chapter
def test_solution_of_a_chapter_is_right_throughout(chapter):
    """Only its exercises are executed here: the rest is that of the student's chapter."""
    notebook = from_source(chapter)
    before = [cell.source for cell in notebook.cells]
    solve(notebook)
    solved = [cell.source for cell, source in zip(notebook.cells, before, strict=True) if cell.source != source]
    exercises = [name for name in EXERCISES if name.startswith(f"{chapter.number}.")]
    verdicts = [eval(source, {"lab": medvlm_lab}) for source in solved]
    assert [(verdict.exercise, verdict.right) for verdict in verdicts] == [(name, True) for name in exercises]


def test_short_chapters_pass_nbval():
    """Those that take seconds; `chapters test` takes them all, and .ci/run executes them all (`make chapters`)."""
    result = nbval(["00", "01", "04", "12"], quiet=True)
    assert result.ok, result.error
