"""Picture → square tensor, and the random changes that training applies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.image import MedicalImage


def frames_read(images: Sequence[MedicalImage], most: int) -> list[list[int]]:
    """The frames of each image that a model reads which takes up to `most`, equally many of each image.

    Evenly spaced ones of a cine; the middle frame, repeated, of a still and of a volume, and where only one is read.
    """
    count = max((min(most, image.frames) if image.cine else 1 for image in images), default=1)
    return [
        np.linspace(0, image.frames - 1, count).round().astype(int).tolist() if image.cine and count > 1
        else [image.reading_frame] * count
        for image in images
    ]  # fmt: skip


def square_of(image: MedicalImage, size: int, frame: int | None = None) -> Float[Tensor, "3 s s"]:
    """`to_square` of one frame with square pixels, by default the one that a model reads."""
    return to_square(image.picture(image.reading_frame if frame is None else frame), size)


def to_square(rgb: np.ndarray, size: int) -> Float[Tensor, "3 s s"]:
    """Fits `(h, w, 3)` uint8 into a black `size` × `size` square, aspect kept; values in [0, 1]."""
    x, y, *fitted = fitted_box(*rgb.shape[:2], size)
    picture = Image.fromarray(rgb).resize(fitted, Image.Resampling.BICUBIC, reducing_gap=2.0)
    square = Image.new("RGB", (size, size))
    square.paste(picture, (x, y))
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255  # (3, s, s)


def from_square(
    values: Float[Tensor, "s s"], height: int, width: int, shown: tuple[int, int] | None = None
) -> Float[Tensor, "h w"]:
    """Undoes `to_square` for a map: the border is cut off, the rest brought to the picture's own pixels.

    shown: height and width with square pixels, where the picture's own are not.
    """
    x, y, w, h = fitted_box(*(shown or (height, width)), values.shape[-1])
    inner = values[None, None, y : y + h, x : x + w]
    return F.interpolate(inner, (height, width), mode="bilinear", align_corners=False, antialias=True)[0, 0]


def fitted_box(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """Where a picture lies in its square: left, top, width, height in the square's pixels."""
    scale = size / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    return (size - w) // 2, (size - h) // 2, w, h


def augment(image: Float[Tensor, "3 s s"], rng: np.random.Generator) -> Float[Tensor, "3 s s"]:
    """A small random rotation, shift, zoom, gamma and contrast. Never a flip: left and right are diagnoses."""
    angle, zoom = np.deg2rad(rng.uniform(-8, 8)), rng.uniform(0.85, 1.08)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    shift = rng.uniform(-0.06, 0.06, 2)
    theta = torch.tensor([[[cos, -sin, shift[0]], [sin, cos, shift[1]]]], dtype=torch.float32)
    grid = F.affine_grid(theta, [1, *image.shape], align_corners=False)
    moved = F.grid_sample(image[None], grid, align_corners=False)[0]
    return ((moved.clamp(0, 1) ** rng.uniform(0.8, 1.25)) * rng.uniform(0.9, 1.1)).clamp(0, 1)
