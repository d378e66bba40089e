"""Attention rollout (Abnar & Zuidema 2020, section 3)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import method
from medvlm_lab.models.trace import Trace


@method()
@torch.no_grad()
def attention_rollout(trace: Trace) -> Float[Tensor, "h w"]:
    """How much of each patch reaches the tokens that are read: the product of all layers' (A + I) / 2.

    It does not know the text: of a dual encoder the map is the same for every prompt. Where words or queries look at
    the encoder's tokens, all of these are read, and what comes behind is left out.
    """
    layers, reads = (trace.encoder, slice(None)) if trace.encoder else (trace.attentions, trace.reads)
    reached = torch.eye(layers[0].shape[-1]).to(layers[0])  # (t, t)
    for weights in layers:
        mixed = weights[0].mean(0)
        reached = (mixed + torch.eye(len(mixed)).to(mixed)) / 2 @ reached
    return reached[reads][:, trace.tokens].mean(0).view(trace.grid)
