"""The transformer of the hybrid ViT equals transformers' ViT over the same stem features."""

import torch
from transformers import ViTConfig, ViTModel
from twins import assert_equal, rand, randomise, share

from medvlm_lab.nn.vit import HybridViT

NAMES = (
    (r"^embeddings\.cls_token", "class_token"),
    (r"^embeddings\.position_embeddings", "positions"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_projection"),
    (r"^layernorm", "norm"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"o_proj", "out_proj"),
    (r"fc1", "0"),
    (r"fc2", "3"),
)


def test_equals_transformers():
    config = ViTConfig(
        hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=40, layer_norm_eps=1e-5,
        image_size=2, patch_size=1, num_channels=320,
    )  # fmt: skip
    theirs = randomise(ViTModel(config, add_pooling_layer=False)).double().eval()
    ours = HybridViT(64, 24, 3, 4, 40, dropout=0.1).double()
    state = theirs.state_dict() | {f"stem.{k}": v for k, v in ours.stem.state_dict().items()}
    patch = "embeddings.patch_embeddings.projection.weight"
    share(ours, state | {patch: state[patch][..., 0, 0]}, *NAMES)
    features = rand(2, 320, 2, 2, grad=True)
    expected = theirs(features, output_hidden_states=True)
    assert_equal(ours.encode_patches(features.flatten(2).transpose(1, 2)), expected.last_hidden_state, [features])

    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        hidden = theirs(ours.stem(images), output_hidden_states=True).hidden_states
        assert_equal(ours.patch_tokens(images), hidden[-2][:, 1:])
