"""A LLaMA-style language model (Touvron et al. 2023): RMSNorm, rotary positions, grouped-query attention, SwiGLU.

    model = Llama(LlamaConfig(vocabulary=2000, width=256, depth=4, heads=8, kv_heads=2, hidden=704))
    logits = model(ids)                            # (n, t, v)
    answer = model.generate(ids, max_tokens=20)    # (n, ≤ 20)

Wherever ids go in, embeddings may go in as well: soft tokens of an image before the embedded words, for instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.nn.decoding import Steps
from medvlm_lab.nn.layers import attend, merge_heads, split_heads

Hooks = Mapping[int, Callable[[Tensor], Tensor]]
Rotation = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes in features; `kv_heads` key–value heads serve all `heads` query heads, `theta` is the rotary base."""

    vocabulary: int
    width: int
    depth: int
    heads: int
    kv_heads: int
    hidden: int
    theta: float = 10_000.0
    eps: float = 1e-6
    tied: bool = True

    def __post_init__(self):
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide heads {self.heads}")


class KeyValueCache:
    """Keys and values of the tokens read so far, so that each new token costs one step and not a full pass."""

    def __init__(self):
        self.keep: Tensor | None = None  # (n, m), False at padding
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}

    def remember(self, keep: Bool[Tensor, "n t"]) -> Bool[Tensor, "n m"]:
        """Appends which of the new tokens are real; returns the same for all tokens."""
        self.keep = keep if self.keep is None else torch.cat([self.keep, keep], 1)
        return self.keep

    def extend(self, layer: int, k: Float[Tensor, "n h t e"], v: Float[Tensor, "n h t e"]) -> tuple[Tensor, Tensor]:
        """Appends the new tokens of one layer; returns keys and values of all tokens, (n, h, m, e)."""
        if layer in self.layers:
            k, v = (torch.cat([old, new], 2) for old, new in zip(self.layers[layer], (k, v), strict=True))
        self.layers[layer] = k, v
        return k, v

    def select(self, rows: Int[Tensor, " rows"]) -> None:
        """Keeps these rows of the batch, in this order: what beam search does after each step."""
        self.keep = self.keep[rows]
        self.layers = {i: (k[rows], v[rows]) for i, (k, v) in self.layers.items()}


