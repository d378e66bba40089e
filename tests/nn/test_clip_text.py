"""CLIP's text tower equals open_clip's and transformers'."""

import open_clip
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection
from twins import assert_equal, randomise, share

from medvlm_lab.nn.clip_text import CLIPText


def texts(n=5, context=12, vocabulary=60):
    """Random texts: tokens, the end-of-text token (the highest id), zeros."""
    ids, length = torch.randint(1, vocabulary - 1, (n, context)), torch.randint(1, context, (n, 1))
    return ids.masked_fill(torch.arange(context) > length, 0).scatter(1, length, vocabulary - 1)


def open_clip_state(theirs):
    """open_clip keeps q, k, v in one matrix and applies the projection from the right."""
    state = {}
    for name, value in theirs.state_dict().items():
        if "in_proj" in name:
            for part, slice_ in zip("qkv", value.chunk(3), strict=True):
                state[name.replace("in_proj_", f"{part}_proj.")] = slice_
        else:
            state[name] = value
    return state | {"projection.weight": state.pop("text_projection").T}


@pytest.mark.parametrize("quick", [False, True])
def test_equals_open_clip(quick):
    activation = open_clip.transformer.QuickGELU if quick else torch.nn.GELU
    theirs = open_clip.transformer.TextTransformer(12, 60, 32, 4, 3, output_dim=10, act_layer=activation)
    randomise(theirs).double().eval()
    ours = share(
        CLIPText(10, 60, 12, 32, 3, 4, eot=59, quick_gelu=quick),
        open_clip_state(theirs),
        (r"^transformer\.resblocks", "layers"),
        (r"^positional_embedding", "positions"),
        (r"^ln_final", "norm"),
        (r"ln_([12])", r"norm\1"),
        (r"attn\.", "attention."),
        (r"mlp\.c_fc", "mlp.0"),
        (r"mlp\.c_proj", "mlp.3"),
    )
    ids = texts()
    assert_equal(ours(ids), theirs(ids))
    with torch.inference_mode():
        assert_equal(ours(ids), theirs(ids))


@pytest.mark.parametrize("quick", [False, True])
def test_equals_transformers(quick):
    config = CLIPTextConfig(
        vocab_size=60, hidden_size=32, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=12, projection_dim=10, eos_token_id=59, hidden_act="quick_gelu" if quick else "gelu",
    )  # fmt: skip
    theirs = randomise(CLIPTextModelWithProjection(config)).double().eval()
    ours = share(
        CLIPText(10, 60, 12, 32, 3, 4, eot=59, quick_gelu=quick),
        theirs,
        (r"^text_model\.", ""),
        (r"^text_projection", "projection"),
        (r"^embeddings\.", ""),
        (r"^position_embedding\.weight", "positions"),
        (r"^final_layer_norm", "norm"),
        (r"^encoder\.", ""),
        (r"layer_norm", "norm"),
        (r"self_attn", "attention"),
        (r"mlp\.fc1", "mlp.0"),
        (r"mlp\.fc2", "mlp.3"),
    )
    ids = texts()
    expected = theirs(ids)
    assert_equal(ours(ids), expected.text_embeds)
    assert_equal(ours.tokens(ids), expected.last_hidden_state)


def test_tokens_after_the_end_change_nothing():
    model, ids = CLIPText(10, 60, 12, 32, 2, 4, eot=59).double(), texts()
    after = (ids == 59).cumsum(1) - (ids == 59).int() > 0
    for padding in (torch.randint(60, ids.shape), torch.full_like(ids, 59)):  # transformers pads with the end token
        assert torch.equal(model(ids), model(torch.where(after, padding, ids)))


def test_what_cannot_be_read_is_refused():
    model = CLIPText(10, 60, 12, 32, 1, 4, eot=59)
    with pytest.raises(ValueError, match="end-of-text token 59"):
        model(torch.tensor([[3, 59, 0], [3, 4, 5]]))
    with pytest.raises(ValueError, match="13 tokens"):
        model(torch.full((1, 13), 59))
