"""Grad-CAM (Selvaraju et al. 2017, equations 1 and 2)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.explain.base import method, weighted
from medvlm_lab.models.trace import Trace


@method()
def grad_cam(trace: Trace) -> Float[Tensor, "h w"]:
    """Channels weighted by the mean gradient of the model's output: ReLU(Σ α A).

    A dual encoder's output is the cosine; PromptCAM explains the image's embedding before it is brought to unit length.
    """
    gradients = torch.autograd.grad(output(trace), trace.activations, retain_graph=True)[0]  # (1, c, h, w)
    return weighted(trace.activations, gradients.mean((2, 3)))


def output(trace: Trace) -> Float[Tensor, ""]:
    """What the model puts out: the cosine that its logits are made of, or the answer's log-probability."""
    if trace.embedding is None:
        return trace.score
    return F.cosine_similarity(trace.embedding, trace.text_embedding, dim=0)
