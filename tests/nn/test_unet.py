"""The U-Net: a scale for each width, and coarse knowledge in fine features."""

import torch

from medvlm_lab.nn.unet import UNet, enlarged


def test_each_scale_has_half_the_resolution():
    net = UNet((4, 8, 12), (0, 1, 2))
    shapes = [tuple(f.shape) for f in net(torch.rand(2, 1, 32, 32))]
    assert shapes == [(2, 4, 32, 32), (2, 8, 16, 16), (2, 12, 8, 8)]


def test_fine_features_know_what_lies_far_away():
    torch.manual_seed(0)
    net, image = UNet((4, 8, 8, 8), (0, 1, 1, 1)).eval(), torch.rand(1, 1, 64, 64)
    changed = image.clone()
    changed[..., 56:, 56:] = 0
    moved = (net(image)[0] - net(changed)[0]).abs().amax(1)[0]
    assert moved[28:36, 28:36].max() > 1e-6  # the finest filters alone reach one pixel


def test_enlarging_keeps_a_constant():
    assert torch.equal(enlarged(torch.full((1, 2, 3, 3), 0.5)), torch.full((1, 2, 6, 6), 0.5))
