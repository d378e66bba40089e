"""Vision Transformers over the grid of a convolutional stem: the hybrid of Dosovitskiy et al. 2021, section 3.1."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medvlm_lab.nn.efficientnet import CHANNELS, STRIDE, EfficientNetLite0
from medvlm_lab.nn.layers import Dropout, EncoderLayer, init_weights


class HybridViT(nn.Module):
    """Image → one class token and one token per stem cell.

    A ViT on raw patches needs millions of images to learn edges; the stem, trained on ImageNet, brings them along.
    """

    def __init__(self, image_size: int, width: int, depth: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.image_size, self.grid = image_size, image_size // STRIDE
        self.stem = EfficientNetLite0()
        self.patch_projection = nn.Linear(CHANNELS, width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, self.grid**2 + 1, width) * 0.02)
        self.drop = Dropout(dropout)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n t d"]:
        return self.encode_patches(self.stem(images).flatten(2).transpose(1, 2))

    def encode_patches(self, patches: Float[Tensor, "n p 320"]) -> Float[Tensor, "n t d"]:
        """The transformer part alone, on stem features: what training runs on while the stem is frozen."""
        return self.norm(self.run(patches, len(self.layers)))

    def patch_tokens(self, images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n p d"]:
        """Patches of the penultimate layer without class token and final norm: what LLaVA's projector reads."""
        return self.run(self.stem(images).flatten(2).transpose(1, 2), len(self.layers) - 1)[:, 1:]

    def run(self, patches: Float[Tensor, "n p 320"], depth: int) -> Float[Tensor, "n t d"]:
        """Class token and patches through the first `depth` layers."""
        x = self.patch_projection(patches)  # (n, p, d)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.positions  # (n, 1 + p, d)
        x = self.drop(x)
        for layer in self.layers[:depth]:
            x = layer(x)
        return x


class StemViT(nn.Module):
    """Image → one token per 16 × 16 pixels. Four strided convolutions learn edges from scratch (Xiao et al. 2021)."""

    STRIDE = 16

    def __init__(self, image_size: int, channels: int, width: int, depth: int, heads: int):
        super().__init__()
        self.grid = image_size // self.STRIDE
        sizes = [channels, width // 8, width // 4, width // 2, width]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU()]
            if i in (1, 2):  # a second look where it is cheap: most pixels are gone, few channels are there
                layers += [nn.Conv2d(b, b, 3, padding=1), nn.ReLU()]
        self.stem = nn.Sequential(*layers)
        self.patch_norm, self.patch_projection = nn.LayerNorm(width), nn.Linear(width, width)
        self.positions = nn.Parameter(torch.randn(1, self.grid**2, width) * 0.02)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, 4 * width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)
        for layer in self.stem:
            if isinstance(layer, nn.Conv2d):  # without norms between them, their scale has to be right from the start
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        self.stem.to(memory_format=torch.channels_last)  # a third faster on a CPU

    def forward(self, images: Float[Tensor, "n c s s"]) -> Float[Tensor, "n p d"]:
        patches = self.stem(images.contiguous(memory_format=torch.channels_last)).flatten(2).transpose(1, 2)
        x = self.patch_projection(self.patch_norm(patches)) + self.positions  # (n, p, d)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)
