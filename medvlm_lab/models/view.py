"""Where a model's input square lies in the image: resizing, cropping and padding undone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.image import MedicalImage

Size = tuple[float, float]  # height, width


@dataclass(frozen=True)
class View:
    """What part of an image a model saw.

    Attributes:
        size: (height, width) of the image in pixels.
        box: (top, left, bottom, right) of the model's input in the image's own pixels; it reaches beyond the image
            where the input was padded, and covers less than the image where it was cropped.
        frame: which frame was seen.
    """

    size: tuple[int, int]
    box: tuple[float, float, float, float]
    frame: int = 0

    @classmethod
    def through(cls, size: tuple[int, int], resized: Size, seen: Size, offset: Size | None = None, frame: int = 0):
        """An image of `size` that was resized to `resized`, of which a window of `seen` starts at `offset`.

        The window is central by default; a negative offset is padding.
        """
        scale = [a / b for a, b in zip(size, resized, strict=True)]
        offset = offset or [int((r - s) / 2) for r, s in zip(resized, seen, strict=True)]
        start = [o * s for o, s in zip(offset, scale, strict=True)]
        end = [(o + n) * s for o, n, s in zip(offset, seen, scale, strict=True)]
        return cls(size, (*start, *end), frame)

    def on(self, image: MedicalImage, frame: int) -> View:
        """The view of an image's `picture`, whose pixels are square, in the image's own pixels."""
        down, right = image.height / self.size[0], image.width / self.size[1]
        top, left, bottom, end = self.box
        return View((image.height, image.width), (top * down, left * right, bottom * down, end * right), frame)

    def cell(self, row: int, column: int, grid: tuple[int, int]) -> tuple[float, float, float, float]:
        """(top, left, bottom, right) of one cell of the grid, in the image's pixels."""
        top, left, bottom, right = self.box
        high, wide = (bottom - top) / grid[0], (right - left) / grid[1]
        return (top + row * high, left + column * wide, top + (row + 1) * high, left + (column + 1) * wide)

    def to_image(
        self, values: Float[Tensor, "*n h w"], mode: str = "bilinear"
    ) -> Float[np.ndarray, "*n height width"]:
        """A map over the grid as float32 in the image's own pixels, 0 where the model did not look.

        Args:
            values: one number for each cell. mode: "bilinear", "bicubic" or "nearest" between the cells' centres.
        """
        sides = zip(self.size, values.shape[-2:], self.box[:2], self.box[2:], strict=True)
        rows, columns = (shares(*side, mode) for side in sides)  # (height, h), (width, w)
        return (rows @ values.detach().float().cpu() @ columns.T).numpy()

    def to_input(self, values: Float[Tensor, "height width"], size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """What a map of the image's own pixels says at each pixel of the model's input, -inf beyond the image."""
        places, there = [], []
        for pixels, count, start, end in zip(self.size, size, self.box[:2], self.box[2:], strict=True):
            at = (start + (torch.arange(count) + 0.5) * (end - start) / count).floor().long()
            places.append(at.clamp(0, pixels - 1))
            there.append((at >= 0) & (at < pixels))
        seen = values[places[0][:, None], places[1]]
        return seen.masked_fill(~(there[0][:, None] & there[1]), -torch.inf)


@lru_cache(maxsize=32)  # many maps are drawn on one image
def shares(pixels: int, cells: int, start: float, end: float, mode: str) -> Float[Tensor, "pixels cells"]:
    """How much each cell of a line from `start` to `end` gives to each pixel; 0 outside.

    Interpolation treats rows and columns alike, so that a map is drawn by two small matrix products.
    """
    at = (torch.arange(pixels) + 0.5 - start) / (end - start) * 2 - 1  # -1 … 1 over the box
    grid = torch.stack([torch.zeros_like(at), at], -1)[None, :, None].float()  # (1, pixels, 1, 2)
    drawn = F.grid_sample(torch.eye(cells)[None, :, :, None], grid, mode, "border", align_corners=False)
    return drawn[0, :, :, 0].T * (at.abs() <= 1)[:, None]


def fitted(size: tuple[int, int], square: int) -> View:
    """The view of `preprocess.to_square`: the whole image, black around it."""
    scale = square / max(size)
    resized = [max(1, round(n * scale)) for n in size]
    return View.through(size, resized, (square, square))


def by_shorter_side(size: tuple[int, int], edge: int) -> list[int]:
    """Height and width after the shorter one was resized to `edge`, as torchvision rounds them."""
    return [edge if n == min(size) else int(edge * n / min(size)) for n in size]


def processor_view(processor, size: tuple[int, int]) -> View:
    """The view of a transformers image processor, read from its settings."""
    wanted = _as_dict(processor.size)
    square = getattr(processor, "do_pad", False) and "shortest_edge" in wanted
    if square:  # LLaVA: padded to a square first
        edge, longest = wanted["shortest_edge"], max(size)
        resized = [n * edge / longest for n in size]
        return View.through(size, resized, (edge, edge), [(r - edge) / 2 for r in resized])
    if "shortest_edge" in wanted:
        edge = wanted["shortest_edge"]
        crop = _as_dict(processor.crop_size)
        return View.through(size, by_shorter_side(size, edge), (crop["height"], crop["width"]))
    seen = (wanted["height"], wanted["width"])
    if getattr(processor, "do_center_crop", False):
        crop = _as_dict(processor.crop_size)
        return View.through(size, seen, (crop["height"], crop["width"]))
    return View.through(size, seen, seen)


def _as_dict(size) -> dict[str, int]:
    return {key: value for key, value in dict(size).items() if value is not None}