def rotation(positions: Int[Tensor, "n t"], width: int, theta: float, dtype: torch.dtype) -> Rotation:
    """Cosine and sine, (n, 1, t, width / 2), by which RoPE turns each pair of features (Su et al. 2021, eq. 34)."""
    precise = torch.promote_types(dtype, torch.float32)  # a bfloat16 cannot even count to 1000
    pairs = torch.arange(0, width, 2, device=positions.device, dtype=precise)
    angles = positions[:, None, :, None].to(precise) * theta ** (-pairs / width)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Float[Tensor, "n h t e"], turn: Rotation) -> Float[Tensor, "n h t e"]:
    """Turns feature i together with feature i + e / 2, so that q · k depends on the distance of the tokens only."""
    (a, b), (cos, sin) = x.chunk(2, -1), turn
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class GroupedQueryAttention(nn.Module):
    """Causal self-attention in which groups of query heads share a key–value head (Ainslie et al. 2023)."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads
        width, kv_width = config.width, config.width // config.heads * config.kv_heads
        self.q_proj, self.k_proj = nn.Linear(width, width, bias=False), nn.Linear(width, kv_width, bias=False)
        self.v_proj, self.out_proj = nn.Linear(width, kv_width, bias=False), nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "n t d"],
        turn: Rotation,
        sees: Bool[Tensor, "n 1 t m"],
        layer: int,
        cache: KeyValueCache | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t d"]:
        q = rotate(split_heads(self.q_proj(x), self.heads), turn)  # (n, heads, t, e)
        k = rotate(split_heads(self.k_proj(x), self.kv_heads), turn)  # (n, kv_heads, t, e)
        v = split_heads(self.v_proj(x), self.kv_heads)
        if cache is not None:
            k, v = cache.extend(layer, k, v)  # (n, kv_heads, m, e)
        return self.out_proj(merge_heads(attend(q, k, v, sees, maps=maps)))


class SwiGLU(nn.Module):
    """Feed-forward in which one projection gates the other (Shazeer 2020)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(nn.Module):
    """Attention, then feed-forward, each after an RMSNorm and added to the residual stream."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.norm1, self.attention = nn.RMSNorm(config.width, config.eps), GroupedQueryAttention(config)
        self.norm2, self.mlp = nn.RMSNorm(config.width, config.eps), SwiGLU(config.width, config.hidden)

    def forward(
        self,
        x: Float[Tensor, "n t d"],
        turn: Rotation,
        sees: Bool[Tensor, "n 1 t m"],
        layer: int,
        cache: KeyValueCache | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t d"]:
        x = x + self.attention(self.norm1(x), turn, sees, layer, cache, maps)
        return x + self.mlp(self.norm2(x))


class Llama(nn.Module):
    """Token ids, or embeddings in their place, → logits of each next token."""

    def __init__(self, config: LlamaConfig):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(LlamaLayer(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(config.width, config.eps)
        self.head = None if config.tied else nn.Linear(config.width, config.vocabulary, bias=False)

    def forward(
        self,
        tokens: Int[Tensor, "n t"] | Float[Tensor, "n t d"],
        keep: Bool[Tensor, "n t"] | None = None,
        cache: KeyValueCache | None = None,
        before_layer: Hooks | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t v"]:
        """Logits; `keep` is False at padding, left or right: positions count real tokens only.

        With a `cache`, `tokens` and `keep` are the new ones. `before_layer[i]` changes the residual stream of `tokens`
        before layer i: the place of gated cross-attention. `maps` receives each layer's weights, (n, heads, t, m).
        """
        return self.logits(self.hidden(tokens, keep, cache, before_layer, maps))

    def hidden(
        self,
        tokens: Int[Tensor, "n t"] | Float[Tensor, "n t d"],
        keep: Bool[Tensor, "n t"] | None = None,
        cache: KeyValueCache | None = None,
        before_layer: Hooks | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n t d"]:
        """Features after the final norm; arguments as in `forward`."""
        x = tokens if tokens.is_floating_point() else self.embedding(tokens)  # (n, t, d)
        t = x.shape[1]
        keep = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if keep is None else keep
        keep = keep if cache is None else cache.remember(keep)  # (n, m)
        positions = (keep.cumsum(1) - 1).clamp(min=0)[:, -t:]  # (n, t)
        turn = rotation(positions, self.config.width // self.config.heads, self.config.theta, x.dtype)
        sees = causal_mask(keep, t)
        for i, layer in enumerate(self.layers):
            if before_layer is not None and i in before_layer:
                x = before_layer[i](x)
            x = layer(x, turn, sees, i, cache, maps)
        return self.norm(x)

    def logits(self, hidden: Float[Tensor, "n t d"]) -> Float[Tensor, "n t v"]:
        """The output layer: the input embedding's own weights when tied."""
        return self.head(hidden) if self.head is not None else F.linear(hidden, self.embedding.weight)

    @torch.no_grad()
    def generate(
        self,
        tokens: Int[Tensor, "n t"] | Float[Tensor, "n t d"],
        keep: Bool[Tensor, "n t"] | None = None,
        max_tokens: int = 64,
        eos: int | None = None,
        before_layer: Hooks | None = None,
        logs: list[Tensor] | None = None,
    ) -> Int[Tensor, "n s"]:
        """The most likely next token, again and again; a prompt shorter than its neighbours is padded on its left.

        Ends where every row has written `eos`; rows that end earlier are filled with it. `logs` receives each step's
        natural-log probabilities of what was written, (n,); 0 after the end.
        """
        cache, written = KeyValueCache(), []
        done = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
        hidden = self.hidden(tokens, keep, cache, before_layer)
        step = Steps(self, cache, max_tokens)
        for _ in range(max_tokens):
            last = hidden[:, -1]  # (n, d)
            scores = self.logits(last)  # (n, v)
            new = scores.argmax(-1)  # (n,)
            if logs is not None:
                logs.append(scores.float().log_softmax(-1).amax(-1).masked_fill(done, 0.0))
            if eos is not None:
                new = new.masked_fill(done, eos)
                done |= new == eos
            written.append(new)
            if done.all() or len(written) == max_tokens:
                break
            hidden = step(self.embedding(new)[:, None], before_layer)
        return torch.stack(written, 1)


def causal_mask(keep: Bool[Tensor, "n m"], t: int) -> Bool[Tensor, "n 1 t m"]:
    """Which of all m tokens each of the last t sees: the real ones up to itself."""
    m = keep.shape[1]
    column = torch.arange(m, device=keep.device)
    row = column[m - t :, None]  # (t, 1)
    # Padding sees itself, since an empty row has no softmax; no real token sees padding.
    return (keep[:, None, None] & (column <= row)) | (column == row)
