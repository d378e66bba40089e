"""Attention: the fused and the explicit path agree with a dense computation, whatever is masked."""

import math

import pytest
import torch
from twins import assert_equal, rand

from medvlm_lab.nn.layers import Attention, attend


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_both_paths_equal_a_dense_computation(masked, causal):
    q, k, v = rand(2, 3, 5, 4, grad=True), rand(2, 3, 5, 4), rand(2, 3, 5, 4)
    keep = torch.rand(2, 1, 5, 5) < 0.5 if masked else torch.ones(2, 1, 5, 5, dtype=torch.bool)
    keep[..., 0] = True
    sees = keep & torch.ones(5, 5, dtype=torch.bool).tril() if causal else keep
    weights = (q @ k.mT / math.sqrt(4)).exp() * sees
    weights = weights / weights.sum(-1, keepdim=True)
    arguments = (q, k, v, keep if masked else None, causal)
    assert_equal(attend(*arguments), weights @ v, [q])
    with torch.inference_mode():
        assert_equal(attend(*arguments), weights @ v)
        maps = []
        assert_equal(attend(*arguments, maps), weights @ v)
    assert_equal(maps[0], weights)


def test_memory_of_another_width():
    attention, x, memory = Attention(8, 2, memory_width=6).double(), rand(2, 3, 8), rand(2, 5, 6)
    keep = torch.rand(2, 3, 5) < 0.5
    keep[..., 0] = True
    together = attention(x, memory, keep)
    for i in range(3):  # a mask per query equals one query at a time with a mask of its own
        assert_equal(together[:, i : i + 1], attention(x[:, i : i + 1], memory, keep[:, i]))
