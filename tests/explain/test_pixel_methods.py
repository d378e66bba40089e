"""Methods that ask for the score of changed pictures, and patches compared with texts."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from medvlm_lab import explain
from medvlm_lab.explain.integrated_gradients import integrated_gradients
from medvlm_lab.explain.occlusion import occlusion
from medvlm_lab.explain.patch_similarity import AGAINST, patch_similarity
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import View


@pytest.fixture(scope="module")
def linear():
    """A score that is a weighted sum of the pixels, and the weights."""
    torch.manual_seed(0)
    weights, pixels = torch.randn(3, 8, 8), torch.rand(1, 3, 8, 8)
    again = lambda x: (x * weights).sum((1, 2, 3))  # noqa: E731
    view = View((8, 8), (0.0, 0.0, 8.0, 8.0))
    return Trace("x", again(pixels)[0], torch.zeros(1, 1, 2, 2), view, pixels=pixels, again=again), weights


def test_of_a_weighted_sum_each_pixel_gets_its_own_part(linear):
    trace, weights = linear
    parts = (weights * trace.pixels[0]).sum(0)
    torch.testing.assert_close(integrated_gradients.__wrapped__(trace, steps=4), parts, rtol=1e-4, atol=1e-5)
    squares = parts.view(4, 2, 4, 2).sum((1, 3)).repeat_interleave(2, 0).repeat_interleave(2, 1)
    torch.testing.assert_close(occlusion.__wrapped__(trace, window=2, stride=2), squares, rtol=1e-4, atol=1e-5)


def test_overlapping_squares_are_averaged(linear):
    trace, weights = linear
    parts = (weights * trace.pixels[0]).sum(0)
    total, count = torch.zeros(8, 8), torch.zeros(8, 8)
    for y in range(0, 5, 2):
        for x in range(0, 5, 2):
            total[y : y + 4, x : x + 4] += parts[y : y + 4, x : x + 4].sum()
            count[y : y + 4, x : x + 4] += 1
    torch.testing.assert_close(occlusion.__wrapped__(trace, window=4), total / count, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["chest", "clinical-blip", "flamingo-cxr", "clip", "llava"])
def test_integrated_gradients_add_up_to_the_score_s_rise(request, writers, published, xray, name):
    model = request.getfixturevalue("chest") if name == "chest" else (writers | published)[name]
    trace = model.trace(xray, "Is there a nodule?")
    with torch.no_grad():
        whole, empty = trace.rescore(torch.cat([trace.pixels, torch.zeros_like(trace.pixels)]))
    assert whole.item() == pytest.approx(trace.score.item(), rel=1e-3, abs=1e-4)
    steps = 800 if name == "flamingo-cxr" else 200  # its norms are steep near an empty picture
    found = integrated_gradients.__wrapped__(trace, steps=steps, batch=50)
    assert found.abs().max() > 0
    assert found.sum().item() == pytest.approx((whole - empty).item(), rel=0.05, abs=2e-3)


def test_patches_by_hand(chest, xray):
    trace = chest.trace(xray, "There is nodule.")
    tower, maps = chest.module.image_encoder, trace.activations.detach()
    expected = np.zeros(trace.grid)
    redundant = chest.encode_texts(AGAINST)
    with torch.no_grad():
        for i in range(trace.grid[0]):
            for j in range(trace.grid[1]):
                cell = F.normalize(tower.projection(tower.norm(maps[0, :, i, j])), dim=0)
                features = cell * trace.text_embedding  # what image and text share, feature by feature
                common = (cell * redundant).mean(0)
                expected[i, j] = (features - common).sum()
    seen = patch_similarity(chest, xray, "There is nodule.")
    assert seen.signed and seen.values.min() < 0 < seen.values.max()
    np.testing.assert_allclose(seen.values, trace.to_image(torch.tensor(expected)), rtol=1e-3, atol=1e-5)


def test_patches_of_a_published_clip_are_projected_like_its_class_token(published, picture):
    model = published["clip"]
    trace = model.trace(picture, "is there a nodule")
    vision = model.module.vision_model(pixel_values=trace.pixels.detach()).last_hidden_state[0]
    rows = model.module.visual_projection(model.module.vision_model.post_layernorm(vision))
    torch.testing.assert_close(rows[0], trace.embedding)
    torch.testing.assert_close(trace.patches(), rows[1:])
    bare = explain.explain("patch-similarity", model, picture, "is there a nodule", against=())
    expected = (F.normalize(rows[1:], dim=-1) @ trace.text_embedding).detach().view(4, 4)
    np.testing.assert_allclose(bare.values, trace.to_image(expected), rtol=1e-4, atol=1e-6)
