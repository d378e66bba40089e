"""`medvlm-lab chapters`: what its options become, what it prints and how it ends."""

import json
import sys

import pytest

from medvlm_lab import cli
from medvlm_lab.classroom import build, grade, run
from medvlm_lab.classroom.execute import Result
from medvlm_lab.classroom.exercises import Verdict
from medvlm_lab.classroom.submission import Grade

GOOD = Result("00_small", 1.5, peak_mb=300.0, cpu_seconds=2.5)
BAD = Result("01_small", 2.0, "ValueError: no", 3, "Traceback\n  here", 200.0)


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `medvlm-lab chapters ARGS` in this process: (exit code, stdout, stderr)."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["medvlm-lab", "chapters", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return command


def test_run_passes_its_options_and_writes_its_report(call, monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(run, "run", lambda *args, **named: asked.update(named, args=args) or [GOOD, BAD])
    options = ["--jobs", 2, "--device", "cpu", "--param", "seed=3", "--param", "name=a=b", "--report", tmp_path / "r"]
    options += ["--seconds", 90, "--memory-mb", 4000, "--cpu-seconds", 180]
    code, out, _ = call("run", "00", "1", *options)
    assert code == 1 and "cell 3: ValueError: no" in out and "      here" in out and "300 MB" in out
    assert "1.5 s    2.5 CPU s" in out
    assert asked == {
        "args": (["00", "1"], 2), "device": "cpu", "parameters": {"seed": 3, "name": "a=b"}, "engine": "local",
        "progress": True, "seconds": 90.0, "memory_mb": 4000.0, "cpu_seconds": 180.0,
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"report.html", "junit.xml"}
    code, out, _ = call("run", "--json")
    assert code == 1 and [row["ok"] for row in json.loads(out)] == [True, False]
    assert json.loads(out)[1] | {"cell": 3, "peak_mb": 200.0, "traceback": "Traceback\n  here"} == json.loads(out)[1]


def test_a_parameter_without_a_value_is_wrong_usage(call):
    code, _, err = call("run", "--param", "seed")
    assert code == 2 and "--param seed=3" in err


def test_unknown_chapter_is_one_sentence(call):
    code, out, _ = call("run", "77")
    assert code == 1 and "Unknown chapter '77'" in out and len(out.splitlines()) == 1


def test_build_passes_the_folder_of_solutions(call, monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(build, "build", lambda *args, **named: asked.update(named) or [GOOD])
    assert call("build", "--solutions", tmp_path)[0] == 0
    assert asked == {"solutions": tmp_path, "progress": True}


def test_grade_prints_rows_and_what_is_not_guarded(call, monkeypatch, tmp_path):
    row = Grade("a.ipynb", "hash", "05", (Verdict("05.1", True, "why"),), {"05.1": 0.8}, 3.0, 150.0, "Cell 2: no")
    monkeypatch.setattr(grade, "grade", lambda *_, **__: [row])
    code, out, _ = call("grade", tmp_path, "--out", tmp_path / "out")
    assert code == 0 and "1 of 1" in out and "Cell 2: no" in out and "Not guarded without --sandbox" in out
    code, out, _ = call("grade", tmp_path, "--out", tmp_path / "out", "--sandbox", "--json")
    printed = json.loads(out)
    assert printed["grades"][0]["verdicts"][0]["right"] is True and "without a network" in printed["guarded"]


def test_grade_of_nothing_is_one_sentence(call, tmp_path):
    code, out, err = call("grade", tmp_path, "--out", tmp_path / "out")
    assert code == 1 and "No notebook in" in err and len(err.splitlines()) == 1
