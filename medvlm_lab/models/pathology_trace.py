"""The inside of one answer of `pathology-vlm`: the tiles' patches as one grid over the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.generative import Seen, lesson
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import View
from medvlm_lab.models.writer import LONGEST_ANSWER, QUESTION, looked
from medvlm_lab.nn.connector import choose_grid, fit, framed, parted, resize
from medvlm_lab.nn.efficientnet import STRIDE
from medvlm_lab.text.prose import tidy

if TYPE_CHECKING:
    from medvlm_lab.models.pathology_vlm import PathologyVLM


@torch.enable_grad()
def trace(model: PathologyVLM, image: MedicalImage, question: str, answer: str | None = None) -> Trace:
    """See `PathologyVLM.trace`; `question` is checked already.

    The whole view shows the same places once more; it is held as it is where the patches change.
    """
    from medvlm_lab.models.pathology_vlm import Views, cut, picture

    m, tokenizer, config = model.module, model.tokenizer, model.module.config
    shown = picture(image)  # (3, height, width)
    shape = rows, columns = choose_grid(*shown.shape[1:], config.tile, largest=config.tiles)
    side, count, frame = config.tile // STRIDE, rows * columns, (rows * config.tile, columns * config.tile)
    h, w = fit(*shown.shape[1:], *frame)
    top, left = (frame[0] - h) // 2, (frame[1] - w) // 2
    pixels, keep = (part[None].to(model.device) for part in cut(shown, config))  # (1, k, 3, s, s), (1, k, p)
    prompt = model.ids(QUESTION.format(question))

    def patches_of(pixels: Float[Tensor, "n k 3 s s"]) -> Float[Tensor, "n k p c"]:
        return m.patches(Views(pixels, keep.expand(len(pixels), -1, -1)))

    with torch.no_grad():
        patches = patches_of(pixels)
        seen = m.connect(m.look(patches, keep))
        ids = torch.tensor([prompt], device=model.device)
    said = model.said(seen, ids, torch.ones_like(ids, dtype=torch.bool), LONGEST_ANSWER, answer)
    batch = lesson([prompt], [said], tokenizer.pad, len(prompt) + len(said))  # all, as it answers
    whole, real, target = (part.to(model.device) for part in batch)
    attentions: list[Tensor] = []
    reading: list[Tensor] = []

    def score(patches: Tensor, maps: list[Tensor] | None = None, read: list[Tensor] | None = None) -> Tensor:
        n = len(patches)
        tokens = m.look(patches, keep.expand(n, -1, -1)).tokens[:, :, 1:]
        prefix = m.connector(tokens[:, 0], tokens[:, 1:], keep[:, 1:].expand(n, -1, -1), maps)
        return m.log_probability(Seen(prefix), *(part.expand(n, -1) for part in (whole, real, target)), read)

    def again(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        tiles = parted(pixels, shape).permute(0, 1, 4, 2, 3)  # (n, k, 3, s, s)
        over = [resize(p[:, top : top + h, left : left + w], (config.tile,) * 2) for p in pixels.detach()]
        over = torch.stack(over).clamp(0, 1)[:, None]
        return score(patches_of(F.pad(torch.cat([over, tiles], 1), (0,) * 7 + (config.tiles - count,))))

    tiles = patches[:, 1 : 1 + count].unflatten(2, (side, side))  # (1, rows · columns, s, s, c)
    activations = framed(tiles, shape).requires_grad_()
    changed = parted(activations, shape).flatten(2, 3)
    total = score(torch.cat([patches[:, :1], changed, patches[:, 1 + count :]], 1), attentions, reading)[0]
    places = torch.arange(count * side * side).view(1, count, side, side, 1)
    places = framed(places, shape).flatten()  # of each cell, row by row, its column in the attentions
    view = View.through((image.height, image.width), (h, w), frame, (-top, -left))
    return Trace(
        question, total, activations, replace(view, frame=image.reading_frame), tuple(attentions), places,
        answer=tidy(tokenizer.decode(said)), words=tuple(tokenizer.vocabulary[i] for i in said),
        looks=looked(reading, attentions)[target[0, 1:]][:, places],
        pixels=framed(pixels[:, 1 : 1 + count].permute(0, 1, 3, 4, 2), shape), again=again, tiles=shape,
    )  # fmt: skip
