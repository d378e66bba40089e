"""The Q-Former: learned queries read an image for a language model (Li et al. 2023, BLIP-2, section 3.1).

    qformer = QFormer(width=768, depth=12, heads=12, hidden=3072, image_width=1408, vocabulary=30523)
    queries, text = qformer(patches, ids, keep)      # (n, 32, 768), (n, t, 768)

With a vocabulary, instruction tokens join the queries in self-attention and so choose what these look for in the image
(Dai et al. 2023, InstructBLIP, section 2.3). Only the queries look at the image.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medvlm_lab.nn.layers import Attention, feed_forward

Mode = Literal["itc", "itm", "itg"]


class QFormerOutput(NamedTuple):
    """What the queries saw, (n, q, d), and the text tokens, (n, t, d; t = 0 without text)."""

    queries: Tensor
    text: Tensor


class QFormerLayer(nn.Module):
    """BERT's post-norm layer over [queries; text], with cross-attention and a feed-forward for the queries alone."""

    def __init__(self, width: int, heads: int, hidden: int, image_width: int | None, text: bool):
        super().__init__()
        self.attention, self.norm = Attention(width, heads), nn.LayerNorm(width, eps=1e-12)
        if image_width is not None:
            self.cross_attention = Attention(width, heads, image_width)
            self.cross_norm = nn.LayerNorm(width, eps=1e-12)
        self.looks = image_width is not None
        self.query_mlp, self.query_norm = feed_forward(width, hidden), nn.LayerNorm(width, eps=1e-12)
        if text:
            self.text_mlp, self.text_norm = feed_forward(width, hidden), nn.LayerNorm(width, eps=1e-12)

    def forward(
        self,
        queries: Float[Tensor, "n q d"],
        text: Float[Tensor, "n t d"],
        image: Float[Tensor, "n p e"] | None = None,
        keep: Bool[Tensor, "n q+t q+t"] | None = None,
        image_keep: Bool[Tensor, "n p"] | None = None,
        maps: list[Tensor] | None = None,
    ) -> tuple[Float[Tensor, "n q d"], Float[Tensor, "n t d"]]:
        x = torch.cat([queries, text], 1)  # (n, q + t, d)
        x = self.norm(x + self.attention(x, keep=keep))
        queries, text = x.split([queries.shape[1], text.shape[1]], 1)
        if self.looks and queries.shape[1]:
            queries = self.cross_norm(queries + self.cross_attention(queries, image, image_keep, maps=maps))
        queries = self.query_norm(queries + self.query_mlp(queries))
        if text.shape[1]:
            text = self.text_norm(text + self.text_mlp(text))
        return queries, text


class QFormer(nn.Module):
    """`queries` learned vectors and `depth` layers; cross-attention in the first and each `cross_every`-th after it."""

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        image_width: int,
        queries: int = 32,
        vocabulary: int | None = None,
        context: int = 512,
        cross_every: int = 2,
    ):
        super().__init__()
        # Started at zero, as in some libraries, all queries would see the same and stay equal for ever.
        self.queries = nn.Parameter(torch.randn(1, queries, width) * 0.02)
        self.reads_text = vocabulary is not None
        if vocabulary is not None:
            self.token_embedding = nn.Embedding(vocabulary, width)
            self.position_embedding = nn.Embedding(context, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(
            QFormerLayer(width, heads, hidden, image_width if i % cross_every == 0 else None, self.reads_text)
            for i in range(depth)
        )

    def forward(
        self,
        image: Float[Tensor, "n p e"],
        ids: Int[Tensor, "n t"] | None = None,
        keep: Bool[Tensor, "n t"] | None = None,
        image_keep: Bool[Tensor, "n p"] | None = None,
        mode: Mode = "itm",
        maps: list[Tensor] | None = None,
    ) -> QFormerOutput:
        """Queries and text after all layers; `maps` receives each cross-attention's weights, (n, heads, q, p).

        `keep` is False at text padding, `image_keep` at image padding. `mode` is who sees whom, see `visibility`.
        """
        queries = self.queries.expand(len(image), -1, -1)  # (n, q, d)
        text = queries[:, :0] if ids is None else self.embed(ids)  # (n, t, d)
        queries, text, mask = self.norm(queries), self.norm(text), None
        if ids is not None:
            keep = torch.ones_like(ids, dtype=torch.bool) if keep is None else keep
            mask = visibility(queries.shape[1], keep, mode)
        for layer in self.layers:
            queries, text = layer(queries, text, image, mask, image_keep, maps)
        return QFormerOutput(queries, text)

    def encode_text(self, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        """The text alone, as contrastive retrieval needs it: equal to the text of mode "itc", without an image."""
        text, queries = self.norm(self.embed(ids)), self.queries[:, :0].expand(len(ids), -1, -1)
        mask = visibility(0, keep, "itc")
        for layer in self.layers:
            queries, text = layer(queries, text, keep=mask)
        return text

    def embed(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        """Token plus position embeddings; ValueError for too long a text, or where built without a vocabulary."""
        if not self.reads_text:
            raise ValueError("this Q-Former reads no text: build it with vocabulary=…")
        if ids.shape[1] > (context := self.position_embedding.num_embeddings):
            raise ValueError(f"{ids.shape[1]} tokens, but the context holds {context}: truncate the text")
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


def visibility(queries: int, keep: Bool[Tensor, "n t"], mode: Mode) -> Bool[Tensor, "n q+t q+t"]:
    """Which token (row) sees which (column) in self-attention: the three masks of BLIP-2, figure 2.

    - "itm", image–text matching, and InstructBLIP: all see all;
    - "itc", image–text contrast: queries see queries, text sees text, or the answer would leak;
    - "itg", image-grounded text generation: queries see queries; text sees them and the text before it.
    """
    n, t = keep.shape
    blocks = {  # what queries see of the text, text of the queries, text of the text
        "itm": (True, True, False),
        "itc": (False, False, False),
        "itg": (False, True, True),
    }
    if mode not in blocks:
        raise ValueError(f"mode must be one of {', '.join(blocks)}, not {mode!r}")
    queries_see_text, text_sees_queries, causal = blocks[mode]
    sees = keep.new_ones(n, queries + t, queries + t)
    sees[:, :queries, queries:] = queries_see_text
    sees[:, queries:, :queries] = text_sees_queries
    if causal:
        sees[:, queries:, queries:] = keep.new_ones(t, t).tril()
    sees[:, :, queries:] &= keep[:, None]
    # A padded token sees at least itself: an empty row has no softmax. Nobody looks at it.
    return sees | torch.eye(queries + t, dtype=torch.bool, device=keep.device)
