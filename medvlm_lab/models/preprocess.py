"""Picture → square tensor, and the random changes that training applies."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def to_square(rgb: np.ndarray, size: int) -> Float[Tensor, "3 s s"]:
    """Fits `(h, w, 3)` uint8 into a black `size` × `size` square, aspect kept; values in [0, 1]."""
    height, width = rgb.shape[:2]
    scale = size / max(height, width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(rgb).resize(fitted, Image.Resampling.BICUBIC, reducing_gap=2.0)
    square = Image.new("RGB", (size, size))
    square.paste(picture, ((size - fitted[0]) // 2, (size - fitted[1]) // 2))
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255  # (3, s, s)


def augment(image: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
    """A small random rotation, shift, zoom, gamma and contrast. Never a flip: left and right are diagnoses."""
    angle, zoom = np.deg2rad(rng.uniform(-8, 8)), rng.uniform(0.85, 1.08)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    shift = rng.uniform(-0.06, 0.06, 2)
    theta = torch.tensor([[[cos, -sin, shift[0]], [sin, cos, shift[1]]]], dtype=torch.float32)
    grid = torch.nn.functional.affine_grid(theta, [1, *image.shape], align_corners=False)
    moved = torch.nn.functional.grid_sample(image[None], grid, align_corners=False)[0]
    return ((moved.clamp(0, 1) ** rng.uniform(0.8, 1.25)) * rng.uniform(0.9, 1.1)).clamp(0, 1)
