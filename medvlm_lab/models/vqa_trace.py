"""The inside of one answer of `vit-bert-vqa`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import fitted

if TYPE_CHECKING:
    from medvlm_lab.models.vqa_answerer import VQAAnswerer


@torch.enable_grad()
def trace(answerer: VQAAnswerer, image: MedicalImage, question: str) -> Trace:
    """See `VQAAnswerer.trace`; `question` is checked already."""
    from medvlm_lab.models.vqa_answerer import BEAMS

    m, tokenizer, device = answerer.module, answerer.tokenizer, answerer.device
    ids = tokenizer.batch([question], m.config.question_context).to(device)
    pixels = answerer.pixels([image]).to(device)  # (1, 3, s, s)
    with torch.no_grad():
        cells, read = m.image_encoder.stem(pixels), m.encode_question(ids)  # (1, c, h, w)
        seen = m.image_encoder.encode_patches(cells.flatten(2).transpose(1, 2))
        beams, logs = beam_search(
            m.decode, *m.fuse(seen, *read), tokenizer.start, tokenizer.end, BEAMS, m.config.answer_context
        )
    answer = answerer._answer(beams[0], logs[0], 0.0).text
    row = next((row for row in beams[0] if tokenizer.decode(row.tolist()) == answer), beams[0, 0])
    ended = (row == tokenizer.end).nonzero()  # what follows only fills the beam up
    said = row[None, : int(ended[0]) + 1 if len(ended) else None]  # (1, a), from the start mark on

    def score(cells: Float[Tensor, "n c h w"], maps: list[Tensor] | None = None) -> Float[Tensor, " n"]:
        seen = m.image_encoder.encode_patches(cells.flatten(2).transpose(1, 2))
        asked = (part.expand(len(cells), *part.shape[1:]) for part in read)
        target = said.expand(len(cells), -1)
        logits = m.decode(target[:, :-1], *m.fuse(seen, *asked), maps)  # (n, a - 1, v)
        return logits.log_softmax(-1).gather(2, target[:, 1:, None])[..., 0].sum(1)

    cells, maps = cells.requires_grad_(), []
    total = score(cells, maps)[0]
    places = 1 + torch.arange(cells[0, 0].numel())  # behind the class token
    view = replace(fitted((image.height, image.width), m.config.image_size), frame=image.frames // 2)
    words = said[0, 1:].tolist()
    return Trace(
        question, total, cells, view, tuple(maps), places, answer=answer,
        words=tuple(tokenizer.vocabulary[i] for i in words),
        looks=torch.stack(maps).mean((0, 2))[0][:, places].detach(), pixels=pixels,
        again=lambda pixels: score(m.image_encoder.stem(pixels)),
    )  # fmt: skip
