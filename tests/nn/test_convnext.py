"""ConvNeXt equals timm's and open_clip's image tower; the last block's output is within reach."""

import timm
import torch
from open_clip.timm_model import TimmModel
from twins import assert_equal, rand, randomise, share

from medvlm_lab.nn.convnext import ConvNeXt

NAMES = (
    (r"^trunk\.", ""),
    (r"^head\.(fc|proj)", "projection"),
    (r"^head\.norm", "norm"),
    (r"downsample\.", ""),
    (r"conv_dw", "depthwise"),
    (r"gamma", "scale"),
    (r"mlp\.fc1", "mlp.0"),
    (r"mlp\.fc2", "mlp.3"),
)


def names(depths):
    """A stage of ours counts norm and convolution of the downsampling as its first two modules."""
    blocks = [
        (rf"stages\.{i}\.blocks\.{j}\.", f"stages.{i}.{j + (2 if i else 0)}.")
        for i in range(len(depths))
        for j in reversed(range(depths[i]))
    ]
    return *NAMES, *blocks


def test_equals_timm():
    depths, widths = (1, 2, 1, 1), (8, 12, 16, 20)
    theirs = timm.models.ConvNeXt(depths=depths, dims=widths, num_classes=6, ls_init_value=0.5)
    theirs.head.fc = torch.nn.Linear(20, 6, bias=False)
    randomise(theirs).double().eval()
    ours = share(ConvNeXt(6, depths, widths), theirs, *names(depths))
    x = rand(2, 3, 96, 64, grad=True)
    a = ours.features(x)
    assert a.shape == (2, 20, 3, 2)
    assert_equal(a, theirs.forward_features(x), [x])
    assert_equal(ours(x), theirs(x), [x])
    assert torch.equal(ours(x), ours.embed(a))
    with torch.inference_mode():
        assert_equal(ours(x), theirs(x))


def test_equals_the_image_tower_of_open_clip():
    theirs = TimmModel("convnext_atto", embed_dim=10, pool="", proj="linear")
    theirs.trunk = timm.models.ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 12, 16, 20), num_classes=0)
    theirs.head.proj = torch.nn.Linear(20, 10, bias=False)
    randomise(theirs).double().eval()
    ours = share(ConvNeXt(10, (1, 1, 2, 1), (8, 12, 16, 20)), theirs, *names((1, 1, 2, 1)))
    x = rand(2, 3, 64, 64)
    assert_equal(ours(x), theirs(x))


def test_the_defaults_are_echoclip_s_base_model():
    with torch.device("meta"):
        ours = ConvNeXt()
        theirs = TimmModel("convnext_base", embed_dim=512, pool="", proj="linear")
    shapes = [sorted(tuple(p.shape) for p in model.parameters()) for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_for_this_head_promptcam_equals_an_exact_class_activation_map():
    """The gradient of f · t at A is constant over space: J_LNᵀ Wᵀ t / (h w)."""
    model = randomise(ConvNeXt(6, (1, 1), (8, 12))).double()
    a, t = model.features(rand(1, 3, 64, 64)).detach().requires_grad_(), rand(6)
    (grad,) = torch.autograd.grad((model.embed(a) @ t).sum(), a)
    pooled = a.mean((2, 3)).squeeze(0)
    jacobian = torch.autograd.functional.jacobian(model.norm, pooled)
    exact = jacobian.T @ model.projection.weight.T @ t / a[0, 0].numel()
    assert_equal(grad, exact[None, :, None, None].expand_as(grad))
