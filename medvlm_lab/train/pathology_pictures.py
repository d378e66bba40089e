"""Micrographs for training: the frozen stem's output of every view, computed once, for a few variations of each.

Of a simulated one the masks go along, as channels after the three colours: which patch shows what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.devices import computes_bfloat16
from medvlm_lab.models.pathology_vlm import COLUMN, PathologyNet, Views, cut
from medvlm_lab.nn.efficientnet import STRIDE
from medvlm_lab.progress import tqdm
from medvlm_lab.train.cache import cached

TOGETHER = 3  # pictures whose views pass the stem together
SHOWN = 0.25  # of a pixel of a view that a mask has to cover somewhere in a patch


@dataclass(frozen=True)
class Pictures:
    """The stem's features of all views of all pictures, which patches hold image, and which masks reach into them."""

    patches: Float16[Tensor, "copies n k p c"]
    keep: Bool[Tensor, "copies n k p"]
    cells: Bool[Tensor, "copies n k p m"]

    def draw(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Float[Tensor, "m k p c"], Tensor]:
        """Features and `keep` of these pictures, each in any of its variations; as they are where `rng` is None."""
        return self.outlined(rows, rng)[:2]

    def outlined(self, rows: np.ndarray, rng: np.random.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """As `draw`, with the cells."""
        copies = np.zeros(len(rows), int) if rng is None else rng.integers(len(self.patches), size=len(rows))
        return self.patches[copies, rows].float(), self.keep[copies, rows], self.cells[copies, rows]


@torch.inference_mode()
def pictures(
    net: PathologyNet, read: Callable[[int], Float[Tensor, "3+m h w"]], count: int, copies: int, cache: Path | None
) -> Pictures:
    """`count` pictures with their masks, from 0 to 1, as `read` gives them; `copies` of each, all but the first varied.
    """

    def make() -> dict[str, Tensor]:
        net.vision.stem.eval().to(memory_format=torch.channels_last)
        views, rows = 1 + net.config.tiles, copies * count
        # all at once: small tensors that stay, between large ones that go, would leave ever more memory in pieces
        patches = torch.zeros(rows, views, net.vision.grid**2, COLUMN, dtype=torch.half)
        keep, cells = torch.zeros(patches.shape[:3], dtype=torch.bool), None
        most, quick = 0, computes_bfloat16(torch.device("cpu"))
        with tqdm(total=rows, desc="image features", unit="image") as bar:
            for copy in range(copies):
                rng = np.random.default_rng(copy)
                for i in range(0, count, TOGETHER):
                    part = [read(row) for row in range(i, min(count, i + TOGETHER))]
                    part = [varied(picture, rng) for picture in part] if copy else part
                    pixels, real = map(torch.stack, zip(*(cut(p, net.config) for p in part), strict=True))
                    here = slice(copy * count + i, copy * count + i + len(part))
                    with torch.autocast("cpu", torch.bfloat16, enabled=quick):  # less than half the time
                        patches[here] = net.patches(Views(pixels[:, :, :3], real))
                    masks = pixels[:, :, 3:]  # (n, k, m, s, s)
                    shown = F.max_pool2d(masks.flatten(0, 2)[:, None], STRIDE) > SHOWN
                    if cells is None:
                        cells = torch.zeros(*keep.shape, masks.shape[2], dtype=torch.bool)
                    keep[here], cells[here] = real, shown.view(*masks.shape[:3], keep.shape[2]).transpose(2, 3)
                    most = max(most, int(real.any(-1).sum(1).max()))
                    bar.update(len(part))
        made = {"patches": patches, "keep": keep, "cells": cells}
        return {name: x[:, :most].clone().unflatten(0, (copies, count)) for name, x in made.items()}

    return Pictures(**cached(cache, make))


def varied(picture: Float[Tensor, "3+m h w"], rng: np.random.Generator) -> Float[Tensor, "3+m h w"]:
    """Turned and mirrored, as a slide may lie; a part of it; another stain and lamp."""
    if rng.random() < 0.5:
        picture = picture.flip(2)
    picture = picture.rot90(int(rng.integers(4)), (1, 2))
    h, w = (round(side * rng.uniform(0.8, 1.0)) for side in picture.shape[1:])
    top, left = (int(rng.integers(a - b + 1)) for a, b in zip(picture.shape[1:], (h, w), strict=True))
    picture = picture[:, top : top + h, left : left + w]
    strength = torch.from_numpy(rng.uniform(0.8, 1.25) * rng.uniform(0.9, 1.1, 3)).float()[:, None, None]
    stained = picture[:3].clamp(1 / 255, 1) ** strength  # Beer-Lambert: another strength is a power of the light
    return torch.cat([stained, picture[3:]])
