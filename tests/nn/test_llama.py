"""The language model equals transformers' LLaMA, its cache changes nothing, padding and gated blocks fit in."""

import pytest
import torch
from transformers import LlamaConfig as TheirConfig
from transformers import LlamaForCausalLM
from transformers.models.llama import modeling_llama
from twins import Torch64, assert_equal, rand, randomise, share

from medvlm_lab.nn.gated_cross_attention import GatedCrossAttention, latest_image_mask
from medvlm_lab.nn.llama import KeyValueCache, Llama, LlamaConfig, rotation

NAMES = (
    (r"^model\.", ""),
    (r"embed_tokens", "embedding"),
    (r"lm_head", "head"),
    (r"self_attn", "attention"),
    (r"o_proj", "out_proj"),
    (r"input_layernorm", "norm1"),
    (r"post_attention_layernorm", "norm2"),
)


def twins(monkeypatch, tied=True, kv_heads=2):
    """transformers' LLaMA, computing in float64, and ours with its weights."""
    monkeypatch.setattr(modeling_llama, "torch", Torch64())
    theirs = LlamaForCausalLM(
        TheirConfig(
            vocab_size=70, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=kv_heads, tie_word_embeddings=tied, rms_norm_eps=1e-5, rope_theta=500.0,
        )
    )  # fmt: skip
    randomise(theirs).double().eval()
    state = theirs.state_dict()
    if tied:
        del state["lm_head.weight"]
    ours = Llama(LlamaConfig(70, 32, 3, 4, kv_heads, 48, theta=500.0, eps=1e-5, tied=tied))
    return share(ours, state, *NAMES), theirs


@pytest.fixture
def model():
    return randomise(Llama(LlamaConfig(70, 32, 3, 4, 2, 48))).double().eval()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_equals_transformers(monkeypatch, tied, kv_heads):
    ours, theirs = twins(monkeypatch, tied, kv_heads)
    ids, keep = torch.randint(70, (3, 11)), torch.arange(11) >= torch.tensor([[0], [4], [9]])
    positions = (keep.cumsum(1) - 1).clamp(min=0)
    expected = theirs(ids, attention_mask=keep.long(), position_ids=positions).logits
    assert_equal(ours(ids, keep)[keep], expected[keep])
    soft = rand(2, 7, 32, grad=True)
    assert_equal(ours(soft), theirs(inputs_embeds=soft).logits, [soft])
    with torch.inference_mode():
        assert_equal(ours(ids, keep)[keep], expected[keep])


def test_writes_what_transformers_writes(monkeypatch):
    ours, theirs = twins(monkeypatch)
    ids, keep = torch.randint(70, (4, 6)), torch.arange(6) >= torch.tensor([[0], [1], [3], [5]])
    free = ours.generate(ids, keep, max_tokens=12)
    eos = int(free[0, 5])  # a token that at least one row writes on its way
    for stop, settings in ((None, {"eos_token_id": None}), (eos, {"eos_token_id": eos})):
        settings |= {"max_new_tokens": 12, "do_sample": False, "pad_token_id": eos, "attention_mask": keep.long()}
        written = ours.generate(ids, keep, max_tokens=12, eos=stop)
        assert torch.equal(written, theirs.generate(ids, **settings)[:, 6:])
    soft = theirs.generate(inputs_embeds=theirs.model.embed_tokens(ids), **settings)
    assert torch.equal(ours.generate(ours.embedding(ids), keep, max_tokens=12, eos=eos), soft)


def test_the_cache_changes_nothing(model):
    ids, keep = torch.randint(70, (3, 10)), torch.arange(10) >= torch.tensor([[0], [2], [5]])
    full = model(ids, keep)
    for cuts in ([10], [6, 1, 1, 1, 1], [1] * 10, [3, 4, 3]):
        cache = KeyValueCache()
        steps = [model(i, k, cache) for i, k in zip(ids.split(cuts, 1), keep.split(cuts, 1), strict=True)]
        torch.testing.assert_close(torch.cat(steps, 1)[keep], full[keep], rtol=1e-12, atol=1e-12)


def test_the_cache_follows_the_rows_that_beam_search_keeps(model):
    ids, rows, new = torch.randint(70, (3, 6)), torch.tensor([2, 0, 2]), torch.randint(70, (3, 1))
    cache, keep = KeyValueCache(), torch.arange(6) >= torch.tensor([[0], [2], [4]])
    model(ids, keep, cache)
    cache.select(rows)
    keep = torch.cat([keep[rows], keep.new_ones(3, 1)], 1)
    whole = model(torch.cat([ids[rows], new], 1), keep)[:, -1:]
    torch.testing.assert_close(model(new, cache=cache), whole, rtol=1e-12, atol=1e-12)


