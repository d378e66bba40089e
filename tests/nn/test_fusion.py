"""Fusions: one contract, one budget; what is missing has no influence at all."""

import pytest
import torch
from torch import nn
from twins import rand

from medvlm_lab.errors import MedVLMError
from medvlm_lab.nn.fusion import PAD, EarlyFusion, Fusion, HybridFusion, LateFusion, Reader, Sizes
from medvlm_lab.nn.layers import count_parameters

SIZES = Sizes(cells=4, channels=6, words=9, context=7, labels=3, width=16, heads=2, hidden=32)
each = pytest.mark.parametrize("kind", [EarlyFusion, LateFusion, HybridFusion])


def batch(n=5):
    return rand(n, 4, 6), torch.randint(1, 9, (n, 7))


@each
def test_logits_for_each_patient_and_label(kind):
    assert kind(SIZES).double()(*batch()).shape == (5, 3)


def test_budgets_are_equal_within_five_percent():
    for sizes in (SIZES, Sizes(cells=9, channels=192, words=100, context=24, labels=3)):
        counts = [count_parameters(kind(sizes)) for kind in (EarlyFusion, LateFusion, HybridFusion)]
        assert max(counts) < 1.05 * min(counts)


@each
@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("other", [1.0, float("nan")])
def test_a_missing_modality_has_no_influence(kind, missing, other):
    model, (image, note) = kind(SIZES).double(), batch()
    keep = torch.ones(5, 2, dtype=torch.bool)
    keep[1:, missing] = False  # the first patient keeps both
    changed = [image.clone(), note.clone()]
    if missing == 0:
        changed[0][1:] = other * 100
    else:
        changed[1][1:] = torch.randint(1, 9, (4, 7))
    assert torch.equal(model(image, note, keep), model(*changed, keep))
    assert not torch.equal(model(image, note, keep)[1:], model(image, note)[1:])


@each
def test_padding_has_no_influence(kind):
    model, (image, note) = kind(SIZES).double(), batch()
    note[:, 5:] = PAD
    torch.testing.assert_close(model(image, note), model(image, note[:, :5]), rtol=0, atol=1e-12)


@each
def test_a_patient_without_anything_gets_even_odds(kind):
    nothing = torch.zeros(5, 2, dtype=torch.bool)
    assert torch.equal(kind(SIZES).double()(*batch(), nothing), torch.zeros(5, 3, dtype=torch.float64))


@each
def test_every_parameter_and_both_modalities_learn(kind):
    model, (image, note) = kind(SIZES).double(), batch(40)
    image.requires_grad_()
    model(image, note).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert (image.grad.abs().sum((1, 2)) > 0).all()


def test_late_fusion_adds_what_each_modality_says_alone():
    model, (image, note) = LateFusion(SIZES).double(), batch()
    alone = [torch.tensor([[m == 0, m == 1]]).expand(5, 2) for m in range(2)]
    torch.testing.assert_close(sum(model(image, note, keep) for keep in alone), model(image, note))


def test_a_readers_own_fusion_needs_fuse_only():
    class Product(Fusion):
        def __init__(self, sizes):
            super().__init__(sizes)
            self.see, self.read = Reader(sizes, 2, out=5), Reader(sizes, 2, out=5)
            self.out = nn.Linear(5, sizes.labels)

        def fuse(self, image, note, seen, read):
            return self.out(self.see(image, seen) * self.read(note, read))

    assert Product(SIZES).double()(*batch()).shape == (5, 3)
    with pytest.raises(NotImplementedError):
        Fusion(SIZES).double()(*batch())


@pytest.mark.parametrize("wrong", [{"layers": 6}, {"width": 15}])
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(MedVLMError, match="change these numbers"):
        Sizes(cells=4, channels=6, words=9, context=7, labels=3, **wrong)
