"""Pre-norm transformer layers: attention, feed-forward, encoder layer, decoder layer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention of `x` over `memory` (itself when none is given); Vaswani et al. 2017, section 3.2."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "n t d"],
        memory: Float[Tensor, "n m d"] | None = None,
        keep: Bool[Tensor, "n m"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "n t d"]:
        """`keep` is False where a memory token is padding: such tokens get exactly zero weight."""
        memory = x if memory is None else memory
        q = self.q_proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (n, heads, t, d / heads)
        k = self.k_proj(memory).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        v = self.v_proj(memory).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        out = attend(q, k, v, None if keep is None else keep[:, None, None, :], causal)
        return self.out_proj(out.transpose(1, 2).flatten(2))  # (n, t, d)


def attend(
    q: Float[Tensor, "n h t e"],
    k: Float[Tensor, "n h m e"],
    v: Float[Tensor, "n h m e"],
    keep: Bool[Tensor, "n 1 1 m"] | None = None,
    causal: bool = False,
) -> Float[Tensor, "n h t e"]:
    """softmax(q kᵀ / √e) v, weights exactly zero where `keep` is False or, if `causal`, where a key lies ahead."""
    if q.is_cuda or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=keep, is_causal=causal)
    # On a CPU the fused kernel's backward pass takes four times as long as these three lines.
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5  # (n, h, t, m)
    if causal:
        keep = scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril()
    return (scores if keep is None else scores.masked_fill(~keep, -torch.inf)).softmax(-1) @ v


class Dropout(nn.Module):
    """Dropout of whole features: one mask a sample, the same for all its tokens (Gal & Ghahramani 2016).

    A mask per token would cost a CPU a fifth of the training time, in random numbers alone.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Float[Tensor, "n t d"]) -> Float[Tensor, "n t d"]:
        if not self.training or not self.p:
            return x
        return x * (torch.rand(len(x), 1, x.shape[-1], device=x.device) >= self.p).to(x.dtype).div_(1 - self.p)


def feed_forward(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """Two linear layers with a GELU between."""
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, width))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each after a LayerNorm and added to the residual stream."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), feed_forward(width, hidden, dropout)
        self.drop = Dropout(dropout)

    def forward(self, x: Float[Tensor, "n t d"], keep: Bool[Tensor, "n t"] | None = None) -> Float[Tensor, "n t d"]:
        x = x + self.drop(self.attention(self.norm1(x), keep=keep))
        return x + self.drop(self.mlp(self.norm2(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention over the answer, cross-attention to the memory, feed-forward."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.norm1, self.self_attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.cross_attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm3, self.mlp = nn.LayerNorm(width), feed_forward(width, hidden, dropout)
        self.drop = Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "n t d"], memory: Float[Tensor, "n m d"], keep: Bool[Tensor, "n m"]
    ) -> Float[Tensor, "n t d"]:
        x = x + self.drop(self.self_attention(self.norm1(x), causal=True))
        x = x + self.drop(self.cross_attention(self.norm2(x), memory, keep))
        return x + self.drop(self.mlp(self.norm3(x)))


def init_weights(module: nn.Module) -> None:
    """Normal(0, 0.02) weights and zero biases, as in BERT and ViT."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def count_parameters(module: nn.Module) -> int:
    """Number of parameters and buffers, in values."""
    return sum(t.numel() for t in [*module.parameters(), *module.buffers()] if isinstance(t, torch.Tensor))
