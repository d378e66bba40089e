"""Occlusion (Zeiler & Fergus 2014, section 4.2), by captum."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import method
from medvlm_lab.models.trace import Trace


@method(signed=True)
@torch.no_grad()
def occlusion(trace: Trace, window: int | None = None, stride: int | None = None, batch: int = 16) -> Float[
    Tensor, "s s"
]:
    """How much the score falls where a square of zeros hides the picture, mean over the squares that hide a pixel.

    window: pixels of the model's input per side, an eighth of it by default. stride: between squares, half a window.
    batch: hidden pictures scored together.
    """
    from captum.attr import Occlusion

    pixels = trace.pixels.detach()  # (1, *c, s, s)
    window = window or max(1, pixels.shape[-1] // 8)
    stride, rest = stride or max(1, window // 2), tuple(pixels.shape[1:-2])
    found = Occlusion(trace.rescore).attribute(
        pixels, (*rest, window, window), (*rest, stride, stride), perturbations_per_eval=batch
    )
    return found.flatten(0, -3).sum(0) / max(1, found[..., 0, 0].numel())
