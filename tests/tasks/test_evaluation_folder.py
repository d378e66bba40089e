"""Evaluations in a folder: streamed, interrupted, taken up again, refused, finished."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scorers import TASKS, Guesser

import medvlm_lab as lab
from medvlm_lab import cli, models
from medvlm_lab.errors import MedVLMError, UnknownNameError

FILES = {"evaluation.json", "rows.jsonl", "result.json", "table.csv", "worst.png"}


def data_of(task):
    name, n = TASKS[task]
    return lab.dataset(name, "test", n=n, size=32)


def evaluate(task, model, out=None, **options):
    return lab.evaluate(task, model, data_of(task), batch_size=2, resamples=20, progress=False, out=out, **options)


@pytest.mark.parametrize("task", TASKS)
def test_an_interrupted_evaluation_goes_on_where_it_stopped(task, tmp_path):
    whole = Guesser()
    expected = evaluate(task, whole, tmp_path / "whole")
    broken = Guesser(fails_after=whole.calls // 2)
    with pytest.raises(RuntimeError, match="interrupted"):
        evaluate(task, broken, tmp_path / "parts")
    written = (tmp_path / "parts" / "rows.jsonl").read_text().splitlines()
    assert written and not (tmp_path / "parts" / "result.json").exists()
    rest = Guesser()
    assert evaluate(task, rest, tmp_path / "parts") == expected
    assert {path.name for path in (tmp_path / "parts").iterdir()} == FILES
    for name in ("rows.jsonl", "table.csv", "worst.png"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    items = [json.loads(line)["item"] for line in (tmp_path / "parts" / "rows.jsonl").read_text().splitlines()]
    assert len(set(items)) == len(items) and rest.calls * len(items) == whole.calls * (len(items) - len(written))
    assert evaluate(task, Guesser(fails_after=0), tmp_path / "parts") == expected  # all is said: nobody is asked
    assert evaluate(task, Guesser()) == expected  # nor does the folder change anything


def test_what_the_folder_holds(tmp_path):
    result = evaluate("report", Guesser(), tmp_path)
    held = json.loads((tmp_path / "result.json").read_text())
    assert held["meteor"] == result.scores["meteor"].to_dict() and set(held["cider"]) == {"value", "low", "high", "n"}
    assert {"model", "data", "seed", "device", "date"} <= set(held) and held["task"] == "report"
    assert {"medvlm-lab", "sacrebleu", "nltk", "rouge-score"} <= {k for k, v in held["versions"].items() if v}
    lines = (tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "score,title,value,low,high,n" and len(lines) == 1 + len(result.scores)
    row = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert row["study"] == result.rows[0].study and row["report"] == result.rows[0].report
    assert (tmp_path / "worst.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_measured_is_null_and_said_so(tmp_path):
    result = evaluate("zero-shot", Guesser(), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["auc unicorn"] == {
        "value": None, "low": None, "high": None, "n": 0,
    }  # fmt: skip
    assert "unicorn: nothing to score" in str(result) and 'unicorn",,,,0' in (tmp_path / "table.csv").read_text()


def test_plain_names_of_scores():
    named = {
        "vqa": {"closed", "open", "recall", "bleu1"}, "zero-shot": {"auc"}, "retrieval": {"mcmrr", "recall_at_1"},
        "identification": {"auc", "mean_rank", "recall_at_1", "recall_at_10"}, "regression": {"mae"},
        "report": {"bleu1", "meteor", "rouge_l", "cider", "f1"}, "segmentation": {"dice"},
    }  # fmt: skip
    for task, keys in named.items():
        scores = json.loads(evaluate(task, Guesser()).to_json())
        assert all(set(scores[key]) == {"value", "low", "high", "n"} for key in keys)


def test_another_evaluation_is_refused(tmp_path):
    evaluate("report", Guesser(), tmp_path)
    other = Guesser()
    other.name = "other"
    refused = {
        "model is 'guesser', not 'other'": lambda: evaluate("report", other, tmp_path),
        "task is 'report', not 'retrieval'": lambda: evaluate("retrieval", Guesser(), tmp_path),
        "seed is 0, not 1": lambda: evaluate("report", Guesser(), tmp_path, seed=1),
        "n is 6, not 5": lambda: evaluate("report", Guesser(), tmp_path, n=5),
        "'size': 32": lambda: lab.evaluate(
            "report", Guesser(), lab.dataset("phantom:chest-xray", "test", n=6, size=64), out=tmp_path
        ),
    }
    for words, call in refused.items():
        with pytest.raises(MedVLMError, match=f"holds another evaluation .*{words}.*; name another folder") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_other_weights_of_the_same_model_are_refused(tmp_path):
    from torch import nn

    for seed, (model, ok) in enumerate(((Guesser(), True), (Guesser(), False))):
        model.module = nn.Linear(2, 2)
        nn.init.constant_(model.module.weight, seed)
        nn.init.zeros_(model.module.bias)
        if ok:
            evaluate("regression", model, tmp_path)
            continue
        with pytest.raises(MedVLMError, match="weights is"):
            evaluate("regression", model, tmp_path)


def test_a_cut_line_is_taken_away_and_a_damaged_one_refused(tmp_path):
    expected = evaluate("regression", Guesser(), tmp_path)
    rows = tmp_path / "rows.jsonl"
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-20])
    again = Guesser()
    assert evaluate("regression", again, tmp_path) == expected and again.calls == 1
    assert rows.read_bytes() == whole
    for damaged in (b"{not json}\n", b'{"item": 3}\n', b"7\n"):
        rows.write_bytes(damaged)
        with pytest.raises(MedVLMError, match="is damaged; delete"):
            evaluate("regression", Guesser(), tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(MedVLMError, match="is not empty and holds no evaluation"):
        evaluate("regression", Guesser(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_killed_process_loses_nothing(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import medvlm_lab as lab; from scorers import Guesser\n"
        "data = lab.dataset('phantom:chest-xray', 'test', n=40, size=32)\n"
        "lab.evaluate('report', Guesser(pause=0.05), data, batch_size=1, progress=False, out=sys.argv[2])"
    )
    rows = tmp_path / "out" / "rows.jsonl"
    child = subprocess.Popen([sys.executable, "-c", code, Path(__file__).parent, tmp_path / "out"])
    deadline = time.monotonic() + 180
    while (not rows.exists() or rows.read_bytes().count(b"\n") < 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = rows.read_bytes()
    assert 5 <= before.count(b"\n") < 40 and not (tmp_path / "out" / "result.json").exists()
    rest, data = Guesser(), lab.dataset("phantom:chest-xray", "test", n=40, size=32)
    result = lab.evaluate("report", rest, data, batch_size=8, resamples=10, progress=False, out=tmp_path / "out")
    assert len(result.rows) == 40 and rest.calls == 40 - before.count(b"\n")
    after = rows.read_bytes()
    assert after.startswith(before[: before.rindex(b"\n") + 1]) and after.count(b"\n") == 40


def test_the_command_line_keeps_and_continues(tmp_path, monkeypatch, capsys):
    guesser = Guesser()
    monkeypatch.setattr(models, "load", lambda name, **_: guesser)
    arguments = f"medvlm-lab evaluate regression --model guesser --data phantom:echocardiogram --n 3 --out {tmp_path}"
    for calls in (3, 3):  # the second time all is there
        monkeypatch.setattr("sys.argv", [*arguments.split(), "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code and json.loads(capsys.readouterr().out)["mae"]["n"] == 3 and guesser.calls == calls
    assert {path.name for path in tmp_path.iterdir()} == FILES
    monkeypatch.setattr("sys.argv", [*arguments.split(), "--seed", "1"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "holds another evaluation" in capsys.readouterr().err


def test_what_cannot_be_evaluated_names_what_can():
    for method, task, able in (
        ("report", "report", "clinical-blip, flamingo-cxr"), ("segment", "segmentation", "prompt-segmenter"),
        ("regress", "regression", "echo-clip"), ("answer_batch", "vqa", "vit-bert-vqa"),
    ):  # fmt: skip
        mute = type("Mute", (), {"name": "mute"})()
        with pytest.raises(MedVLMError, match=f"'mute' does not .*has no {method}.*bundled models these do: .*{able}"):
            evaluate(task, mute)
    with pytest.raises(MedVLMError, match="of the capability Reporter"):
        evaluate("report", type("Mute", (), {"name": "mute"})())
    with pytest.raises(UnknownNameError, match="option of report 'shoots'; did you mean 'shots'"):
        evaluate("report", Guesser(), shoots=3)
    with pytest.raises(MedVLMError, match="batch_size is 0"):
        lab.evaluate("report", Guesser(), data_of("report"), batch_size=0)
