"""`vit-bert-vqa` stage by stage: the same computation as `answer`, greedy, with every tensor kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.stages import Stage

if TYPE_CHECKING:
    from medvlm_lab.models.vqa_answerer import VQAAnswerer


def learned(*modules: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for module in modules for p in module.parameters())


def words_of(answerer: VQAAnswerer, ids: Iterable[int]) -> tuple[str, ...]:
    """Tokens as a reader knows them: the start and end marks by name, pieces of words without their marks."""
    tokenizer = answerer.tokenizer
    names = {tokenizer.start: "⟨start⟩", tokenizer.end: "⟨end⟩"}
    return tuple(names.get(i, tokenizer.vocabulary[i]) for i in ids)


def most_probable(answerer: VQAAnswerer, logits: Tensor, count: int = 6) -> tuple[tuple[str, float], ...]:
    """The words that the logits (v,) favour, with their probabilities."""
    best = logits.softmax(-1).topk(count)
    return tuple(zip(words_of(answerer, best.indices.tolist()), best.values.tolist(), strict=True))


@torch.inference_mode()
def stages(answerer: VQAAnswerer, image: MedicalImage, question: str) -> list[Stage]:
    """See `Staged.stages`; `question` is checked already."""
    m, device = answerer.module, answerer.device
    grid = (m.image_encoder.grid,) * 2
    pixels = answerer.pixels([image]).to(device)  # (1, 3, s, s)
    patches = m.image_encoder.stem(pixels).flatten(2).transpose(1, 2)  # (1, p, 320)
    seen = m.image_encoder.encode_patches(patches)  # (1, 1 + p, d)
    ids = answerer.tokenizer.batch([question], m.config.question_context).to(device)
    asked = words_of(answerer, ids[0].tolist())
    embedded = m.question_encoder.token_embedding(ids)  # (1, q, e)
    read, keep = m.encode_question(ids)  # (1, q, e)
    memory, keep = m.fuse(seen, read, keep)  # (1, 1 + p + q, d)
    written, states, looks, logits = decode(answerer, memory, keep)
    said = words_of(answerer, written)
    features, tokens = "features", "tokens"
    first = [
        Stage(
            "pixels", "image", "The picture as displayed, fitted into a square.", pixels,
            ("colours", "rows", "columns"),
        ),
        Stage(
            "cells", "image", "A small network trained on photographs describes each cell of the picture.",
            patches, ("cells", features), ("pixels",), learned(m.image_encoder.stem), grid,
        ),
        Stage(
            "image tokens", "image", "A Vision Transformer lets the cells look at each other.", seen,
            (tokens, features), ("cells",), learned(m.image_encoder) - learned(m.image_encoder.stem), grid,
        ),
        Stage(
            "word vectors", "text", "Each piece of the question has a vector of its own, whatever stands beside it.",
            embedded, (tokens, features), (), learned(m.question_encoder.token_embedding), words=asked,
        ),
        Stage(
            "question tokens", "text", "BERT layers let each word take its meaning from the others.", read,
            (tokens, features), ("word vectors",), learned(m.question_encoder.layers), words=asked,
        ),
        Stage(
            "memory", "fusion", "Cells and words in one sequence; joint layers let them look at each other.", memory,
            (tokens, features), ("image tokens", "question tokens"), learned(m.question_projection, m.fusion), grid,
            asked,
        ),
        Stage(
            "answer states", "decoder", "The answer so far looks back at the memory, word by word.", states,
            (tokens, features), ("memory",), learned(m.decoder), grid, said, looks,
        ),
        Stage(
            "next word", "decoder", "How strongly each word of the vocabulary is proposed as the next one.", logits,
            ("steps", "words"), ("answer states",), learned(m.answer_embedding), words=said,
            choices=tuple(most_probable(answerer, row) for row in logits[0]),
        ),
    ]  # fmt: skip
    return [Stage(**{**vars(s), "tensor": s.tensor[0].float().cpu()}) for s in first]


def decode(answerer: VQAAnswerer, memory: Tensor, keep: Tensor) -> tuple[list[int], Tensor, Tensor, Tensor]:
    """The greedy answer's tokens from the start mark on, their states, where each looked, and the logits after each."""
    m, tokenizer = answerer.module, answerer.tokenizer
    written = [tokenizer.start]
    while True:
        ids = torch.tensor([written], device=memory.device)
        x, maps = m.answer_embedding(ids) + m.answer_positions[:, : len(written)], []
        for layer in m.decoder:
            x = x + layer.self_attention(layer.norm1(x), causal=True)
            x = x + layer.cross_attention(layer.norm2(x), memory, keep, maps=maps)
            x = x + layer.mlp(layer.norm3(x))
        logits = m.output_norm(x) @ m.answer_embedding.weight.T  # (1, a, v)
        best = int(logits[0, -1].argmax())
        if best == tokenizer.end or len(written) == m.config.answer_context:
            looks = torch.stack(maps).mean((0, 2))[0].float().cpu()  # over layers and heads: (a, m)
            return written, x, looks, logits
        written.append(best)
