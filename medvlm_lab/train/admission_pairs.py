"""Simulated admissions as a fusion reads them: frozen features of the picture, word numbers of the note."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from medvlm_lab.models.dual_encoder import MEAN, STD, DualEncoder
from medvlm_lab.nn.fusion import Sizes
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.admissions import LABELS, Admission, note_vocabulary
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.fit import Pairs

CONTEXT = 24  # tokens of the longest note
TOGETHER = 64  # pictures at a time


@lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    """Of the notes."""
    return Tokenizer(note_vocabulary())


@torch.inference_mode()
def picture_cells(group: Sequence[Admission], model: DualEncoder, noise: float = 0.0) -> Float[Tensor, "n 9 c"]:
    """Cells of the frozen image tower at its own size, averaged into 3 × 3 a picture, row by row.

    noise: standard deviation of random grey values added to the picture, whose own go from 0 to 1.
    """
    size, generator, cells = model.config.image_size, torch.Generator().manual_seed(1), []
    for i in range(0, len(group), TOGETHER):
        pixels = phantom("chest-xray").render([a.scene for a in group[i : i + TOGETHER]], size)  # (n, 1, s, s)
        pixels = (pixels + noise * torch.randn(pixels.shape, generator=generator)).clamp(0, 1)
        cells.append(adaptive_avg_pool2d(model.image_encoder.features((pixels - MEAN) / STD), 3))  # (n, c, 3, 3)
    return torch.cat(cells).flatten(2).transpose(1, 2)


def note_numbers(group: Sequence[Admission], noise: float = 0.0) -> Int[Tensor, "n t"]:
    """The notes, their noise as in `Admission.note`, as numbers of words."""
    return tokenizer().batch([a.note(noise) for a in group], CONTEXT)


def pairs(group: Sequence[Admission], model: DualEncoder) -> Pairs:
    """Both modalities of every patient without noise, and the labels."""
    there = torch.ones(len(group), 2, dtype=torch.bool)
    cells = picture_cells(group, model).clone()  # no longer an inference tensor
    return Pairs(cells, note_numbers(group), torch.tensor([a.labels for a in group]), there)


def sizes_for(data: Pairs) -> Sizes:
    """The sizes of a fusion for these data."""
    return Sizes(*data.image.shape[1:], words=len(tokenizer()), context=CONTEXT, labels=len(LABELS))
