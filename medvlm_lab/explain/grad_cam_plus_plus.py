"""Grad-CAM++ (Chattopadhay et al. 2018, equations 10 and 19, with the derivatives of the exponential score)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import method, weighted
from medvlm_lab.explain.grad_cam import output
from medvlm_lab.models.trace import Trace


@method()
def grad_cam_plus_plus(trace: Trace) -> Float[Tensor, "h w"]:
    """Each place weighs in its channel by how much of the gradient is its own, so that several objects show."""
    g = torch.autograd.grad(output(trace), trace.activations, retain_graph=True)[0]  # (1, c, h, w)
    total = trace.activations.sum((2, 3), keepdim=True)
    share = torch.where(g != 0, g**2 / (2 * g**2 + total * g**3 + 1e-6), 0.0)
    return weighted(trace.activations, (share * g.relu()).sum((2, 3)))
