"""Sources become executed notebooks, whole or not at all."""

import json
import os

import nbformat
import pytest

from medvlm_lab.classroom.build import build, chapters, from_source, in_step
from medvlm_lab.classroom.run import lab_command, run
from medvlm_lab.classroom.run import test as nbval
from medvlm_lab.errors import MissingDataError, UnknownNameError


def test_build_run_and_test_a_chapter(book):
    root = book("00", "1 + 1")
    assert not in_step(chapters(root=root)[0])
    (result,) = build(root=root)
    assert result.ok and in_step(chapters(root=root)[0])
    built = json.loads((root / "00_small.ipynb").read_text())
    assert built["cells"][1]["outputs"][0]["data"]["text/plain"] == ["2"]
    assert built["metadata"]["medvlm"] == {"timeout": 60}
    assert "papermill" not in json.dumps(built) and str(root) not in json.dumps(built)
    assert run(["0"], root=root)[0].ok
    assert nbval(root=root, quiet=True).ok
    book("00", "1 + 2")
    assert not in_step(chapters(root=root)[0])


def test_solutions_are_answered_and_leave_the_students_notebook_alone(book, tmp_path):
    root = book("00", "import medvlm_lab as lab\n\n# %%\nlab.check('00.2', None)\n\n# %%\nlab.check(\"00.2\", None)")
    (result,) = build(root=root, solutions=tmp_path / "new" / "solutions")
    assert result.ok and not (root / "00_small.ipynb").exists()
    solved = nbformat.read(tmp_path / "new" / "solutions" / "00_small.ipynb", as_version=4)
    assert [cell.source for cell in solved.cells[2:]] == ["lab.check('00.2', None)", 'lab.check("00.2", 30)']
    assert "Right" in solved.cells[3].outputs[0]["data"]["text/plain"]


def test_a_solution_of_no_exercise_is_named(book, tmp_path):
    (result,) = build(root=book("00", 'check("00.77", None)'), solutions=tmp_path)
    assert result.error.startswith("Unknown exercise '00.77'") and not list(tmp_path.glob("*.ipynb"))


@pytest.mark.parametrize(
    "damage",
    [b"\xff\xfe\xff", b"# ---\n# jupyter:\n#   kernelspec: {name: [\n# ---\n",
     b"# ---\n# jupyter:\n#   medvlm: {timeout: soon}\n# ---\n", b"# ---\n# jupyter:\n#   medvlm: 3\n# ---\n"],
)  # fmt: skip
def test_a_damaged_source_is_one_sentence_and_the_others_are_built(book, damage):
    book("00", "1")
    root = book("01", "2")
    (root / "src" / "00_small.py").write_bytes(damage)
    damaged, unknown, well = build(["00", "77", "01"], root=root)
    assert damaged.chapter == "00_small" and damaged.error and "\n" not in damaged.error
    assert unknown.error.startswith("Unknown chapter '77'") and well.ok
    assert sorted(os.listdir(root)) == ["01_small.ipynb", "src"]


def test_a_failing_chapter_keeps_the_notebook_it_had(book):
    root = book("00", "1 + 1")
    before = nbformat.v4.new_notebook()
    nbformat.write(before, root / "00_small.ipynb")
    book("00", "raise ValueError('broken on purpose')")
    (result,) = build(root=root)
    assert not result.ok and "broken on purpose" in result.error
    assert nbformat.read(root / "00_small.ipynb", as_version=4).cells == []
    assert sorted(os.listdir(root)) == ["00_small.ipynb", "src"]


def test_a_slow_chapter_is_stopped(book, monkeypatch):
    """Its promise is counted in processor time on two cores, what hangs by the clock."""
    root = book("00", "while True: pass", timeout=4)
    (result,) = build(root=root)
    assert result.error.startswith("computed longer than its 8 s of processor time") and result.cpu_seconds > 8
    assert not (root / "00_small.ipynb").exists()
    root = book("00", "import time; time.sleep(5)", timeout=4)
    monkeypatch.setattr("medvlm_lab.classroom.execute.HANGS_S", 3.0)
    (result,) = build(root=root)
    assert result.error.startswith("took longer than its 3 s")


def test_equal_sources_give_equal_notebooks(book):
    (chapter,) = chapters(root=book("00", "1 + 1"))
    assert from_source(chapter) == from_source(chapter)


def test_chapters_are_named_by_number(book):
    book("00", "1")
    root = book("12", "2")
    assert [c.number for c in chapters(["12"], root)] == ["12"]
    assert [c.number for c in chapters(["0", "00"], root)] == ["00"]
    with pytest.raises(UnknownNameError, match="'13'"):
        chapters(["13"], root)


def test_missing_book_and_unbuilt_chapter(book, tmp_path):
    with pytest.raises(MissingDataError, match="No chapters"):
        chapters(root=tmp_path / "elsewhere")
    with pytest.raises(MissingDataError, match="not built"):
        lab_command(root=book("00", "1"))
