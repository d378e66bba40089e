"""From true Hounsfield units to those of a CT scanner: projection, quantum noise, filtered back-projection.

    counts = dose * exp(-∫ attenuation);  views = -log(counts / dose);  HU = 1000 (attenuation / water - 1)
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.noise import white
from medvlm_lab.phantoms.tomography import Scanner

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

WATER = 0.0195  # per mm, at the 70 keV that a 120 kV beam has on average
PHOTONS = 9.0e4  # per mm of detector, per mGy, over half a turn's worth of 1,000 views
ELECTRONIC = 24.0  # read-out noise, in photons
AIR = -1024.0
SMOOTH, SHARP = 0.58, 1.4  # cycles per mm at which the kernels 0 and 1 pass nothing any more


@lru_cache(maxsize=4)
def scanner(size: int, device: str) -> Scanner:
    """As many views as the picture's rim needs: a little over one per pixel."""
    return Scanner(size, 4 * max(24, round(0.3 * size)), torch.device(device))


def scan(
    hu: Float[Tensor, "n h w"], pixel_mm: Float[Tensor, "n 1 1"], dose_mgy: Float[Tensor, "n 1 1"],
    kernel: Float[Tensor, "n 1 1"], seeds: np.ndarray,
) -> Float[Tensor, "n h w"]:
    """What the scanner shows of a slice, in whole Hounsfield units.

    pixel_mm, dose_mgy, kernel: of each picture; kernel 0 is smooth, 1 sharp. seeds: decide the noise.
    """
    machine = scanner(hu.shape[-1], str(hu.device))
    scale = WATER * pixel_mm
    views = machine.project((hu * 0.001 + 1).clamp(min=0)) * scale  # (n, angles, bins)
    photons = PHOTONS * dose_mgy * pixel_mm * (1000 / machine.angles)
    expected = photons * torch.exp(-views)
    grain = white(seeds, max(machine.angles, machine.bins), hu.device)[:, : machine.angles, : machine.bins]
    counts = expected + (expected + ELECTRONIC**2).sqrt() * grain
    # what a starved detector cell reads is mostly noise: no less than a few photons count
    views = -torch.log(counts.clamp(min=8.0) / photons) / scale
    cutoff = (SMOOTH + (SHARP - SMOOTH) * kernel) * pixel_mm  # cycles per pixel
    made = machine.reconstruct(views, cutoff.flatten())
    return ((made - 1) * 1000).round().clamp(AIR, 3071)
