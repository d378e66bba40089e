"""Zero-shot, retrieval and regression with models whose answers are known."""

import json

import pytest
import torch
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.tasks.regression import Regression, RegressionRow

CHEST, ECHO = "phantom:chest-xray", "phantom:echocardiogram"


class Oracle:
    """Reads the truth out of the picture's name instead of its pixels."""

    name = "oracle"

    def __init__(self, data, blur=0.0):
        studies = [data.study(i) for i in range(data.studies)]
        self.known = {study.image().name: study for study in studies}
        self.place = {study.report: i for i, study in enumerate(studies)}
        self.blur, self.generator = blur, torch.Generator().manual_seed(0)

    def encode_texts(self, texts):
        return torch.eye(len(self.place))[[self.place[text] for text in texts]]

    def encode_images(self, images):
        rows = self.encode_texts([self.known[image.name].report for image in images])
        return F.normalize(rows + self.blur * torch.rand(rows.shape, generator=self.generator), dim=-1)

    def score_findings(self, images):
        names = ("pneumothorax", "pleural effusion", "pacemaker")
        return {n: torch.tensor([float(n in self.known[i.name].findings) for i in images]) for n in names}

    def regress(self, images):
        key = "ejection_fraction_percent"
        return {key: torch.tensor([self.known[i.name].values[key] + 3.0 for i in images])}


def test_an_oracle_scores_best_everywhere():
    data = lab.dataset(CHEST, "test", n=40, size=32)
    oracle = Oracle(data)
    found = lab.evaluate("zero-shot", oracle, data, progress=False)
    assert found.scores["auc"].value == 1.0 and found.scores["auc pneumothorax"].value == 1.0
    ranks = lab.evaluate("retrieval", oracle, data, progress=False)
    assert ranks.scores["mcmrr"].value == 1.0 and ranks.scores["recall_at_1"].value == 100.0
    assert json.loads(ranks.to_json(rows=True))["rows"][3]["image_rank"] == 1
    echoes = lab.dataset(ECHO, "validation", n=6, size=32)
    numbers = lab.evaluate("regression", Oracle(echoes), echoes, progress=False)
    assert numbers.scores["mae"].value == pytest.approx(3.0, abs=1e-4)
    assert numbers.scores["correlation"].value == pytest.approx(1.0)
    assert "ejection fraction" in str(numbers) and "<caption>" in numbers._repr_html_()


def test_a_model_that_sees_nothing_is_at_chance():
    data = lab.dataset(CHEST, "validation", n=60, size=32)
    blind = Oracle(data)
    blind.encode_images = lambda images: torch.full((len(images), len(blind.place)), 60**-0.5)
    blind.score_findings = lambda images: {"pneumothorax": torch.zeros(len(images))}
    assert lab.evaluate("zero-shot", blind, data, progress=False).scores["auc"].value == 0.5
    ranks = lab.evaluate("retrieval", blind, data, n=30, progress=False)
    # equals share the worse rank: a constant cannot look like a hit
    assert ranks.scores["recall_at_1"].value <= 50.0 and ranks.scores["mcmrr"].n == 30


def test_mean_absolute_error_is_scikit_learn_s_documented_value():
    pairs = zip([3, -0.5, 2, 7], [2.5, 0.0, 2, 8], strict=True)
    scores = Regression().score([RegressionRow("a study", "any_mm", *pair) for pair in pairs], 10, 0)
    assert scores["mae"].value == 0.5 and scores["mae"].n == 4


def test_rank_by_hand():
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.3, 0.6, 0.4]])
    there, back = lab.metrics.retrieval_ranks(similarity)
    assert there.tolist() == [1, 2, 2] and back.tolist() == [1, 2, 1]
    assert lab.metrics.mcmrr(similarity) == pytest.approx((5 / 3 + 4 / 3) / 2)


def test_what_cannot_be_scored_is_a_sentence():
    data = lab.dataset(CHEST, "validation", n=3, size=32)
    answerer = type("Answerer", (), {"name": "mute"})()
    for task, lacks in (("zero-shot", "score_findings"), ("retrieval", "encode_images"), ("regression", "regress")):
        with pytest.raises(MedVLMError, match=f"'mute' does not .*has no {lacks}"):
            lab.evaluate(task, answerer, data)
    with pytest.raises(MedVLMError, match="does not tell ejection_fraction_percent"):
        oracle = Oracle(data)
        oracle.regress = lambda images: {"ejection_fraction_percent": torch.zeros(len(images))}
        lab.evaluate("regression", oracle, data, progress=False)
    with pytest.raises(MedVLMError, match="n=0"):
        lab.evaluate("retrieval", Oracle(data), data, n=0)
    with pytest.raises(MedVLMError, match="questions, not studies"):
        lab.evaluate("retrieval", Oracle(data), [])
