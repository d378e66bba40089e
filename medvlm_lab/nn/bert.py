"""A BERT encoder (Devlin et al. 2019): post-norm transformer over WordPiece tokens."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medvlm_lab.nn.layers import Attention, feed_forward


class BertLayer(nn.Module):
    """Attention and feed-forward, each added to its input and then normalised (post-norm, unlike ViT)."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.attention, self.norm1 = Attention(width, heads), nn.LayerNorm(width, eps=1e-12)
        self.mlp, self.norm2 = feed_forward(width, hidden, 0.0), nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Float[Tensor, "n t d"], keep: Bool[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        x = self.norm1(x + self.attention(x, keep=keep))
        return self.norm2(x + self.mlp(x))


class Bert(nn.Module):
    """Token + position embeddings, then `depth` layers. The single segment embedding is folded into the positions."""

    def __init__(self, vocab: int, width: int, depth: int, heads: int, hidden: int, context: int):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab, width)
        self.position_embedding = nn.Embedding(context, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(width, heads, hidden) for _ in range(depth))

    def forward(self, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.token_embedding(ids) + self.position_embedding(positions))  # (n, t, d)
        for layer in self.layers:
            x = layer(x, keep)
        return x

    def load_huggingface(self, state: dict[str, Tensor], token_ids: list[int]) -> None:
        """Copies the weights of a transformers `BertModel`, keeping only the rows `token_ids` of its vocabulary."""
        embeddings = "embeddings."
        own = {
            "token_embedding.weight": state[f"{embeddings}word_embeddings.weight"][token_ids],
            "position_embedding.weight": state[f"{embeddings}position_embeddings.weight"][
                : self.position_embedding.num_embeddings
            ]
            + state[f"{embeddings}token_type_embeddings.weight"][0],
        }
        pairs = {"norm": f"{embeddings}LayerNorm"}
        for i in range(len(self.layers)):
            theirs, ours = f"encoder.layer.{i}.", f"layers.{i}."
            pairs |= {
                f"{ours}attention.q_proj": f"{theirs}attention.self.query",
                f"{ours}attention.k_proj": f"{theirs}attention.self.key",
                f"{ours}attention.v_proj": f"{theirs}attention.self.value",
                f"{ours}attention.out_proj": f"{theirs}attention.output.dense",
                f"{ours}norm1": f"{theirs}attention.output.LayerNorm",
                f"{ours}mlp.0": f"{theirs}intermediate.dense",
                f"{ours}mlp.3": f"{theirs}output.dense",
                f"{ours}norm2": f"{theirs}output.LayerNorm",
            }
        for ours, theirs in pairs.items():
            for part in ("weight", "bias"):
                own[f"{ours}.{part}"] = state[f"{theirs}.{part}"]
        self.load_state_dict(own)
