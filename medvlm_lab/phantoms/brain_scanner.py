"""From true signal to what an MR scanner shows: coil, k-space of limited extent, noise, ghosts, magnitude.

    k(ky, kx) = Σ coil(y, x) signal(y, x) exp(-2πi (ky y + kx x))          the measured lines, plus Gaussian noise
    picture = |inverse transform of k|                                     so that its noise is Rician

Both transforms are unitary, so that noise in k-space is as strong as in the picture. Lines of k-space that are not
measured are zero, which rings at sharp edges (Gibbs). A patient who moves while line after line is measured gives
ghosts along the phase-encoding direction, down the picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.noise import smooth, white

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SWINGS = 3.0  # breaths while k-space is measured, times its periodicity


def scan(
    signal: Float[Tensor, "n h w"], noise: Float[Tensor, "n 1 1"], lines: Float[Tensor, "n 1 1"],
    coil: Float[Tensor, "n 1 1"], motion: Float[Tensor, "n 1 1"], seeds: np.ndarray,
) -> Float[Tensor, "n h w"]:
    """Magnitude pictures.

    noise: standard deviation per channel, in units of signal. lines: measured lines of k-space, of each picture.
    coil: 0 even, 1 twice as sensitive at one end as at the other. motion: strength of ghosts. seeds: decide the noise.
    """
    size, device = signal.shape[-1], signal.device
    seen = signal * (1 + 0.45 * coil * smooth(seeds, size, 5, device, 501))
    k = torch.fft.fft2(seen, norm="ortho")
    f = torch.fft.fftfreq(size, device=device) * size  # cycles per picture
    ky, kx = f[:, None], f[None]
    # half a line of roll-off, as between two whole numbers of lines
    inside = ((lines * 0.5 - ky.abs()).clamp(0, 1)) * ((lines * 0.5 - kx.abs()).clamp(0, 1))
    swing = torch.sin(ky * (2 * torch.pi / SWINGS)) * (ky.abs() > 3)
    k = k * torch.complex(torch.ones_like(swing * motion), 0.35 * swing * motion)
    grain = torch.complex(white(seeds, size, device, 502), white(seeds, size, device, 503))
    k = (k + noise * grain) * inside
    return torch.fft.ifft2(k, norm="ortho").abs()
