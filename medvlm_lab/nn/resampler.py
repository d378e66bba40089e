"""The Perceiver resampler: any number of image features becomes 64 (Alayrac et al. 2022, Flamingo, section 2.1)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from medvlm_lab.nn.layers import attend, merge_heads, split_heads


class ResamplerAttention(nn.Module):
    """The latents look at the features and at each other in one attention; pre-norm, no biases."""

    def __init__(self, width: int, heads: int, head_width: int, qk_norm: bool):
        super().__init__()
        self.heads, inner = heads, heads * head_width
        self.feature_norm, self.latent_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q_proj, self.k_proj = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.v_proj, self.out_proj = nn.Linear(width, inner, bias=False), nn.Linear(inner, width, bias=False)
        self.q_norm = nn.LayerNorm(head_width) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(head_width) if qk_norm else nn.Identity()

    def forward(
        self,
        latents: Float[Tensor, "n l d"],
        features: Float[Tensor, "n p d"],
        keep: Bool[Tensor, "n 1 1 p+l"] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n l d"]:
        latents = self.latent_norm(latents)
        memory = torch.cat([self.feature_norm(features), latents], 1)  # (n, p + l, d)
        q = self.q_norm(split_heads(self.q_proj(latents), self.heads))  # (n, heads, l, e)
        k = self.k_norm(split_heads(self.k_proj(memory), self.heads))  # (n, heads, p + l, e)
        v = split_heads(self.v_proj(memory), self.heads)
        return self.out_proj(merge_heads(attend(q, k, v, keep, maps=maps)))  # (n, l, d)


class PerceiverResampler(nn.Module):
    """`latents` learned vectors, `depth` times attention and feed-forward with residuals, then a LayerNorm.

    As in IDEFICS-1, the feed-forward uses ReLU; Flamingo squares it (appendix A.1).
    """

    def __init__(
        self,
        width: int,
        depth: int = 6,
        heads: int = 16,
        head_width: int = 96,
        latents: int = 64,
        hidden: int | None = None,
        qk_norm: bool = False,
    ):
        super().__init__()
        hidden = hidden or 4 * width
        self.latents = nn.Parameter(torch.randn(1, latents, width))
        self.attentions = nn.ModuleList(ResamplerAttention(width, heads, head_width, qk_norm) for _ in range(depth))
        self.mlps = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                nn.Linear(width, hidden, bias=False),
                nn.ReLU(),
                nn.Linear(hidden, width, bias=False),
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        features: Float[Tensor, "n p d"],
        keep: Bool[Tensor, "n p"] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n l d"]:
        """Resampled features; `keep` is False at padding, `maps` receives the weights, (n, heads, l, p + l)."""
        x = self.latents.expand(len(features), -1, -1)  # (n, l, d)
        if keep is not None:
            keep = torch.cat([keep, keep.new_ones(x.shape[:2])], 1)[:, None, None]  # latents are never hidden
        for attention, mlp in zip(self.attentions, self.mlps, strict=True):
            x = x + attention(x, features, keep, maps)
            x = x + mlp(x)
        return self.norm(x)
