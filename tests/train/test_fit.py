"""The small trainer: deterministic, and it learns an interaction that no sum of two predictions can hold."""

import pytest
import torch

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.metrics import auc
from medvlm_lab.nn.fusion import EarlyFusion, HybridFusion, LateFusion, Sizes
from medvlm_lab.train.fit import Pairs, fit, predict

SIZES = Sizes(cells=1, channels=4, words=4, context=1, labels=2, width=16, heads=2, hidden=32)


def toy(n: int, seed: int) -> Pairs:
    """One bit in the picture, one in the note; labels: both bits set, bits that differ."""
    bits = torch.randint(2, (n, 2), generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.one_hot(bits[:, :1], 4).float()  # (n, 1, 4)
    labels = torch.stack([bits.sum(1) == 2, bits.sum(1) == 1], 1)
    return Pairs(image, 1 + bits[:, 1:], labels, torch.ones(n, 2, dtype=torch.bool))


def trained(kind, steps=100, seed=0, drop=0.0):
    torch.manual_seed(seed)
    return fit(kind(SIZES), toy(512, 1), steps, seed, drop=drop)


@pytest.mark.parametrize("kind", [EarlyFusion, LateFusion, HybridFusion])
def test_only_joint_layers_learn_that_two_bits_differ(kind):
    data = toy(400, 2)
    scores = predict(trained(kind), data)
    assert auc(scores[:, 0], data.labels[:, 0], 2).value > 0.99
    differ = auc(scores[:, 1], data.labels[:, 1], 2).value
    assert differ < 0.6 if kind is LateFusion else differ > 0.99


def test_equal_seeds_give_equal_weights():
    one, two, other = (trained(HybridFusion, 8, seed, drop=0.3) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.see.head.weight, other.see.head.weight)


def test_modality_dropout_makes_a_model_doubt_what_it_cannot_know():
    data = toy(400, 2).without("image")
    sure = [(predict(trained(HybridFusion, drop=drop), data)[:, 1] - 0.5).abs().mean() for drop in (0.0, 0.4)]
    assert sure[1] < 0.1 and sure[1] < sure[0] - 0.1


def test_without_takes_a_share_of_one_modality():
    data = toy(1000, 0)
    gone = data.without("note", 0.3)
    assert gone.keep[:, 0].all() and 0.25 < (~gone.keep[:, 1]).float().mean() < 0.35 and data.keep.all()
    assert not data.without("image").keep[:, 0].any()
    with pytest.raises(UnknownNameError, match="image"):
        data.without("imge")
