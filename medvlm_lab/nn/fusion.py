"""Early, late and hybrid fusion of a picture and a note: three ways from the tokens of both to one logit a label.

image (n, p, c) → Linear + places    → (n, p, d) ┐
                                                 ├ fuse → logits (n, l)
note  (n, t)    → Embedding + places → (n, t, d) ┘

The three differ in `fuse` alone and have as many layers, so that they can be compared; a fourth needs no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medvlm_lab.errors import MedVLMError
from medvlm_lab.nn.layers import EncoderLayer

PAD = 0  # the word number that fills up short notes


@dataclass(frozen=True)
class Sizes:
    """What goes in and comes out, and how large the network between is.

    Attributes:
        cells, channels: of a picture. words: of the vocabulary. context: words that a note may have.
        labels: logits that come out. width, heads, hidden: of every layer. layers: in all, divisible by 4.
    """

    cells: int
    channels: int
    words: int
    context: int
    labels: int
    width: int = 48
    heads: int = 4
    hidden: int = 96
    layers: int = 4

    def __post_init__(self) -> None:
        if self.layers % 4 or self.width % self.heads:
            raise MedVLMError(
                f"layers={self.layers}, width={self.width}, heads={self.heads}: hybrid fusion needs layers in fours, "
                "attention a width that its heads divide; change these numbers."
            )


class Fusion(nn.Module):
    """What all fusions share: both modalities as tokens of one width. A subclass writes `fuse`."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.cell = nn.Sequential(nn.LayerNorm(sizes.channels), nn.Linear(sizes.channels, sizes.width))
        self.word = nn.Embedding(sizes.words, sizes.width)
        # small: larger ones drown which word it is, and training takes longer
        self.cell_places = nn.Parameter(0.03 * torch.randn(sizes.cells, sizes.width))
        self.word_places = nn.Parameter(0.03 * torch.randn(sizes.context, sizes.width))

    def forward(
        self, image: Float[Tensor, "n p c"], note: Int[Tensor, "n t"], keep: Bool[Tensor, "n 2"] | None = None
    ) -> Float[Tensor, "n l"]:
        """`keep` is False where a patient's picture (first column) or note (second) is missing: it has no influence."""
        keep = keep if keep is not None else torch.ones(len(note), 2, dtype=torch.bool, device=note.device)
        seen, read = keep[:, :1].expand(-1, image.shape[1]), keep[:, 1:] & (note != PAD)
        cells = (self.cell(image) + self.cell_places).masked_fill(~seen[..., None], 0.0)  # (n, p, d)
        words = self.word(note) + self.word_places[: note.shape[1]]
        return self.fuse(cells, words.masked_fill(~read[..., None], 0.0), seen, read)

    def fuse(
        self, image: Float[Tensor, "n p d"], note: Float[Tensor, "n t d"], seen: Bool[Tensor, "n p"],
        read: Bool[Tensor, "n t"],
    ) -> Float[Tensor, "n l"]:  # fmt: skip
        """Logits from the tokens of both; what `seen` and `read` hide is zero already and must not be attended to."""
        raise NotImplementedError


class Reader(nn.Module):
    """A summary token before the others, encoder layers, and a linear head on what the summary has gathered.

    out: numbers that the head puts out; by default one logit a label.
    """

    def __init__(self, sizes: Sizes, layers: int, out: int | None = None):
        super().__init__()
        self.summary = nn.Parameter(0.1 * torch.randn(1, 1, sizes.width))
        self.layers = nn.ModuleList(EncoderLayer(sizes.width, sizes.heads, sizes.hidden) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(sizes.width), nn.Linear(sizes.width, out or sizes.labels)

    def forward(self, tokens: Float[Tensor, "n t d"], keep: Bool[Tensor, "n t"]) -> Float[Tensor, "n o"]:
        """Zero for a patient of whom no token is kept."""
        x = torch.cat([self.summary.expand(len(tokens), -1, -1), tokens], 1)  # (n, 1 + t, d)
        there = torch.cat([keep.new_ones(len(keep), 1), keep], 1)
        for layer in self.layers:
            x = layer(x, there)
        return self.head(self.norm(x[:, 0])) * keep.any(1, keepdim=True)


class EarlyFusion(Fusion):
    """All tokens in one sequence from the first layer on."""

    def __init__(self, sizes: Sizes):
        super().__init__(sizes)
        self.joint = Reader(sizes, sizes.layers)

    def fuse(self, image, note, seen, read):
        return self.joint(torch.cat([image, note], 1), torch.cat([seen, read], 1))


class LateFusion(Fusion):
    """Each modality for itself; only the two predictions are added."""

    def __init__(self, sizes: Sizes):
        super().__init__(sizes)
        self.see, self.read = (Reader(sizes, sizes.layers // 2) for _ in range(2))

    def fuse(self, image, note, seen, read):
        return self.see(image, seen) + self.read(note, read)


class HybridFusion(Fusion):
    """Both: joint layers on the tokens, layers for each modality, and the three predictions added at the end."""

    def __init__(self, sizes: Sizes):
        super().__init__(sizes)
        self.joint = Reader(sizes, sizes.layers // 2)
        self.see, self.read = (Reader(sizes, sizes.layers // 4) for _ in range(2))

    def fuse(self, image, note, seen, read):
        together = self.joint(torch.cat([image, note], 1), torch.cat([seen, read], 1))
        return together + self.see(image, seen) + self.read(note, read)
