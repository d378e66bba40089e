"""The ViT + BERT visual question answering transformer (Bazi et al., Bioengineering 2023), at a laptop's size.

    model = lab.load("vit-bert-vqa")
    model.answer(lab.sample("chest-xray-nodules"), "Is there cardiomegaly?")

Data flow, top to bottom of this file: image → ViT tokens; question → BERT tokens; the two are concatenated into one
memory; a multimodal decoder attends to that memory and writes the answer one token at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medvlm_lab.nn.bert import Bert
from medvlm_lab.nn.layers import DecoderLayer, Dropout, EncoderLayer, init_weights
from medvlm_lab.nn.vit import HybridViT


@dataclass(frozen=True)
class Config:
    """Sizes of the model; widths in features, contexts in tokens, `image_size` in pixels."""

    vocabulary: int
    image_size: int = 224
    width: int = 192
    heads: int = 6
    hidden: int = 384
    image_layers: int = 2
    fusion_layers: int = 2
    decoder_layers: int = 2
    question_width: int = 384
    question_layers: int = 4
    question_heads: int = 12
    question_hidden: int = 1536
    question_context: int = 40
    answer_context: int = 24
    dropout: float = 0.1

    def __post_init__(self):
        if self.width % self.heads or self.question_width % self.question_heads:
            raise ValueError(f"heads must divide the width: {self.width} / {self.heads}")
        if self.image_size % 32:
            raise ValueError(f"image_size must be a multiple of 32, not {self.image_size}")


class ViTBertVQA(nn.Module):
    """Image and question → logits of the answer's tokens."""

    def __init__(self, config: Config, pad: int = 0):
        super().__init__()
        c, self.config, self.pad = config, config, pad
        self.image_encoder = HybridViT(c.image_size, c.width, c.image_layers, c.heads, c.hidden, c.dropout)
        self.question_encoder = Bert(
            c.vocabulary, c.question_width, c.question_layers, c.question_heads, c.question_hidden, c.question_context
        )
        self.question_projection = nn.Linear(c.question_width, c.width)
        self.modality_embedding = nn.Embedding(2, c.width)  # 0 image, 1 question
        self.fusion = nn.ModuleList(
            EncoderLayer(c.width, c.heads, c.hidden, c.dropout) for _ in range(c.fusion_layers)
        )
        self.memory_norm = nn.LayerNorm(c.width)
        self.answer_embedding = nn.Embedding(c.vocabulary, c.width)
        self.answer_positions = nn.Parameter(torch.randn(1, c.answer_context, c.width) * 0.02)
        self.decoder = nn.ModuleList(
            DecoderLayer(c.width, c.heads, c.hidden, c.dropout) for _ in range(c.decoder_layers)
        )
        self.output_norm = nn.LayerNorm(c.width)
        self.drop = Dropout(c.dropout)
        self.apply(init_weights)

    # image + question → memory

    def encode(
        self, images: Float[Tensor, "n 3 s s"], question: Int[Tensor, "n q"]
    ) -> tuple[Float[Tensor, "n m d"], Bool[Tensor, "n m"]]:
        """Memory tokens and which of them are real (padding of the question is not)."""
        return self.fuse(self.image_encoder(images), *self.encode_question(question))

    def encode_question(self, question: Int[Tensor, "n q"]) -> tuple[Float[Tensor, "n q e"], Bool[Tensor, "n q"]]:
        """BERT's token features and the mask of real tokens."""
        keep = question != self.pad
        return self.question_encoder(question, keep), keep

    def fuse(
        self, image: Float[Tensor, "n i d"], question: Float[Tensor, "n q e"], keep: Bool[Tensor, "n q"]
    ) -> tuple[Float[Tensor, "n m d"], Bool[Tensor, "n m"]]:
        """Concatenates both token sequences (m = i + q) and lets them look at each other."""
        image = image + self.modality_embedding.weight[0]  # (n, i, d)
        question = self.question_projection(question) + self.modality_embedding.weight[1]  # (n, q, d)
        memory = self.drop(torch.cat([image, question], 1))  # (n, m, d)
        keep = torch.cat([keep.new_ones(image.shape[:2]), keep], 1)  # (n, m)
        for layer in self.fusion:
            memory = layer(memory, keep)
        return self.memory_norm(memory), keep

    # memory → answer

    def decode(
        self, answer: Int[Tensor, "n a"], memory: Float[Tensor, "n m d"], keep: Bool[Tensor, "n m"],
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n a v"]:  # fmt: skip
        """Logits of the next token after each token of `answer`; output weights are the input embedding's (tied).

        `maps` receives how each token looked at the memory, of each layer (n, heads, a, m).
        """
        x = self.drop(self.answer_embedding(answer) + self.answer_positions[:, : answer.shape[1]])  # (n, a, d)
        for layer in self.decoder:
            x = layer(x, memory, keep, maps)
        return self.output_norm(x) @ self.answer_embedding.weight.T  # (n, a, v)

    def forward(
        self, images: Float[Tensor, "n 3 s s"], question: Int[Tensor, "n q"], answer: Int[Tensor, "n a"]
    ) -> Float[Tensor, "n a v"]:
        """Teacher forcing: logits at every position of a known answer."""
        return self.decode(answer, *self.encode(images, question))
