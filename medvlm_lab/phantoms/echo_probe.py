"""An ultrasound scanner: random scatterers seen through a beam, attenuated, log-compressed, scan-converted.

    echo = |(scatterers x echogenicity + reflectors) * point-spread function|,  picture = log(echo)

in the probe's own coordinates, depth along each beam. The beam has a constant angle, so that its width in millimetres
grows with depth, and it is narrowest in its focus. Interference of many scatterers in one such spot makes speckle.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from medvlm_lab.phantoms.echo_scene import EchoScene
from medvlm_lab.phantoms.noise import hashed

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

TEXEL_MM, TEXELS = 0.55, 704  # of the scatterers' pattern
FIRST_MM = 4.0  # where echoes begin: the curved edge at the top of the sector
DYNAMIC_DB = 56.0


@lru_cache(maxsize=2)
def scatterers(device: str) -> Float[Tensor, "1 2 t t"]:
    """In-phase and quadrature parts of random scatterers in the tissue's own millimetres."""
    pattern = np.random.default_rng((9, 0)).standard_normal((1, 2, TEXELS, TEXELS), dtype=np.float32)
    return torch.from_numpy(pattern).to(device)


@lru_cache(maxsize=2)
def _rough(device: str) -> Float[Tensor, "1 1 t t"]:
    pattern = np.random.default_rng((9, 1)).uniform(-1, 1, (1, 1, 128, 128)).astype(np.float32)
    return torch.from_numpy(pattern).to(device)


