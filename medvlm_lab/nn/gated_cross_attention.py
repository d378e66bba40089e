"""Tanh-gated cross-attention: a frozen language model learns to look (Alayrac et al. 2022, Flamingo, section 2.2).

The block sits before a layer of the language model. Its gates start at zero, so that on the first day of training the
language model writes exactly what it wrote before. Norm and feed-forward are LLaMA's, as in IDEFICS-1; Flamingo, built
on Chinchilla, has a LayerNorm and a squared-ReLU feed-forward in their place.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from medvlm_lab.nn.layers import attend, merge_heads, split_heads
from medvlm_lab.nn.llama import SwiGLU


class GatedCrossAttention(nn.Module):
    """x += tanh(g₁) · attention(norm x, media); x += tanh(g₂) · feed-forward(norm x)."""

    def __init__(
        self, width: int, heads: int, hidden: int, media_width: int, qk_norm: bool = False, eps: float = 1e-6
    ):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps), nn.RMSNorm(width, eps)
        self.q_proj, self.out_proj = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(media_width, width, bias=False)
        self.v_proj = nn.Linear(media_width, width, bias=False)
        self.q_norm = nn.RMSNorm(width // heads, eps) if qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(width // heads, eps) if qk_norm else nn.Identity()
        self.mlp = SwiGLU(width, hidden)
        self.attention_gate, self.mlp_gate = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(
        self,
        x: Float[Tensor, "n t d"],
        media: Float[Tensor, "n m e"],
        keep: Bool[Tensor, "n t m"] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t d"]:
        """`keep` says which media token each text token sees; one that sees none gets exactly 0 from the attention.

        `maps`, when given, receives the attention weights, (n, heads, t, m).
        """
        x = x + self.attention_gate.tanh() * self.attention(self.norm1(x), media, keep, maps)
        return x + self.mlp_gate.tanh() * self.mlp(self.norm2(x))

    def attention(
        self,
        x: Float[Tensor, "n t d"],
        media: Float[Tensor, "n m e"],
        keep: Bool[Tensor, "n t m"] | None,
        maps: list[Tensor] | None,
    ) -> Float[Tensor, "n t d"]:
        """Multi-head attention without biases or positions."""
        q = self.q_norm(split_heads(self.q_proj(x), self.heads))  # (n, heads, t, e)
        k = self.k_norm(split_heads(self.k_proj(media), self.heads))  # (n, heads, m, e)
        v = split_heads(self.v_proj(media), self.heads)
        if keep is None:
            return self.out_proj(merge_heads(attend(q, k, v, maps=maps)))
        blind = ~keep.any(-1, keepdim=True)  # (n, t, 1)
        out = merge_heads(attend(q, k, v, (keep | blind)[:, None], maps=maps))  # an empty row has no softmax:
        return self.out_proj(out).masked_fill(blind, 0.0)  # the blind see all for a moment, then get nothing


def latest_image_mask(markers: Bool[Tensor, "n t"], images: int, tokens: int) -> Bool[Tensor, "n t m"]:
    """Each text token sees the `tokens` media tokens of the latest image marker at or before it (m = images · tokens).

    `markers` is True at the image markers of the text. Raises ValueError for more markers than images. Flamingo, 2.3.
    """
    latest = markers.cumsum(1) - 1  # (n, t), -1 before the first image
    if latest.numel() and latest.max() >= images:
        raise ValueError(f"{int(latest.max()) + 1} image markers in a text, but {images} images")
    number = torch.arange(images, device=markers.device).repeat_interleave(tokens)  # (m,)
    return latest[..., None] == number
