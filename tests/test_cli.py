"""The command line: what it prints, what it refuses, and how it ends."""

import json
import subprocess
import sys

import numpy as np
import pytest
from fakes import FakeEncoder, FakeReporter

from medvlm_lab import cli, models
from medvlm_lab.models.base import Answer, Report

SAMPLE = "chest-xray-nodules"


class Oracle:
    """Answers everything alike."""

    name = "oracle"
    device = "cpu"

    def answer(self, image, question):
        return Answer("no", 0.8, (("no", 0.8), ("yes", 0.2)), seconds=0.01)


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `medvlm-lab ARGS` in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["medvlm-lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def oracle(monkeypatch):
    monkeypatch.setattr(models, "load", lambda name, **_: Oracle())


def test_answer_names_model_device_confidence_and_notice(call, oracle):
    code, out, _ = call("answer", SAMPLE, "Is there cardiomegaly?", "--json")
    given = json.loads(out)
    assert code == 0
    assert given["text"] == "no" and given["confidence"] == 0.8
    assert given["alternatives"] == [{"text": "no", "confidence": 0.8}, {"text": "yes", "confidence": 0.2}]
    assert given["model"] == "oracle" and given["device"] == "cpu" and given["seconds"] >= 0
    assert given["notice"] == "Not for clinical use."


def test_answer_for_a_reader(call, oracle):
    code, out, _ = call("answer", SAMPLE, "Is there cardiomegaly?")
    assert code == 0 and "no (80%)" in out and "Not for clinical use." in out


def test_report_for_a_reader_and_for_a_program(call, monkeypatch):
    written = Report("The heart is large.", "Cardiomegaly.", (("The heart is large.", 0.9),))
    monkeypatch.setattr(models, "load", lambda name, **_: FakeReporter(written))
    code, out, _ = call("report", SAMPLE)
    assert code == 0 and "Impression: Cardiomegaly." in out and "Not for clinical use." in out
    given = json.loads(call("report", SAMPLE, "--json")[1])
    assert given["findings"] == "The heart is large." and given["notice"] == "Not for clinical use."
    assert given["sentences"] == [{"text": "The heart is large.", "confidence": 0.9}] and given["model"] == "fake"


def test_a_model_that_writes_no_reports_says_so(call, oracle):
    refused(call("report", SAMPLE), "does not write reports")


def test_embed_a_folder_and_a_data_set(call, monkeypatch, tmp_path, oracle):
    data = ("phantom:chest-xray", "--n", 3, "--model", "chexzero", "--out", tmp_path / "out")
    refused(call("embed", *data), "'oracle' does not embed images")
    monkeypatch.setattr(models, "load", lambda name, **_: FakeEncoder())
    code, out, _ = call("embed", *data, "--json")
    assert code == 0 and json.loads(out)["images"] == 3 and json.loads(out)["width"] == 16
    assert (tmp_path / "out" / "embeddings.parquet").is_file()
    (tmp_path / "empty").mkdir()
    refused(call("embed", tmp_path / "empty", *data[3:]), "holds no image file")
    np.save(tmp_path / "empty" / "one.npy", np.eye(8))
    code, out, _ = call("embed", tmp_path / "empty", "--model", "chexzero", "--out", tmp_path / "other")
    assert code == 0 and "1 image" in out and "Not for clinical use." in out


def refused(result, *words, as_json=False):
    """The command ended with 1 and one sentence holding these words, on the right stream."""
    code, out, err = result
    assert code == 1
    message = json.loads(out)["error"] if as_json else err.strip()
    assert "\n" not in message and "Traceback" not in out + err
    for word in words:
        assert word in message
    assert (err if as_json else out) == ""


@pytest.mark.parametrize("as_json", [False, True])
def test_unknown_sample_suggests_the_nearest(call, as_json):
    flag = ["--json"] if as_json else []
    refused(call("answer", "chest-xray-nodule", "Why?", *flag), "chest-xray-nodule", SAMPLE, as_json=as_json)


def test_unknown_model_is_named(call):
    refused(call("answer", SAMPLE, "Why?", "--model", "vit-bert-vqq"), "vit-bert-vqq", "vit-bert-vqa")


@pytest.mark.parametrize("question", ["", "   ", "a" * 10_000])
def test_empty_or_endless_question(call, question):
    code, out, err = call("answer", SAMPLE, question)
    assert code == 1 and len(err.splitlines()) == 1 and len(err) < 400 and out == ""


def test_missing_and_damaged_files(call, tmp_path, oracle):
    refused(call("answer", tmp_path / "absent.dcm", "Why?"), "absent.dcm")
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    refused(call("answer", damaged, "Why?", "--json"), "damaged.png", as_json=True)


def test_missing_data_set(call, monkeypatch, tmp_path):
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path))
    refused(call("evaluate", "vqa", "--model", "vit-bert-vqa", "--data", "vqa_rad"), "vqa_rad", "fetch")


def test_size_of_simulated_pictures(call, monkeypatch):
    sizes = []

    class Asked(Oracle):
        def answer_batch(self, images, questions):
            sizes.extend(image.width for image in images)
            return [self.answer(*pair) for pair in zip(images, questions, strict=True)]

    monkeypatch.setattr(models, "load", lambda name, **_: Asked())
    arguments = ("evaluate", "vqa", "--model", "oracle", "--n", 2, "--data")
    assert call(*arguments, "phantom:histology", "--size", 64)[0] == 0 and sizes == [64, 64]
    refused(call(*arguments, "phantom:histology", "--size", 5), "size is 5", "32 to 2048")


