"""From attenuation to the picture that a reader sees: scatter, noise, grey scale, markers, collimation.

    intensity = exp(-attenuation) + scatter;  picture = grey scale(-log(intensity))
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional as F

from medvlm_lab.phantoms.chest_geometry import Chest
from medvlm_lab.phantoms.chest_render import LUNG_AIR, SOFT
from medvlm_lab.phantoms.noise import hashed, white

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def detect(chest: Chest, path: Tensor) -> Float[Tensor, "n h w"]:
    """Scatter, blur, quantum noise, logarithm, local contrast and grey scale: 0 black, 1 white, 12 bits."""
    p, size = chest.p, chest.size
    beam = torch.exp(-path)
    # scatter comes from everywhere: its picture is the primary beam's, smeared over centimetres
    beam = beam + _smear(beam, 10, 0.04 + 0.30 * p["scatter"])
    beam += _near(beam).sub_(beam).mul_(p["blur"] * (0.75 * min(1.0, size / 512 + 0.35)))
    spread = (0.0006 + 0.008 * p["noise"]) * min(1.0, (size / 512) ** 0.5)
    beam += beam.sqrt().mul_(white(chest.seeds, size, chest.device)).mul_(spread)
    log = beam.clamp_(min=1e-3).log_().neg_()
    # exposure control: lungs dark, mediastinum light, whatever the patient's size
    dark = SOFT * (1 - 0.80 * LUNG_AIR) * p["depth_mm"] - 0.25
    light = SOFT * p["depth_mm"] * (1 - 0.05 * p["scatter"]) - 0.45
    steep = 1.65 * (1 + 0.3 * p["contrast"]) / (light - dark)
    local = 0.55 * p["processing"]
    grey = log * (steep * (1 + local))
    grey -= _smear(log, 14, steep * local)
    grey -= dark * steep + 0.55 * steep * (light - dark)
    grey = grey.tanh_().mul_(0.5).add_(0.50 + 0.13 * p["exposure"]).clamp_(0, 1)
    grey *= ((log - 0.05) * 2.5).clamp_(0, 1)  # beside the patient the film is black
    return mark(chest, grey).mul_(4095).round_().mul_(1 / 4095)


def mark(chest: Chest, grey: Tensor) -> Float[Tensor, "n h w"]:
    """Lead letters beside the patient, then the collimator's dark margin."""
    n, size, side = len(chest.scenes), chest.size, max(6, round(chest.size * 0.055))
    at = torch.from_numpy(hashed(chest.seeds, 51, 4) % 1000).to(chest.device) * 0.001  # (n, 4)
    square = torch.arange(side, device=chest.device)
    which = torch.tensor([s.marker for s in chest.scenes], device=chest.device)
    glyphs = letters(side).to(chest.device)
    image = torch.arange(n, device=chest.device)[:, None, None]
    for letter, left in ((1, True), (2, False)):
        shown = ((which == letter) | (which == 3)).float()[:, None, None]
        # near an upper corner, where the patient seldom is
        top = ((0.02 + 0.14 * at[:, letter] + 0.1 * chest.p["collimation"][:, 0, 0]) * size).long()
        inset = ((0.012 + 0.05 * at[:, 3] + 0.1 * chest.p["collimation"][:, 0, 0]) * size).long()
        first = size - side - inset if left else inset
        rows, columns = top[:, None, None] + square[:, None], first[:, None, None] + square
        under = grey[image, rows, columns]
        grey[image, rows, columns] = torch.maximum(under, glyphs[letter - 1] * shown)
    wide = chest.p["collimation"] * 0.075
    if not wide.any():
        return grey
    edge = (torch.arange(size, device=chest.device) + 0.5) / size
    inside = torch.minimum(edge, 1 - edge)
    across = ((inside - wide * (0.4 + at[:, 0, None, None])) * size + 1).clamp(0, 1)  # (n, 1, w)
    down = ((inside - wide * (0.4 + at[:, 3, None, None])) * size + 1).clamp(0, 1).transpose(1, 2)  # (n, h, 1)
    return grey.mul_(across * down)


@lru_cache(maxsize=8)
def letters(side: int) -> Float[Tensor, "2 s s"]:
    """L and R as a lead marker shows them."""
    big = 8 * side
    glyphs = []
    for strokes in (((0.25, 0.1, 0.25, 0.9), (0.25, 0.9, 0.75, 0.9)),
                    ((0.25, 0.1, 0.25, 0.9), (0.25, 0.1, 0.6, 0.1), (0.6, 0.1, 0.74, 0.22), (0.74, 0.22, 0.74, 0.36),
                     (0.74, 0.36, 0.6, 0.48), (0.6, 0.48, 0.25, 0.48), (0.48, 0.48, 0.78, 0.9))):
        picture = Image.new("L", (big, big))
        pen = ImageDraw.Draw(picture)
        for stroke in strokes:
            pen.line([v * big for v in stroke], fill=255, width=round(0.13 * big))
        glyphs.append(np.asarray(picture.resize((side, side), Image.Resampling.BOX), np.float32) / 255)
    return torch.from_numpy(np.stack(glyphs))


def _smear(x: Tensor, cells: int, times: Tensor) -> Tensor:
    """A broad blur, multiplied by `times`: down to `cells` squares and smoothly back."""
    small = F.interpolate(x[:, None], (cells * 2, cells * 2), mode="area")
    small = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1) * times[:, None]
    return F.interpolate(small, x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def _near(x: Tensor) -> Tensor:
    """Mean of each pixel and its neighbours, weights 1 2 1."""
    wide = F.pad(x[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) * (1 / 16)
