"""EchoCLIP's prompt sweep against the values of its published code."""

import pytest
import torch
from torch.nn import functional as F

from medvlm_lab.models.prompt_sweep import binary, by_frame_median, by_mean_rank


@pytest.fixture
def similarity():
    images = F.normalize(torch.arange(1, 31, dtype=torch.float64).sin().view(1, 3, 10), dim=-1)
    prompts = F.normalize(torch.arange(1, 1011, dtype=torch.float64).cos().view(101, 10), dim=-1)
    return images @ prompts.T  # (1, 3, 101)


def test_known_values(similarity):
    assert by_mean_rank(similarity, torch.arange(101.0)).item() == 48.0
    assert binary(similarity[..., :3]).item() == pytest.approx(-0.00063033, abs=5e-9)


def test_both_aggregations_by_hand(similarity):
    votes = [sorted(range(101), key=lambda v: -similarity[0, f, v])[:20] for f in range(3)]
    medians = [sorted(row)[9] for row in votes]  # the lower one of the two in the middle
    assert by_frame_median(similarity, torch.arange(101.0)).item() == pytest.approx(sum(medians) / 3)
    means = sorted(sum(row[k] for row in votes) / 3 for k in range(20))
    assert by_mean_rank(similarity, torch.arange(101.0)).item() == pytest.approx(means[9])


def test_one_frame_makes_both_alike(similarity):
    values = torch.arange(101.0)
    assert torch.equal(by_mean_rank(similarity[:, :1], values), by_frame_median(similarity[:, :1], values))
