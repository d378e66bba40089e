"""LeGrad (Bousselham et al. 2025): the attention's gradient alone."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import attention_gradients, method
from medvlm_lab.models.trace import Trace


@method()
def legrad(trace: Trace) -> Float[Tensor, "h w"]:
    """Sum over layers of (∇A)⁺, averaged over heads and rows. Every layer is asked about the final score."""
    found = [gradient[0].relu().mean((0, 1)) for gradient in attention_gradients(trace)]  # (columns,) each
    return sum(found)[trace.tokens].view(trace.grid)
