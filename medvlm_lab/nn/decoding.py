"""One token at a time through a `Llama`: the same function as a full pass, with a third of the operations.

On a small model most of a step's time goes into starting operations. So queries, keys and values come out of one
product, gate and up projection out of another, whose matrices lie as a single row reads them fastest and hold the
norms' weights, so that a norm is four operations; both halves that RoPE turns lie side by side, which makes a turn one
complex product, by 1 for the values; and keys and values are written into room that was set aside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from medvlm_lab.nn.llama import Hooks, KeyValueCache, Llama


class Steps:
    """What has been read so far, as `cache` holds it after a full pass, and room for `room` tokens more."""

    def __init__(self, model: Llama, cache: KeyValueCache, room: int):
        config, keep = model.config, cache.keep
        self.model, self.heads, self.kv_heads = model, config.heads, config.kv_heads
        n, self.read = keep.shape
        width = config.width // config.heads
        weight = model.embedding.weight
        self.qkv, self.out, self.gate_up, self.down, self.memory = [], [], [], [], []
        for i, layer in enumerate(model.layers):
            attention, mlp = layer.attention, layer.mlp
            turned = torch.cat([attention.q_proj.weight, attention.k_proj.weight])  # ((heads + kv_heads) e, d)
            turned = _side_by_side(turned.T.unflatten(1, (-1, width))).flatten(1).T
            self.qkv.append(_by_row(torch.cat([turned, attention.v_proj.weight]) * layer.norm1.weight))
            self.out.append(_by_row(attention.out_proj.weight))
            self.gate_up.append(_by_row(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]) * layer.norm2.weight))
            self.down.append(_by_row(mlp.down_proj.weight))
            k, v = cache.layers[i]  # (n, kv_heads, m, e)
            known = torch.cat([_side_by_side(k), v], 1)  # (n, 2 kv_heads, m, e)
            self.memory.append(torch.cat([known, known.new_zeros(*known.shape[:2], room, known.shape[3])], 2))
        self.keep = None
        if not keep.all():  # padding stays hidden; what is written is always seen
            self.keep = torch.cat([keep, keep.new_ones(n, room)], 1)[:, None, None]
        self.precise = torch.promote_types(weight.dtype, torch.float32)
        self.eps = torch.tensor(config.eps, dtype=self.precise, device=weight.device)
        pairs = torch.arange(0, width, 2, device=weight.device, dtype=self.precise)
        positions = keep.sum(1)[:, None] + torch.arange(room, device=weight.device)  # (n, room)
        angles = positions[..., None] * config.theta ** (-pairs / width)  # (n, room, e / 2)
        turn = torch.polar(torch.ones_like(angles), angles)[:, :, None]  # (n, room, 1, e / 2)
        turning, still = (-1, -1, self.heads + self.kv_heads, -1), (-1, -1, self.kv_heads, -1)
        self.turns = torch.cat([turn.expand(turning), torch.ones_like(turn).expand(still)], 2)
        self.start = self.read

    def __call__(self, x: Float[Tensor, "n 1 d"], before_layer: Hooks | None = None) -> Float[Tensor, "n 1 d"]:
        """Features of one new token after the final norm."""
        now, group = self.read, self.heads // self.kv_heads
        turn = self.turns[:, now - self.start]  # (n, heads + 2 kv_heads, e / 2)
        keep, x = None if self.keep is None else self.keep[..., : now + 1], x[:, 0]  # (n, d)
        for i in range(len(self.qkv)):
            if before_layer is not None and i in before_layer:
                x = before_layer[i](x[:, None])[:, 0]
            qkv = (self.normed(x) @ self.qkv[i]).to(self.precise)  # (n, (heads + 2 kv_heads) e)
            pairs = torch.view_as_complex(qkv.view(len(x), *turn.shape[1:], 2)) * turn
            qkv = torch.view_as_real(pairs).flatten(2).to(x.dtype)  # (n, heads + 2 kv_heads, e)
            memory = self.memory[i]
            memory[:, :, now] = qkv[:, self.heads :]
            k, v = memory[:, : self.kv_heads, : now + 1], memory[:, self.kv_heads :, : now + 1]
            # the queries that share a key take the place of tokens: nothing has to be repeated
            q = qkv[:, : self.heads].unflatten(1, (self.kv_heads, group))  # (n, kv_heads, group, e)
            mixed = F.scaled_dot_product_attention(q, k, v, keep)
            x = x + mixed.flatten(1) @ self.out[i]
            gate, up = (self.normed(x) @ self.gate_up[i]).chunk(2, -1)
            x = x + (F.silu(gate) * up) @ self.down[i]
        self.read += 1
        return self.model.norm(x)[:, None]

    def normed(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """RMSNorm without its weight."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=self.precise)
        return (x * torch.addcmul(self.eps, length, length, value=1 / x.shape[-1]).rsqrt_()).to(x.dtype)


def _by_row(weight: Float[Tensor, "out d"]) -> Float[Tensor, "d out"]:
    """A linear layer's weight as `x @ weight` takes it, copied: for one row that is up to twice as fast."""
    return weight.T.contiguous()


def _side_by_side(x: Float[Tensor, "*n e"]) -> Float[Tensor, "*n e"]:
    """Feature i next to feature i + e / 2: a product of queries and keys does not mind."""
    return torch.stack(x.chunk(2, -1), -1).flatten(-2)
