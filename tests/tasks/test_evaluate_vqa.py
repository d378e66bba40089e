"""Scoring a model: the arithmetic, the order, how often a picture is read, and what can go wrong."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from medvlm_lab.datasets import VQAItem
from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.tasks import evaluate
from medvlm_lab.tasks.vqa import score_rows


class Scripted:
    """Answers from a table; the question is the key."""

    name = "scripted"

    def __init__(self, answers, confidence=0.75):
        self.answers, self.confidence, self.batches = answers, confidence, []

    def answer_batch(self, images, questions):
        self.batches.append(len(questions))
        return [SimpleNamespace(text=self.answers.get(q, "yes"), confidence=self.confidence) for q in questions]


@pytest.fixture
def reads(monkeypatch):
    """How often each picture is read, instead of reading it."""
    counts = Counter()
    monkeypatch.setattr(VQAItem, "image", lambda self: counts.update([self.image_name]))
    return counts


def item(image, question, answer, closed):
    return VQAItem(Path(image), question, answer, closed, "PRES", image, public=True)


@pytest.fixture
def items():
    return [
        item("a", "q1", "Yes", True), item("b", "q2", "no", True), item("a", "q3", "left lung", False),
        item("b", "q4", "yes", True), item("a", "q5", "yes", True),
    ]


def test_scores_and_order(items, reads):
    model = Scripted({"q2": "maybe", "q3": "left lung base"})
    result = evaluate("vqa", model, items, batch_size=2, progress=False)
    assert [r.question for r in result.rows] == ["q1", "q2", "q3", "q4", "q5"]
    assert [r.correct for r in result.rows] == [True, False, False, True, True]
    assert (result.scores["closed"].value, result.scores["closed"].n) == (75.0, 4)
    assert (result.scores["open"].value, result.scores["open"].n) == (0.0, 1)
    assert (result.scores["recall"].value, result.scores["recall"].n) == (100.0, 1)  # "left lung base": both words
    assert result.scores["bleu1"].value == pytest.approx((100 + 0 + 200 / 3 + 100 + 100) / 5)
    assert result.scores["ece"].value == pytest.approx(15.0)  # 3 of 5 right at 75 %
    for score in result.scores.values():
        assert score.low <= score.value <= score.high
    assert model.batches == [2, 2, 1]
    assert reads == {"a": 1, "b": 1}


def test_json_and_html(items, reads):
    result = evaluate("vqa", Scripted({}), items, progress=False)
    out = json.loads(result.to_json())
    assert set(out) == {"model", "data", "closed", "open", "recall", "bleu1", "ece"}
    assert set(out["closed"]) == {"value", "low", "high", "n"}
    assert json.loads(result.to_json(rows=True))["rows"][2]["reference"] == "left lung"
    assert "<table>" in result._repr_html_() and "scripted" in str(result)


def test_no_question_of_a_kind_is_null_in_json(items, reads):
    result = evaluate("vqa", Scripted({}), items[:2], progress=False)
    assert json.loads(result.to_json())["open"] == {"value": None, "low": None, "high": None, "n": 0}
    assert "nothing to score" in str(result) and "–" in result._repr_html_()


def test_a_part_is_drawn_by_seed(items, reads):
    def asked(seed):
        return [r.question for r in evaluate("vqa", Scripted({}), items, n=2, seed=seed, progress=False).rows]

    assert asked(0) == asked(0) and len(asked(0)) == 2
    assert len({tuple(asked(seed)) for seed in range(8)}) > 1


def test_rows_of_one_kind_can_be_scored_again(items, reads):
    result = evaluate("vqa", Scripted({}), items, progress=False)
    assert score_rows([r for r in result.rows if r.image_name == "a"])["closed"].value == 100


def test_what_cannot_be_scored(items, reads):
    with pytest.raises(UnknownNameError, match="did you mean 'vqa'"):
        evaluate("vqaa", Scripted({}), items)
    with pytest.raises(MedVLMError, match="answer_batch"):
        evaluate("vqa", object(), items)
    with pytest.raises(MedVLMError, match="no questions"):
        evaluate("vqa", Scripted({}), [])
    with pytest.raises(MedVLMError, match="at least 1"):
        evaluate("vqa", Scripted({}), items, n=0)
    for confidence in (float("nan"), 1.5):
        with pytest.raises(MedVLMError, match="confidence"):
            evaluate("vqa", Scripted({}, confidence), items, progress=False)
    short = Scripted({})
    short.answer_batch = lambda images, questions: []
    with pytest.raises(MedVLMError, match="0 answers to 5 questions"):
        evaluate("vqa", short, items, progress=False)


def test_pictures_are_read_from_disk(tmp_path):
    from PIL import Image

    Image.new("L", (40, 30), 100).save(tmp_path / "a.png")
    seen = []

    class Looking(Scripted):
        def answer_batch(self, images, questions):
            seen.extend(images)
            return super().answer_batch(images, questions)

    scored = evaluate("vqa", Looking({}), [item(tmp_path / "a.png", "q", "yes", True)] * 2, progress=False)
    assert scored.scores["closed"].value == 100
    assert seen[0] is seen[1] and (seen[0].height, seen[0].width) == (30, 40)


def test_importing_loads_no_heavy_library():
    code = "import sys, medvlm_lab.tasks; print({'torch', 'matplotlib', 'sacrebleu'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
