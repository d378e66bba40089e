"""A U-Net of ConvNeXt blocks (Ronneberger et al. 2015): what an image shows, at every scale."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.nn.convnext import ChannelNorm, ConvNeXtBlock


class UNet(nn.Module):
    """Image → features at several scales, finest first, down and up again.

    On the way up each scale takes in what the coarser ones know, so that an edge is known as that of an organ.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int]):
        super().__init__()
        self.down, self.up, self.merge, before = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), 1
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            halve = [nn.Conv2d(before, width, 2, stride=2), ChannelNorm(width, eps=1e-6)]
            enter = halve if i else [nn.Conv2d(1, width, 3, padding=1)]
            self.down.append(nn.Sequential(*enter, *(ConvNeXtBlock(width, 0.1, kernel(i)) for _ in range(depth))))
            if i:
                self.up.append(nn.Sequential(ChannelNorm(width, eps=1e-6), nn.Conv2d(width, before, 1)))
                self.merge.append(ConvNeXtBlock(before, 0.1, kernel(i - 1)) if i > 1 else nn.ReLU())
            before = width

    def forward(self, pixels: Float[Tensor, "n 1 s s"]) -> list[Float[Tensor, "n _c _h _w"]]:
        features, x = [], pixels
        for down in self.down:
            features.append(x := down(x))
        for i in reversed(range(len(self.up))):
            features[i] = self.merge[i](features[i] + enlarged(self.up[i](features[i + 1])))
        return features


def kernel(scale: int) -> int:
    """Pixels per side of a scale's filters: wide ones would cost most where they see least."""
    return 7 if scale > 1 else 3


def enlarged(x: Float[Tensor, "m c h w"]) -> Float[Tensor, "m c 2*h 2*w"]:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
