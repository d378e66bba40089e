"""Grad-CAM, Grad-CAM++ and Score-CAM against pytorch-grad-cam itself: same model, layer and pixels, double precision.

The library brings its maps to [0, 1] and to the picture's size in single precision; they are compared before that.
"""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.explain.base import traced
from medvlm_lab.explain.registry import function
from medvlm_lab.models.trace import Trace, record_map
from medvlm_lab.models.view import View
from medvlm_lab.nn.vit import StemViT

library = pytest.importorskip("pytorch_grad_cam")
BY_GRADIENT = {"grad-cam": "GradCAM", "grad-cam-plus-plus": "GradCAMPlusPlus"}
WHOLE = View((64, 64), (0.0, 0.0, 64.0, 64.0))
TEXT = "Is there a nodule?"


class Output(nn.Module):
    """What the library asks: pixels (n, c, s, s) → what the model puts out (n, 1)."""

    def __init__(self, module, trace, unit):
        super().__init__()
        self.module, self.trace, self.unit = module, trace, unit

    def forward(self, pixels):
        found = self.trace.again(pixels.view(-1, *self.trace.pixels.shape[1:]))
        if self.trace.text_embedding is not None:
            found = (F.normalize(found, dim=-1) if self.unit else found) @ self.trace.text_embedding
        return found[:, None]


def doubled(model, picture):
    """A copy in double precision that sees fresh random pixels."""
    model, pixels = copy.copy(model), torch.rand(model.pixels([picture]).shape, dtype=torch.float64)
    if hasattr(model, "encode_texts"):
        text = model.encode_texts([TEXT]).double()
        model.encode_texts = lambda texts: text
    model.module, model.pixels = copy.deepcopy(model.module).double(), lambda images: pixels
    return model


@pytest.fixture
def theirs(monkeypatch):
    """(network, layer, trace, class) → the library's map over the layer's grid."""
    monkeypatch.setattr("pytorch_grad_cam.base_cam.scale_cam_image", lambda cam, size=None: cam)

    def explained(module, layer, trace, name):
        def reshaped(x):
            """As the library's own for ViTs; a convolutional map is one already."""
            cells = trace.grid[0] * trace.grid[1]
            return x if x.ndim == 4 else x[:, -cells:].transpose(1, 2).unflatten(2, trace.grid)

        # Score-CAM asks for the score, f · t̂; the others for the cosine
        net, pixels = Output(module, trace, unit=name != "ScoreCAM"), trace.pixels.detach()
        with getattr(library, name)(net, [layer], reshape_transform=reshaped) as cam:
            return torch.tensor(cam(pixels.view(1, -1, *pixels.shape[-2:]), [lambda out: out[0]])[0])

    return explained


def apart(ours, theirs):
    """The largest difference, of a map whose largest value is 1."""
    assert ours.dtype == theirs.dtype == torch.float64 and theirs.max() > 0
    return (ours.detach() - theirs).abs().max() / theirs.max()


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("method", BY_GRADIENT)
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("chexzero", "image_encoder.stages.2"), ("echo-clip", "image_encoder.stages.0"),
        ("echo-clip", "image_encoder.stages.2"), ("vit-bert-vqa", "image_encoder.stem.blocks.10"),
        ("vit-bert-vqa", "image_encoder.layers.0"), ("vit-bert-vqa", "image_encoder.layers.1"),
    ],
)  # fmt: skip
def test_maps_of_bundled_models(theirs, picture, name, layer, method, seed):
    torch.manual_seed(seed)
    model = doubled(lab.load(name, device="cpu"), picture)
    trace = traced(model, picture, TEXT, layer)
    found = theirs(model.module, model.module.get_submodule(layer), trace, BY_GRADIENT[method])
    assert apart(function(method).__wrapped__(trace), found) < 1e-6


@pytest.fixture(params=["bundled", "transformer"])
def scored(request, picture):
    """A network, its layer and the trace that looks at it; the bundled transformers have channels for half a minute."""
    torch.manual_seed(4)
    if request.param == "bundled":
        model = doubled(lab.load("echo-clip", device="cpu"), picture)
        layer = "image_encoder.stages.0"
        return model.module, model.module.get_submodule(layer), traced(model, picture, TEXT, layer)
    net, pixels = StemViT(64, 3, 24, 2, 2).double(), torch.rand(1, 3, 64, 64, dtype=torch.float64)
    towards = torch.randn(24, dtype=torch.float64)
    score = lambda pixels: net(pixels).mean(1) @ towards  # noqa: E731
    with record_map(net.layers[0], (4, 4), leaving=True) as maps:
        total = score(pixels)[0]
    return net, net.layers[0], Trace(TEXT, total, maps[0], WHOLE, pixels=pixels, again=score)


def test_score_cam_enlarges_its_masks_as_the_authors_do(theirs, scored, monkeypatch):
    """Without `align_corners`, so that a mask lies where its channel's cells do; in that alone the library differs."""
    module, layer, trace = scored
    ours = function("score-cam").__wrapped__(trace)
    assert apart(ours, theirs(module, layer, trace, "ScoreCAM")) > 1e-3
    enlarged = partial(nn.Upsample, mode="bilinear", align_corners=False)
    monkeypatch.setattr("torch.nn.UpsamplingBilinear2d", enlarged)
    assert apart(ours, theirs(module, layer, trace, "ScoreCAM")) < 1e-6


def test_score_cam_of_masks_that_need_not_be_enlarged(theirs):
    torch.manual_seed(3)
    pixels = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    layer = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1)).double()
    score = lambda pixels: layer(pixels).relu().mean((2, 3)).pow(2).sum(1)  # noqa: E731
    trace = Trace(TEXT, score(pixels)[0], layer(pixels), WHOLE, pixels=pixels, again=score)
    assert apart(function("score-cam").__wrapped__(trace), theirs(layer, layer, trace, "ScoreCAM")) < 1e-6
