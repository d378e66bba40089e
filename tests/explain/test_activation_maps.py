"""Class activation maps against closed forms, captum and the algorithm written out, in double precision."""

import copy

import pytest
import torch
from torch.nn import functional as F

from medvlm_lab.explain.grad_cam import grad_cam
from medvlm_lab.explain.grad_cam_plus_plus import grad_cam_plus_plus
from medvlm_lab.explain.prompt_cam import prompt_cam
from medvlm_lab.explain.score_cam import score_cam
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import View


@pytest.fixture(scope="module")
def exact(chest):
    """A trace in double precision, and the tower and pixels that it comes from."""
    tower = copy.deepcopy(chest.module.image_encoder).double()
    torch.manual_seed(0)
    pixels = torch.randn(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    towards = F.normalize(torch.randn(24, dtype=torch.float64), dim=0)
    features = tower.features(pixels)
    embedding = tower.embed(features)[0]
    trace = Trace(
        "text", embedding @ towards, features, View((64, 64), (0.0, 0.0, 64.0, 64.0)), embedding=embedding,
        text_embedding=towards, pixels=pixels, again=tower,
    )  # fmt: skip
    return trace, tower, pixels


def test_prompt_cam_is_its_closed_form(exact):
    trace, tower, _ = exact
    maps = trace.activations.detach()[0]  # (c, h, w)
    x = maps.mean((1, 2))
    spread = (x.var(correction=0) + tower.norm.eps).sqrt()
    unit = (x - x.mean()) / spread
    pulled = tower.norm.weight * (tower.projection.weight.T @ trace.text_embedding)  # γ ⊙ Wᵀ t̂
    jacobian = (pulled - pulled.mean() - unit * (pulled * unit).mean()) / spread  # J_LNᵀ Wᵀ t̂
    alpha = jacobian / maps[0].numel()
    expected = torch.einsum("c,chw->hw", alpha, maps).relu()
    assert expected.max() > 0
    torch.testing.assert_close(prompt_cam.__wrapped__(trace), expected, rtol=1e-12, atol=1e-15)


def test_grad_cam_is_captum_s(exact):
    from captum.attr import LayerGradCam

    trace, tower, pixels = exact
    cosine = lambda x: F.cosine_similarity(tower(x), trace.text_embedding[None])  # noqa: E731
    expected = LayerGradCam(cosine, tower.stages).attribute(pixels, relu_attributions=True)[0, 0]
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam.__wrapped__(trace), expected, rtol=1e-6, atol=1e-12)


def test_score_cam_is_its_algorithm_channel_by_channel(exact):
    trace, tower, pixels = exact
    x, maps, scores = pixels.detach(), trace.activations.detach(), []
    with torch.no_grad():
        empty = tower(torch.zeros_like(x))[0] @ trace.text_embedding
        for channel in maps[0]:
            mask = F.interpolate(channel[None, None], (64, 64), mode="bilinear", align_corners=False)
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores.append(tower(x * mask)[0] @ trace.text_embedding - empty)
    weights = torch.stack(scores).softmax(0)
    expected = sum(w * channel for w, channel in zip(weights, maps[0], strict=True)).clamp(min=0)
    torch.testing.assert_close(score_cam.__wrapped__(trace, batch=5), expected, rtol=1e-9, atol=1e-12)


def test_a_bright_square_that_the_text_names_is_where_the_maps_are_largest():
    """A network that answers with the largest brightness of any cell: every map has to point there."""
    pixels = torch.full((1, 1, 64, 64), 0.1, dtype=torch.float64)
    pixels[..., 16:32, 48:64] = 1.0
    pixels.requires_grad_()

    def look(pixels):
        cells = F.avg_pool2d(pixels, 16)
        return torch.cat([cells, 1 - cells], 1)  # (n, 2, 4, 4): brightness, darkness

    maps = look(pixels)
    again = lambda pixels: look(pixels)[:, 0].amax((1, 2))  # noqa: E731
    trace = Trace("bright", maps[0, 0].amax(), maps, View((64, 64), (0.0, 0.0, 64.0, 64.0)), pixels=pixels, again=again)
    for method in (grad_cam, grad_cam_plus_plus, prompt_cam, score_cam):
        found = method.__wrapped__(trace)
        assert found.flatten().argmax() == 1 * 4 + 3, method.__name__
