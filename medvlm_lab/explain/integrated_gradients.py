"""Integrated gradients (Sundararajan et al. 2017), by captum."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import method
from medvlm_lab.models.trace import Trace


@method(signed=True)
def integrated_gradients(trace: Trace, steps: int = 32, batch: int = 16) -> Float[Tensor, "s s"]:
    """Each input pixel's share of the score's rise from an empty picture (zeros) to this one; the shares add up to it.

    steps: of the integral. batch: of them computed together.
    """
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(trace.rescore).attribute(
        trace.pixels.detach(), n_steps=steps, internal_batch_size=batch
    )
    return found.flatten(0, -3).sum(0)
