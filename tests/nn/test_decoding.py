"""Single steps against full passes: float64, padding on the left, grouped queries, hooks."""

import pytest
import torch

from medvlm_lab.nn.decoding import Steps
from medvlm_lab.nn.llama import KeyValueCache, Llama, LlamaConfig


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("padded", [False, True])
def test_a_step_is_the_full_pass(kv_heads, padded):
    torch.manual_seed(kv_heads)
    model = Llama(LlamaConfig(50, 32, 3, 4, kv_heads, 48)).double()
    ids = torch.randint(0, 50, (3, 12))
    keep = torch.ones(3, 12, dtype=torch.bool)
    if padded:
        keep[0, :4] = keep[2, :1] = False
    hooks = {1: lambda x: x * 1.5 + 0.1}
    with torch.no_grad():
        whole = model.hidden(ids, keep, before_layer=hooks)
        cache = KeyValueCache()
        model.hidden(ids[:, :7], keep[:, :7], cache, hooks)
        step = Steps(model, cache, 5)
        for i in range(7, 12):
            one = step(model.embedding(ids[:, i : i + 1]), hooks)[:, 0]
            torch.testing.assert_close(one, whole[:, i], rtol=1e-11, atol=1e-11)


def test_generation_is_the_likeliest_next_token_of_full_passes():
    torch.manual_seed(0)
    model = Llama(LlamaConfig(40, 32, 2, 4, 2, 48)).double()
    torch.nn.init.normal_(model.embedding.weight)
    ids = torch.randint(0, 40, (2, 6))
    logs: list[torch.Tensor] = []
    written = model.generate(ids, max_tokens=9, logs=logs)
    rows, expected = ids, []
    for _ in range(9):
        best = model(rows)[:, -1].log_softmax(-1).max(-1)
        expected.append(best.values)
        rows = torch.cat([rows, best.indices[:, None]], 1)
    assert torch.equal(written, rows[:, 6:])
    torch.testing.assert_close(torch.stack(logs), torch.stack(expected).float(), rtol=1e-5, atol=1e-6)


def test_bfloat16_stays_bfloat16():
    model = Llama(LlamaConfig(40, 32, 2, 4, 2, 48)).bfloat16()
    ids = torch.randint(0, 40, (2, 6))
    with torch.no_grad():
        cache = KeyValueCache()
        model.hidden(ids, None, cache)
        out = Steps(model, cache, 2)(model.embedding(ids[:, :1]))
    assert out.dtype == torch.bfloat16 and out.isfinite().all()
