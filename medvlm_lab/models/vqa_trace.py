"""The inside of one answer of `vit-bert-vqa`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.trace import Trace, record_attention
from medvlm_lab.models.view import fitted

if TYPE_CHECKING:
    from medvlm_lab.models.vqa_answerer import VQAAnswerer


@torch.enable_grad()
def trace(answerer: VQAAnswerer, image: MedicalImage, question: str, answer: str | None = None) -> Trace:
    """See `VQAAnswerer.trace`; `question` is checked already."""
    m, tokenizer, device = answerer.module, answerer.tokenizer, answerer.device
    ids = tokenizer.batch([question], m.config.question_context).to(device)
    pixels = answerer.pixels([image]).to(device).requires_grad_()  # (1, 3, s, s)
    cells = m.image_encoder.stem(pixels)  # (1, c, h, w)
    with torch.no_grad():
        read = m.encode_question(ids)
    if answer is None:
        said = own_answer(answerer, cells, *read)
    else:
        said = torch.tensor(tokenizer.encode(answer, m.config.answer_context), device=device)
    said = said[None]  # (1, a), from the start mark on

    def score(cells: Float[Tensor, "n c h w"], maps: list[Tensor] | None = None) -> Float[Tensor, " n"]:
        seen = m.image_encoder.encode_patches(cells.flatten(2).transpose(1, 2))
        asked = (part.expand(len(cells), *part.shape[1:]) for part in read)
        target = said.expand(len(cells), -1)
        logits = m.decode(target[:, :-1], *m.fuse(seen, *asked), maps)  # (n, a - 1, v)
        return logits.log_softmax(-1).gather(2, target[:, 1:, None])[..., 0].sum(1)

    maps: list[Tensor] = []
    with record_attention(m.image_encoder) as encoder:
        total = score(cells, maps)[0]
    places = 1 + torch.arange(cells[0, 0].numel())  # behind the class token
    view = fitted(image.picture_size, m.config.image_size).on(image, image.reading_frame)
    words = said[0, 1:].tolist()
    return Trace(
        question, total, cells, view, tuple(maps), places, answer=tokenizer.decode(said[0].tolist()),
        words=tuple(tokenizer.vocabulary[i] for i in words),
        looks=torch.stack(maps).mean((0, 2))[0][:, places].detach(), pixels=pixels,
        again=lambda pixels: score(m.image_encoder.stem(pixels)), encoder=tuple(encoder),
    )  # fmt: skip


@torch.no_grad()
def own_answer(
    answerer: VQAAnswerer, cells: Float[Tensor, "1 c h w"], question: Float[Tensor, "1 q e"], keep: Bool[Tensor, "1 q"]
) -> Int[Tensor, " a"]:
    """Tokens of what the model answers, from the start mark to the end."""
    from medvlm_lab.models.vqa_answerer import BEAMS

    m, tokenizer = answerer.module, answerer.tokenizer
    seen = m.image_encoder.encode_patches(cells.flatten(2).transpose(1, 2))
    memory = m.fuse(seen, question, keep)
    beams, logs = beam_search(m.decode, *memory, tokenizer.start, tokenizer.end, BEAMS, m.config.answer_context)
    answer = answerer._answer(beams[0], logs[0], "", {}, 0.0).text
    row = next((row for row in beams[0] if tokenizer.decode(row.tolist()) == answer), beams[0, 0])
    ended = (row == tokenizer.end).nonzero()  # what follows only fills the beam up
    return row[: int(ended[0]) + 1 if len(ended) else None]
