"""Pre-norm transformer layers: attention, feed-forward, encoder layer, decoder layer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention of `x` over `memory` (itself when none is given); Vaswani et al. 2017, section 3.2."""

    def __init__(self, width: int, heads: int, memory_width: int | None = None):
        super().__init__()
        self.heads, memory_width = heads, memory_width or width
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(memory_width, width)
        self.v_proj, self.out_proj = nn.Linear(memory_width, width), nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "n t d"],
        memory: Float[Tensor, "n m e"] | None = None,
        keep: Bool[Tensor, "n m"] | Bool[Tensor, "n t m"] | None = None,
        causal: bool = False,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t d"]:
        """`keep` is False where a memory token is hidden (padding, say): such tokens get exactly zero weight.

        `maps`, when given, receives this layer's attention weights, (n, heads, t, m).
        """
        memory = x if memory is None else memory
        q = split_heads(self.q_proj(x), self.heads)  # (n, heads, t, d / heads)
        k, v = split_heads(self.k_proj(memory), self.heads), split_heads(self.v_proj(memory), self.heads)
        if keep is not None:
            keep = keep[:, None, None, :] if keep.ndim == 2 else keep[:, None]  # (n, 1, 1 or t, m)
        return self.out_proj(merge_heads(attend(q, k, v, keep, causal, maps)))  # (n, t, d)


def split_heads(x: Float[Tensor, "n t d"], heads: int) -> Float[Tensor, "n h t e"]:
    """Cuts the features into `heads` slices that attend independently."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Float[Tensor, "n h t e"]) -> Float[Tensor, "n t d"]:
    """The inverse of `split_heads`."""
    return x.transpose(1, 2).flatten(2)


def attend(
    q: Float[Tensor, "n h t e"],
    k: Float[Tensor, "n g m e"],
    v: Float[Tensor, "n g m e"],
    keep: Bool[Tensor, "n 1 #t m"] | None = None,
    causal: bool = False,
    maps: list[Tensor] | None = None,
) -> Float[Tensor, "n h t e"]:
    """softmax(q kᵀ / √e) v, weights exactly zero where `keep` is False or, if `causal`, where a key lies ahead.

    Where keys and values have fewer heads, each serves a group of the queries' heads. Every query needs a key that it
    may see. `maps`, when given, receives the weights, (n, h, t, m).
    """
    if causal and (keep is not None or maps is not None or not fused(q)):
        ahead = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
        keep, causal = ahead if keep is None else keep & ahead, False
    plain = maps is not None or not fused(q)
    if k.shape[1] < q.shape[1] and (plain or q.is_cuda):  # on a GPU a mask needs as many heads
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], 1) for y in (k, v))  # (n, h, m, e)
    if not plain:
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=keep, is_causal=causal, enable_gqa=k.shape[1] < q.shape[1]
        )
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5  # (n, h, t, m)
    weights = (scores if keep is None else scores.masked_fill(~keep, -torch.inf)).softmax(-1)
    if maps is not None:
        maps.append(weights)
    return weights @ v


def fused(q: Tensor) -> bool:
    """Whether the fused kernel pays: on a CPU its backward pass in bfloat16 takes four times as long as plain lines."""
    return q.is_cuda or not torch.is_grad_enabled() or q.dtype != torch.bfloat16


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


class QuickGELU(nn.Module):
    """x σ(1.702 x), the cheap approximation of GELU that OpenAI trained CLIP with."""

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return x * torch.sigmoid(1.702 * x)


def feed_forward(
    width: int, hidden: int, dropout: float = 0.0, activation: type[nn.Module] = nn.GELU
) -> nn.Sequential:
    """Two linear layers with an activation between."""
    return nn.Sequential(nn.Linear(width, hidden), activation(), Dropout(dropout), nn.Linear(hidden, width))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each after a LayerNorm and added to the residual stream."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
        activation: type[nn.Module] = nn.GELU,
    ):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), feed_forward(width, hidden, dropout, activation)
        self.drop = Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "n t d"], keep: Bool[Tensor, "n t"] | None = None, causal: bool = False
    ) -> Float[Tensor, "n t d"]:
        x = x + self.drop(self.attention(self.norm1(x), keep=keep, causal=causal))
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
        self,
        x: Float[Tensor, "n t d"],
        memory: Float[Tensor, "n m d"],
        keep: Bool[Tensor, "n m"],
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t d"]:
        """`maps` receives the cross-attention's weights, (n, heads, t, m)."""
        x = x + self.drop(self.self_attention(self.norm1(x), causal=True))
        x = x + self.drop(self.cross_attention(self.norm2(x), memory, keep, maps=maps))
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
