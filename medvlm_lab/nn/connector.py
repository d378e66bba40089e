"""From image features to soft tokens of a language model: LLaVA's projector, PA-LLaVA's scaling-free connector."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.nn.qformer import QFormerLayer


class Projector(nn.Sequential):
    """A two-layer MLP from each patch to one soft token (Liu et al. 2024, LLaVA-1.5).

    LLaVA feeds it the penultimate ViT layer without the class token: the last one is shaped by CLIP's pooling.
    """

    def __init__(self, image_width: int, text_width: int):
        super().__init__(nn.Linear(image_width, text_width), nn.GELU(), nn.Linear(text_width, text_width))


class ScalingFreeConnector(nn.Module):
    """Patches of the whole view ask the full-resolution tiles (Dai et al. 2025, PA-LLaVA): p tokens at any image size.

    In PA-LLaVA's public code a Q-Former without text, cross-attention in every layer, whose queries are the patches of
    the global view; the mask there lets one tile of padding through, here none. Tile tokens carry no sign of which tile
    they come from: shuffling the tiles changes nothing.
    """

    def __init__(self, image_width: int, text_width: int, depth: int = 6, heads: int = 12, hidden: int | None = None):
        super().__init__()
        hidden = hidden or 4 * image_width
        self.input_norm = nn.LayerNorm(image_width, eps=1e-12, elementwise_affine=False)
        self.layers = nn.ModuleList(
            QFormerLayer(image_width, heads, hidden, image_width, text=False) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(image_width, eps=1e-12)
        self.projection = nn.Linear(image_width, text_width)

    def forward(
        self,
        overview: Float[Tensor, "n p d"],
        tiles: Float[Tensor, "n k p d"],
        keep: Bool[Tensor, "n k p"] | None = None,
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n p e"]:
        """Soft tokens; `keep` is False at padded patches and tiles, `maps` receives weights, (n, heads, p, k · p)."""
        tiles = tiles.flatten(1, 2)  # (n, k p, d)
        keep = None if keep is None else keep.flatten(1)
        x, no_text = self.input_norm(overview), overview[:, :0]
        for layer in self.layers:
            x, _ = layer(x, no_text, tiles, image_keep=keep, maps=maps)
        return self.projection(self.norm(x + overview))


def choose_grid(height: int, width: int, tile: int, smallest: int = 4, largest: int = 8) -> tuple[int, int]:
    """Rows and columns, `smallest` to `largest` tiles in all, that keep most of an image's pixels; ValueError if empty.

    Among grids that keep equally many: the one of fewest tiles, then the one that the image fills best or the squarest.
    """
    if min(height, width, tile) < 1:
        raise ValueError(f"sizes must be positive, not {height} × {width} in tiles of {tile}")

    def merit(grid: tuple[int, int]) -> tuple[int, int, int, int]:
        (rows, columns), (h, w) = grid, fit(height, width, grid[0] * tile, grid[1] * tile)
        return min(h * w, height * width), -rows * columns, h * w, -abs(rows - columns)

    grids = [(r, c) for r in range(1, largest + 1) for c in range(1, largest + 1) if smallest <= r * c <= largest]
    return max(grids, key=merit)


def fit(height: int, width: int, frame_height: int, frame_width: int) -> tuple[int, int]:
    """The largest size of the same proportions inside a frame, in pixels, at least 1."""
    scale = min(frame_height / height, frame_width / width)
    return (
        max(1, min(frame_height, round(height * scale))),
        max(1, min(frame_width, round(width * scale))),
    )


def cut_tiles(
    image: Float[Tensor, "c h w"], tile: int, patch: int, largest: int = 8
) -> tuple[Float[Tensor, "c s s"], Float[Tensor, "{largest} c s s"], Bool[Tensor, "{largest} p"]]:
    """The whole view, `largest` tiles of which the last may be empty, and which patches of each hold image.

    The view is squeezed into one tile; the tiles show the image enlarged or reduced in proportion, black around it.
    """
    rows, columns = choose_grid(*image.shape[1:], tile, largest=largest)
    frame = rows * tile, columns * tile
    h, w = fit(*image.shape[1:], *frame)
    top, left = (frame[0] - h) // 2, (frame[1] - w) // 2
    canvas = image.new_zeros(len(image), *frame)
    canvas[:, top : top + h, left : left + w] = resize(image, (h, w))
    real = torch.zeros(1, *frame, device=image.device)
    real[:, top : top + h, left : left + w] = 1.0

    def cut(x: Float[Tensor, "c h w"]) -> Float[Tensor, "k c s s"]:
        x = x.unflatten(2, (columns, tile)).unflatten(1, (rows, tile))  # (c, rows, s, columns, s)
        return F.pad(x.permute(1, 3, 0, 2, 4).flatten(0, 1), (0,) * 7 + (largest - rows * columns,))

    keep = F.max_pool2d(cut(real), patch).flatten(1) > 0  # (largest, p)
    return resize(image, (tile, tile)), cut(canvas), keep


def framed(tiles: Float[Tensor, "n k s t c"], shape: tuple[int, int]) -> Float[Tensor, "n c h w"]:
    """Tiles beside each other as they lie in the picture, `shape` rows and columns of them."""
    return tiles.unflatten(1, shape).permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def parted(grid: Float[Tensor, "n c h w"], shape: tuple[int, int]) -> Float[Tensor, "n k s t c"]:
    """The way back."""
    rows, columns = shape
    grid = grid.unflatten(3, (columns, -1)).unflatten(2, (rows, -1))  # (n, c, rows, s, columns, t)
    return grid.permute(0, 2, 4, 3, 5, 1).flatten(1, 2)


def resize(image: Float[Tensor, "c h w"], size: tuple[int, int]) -> Float[Tensor, "c i j"]:
    """Bicubic, without aliasing when reduced."""
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0]
