"""Relevance through attention (Chefer et al. 2021, "Generic Attention-model Explainability", equations 5 to 11)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import attention_gradients, method
from medvlm_lab.models.trace import Trace


@method()
def chefer(trace: Trace) -> Float[Tensor, "h w"]:
    """R ← R + Ā R, layer by layer, where Ā = mean over heads of (∇A ⊙ A)⁺; R starts as the identity.

    Where words or queries look at patches (bimodal, equation 10), R ← R + Ā: R of either side by itself, which the
    paper multiplies by (equations 8 and 9), is taken for the identity. It is not where an encoder mixed the patches
    before, or words and queries saw each other; but not all weights of those layers are recorded, so that a patch
    counts for its own place only, and a word or query for itself.
    """
    gradients = attention_gradients(trace)
    rows, columns = trace.attentions[0].shape[-2:]
    own = rows == columns and not trace.encoder  # of one sequence; as many queries as patches may look, too
    relevance = (torch.eye(rows) if own else torch.zeros(rows, columns)).to(gradients[0])
    for weights, gradient in zip(trace.attentions, gradients, strict=True):
        step = (weights.detach() * gradient)[0].relu().mean(0)  # (rows, columns)
        relevance = relevance + (step @ relevance if own else step)
    return relevance[trace.reads][:, trace.tokens].mean(0).view(trace.grid)
