"""Reports scored with reporters whose reports are known."""

import json

import numpy as np
import pytest
from fakes import FakeAnswerer, FakeReporter

import medvlm_lab as lab
from medvlm_lab import cli, models
from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics.generation import bleu, label_f1
from medvlm_lab.models.base import Report
from medvlm_lab.tasks.report import ceiling, compare, report_rows, score_rows

NORMAL = Report("The heart is normal in size. The lungs are clear.", "No acute abnormality.")
CHEXPERT = ("f1_chexpert14", "f1_chexpert14_macro", "f1_chexpert5", "f1_chexpert5_macro")
NAMES = ("meteor", "rouge_l", "bleu1", "bleu4", "cider", "f1", "f1_macro", *CHEXPERT)


@pytest.fixture(scope="module")
def data():
    return lab.dataset("phantom:chest-xray", "test", n=12, size=32)


def copyist(data):
    """Writes each reference itself."""
    studies = [data.study(i) for i in range(data.studies)]
    return FakeReporter({study.image().name: Report(study.report) for study in studies}, "copyist")


def test_copies_of_the_references_are_perfect(data):
    result = lab.evaluate("report", copyist(data), data, progress=False)
    assert tuple(result.scores) == NAMES and all(s.n == 12 for s in result.scores.values())
    for name in ("rouge_l", "bleu1", "bleu4", "f1", "f1_macro", *CHEXPERT):
        assert result.scores[name].value == pytest.approx(1) and result.scores[name].low == pytest.approx(1)
    assert result.scores["meteor"].value > 0.99 and result.scores["cider"].value > 6
    row = json.loads(result.to_json(rows=True))["rows"][0]
    assert row["report"] == row["reference"] and row["labels"] == row["findings"]
    assert "METEOR without synonyms" in str(result) and "phantom:chest-xray (test)" in str(result)


def test_one_normal_report_for_everybody_finds_nothing(data):
    scores = lab.evaluate("report", FakeReporter(NORMAL), data, progress=False).scores
    assert scores["f1"].value == scores["f1_macro"].value == 0
    assert 0 < scores["meteor"].low < scores["meteor"].value < scores["meteor"].high < 0.5


def test_scores_are_those_of_the_metrics(data):
    rows = ceiling(data).rows
    scores, text, reference = score_rows(rows), [r.report for r in rows], [r.reference for r in rows]
    assert scores["bleu4"].value == pytest.approx(bleu(text, reference))
    assert scores["meteor"].value == pytest.approx(np.mean([r.meteor for r in rows]))
    wrong = [*rows[:6], *report_rows([data.study(i) for i in range(6, 12)], [NORMAL.findings] * 6)]
    names = sorted({name for row in rows for name in row.findings})
    expected = label_f1([r.labels for r in wrong], [r.findings for r in wrong], names)
    assert score_rows(wrong)["f1"].value == pytest.approx(expected.micro)
    assert score_rows(wrong)["f1_macro"].value == pytest.approx(expected.macro)


def test_the_ceiling_knows_the_truth_but_not_the_words():
    usual, held_out = (lab.dataset("phantom:chest-xray", split, n=60) for split in ("validation", "test"))
    usual, held_out = ceiling(usual).scores, ceiling(held_out, n=50, seed=1).scores
    assert usual["f1"].value == held_out["f1"].value == 1 and held_out["f1"].n == 50
    assert 0.4 < usual["meteor"].value < 0.6 and 0.25 < held_out["meteor"].value < 0.4
    with pytest.raises(MedVLMError, match="is not simulated"):
        ceiling([])


def test_batches_are_preferred_and_complete(data):
    class Batched(FakeReporter):
        def report_batch(self, images, indications=None):
            assert indications is None
            self.sizes.append(len(images))
            return [self.reports] * (len(images) - self.lost)

    model = Batched(NORMAL)
    model.sizes, model.lost = [], 0
    assert len(lab.evaluate("report", model, data, batch_size=5, progress=False).rows) == 12 and model.sizes == [
        5,
        5,
        2,
    ]
    model.lost = 1
    with pytest.raises(MedVLMError, match="'fake' gave 4 reports for 5 images"):
        lab.evaluate("report", model, data, batch_size=5, progress=False)


def test_two_models_are_compared_study_by_study(data):
    best, worst = (lab.evaluate("report", m, data, progress=False) for m in (copyist(data), FakeReporter(NORMAL)))
    gains = compare(best, worst)
    assert tuple(gains) == NAMES and gains["f1"].value == 1 and gains["meteor"].low > 0.4
    for name, gain in gains.items():
        assert gain.value == pytest.approx(best.scores[name].value - worst.scores[name].value)
    assert all(s.value == s.low == s.high == 0 for s in compare(best, best).values())
    part = lab.evaluate("report", FakeReporter(NORMAL), data, n=5, progress=False)
    with pytest.raises(MedVLMError, match="scored on different studies"):
        compare(best, part)


def test_examples_are_by_the_author_of_the_study():
    data = lab.dataset("phantom:chest-xray", "test", n=12, authors=3, size=64)

    class Imitator(FakeReporter):
        def report_after(self, images, shots):
            assert all(len(own) == 2 for own in shots)
            return [Report(own[0][1].removeprefix("findings: ")) for own in shots]

    rows = lab.evaluate("report", Imitator(NORMAL), data, n=6, shots=2, progress=False).rows
    for row in rows:
        number = int(row.study[-6:])
        (_, text), _ = data.examples(number, 2)
        assert row.report == text.removeprefix("findings: ")
    with pytest.raises(MedVLMError, match="after examples"):
        lab.evaluate("report", FakeReporter(NORMAL), data, shots=2)


def test_no_findings_at_all_is_nothing_to_score(data):
    normal = [data.study(i) for i in range(data.studies) if not data.study(i).findings]
    rows = report_rows(normal, [NORMAL.findings] * len(normal))
    assert rows and score_rows(rows)["f1"].n == 0 and "nothing to score" in str(score_rows(rows)["f1"])


def test_findings_unknown_to_the_labeller_have_no_f1():
    scores = ceiling(lab.dataset("phantom:echocardiogram", "test", n=8)).scores
    assert "f1" not in scores and scores["meteor"].value > 0.2


def test_what_cannot_be_scored_is_a_sentence(data):
    with pytest.raises(MedVLMError, match="'fake' does not write reports .*has no report"):
        lab.evaluate("report", FakeAnswerer(), data)
    with pytest.raises(MedVLMError, match="n=0"):
        lab.evaluate("report", FakeReporter(NORMAL), data, n=0)
    with pytest.raises(MedVLMError, match="holds questions, not studies"):
        lab.evaluate("report", FakeReporter(NORMAL), [])


def test_command_line(data, monkeypatch, capsys):
    monkeypatch.setattr(models, "load", lambda name, **_: FakeReporter(NORMAL))
    monkeypatch.setattr(
        "sys.argv",
        "medvlm-lab evaluate report --model fake --data phantom:chest-xray --n 3 --json".split(),
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = json.loads(capsys.readouterr().out)
    assert not ended.value.code and printed["f1"]["n"] == 3 and set(NAMES) <= set(printed)