class Probe:
    """The polar grid of one scene: `rows` depths along each of `beams`."""

    def __init__(self, scene: EchoScene, depth_mm: float, size: int, device: torch.device):
        self.scene, self.device = scene, device
        self.rows, self.beams = min(320, max(96, size)), min(144, max(64, size // 2 + 8))
        self.half = math.radians(scene.sector_degrees) / 2
        self.step = (depth_mm - FIRST_MM) / (self.rows - 1)
        self.radius = (FIRST_MM + self.step * torch.arange(self.rows, device=device))[:, None]  # (R, 1)
        self.angle = torch.linspace(-self.half, self.half, self.beams, device=device)[None]  # (1, B)
        self.x, self.y = self.radius * self.angle.sin(), self.radius * self.angle.cos()  # (R, B) mm
        self.depth_mm = depth_mm
        self.seeds = np.array([scene.seed], np.int64)

    def speckle(self, u: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Scatterers at the tissue's own coordinates in mm: (f, R, B) each."""
        shift = hashed(self.seeds, 61, 2)[0] % 40
        at = torch.stack([u + (20.0 - float(shift[0])), d + (float(shift[1]) - 120.0)], -1) * (2 / (TEXEL_MM * TEXELS))
        flat = at.reshape(1, -1, self.beams, 2)
        both = F.grid_sample(scatterers(str(self.device)), flat, padding_mode="reflection", align_corners=False)
        both = both.reshape(2, *u.shape)
        return both[0], both[1]

    def patches(self, u: Tensor, d: Tensor, mm: float, purpose: int) -> Tensor:
        """Smooth variation in about [-1, 1] with patches of `mm`."""
        shift = torch.from_numpy(hashed(self.seeds, purpose, 2)[0] % 60).to(u)
        at = torch.stack([u / mm + shift[0] - 30, d / mm + shift[1] - 30], -1) * (1 / 64)
        flat = at.reshape(1, -1, self.beams, 2)
        pattern = _rough(str(self.device))
        return F.grid_sample(pattern, flat, padding_mode="reflection", align_corners=False).reshape(u.shape)

    def still_noise(self, purpose: int, frames: int) -> Float[Tensor, "f R B"]:
        """White noise, new in each frame, the same for the same scene."""
        pattern = scatterers(str(self.device))[0, purpose % 2]
        spare = TEXELS - max(self.rows, self.beams)
        corners = hashed(self.seeds, purpose, 2 * frames)[0].reshape(frames, 2) % spare
        return torch.stack([pattern[i : i + self.rows, j : j + self.beams] for i, j in corners.tolist()])

    def receive(self, in_phase: Tensor, quadrature: Tensor) -> Float[Tensor, "f R B"]:
        """The envelope of what the beam sums up."""
        axial = max(1, round((0.75 / self.step) ** 2))
        beam_degrees = math.degrees(2 * self.half) / (self.beams - 1)
        spread = ((0.85 + 0.75 * self.scene.blur) / beam_degrees) ** 2 * 2  # passes: each adds half a cell of variance
        narrow = max(1, round(0.6 * spread))
        wide = max(1, round(1.6 * spread))
        unfocused = ((self.radius - 0.55 * self.depth_mm).abs() * (2.0 / self.depth_mm)).clamp(0, 1)  # (R, 1)
        power = 0
        for part in (in_phase, quadrature):
            part = _blur(part, axial, -2)
            sharp = _blur(part, narrow, -1)
            broad = _blur(sharp, wide, -1)
            sharp = sharp * (_gain(axial) * _gain(narrow))
            broad = broad * (_gain(axial) * _gain(narrow + wide))
            power = power + (sharp + (broad - sharp) * unfocused) ** 2
        return power.sqrt()

    def compress(self, envelope: Tensor) -> Float[Tensor, "f R B"]:
        """Logarithm to grey values from 0 to 1."""
        scene = self.scene
        span = DYNAMIC_DB * (1 - 0.22 * scene.contrast)
        decibel = (envelope + 1e-5).log() * (20 / math.log(10)) + 1.5 + 4.5 * scene.gain
        grey = (decibel * (1 / span) + 1.0).clamp(0, 1.1)
        grey = grey * grey * (0.5 + 0.5 * grey)  # the scanner's own grey curve: dark blood
        return _blur(_blur(grey, 3, -1), 2, -2).clamp(0, 1)  # and its speckle reduction

    def scan_convert(self, polar: Float[Tensor, "f R B"], fov_mm: float, size: int) -> Float[Tensor, "f h w"]:
        """From beams to a picture, black outside the sector."""
        x, y = pixel_mm_grid(fov_mm, self.depth_mm, size, self.device)
        radius, angle = to_polar(x, y)
        row = (radius - FIRST_MM) * (2 / (self.step * (self.rows - 1))) - 1
        at = torch.stack([angle * (1 / self.half), row], -1)[None]
        picture = F.grid_sample(polar[None], at, mode="bilinear", align_corners=True)[0]
        picture = picture * sector(x, y, self.depth_mm, self.half)
        # the probe's marker stands on the patient's left
        dot = 2.2 - ((x - 0.13 * self.depth_mm) ** 2 + (y - 4.0) ** 2).sqrt()
        return torch.maximum(picture, 0.55 * (dot * (size / fov_mm)).clamp(0, 1))


def pixel_mm_grid(fov_mm: float, depth_mm: float, size: int, device) -> tuple[Tensor, Tensor]:
    """x and y in mm of every pixel, (h, w) each; the sector is centred in the picture."""
    mm = fov_mm / size
    edge = (torch.arange(size, device=device) + 0.5) * mm
    top = (fov_mm - depth_mm) / 2
    y, x = torch.meshgrid(edge - top, edge - fov_mm / 2, indexing="ij")
    return x, y


def to_polar(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Depth along the beam and the beam's angle."""
    return (x * x + y * y).sqrt(), torch.atan2(x, y)


def sector(x: Tensor, y: Tensor, depth_mm: float, half: float) -> Tensor:
    """Where the scanner sees anything."""
    square = x * x + y * y
    return (square <= depth_mm**2) & (square >= FIRST_MM**2) & (y > 0) & (x.abs() <= y * math.tan(half))


def _blur(x: Tensor, passes: int, axis: int) -> Tensor:
    """Repeated 1 2 1, which tends to a Gaussian; the ends keep half."""
    for _ in range(passes):
        near = x * 0.5
        size = x.shape[axis]
        near.narrow(axis, 1, size - 1).add_(x.narrow(axis, 0, size - 1), alpha=0.25)
        near.narrow(axis, 0, size - 1).add_(x.narrow(axis, 1, size - 1), alpha=0.25)
        x = near
    return x


@lru_cache(maxsize=64)
def _gain(passes: int) -> float:
    """What keeps white noise at variance 1 through `passes` of 1 2 1."""
    return (16.0**passes / math.comb(4 * passes, 2 * passes)) ** 0.5