def test_device_that_is_not_there(call, monkeypatch):
    monkeypatch.setenv("MEDVLM_DEVICE", "nosuch")
    code, out, _ = call("doctor", "--json")
    assert code == 1 and any("nosuch" in problem for problem in json.loads(out)["problems"])


def test_doctor(call):
    code, out, _ = call("doctor", "--json")
    report = json.loads(out)
    assert code == 0 and report["problems"] == []
    assert {"python", "torch", "device", "packages", "data", "chromium", "weights"} <= report.keys()
    assert report["packages"]["pydicom"]


@pytest.mark.parametrize("command", ["samples", "models"])
def test_catalogues(call, command):
    code, out, _ = call(command, "--json")
    assert code == 0 and len(json.loads(out)) >= 1
    assert call(command)[0] == 0


def test_data_list_says_where(call, monkeypatch, tmp_path):
    (tmp_path / "vqa_rad").mkdir()
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path))
    rows = {row["name"]: row["folder"] for row in json.loads(call("data", "list", "--json")[1])}
    assert rows["vqa_rad"] == str(tmp_path / "vqa_rad") and rows["path_vqa"] is None


def test_evaluate_passes_folder_parts_and_prints_intervals(call, oracle, monkeypatch, tmp_path):
    from medvlm_lab import datasets, tasks

    asked = {}
    score = tasks.Score(50.0, 40.0, 60.0, 100)
    result = tasks.Result("oracle", "mine", {"closed": score, "open": score, "bleu1": score}, ())
    monkeypatch.setattr(datasets, "dataset", lambda name, **parts: asked.update(parts, name=name) or "data")
    monkeypatch.setattr(tasks, "evaluate", lambda *_, **__: result)
    arguments = ["evaluate", "vqa", "--model", "vit-bert-vqa", "--data", tmp_path, "--questions", tmp_path / "q.json"]
    code, out, _ = call(*arguments, "--json")
    printed = json.loads(out)
    assert code == 0 and printed["split"] == "test" and printed["versions"]["torch"]
    assert printed["closed"] == printed["bleu1"] == {"value": 50.0, "low": 40.0, "high": 60.0, "n": 100}
    assert asked == {
        "name": str(tmp_path), "split": "test", "questions": tmp_path / "q.json", "images": None, "size": None,
    }  # fmt: skip
    assert "50.0 (40.0–60.0, n = 100)" in call(*arguments)[1]


def test_open_says_what_it_would_start(call):
    code, out, err = call("open", "--no-browser", "--json")
    if code:
        assert "not built" in json.loads(out)["error"]
        return
    command = json.loads(out)["command"]
    assert any(part.endswith("00_start_here.ipynb") for part in command) and "--no-browser" in command


def test_interrupt_ends_with_130(call, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "open_image", interrupted)
    assert call("answer", SAMPLE, "Why?")[0] == 130


def test_operating_system_errors_are_one_sentence(call, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "card.md")

    monkeypatch.setattr(cli, "open_image", full)
    refused(call("answer", SAMPLE, "Why?"), "the disk is full", "card.md")


def test_wrong_usage_ends_with_2():
    done = subprocess.run([sys.executable, "-m", "medvlm_lab.cli", "nosuch"], capture_output=True, text=True)
    assert done.returncode == 2 and "nosuch" in done.stderr


def test_simulate_writes_and_refuses(call, tmp_path):
    arguments = ["data", "simulate", "chest-xray", "--n", 2, "--size", 64, "--out", tmp_path / "out"]
    code, out, _ = call(*arguments, "--json")
    payload = json.loads(out)
    assert code == 0 and payload["simulated"] and payload["notice"] == "Not for clinical use."
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert "2 simulated studies" in call(*arguments)[1]  # all there already
    refused(call("data", "simulate", "chest-xrai", "--out", tmp_path / "b"), "did you mean 'chest-xray'")
    refused(call("data", "simulate", "chest-xray", "--n", 0, "--out", tmp_path / "b"), "n is 0")
    (tmp_path / "file").touch()
    refused(call("data", "simulate", "chest-xray", "--out", tmp_path / "file" / "b"), "cannot be written")


def test_simulated_data_sets_are_listed(call):
    rows = {row["name"]: row["simulated"] for row in json.loads(call("data", "list", "--json")[1])}
    assert rows["phantom:chest-xray"] is True and rows["vqa_rad"] is False


def test_data_list_says_how_to_get_each(call):
    rows = {row["name"]: row for row in json.loads(call("data", "list", "--json")[1]) if not row["simulated"]}
    assert {"iu_xray", "mimic_cxr", "echonet_dynamic", "pmc_vqa", "slake", "bach", "oscc", "colonpath"} <= rows.keys()
    assert all(row[key] for row in rows.values() for key in ("holds", "tasks", "licence", "access", "home"))
    assert "CITI" in rows["mimic_cxr"]["access"] and rows["echonet_dynamic"]["tasks"] == ["regression"]
    assert "credentialed PhysioNet users" in call("data", "list")[1]
    refused(call("data", "fetch", "mimic_cxr"), "mimic_cxr is not downloaded here", "CITI", "physionet.org")
