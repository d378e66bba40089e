"""Identification: known embeddings, chance, the pairs' area, and a patient's second study."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers import Guesser
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.tasks.identification import patient_areas

CHEST = "phantom:chest-xray"


class Memory:
    """Knows each patient's two pictures by name; `confused` takes some patients for the next one."""

    name = "memory"

    def __init__(self, data, confused=()):
        self.row = {}
        for i in range(data.studies):
            self.row[data.study(i).image().name] = i
            self.row[data.later(i).image().name] = (i + 1) % data.studies if i in confused else i

    def encode_images(self, images):
        return F.one_hot(torch.tensor([self.row[image.name] for image in images]), len(self.row)).float()


@pytest.fixture(scope="module")
def data():
    return lab.dataset(CHEST, "test", n=12, size=32)


def test_a_perfect_memory(data):
    result = lab.evaluate("identification", Memory(data), data, progress=False)
    assert result.scores["recall_at_1"].value == 100.0 and result.scores["mean_rank"].value == 1.0
    assert result.scores["auc"].value == 1.0 and result.scores["auc"].n == 12
    assert [row.found for row in result.rows] == list(range(12))


def test_mistaken_identity(data):
    result = lab.evaluate("identification", Memory(data, confused={2, 5}), data, progress=False)
    assert [row.found for row in result.rows][2:6] == [3, 3, 4, 6]
    # a stranger at 1, all others at 0 as the own study: equals share the worse rank
    assert result.rows[2].rank == 12 and result.scores["mean_rank"].value == pytest.approx((10 + 24) / 12)
    assert result.scores["recall_at_1"].value == pytest.approx(100 * 10 / 12)
    assert result.worst(1).axes  # the sheet is drawn from three studies


def test_a_model_that_sees_nothing_finds_nobody(data):
    blind = Guesser()
    blind.encode_images = lambda images: torch.full((len(images), 4), 0.5)
    scores = lab.evaluate("identification", blind, data, progress=False).scores
    assert scores["auc"].value == pytest.approx(0.5) and scores["recall_at_1"].value == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_the_mean_of_the_parts_is_the_pairs_area(n, seed):
    similarity = np.random.default_rng(seed).integers(0, 5, (n, n)).astype(float)
    expected = roc_auc_score(np.eye(n).ravel(), similarity.ravel())
    assert patient_areas(similarity).mean() == pytest.approx(expected)


def test_a_later_study_is_the_same_patient_s(data):
    first, later = data.study(3), data.later(3)
    assert later.name == f"{first.name}-later" and later.report
    assert abs(first.values["cardiothoracic_ratio"] - later.values["cardiothoracic_ratio"]) < 0.08
    assert np.array_equal(data.later(3).image().pixels, later.image().pixels)
    names = {study.image().name for i in range(12) for study in (data.study(i), data.later(i))}
    assert len(names) == 24  # a name holds the scene's seed: no two share their noise


@pytest.mark.parametrize("phantom", lab.phantoms.names())
def test_every_phantom_has_a_second_visit(phantom):
    data = lab.dataset(f"phantom:{phantom}", "validation", n=2, size=32)
    assert data.later(1).report and data.later(1).findings is not None


def test_what_cannot_be_scored_is_a_sentence(data):
    with pytest.raises(MedVLMError, match="at least 2"):
        lab.evaluate("identification", Memory(data), data, n=1)

    class Once:
        name, studies = "once", 3

        def study(self, number):
            return data.study(number)

    with pytest.raises(MedVLMError, match="once holds no second study"):
        lab.evaluate("identification", Memory(data), Once())
