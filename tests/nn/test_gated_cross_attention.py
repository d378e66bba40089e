"""Gated cross-attention equals IDEFICS-1's in transformers; closed gates change nothing, blind tokens get nothing."""

import pytest
import torch
from transformers import IdeficsConfig
from transformers.models.idefics import modeling_idefics
from twins import Torch64, assert_equal, rand, randomise, share

from medvlm_lab.nn.gated_cross_attention import GatedCrossAttention, latest_image_mask

NAMES = (
    (r"^cross_attn\.", ""),
    (r"o_proj", "out_proj"),
    (r"([qk])_layer_norm", r"\1_norm"),
    (r"^input_layernorm", "norm1"),
    (r"^post_attention_layernorm", "norm2"),
    (r"alpha_cross_attn", "attention_gate"),
    (r"alpha_dense", "mlp_gate"),
)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_equals_idefics(monkeypatch, qk_norm):
    monkeypatch.setattr(modeling_idefics, "torch", Torch64())
    config = IdeficsConfig(
        hidden_size=24, intermediate_size=40, num_attention_heads=4, vision_config={"embed_dim": 16},
        qk_layer_norms=qk_norm,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = randomise(modeling_idefics.IdeficsGatedCrossAttentionLayer(config, 0)).double().eval()
    ours = share(GatedCrossAttention(24, 4, 40, 16, qk_norm), theirs, *NAMES)
    x, media = rand(2, 9, 24, grad=True), rand(2, 6, 16, grad=True)
    markers = torch.zeros(2, 9, dtype=torch.bool)
    markers[0, [2, 6]] = markers[1, 4] = True
    keep = latest_image_mask(markers, images=2, tokens=3)
    expected = theirs(
        x,
        image_hidden_states=media,
        image_attention_mask=torch.zeros(keep.shape).masked_fill(~keep, -1e30).double()[:, None],
        cross_attention_gate=keep.any(-1).double(),
    )
    maps = []
    out = ours(x, media, keep, maps)
    assert_equal(out, expected, [x, media])
    assert maps[0].shape == (2, 4, 9, 6)
    with torch.inference_mode():
        assert_equal(ours(x, media, keep), expected)


def test_closed_gates_change_nothing():
    block, x = GatedCrossAttention(24, 4, 40, 16), torch.randn(2, 9, 24)
    assert torch.equal(block(x, torch.randn(2, 6, 16)), x)


def test_text_before_the_first_image_gets_exactly_nothing_from_it():
    block = randomise(GatedCrossAttention(24, 4, 40, 16)).double()
    x, markers = rand(1, 9, 24), torch.arange(9)[None] == 4
    keep = latest_image_mask(markers, 1, 6)
    outs = [block(x, rand(1, 6, 16) * scale, keep) for scale in (1, 100)]
    assert torch.equal(outs[0][:, :4], outs[1][:, :4])
    assert not torch.isclose(outs[0][:, 4:], outs[1][:, 4:]).any(-1).all()
    y = block.attention(x, rand(1, 6, 16), keep, None)
    assert (y[:, :4] == 0).all() and (y[:, 4:] != 0).all()
    media = rand(1, 6, 16, grad=True)
    block(x, media, keep)[:, :4].sum().backward()
    assert (media.grad == 0).all()


def test_each_token_sees_the_latest_image():
    markers = torch.tensor([[0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0]]).bool()
    mask = latest_image_mask(markers, images=2, tokens=2).int()
    assert mask[0].tolist() == [[0, 0, 0, 0], *[[1, 1, 0, 0]] * 3, *[[0, 0, 1, 1]] * 2]
    assert mask[1].tolist() == [[1, 1, 0, 0]] * 6
    with pytest.raises(ValueError, match="2 image markers"):
        latest_image_mask(markers, images=1, tokens=2)