def test_a_padded_batch_equals_each_text_alone(model):
    texts = [torch.randint(70, (1, n)) for n in (2, 5, 8)]
    for side in ("left", "right"):
        rows = [torch.randint(70, (1, 8 - t.shape[1])) for t in texts]
        rows = [torch.cat([pad, t] if side == "left" else [t, pad], 1) for pad, t in zip(rows, texts, strict=True)]
        real = torch.arange(8) < torch.tensor([[2], [5], [8]])
        keep = real.flip(1) if side == "left" else real
        out = model(torch.cat(rows), keep)
        for row, mask, text in zip(out, keep, texts, strict=True):
            torch.testing.assert_close(row[mask], model(text)[0], rtol=1e-12, atol=1e-12)


def test_padding_between_an_image_and_its_words_leaves_no_gap(model):
    """Rotary attention feels distances only, so that just padding in the middle could shift anything."""
    ids, keep = torch.randint(70, (2, 9)), torch.tensor([[1, 1, 0, 0, 0, 1, 1, 0, 1]]).bool().expand(2, -1)
    together = model(ids[keep].view(2, -1)).flatten(0, 1)
    torch.testing.assert_close(model(ids, keep)[keep], together, rtol=1e-12, atol=1e-12)


def test_soft_tokens_before_the_words(model):
    """Embedded words after an image's tokens see these; the image's tokens see no word."""
    image, ids = rand(1, 4, 32), torch.randint(70, (1, 5))
    logits = [model(torch.cat([x, model.embedding(i)], 1)) for x, i in ((image, ids), (-image, ids), (image, 69 - ids))]
    assert (logits[0][:, 4:] != logits[1][:, 4:]).any(-1).all()
    assert torch.equal(logits[0][:, :4], logits[2][:, :4])


def test_gated_blocks_between_layers(model):
    """Closed gates leave the model unchanged; open ones give the same with and without the cache."""
    ids, media = torch.randint(70, (2, 6)), rand(2, 4, 16)
    sees = latest_image_mask(ids.new_tensor([[0, 1, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]]).bool(), images=2, tokens=2)
    blocks = {i: GatedCrossAttention(32, 4, 48, 16).double() for i in (0, 2)}
    # New tokens see what the last one of the prompt sees.
    hooks = {i: lambda x, block=block: block(x, media, sees[:, -x.shape[1] :]) for i, block in blocks.items()}
    assert torch.equal(model(ids, before_layer=hooks), model(ids))
    for block in blocks.values():
        randomise(block)
    assert not torch.allclose(model(ids, before_layer=hooks), model(ids))
    cache = KeyValueCache()
    steps = [model(ids[:, :6], cache=cache, before_layer=hooks)]
    new = model.generate(ids, max_tokens=5, before_layer=hooks)
    for token in new[:, :4].split(1, 1):
        steps.append(model(token, cache=cache, before_layer=hooks))
    assert torch.equal(torch.cat(steps, 1)[:, 5:].argmax(-1), new)
    longer = torch.cat([sees, sees[:, -1:].expand(-1, 4, -1)], 1)
    hooks = {i: lambda x, block=block: block(x, media, longer) for i, block in blocks.items()}
    whole = model(torch.cat([ids, new[:, :4]], 1), before_layer=hooks)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-12, atol=1e-12)


def test_attention_maps_are_causal_and_sum_to_one(model):
    maps = []
    model(torch.randint(70, (2, 6)), maps=maps)
    assert len(maps) == 3 and maps[0].shape == (2, 4, 6, 6)
    for weights in maps:
        assert (weights.triu(1) == 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_bfloat16_stays_bfloat16(model):
    ids = torch.randint(70, (2, 6))
    half = model.to(torch.bfloat16)(ids)
    assert half.dtype == torch.bfloat16 and half.isfinite().all()
    far = torch.tensor([[3001]])
    for coarse, exact in zip(*(rotation(far, 8, 1e4, d) for d in (torch.bfloat16, torch.float64)), strict=True):
        torch.testing.assert_close(coarse.double(), exact, rtol=1e-2, atol=1e-2)


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="even multiple"):
        LlamaConfig(70, 30, 1, 4, 2, 48)
    with pytest.raises(ValueError, match="kv_heads 3"):
        LlamaConfig(70, 32, 1, 4, 3, 48)
