"""PromptCAM (Christensen et al. 2024, EchoCLIP, Methods)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import method, weighted
from medvlm_lab.models.trace import Trace


@method(mode="bicubic")
def prompt_cam(trace: Trace) -> Float[Tensor, "h w"]:
    """α = mean gradient of f · t̂, the embedding f not normalised; map = bicubic enlargement of ReLU(Σ α A).

    Behind mean, LayerNorm and a linear layer this is an exact CAM: α = J_LNᵀ Wᵀ t̂ / (h w).
    """
    return weighted(trace.activations, trace.gradients().mean((2, 3)))
