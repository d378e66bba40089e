"""ConvNeXt, a convolutional network with a transformer's habits (Liu et al. 2022); EchoCLIP's image tower."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medvlm_lab.nn.layers import feed_forward


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of an image, at each pixel for itself."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A 7 × 7 filter per channel (where to look), then an MLP at each pixel (what it means), scaled and added."""

    def __init__(self, width: int, layer_scale: float, kernel: int = 7):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm, self.mlp = nn.LayerNorm(width, eps=1e-6), feed_forward(width, 4 * width)
        self.scale = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        y = self.depthwise(x).permute(0, 2, 3, 1)  # (n, h, w, c)
        y = self.scale * self.mlp(self.norm(y))
        return x + y.permute(0, 3, 1, 2)  # (n, c, h, w)


class ConvNeXt(nn.Module):
    """Image → embedding: stem of 4 × 4 patches, stages at half the resolution of the last, pool, LayerNorm, Linear.

    The defaults are ConvNeXt-Base, as EchoCLIP uses it.
    """

    def __init__(
        self,
        embedding: int = 512,
        depths: tuple[int, ...] = (3, 3, 27, 3),
        widths: tuple[int, ...] = (128, 256, 512, 1024),
        channels: int = 3,
        layer_scale: float = 1e-6,
    ):
        super().__init__()
        self.stride = 4 * 2 ** (len(widths) - 1)  # pixels per side of a cell of `features`
        self.stem = nn.Sequential(nn.Conv2d(channels, widths[0], 4, stride=4), ChannelNorm(widths[0], eps=1e-6))
        self.stages, before = nn.Sequential(), widths[0]
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            halve = [ChannelNorm(before, eps=1e-6), nn.Conv2d(before, width, 2, stride=2)] if i else []
            self.stages.append(nn.Sequential(*halve, *(ConvNeXtBlock(width, layer_scale) for _ in range(depth))))
            before = width
        self.norm = nn.LayerNorm(before, eps=1e-6)
        self.projection = nn.Linear(before, embedding, bias=False)

    def features(self, images: Float[Tensor, "n k s s"]) -> Float[Tensor, "n c h w"]:
        """Output of the last convolutional block, one cell per `stride` × `stride` pixels: the A of PromptCAM."""
        return self.stages(self.stem(images))

    def embed(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        """The head alone: mean over space, LayerNorm, projection. Not normalised to unit length."""
        return self.projection(self.norm(features.mean((2, 3))))

    def forward(self, images: Float[Tensor, "n k s s"]) -> Float[Tensor, "n d"]:
        return self.embed(self.features(images))
