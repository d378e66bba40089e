"""The Perceiver resampler equals IDEFICS-1's in transformers."""

import pytest
import torch
from transformers import IdeficsConfig
from transformers.models.idefics.perceiver import IdeficsPerceiverResampler
from twins import assert_equal, rand, random_padding, randomise, share

from medvlm_lab.nn.resampler import PerceiverResampler

NAMES = (
    (r"blocks\.(\d+)\.0\.", r"attentions.\1."),
    (r"blocks\.(\d+)\.1\.ln", r"mlps.\1.0"),
    (r"blocks\.(\d+)\.1\.fc", r"mlps.\1.1"),
    (r"blocks\.(\d+)\.1\.c_proj", r"mlps.\1.3"),
    (r"context_layer_norm", "feature_norm"),
    (r"latents_layer_norm", "latent_norm"),
    (r"([qk])_layer_norm", r"\1_norm"),
    (r"output_proj", "out_proj"),
    (r"^layer_norm", "norm"),
)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_equals_idefics(qk_norm):
    config = IdeficsConfig(
        vision_config={"embed_dim": 24}, perceiver_config={"qk_layer_norms_perceiver": qk_norm}
    )
    theirs = randomise(IdeficsPerceiverResampler(config, 24, 3, 4, 10, 5)).double().eval()
    state = theirs.state_dict() | {"latents": theirs.latents[None]}
    ours = share(PerceiverResampler(24, 3, 4, 10, 5, qk_norm=qk_norm), state, *NAMES)
    features = rand(2, 11, 24, grad=True)
    assert_equal(ours(features), theirs(features), [features])
    with torch.inference_mode():
        assert_equal(ours(features), theirs(features))


def test_any_number_of_features_becomes_as_many_as_latents():
    model, maps = PerceiverResampler(16, 2, 2, 8, latents=7), []
    for count in (1, 5, 40):
        assert model(torch.randn(3, count, 16)).shape == (3, 7, 16)
    model(torch.randn(3, 40, 16), maps=maps)
    assert [m.shape for m in maps] == [(3, 2, 7, 47)] * 2


def test_masked_features_have_no_influence():
    model = PerceiverResampler(16, 2, 2, 8, latents=7).double()
    features, keep = rand(4, 9, 16), random_padding(4, 9)
    other = torch.where(keep[..., None], features, rand(4, 9, 16) * 100)
    assert torch.equal(model(features, keep), model(other, keep))
    for row, real, out in zip(features, keep, model(features, keep), strict=True):
        assert_equal(out, model(row[real][None])[0])
