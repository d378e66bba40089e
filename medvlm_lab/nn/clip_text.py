"""CLIP's text tower: a causal transformer read at its end-of-text token (Radford et al. 2021, section 2.4)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medvlm_lab.nn.layers import EncoderLayer, QuickGELU


class CLIPText(nn.Module):
    """Token ids → one embedding per text; `eot` is the id of the end-of-text token, all after it is padding.

    OpenAI's weights need `quick_gelu`; EchoCLIP's and most of open_clip's do not.
    """

    def __init__(
        self,
        embedding: int = 512,
        vocabulary: int = 49408,
        context: int = 77,
        width: int = 512,
        depth: int = 12,
        heads: int = 8,
        eot: int = 49407,
        quick_gelu: bool = False,
    ):
        super().__init__()
        self.eot, self.context = eot, context
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Parameter(torch.randn(context, width) * 0.01)
        activation = QuickGELU if quick_gelu else nn.GELU
        self.layers = nn.ModuleList(EncoderLayer(width, heads, 4 * width, 0.0, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, embedding, bias=False)

    def tokens(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        """All token features after the final norm; a causal mask hides the padding that follows the text."""
        if ids.shape[1] > self.context:
            raise ValueError(f"{ids.shape[1]} tokens, but the context holds {self.context}: truncate the text")
        x = self.token_embedding(ids) + self.positions[: ids.shape[1]]  # (n, t, d)
        for layer in self.layers:
            x = layer(x, causal=True)
        return self.norm(x)

    def forward(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n e"]:
        """Embeddings, not normalised to unit length; ValueError where a text lacks its end-of-text token."""
        ends = ids == self.eot  # (n, t)
        if not ends.any(1).all():
            raise ValueError(f"every text must hold the end-of-text token {self.eot}")
        last = ends.int().argmax(1)  # (n,) the first end-of-text token of each row
        return self.projection(self.tokens(ids)[torch.arange(len(ids), device=ids.device), last])
