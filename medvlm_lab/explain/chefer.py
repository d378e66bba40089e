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

    Where words or queries look at patches (bimodal, equation 10) nothing was mixed before, so that R ← R + Ā.
    """
    gradients = attention_gradients(trace)
    rows, columns = trace.attentions[0].shape[-2:]
    own = rows == columns
    relevance = (torch.eye(rows) if own else torch.zeros(rows, columns)).to(gradients[0])
    for weights, gradient in zip(trace.attentions, gradients, strict=True):
        step = (weights.detach() * gradient)[0].relu().mean(0)  # (rows, columns)
        relevance = relevance + (step @ relevance if own else step)
    return relevance[trace.reads][:, trace.tokens].mean(0).view(trace.grid)
