"""Beam search: the few most probable answers of a decoder, batched."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def beam_search(
    decode: Callable[[Tensor, Tensor, Tensor], Tensor],
    memory: Float[Tensor, "n m d"],
    keep: Bool[Tensor, "n m"],
    start: int,
    end: int,
    beams: int,
    limit: int,
) -> tuple[Int[Tensor, "n b t"], Float[Tensor, "n b t"]]:
    """The `beams` most probable sequences per row, best first, with the log-probability of each token.

    Sequences open with `start`; after `end` they are filled with `end` at log-probability 0.
    """
    n, device = len(memory), memory.device
    memory = memory.repeat_interleave(beams, 0)  # (n * b, m, d)
    keep = keep.repeat_interleave(beams, 0)
    ids = torch.full((n, beams, 1), start, device=device)
    logs = torch.zeros(n, beams, 1, device=device)
    total = torch.full((n, beams), -torch.inf, device=device)
    total[:, 0] = 0.0  # all beams start equal: only the first may grow
    done = torch.zeros(n, beams, dtype=torch.bool, device=device)
    rows = torch.arange(n, device=device)[:, None]
    for _ in range(limit - 1):
        step = decode(ids.flatten(0, 1), memory, keep)[:, -1].float().log_softmax(-1).view(n, beams, -1)  # (n, b, v)
        step = step.masked_fill(done[..., None], -torch.inf)
        step[..., end] = step[..., end].masked_fill(done, 0.0)
        vocabulary = step.shape[-1]
        total, best = (total[..., None] + step).flatten(1).topk(beams)  # (n, b)
        parent, token = best // vocabulary, best % vocabulary
        logs = torch.cat([logs[rows, parent], step.flatten(1).gather(1, best)[..., None]], -1)
        ids = torch.cat([ids[rows, parent], token[..., None]], -1)
        done = done[rows, parent] | (token == end)
        if done.all():
            break
    return ids, logs
