"""Score-CAM (Wang et al. 2020): no gradients; each channel is worth what the picture seen through it scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.explain.base import method, weighted
from medvlm_lab.models.trace import Trace


@method()
@torch.no_grad()
def score_cam(trace: Trace, batch: int = 32) -> Float[Tensor, "h w"]:
    """Weights are the softmax over channels of how much each masked picture scores above an empty one (algorithm 1).

    Masks are enlarged as the authors' code does, so that they lie where the cells do; pytorch-grad-cam aligns corners.

    batch: masked pictures scored together.
    """
    pixels, maps = trace.pixels, trace.activations.detach()[0]  # (1, *c, s, s), (k, h, w)
    masks = F.interpolate(maps[None], pixels.shape[-2:], mode="bilinear", align_corners=False)[0]
    low, high = masks.amin((1, 2), keepdim=True), masks.amax((1, 2), keepdim=True)
    masks = (masks - low) / (high - low).clamp(min=1e-12)  # (k, s, s) in [0, 1]
    masks = masks.view(-1, *[1] * (pixels.ndim - 3), *pixels.shape[-2:])
    scores = torch.cat([trace.rescore(pixels * part) for part in masks.split(batch)])
    rise = scores - trace.rescore(torch.zeros_like(pixels))
    return weighted(maps[None], rise.softmax(0)[None])
