"""A language model that sees: what the models that write reports and answers have in common.

image → `see` → soft tokens before the words, or media beside them → LLaMA → words

A model brings its own way of seeing; training, writing and the capabilities are the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.nn.llama import Hooks, Llama

MEAN, STD = 0.3, 0.25  # of grey values, about those of every modality here
IGNORED = -100  # cross-entropy's own mark for what is not to be predicted


class Seen(NamedTuple):
    """What a language model is given of its images.

    prefix: soft tokens (n, q, d) before the text. media: features (n, m, e) beside it, of which text token i sees
    those that `sees` (n, t, m) says.
    """

    prefix: Tensor | None = None
    media: Tensor | None = None
    sees: Tensor | None = None

    def rows(self, index: Int[Tensor, " k"]) -> Seen:
        """These rows of the batch, in this order."""
        return Seen(*(None if part is None else part[index] for part in self))

    def longer(self, count: int = 1) -> Seen:
        """For `count` tokens more, which see what the last one saw."""
        if self.sees is None:
            return self
        return self._replace(sees=torch.cat([self.sees, self.sees[:, -1:].expand(-1, count, -1)], 1))


class SeeingLanguageModel(nn.Module):
    """A `Llama` called `language`, and eyes: `patches` and `look`."""

    language: Llama

    def patches(self, pixels: Float[Tensor, "n *k s s"]) -> Float[Tensor, "n *k p d"]:
        """Grey values from 0 to 1 → features of the image's patches, row by row."""
        raise NotImplementedError

    def look(
        self, patches: Float[Tensor, "n *k p d"], ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"],
        maps: list[Tensor] | None = None,
    ) -> Seen:  # fmt: skip
        """What the language model is given of the patches, knowing the prompt.

        `maps` receives the weights, (n, heads, rows, columns), of each layer that looks; the first columns are patches.
        """
        raise NotImplementedError

    def see(self, pixels: Float[Tensor, "n *k s s"], ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]) -> Seen:
        """`look` at the `patches`."""
        return self.look(self.patches(pixels), ids, keep)

    def hooks(self, seen: Seen, maps: list[Tensor] | None = None) -> Hooks | None:
        """What changes the residual stream between the layers, for models that look from there.

        `maps` receives their weights, (n, heads, t, m).
        """
        return None

    def joined(
        self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]
    ) -> tuple[Float[Tensor, "n q+t d"], Bool[Tensor, "n q+t"]]:
        """Soft tokens and embedded words in one sequence, and which of them are real."""
        words = self.language.embedding(ids)
        if seen.prefix is None:
            return words, keep
        real = keep.new_ones(seen.prefix.shape[:2])
        return torch.cat([seen.prefix.to(words.dtype), words], 1), torch.cat([real, keep], 1)

    def loss(
        self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"], target: Bool[Tensor, "n t"]
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy, in nats, of the tokens marked in `target`, each predicted from what stands before it."""
        tokens, real = self.joined(seen, ids, keep)
        hidden = self.language.hidden(tokens, real, before_layer=self.hooks(seen))[:, -ids.shape[1] : -1]
        wanted = target[:, 1:]  # (n, t - 1)
        return F.cross_entropy(self.language.logits(hidden[wanted]).float(), ids[:, 1:][wanted])

    def log_probability(
        self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"], target: Bool[Tensor, "n t"],
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, " n"]:  # fmt: skip
        """Of all tokens marked in `target`, each predicted from what stands before it.

        `maps` receives how each token looked, one step before it was written, at soft tokens or media: of each layer
        (n, heads, t - 1, columns).
        """
        tokens, real = self.joined(seen, ids, keep)
        soft, looks = tokens.shape[1] - ids.shape[1], None if maps is None else []
        within = looks if soft else None
        hidden = self.language.hidden(tokens, real, before_layer=self.hooks(seen, looks), maps=within)[:, soft:-1]
        if maps is not None:
            maps += [weights[:, :, soft:-1, : soft or None] for weights in looks]
        logs = self.language.logits(hidden).float().log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]  # (n, t - 1)
        return (logs * target[:, 1:]).sum(1)

    @torch.no_grad()
    def write(
        self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"], end: int, limit: int
    ) -> tuple[Int[Tensor, "n s"], Float[Tensor, "n s"]]:
        """The likeliest continuation of prompts padded on their left, with each token's log-probability."""
        logs: list[Tensor] = []
        tokens, real = self.joined(seen, ids, keep)
        written = self.language.generate(tokens, real, limit, end, self.hooks(seen), logs)
        return written, torch.stack(logs, 1)

    @torch.no_grad()
    def first(
        self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"], count: int
    ) -> tuple[Float[Tensor, "n c"], Int[Tensor, "n c"]]:
        """The `count` likeliest next tokens: log-probabilities, best first, and ids."""
        tokens, real = self.joined(seen, ids, keep)
        last = self.language.hidden(tokens, real, before_layer=self.hooks(seen))[:, -1]
        return self.language.logits(last).float().log_softmax(-1).topk(count)


def padded(
    rows: Sequence[Sequence[int]], pad: int, left: bool = False
) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Rows of ids in one tensor, and which of them are real."""
    longest = max(map(len, rows))
    fill = lambda row: [pad] * (longest - len(row))  # noqa: E731
    ids = torch.tensor([[*fill(row), *row] if left else [*row, *fill(row)] for row in rows])
    sizes = torch.tensor([len(row) for row in rows])[:, None]
    place = torch.arange(longest)
    return ids, (place >= longest - sizes) if left else (place < sizes)


def lesson(
    prompts: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], pad: int, context: int
) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Prompts with what is to be written after them: ids, which are real, which are to be predicted."""
    rows = [[*p, *t][:context] for p, t in zip(prompts, targets, strict=True)]
    ids, keep = padded(rows, pad)
    starts = torch.tensor([len(p) for p in prompts])[:, None]
    return ids, keep, keep & (torch.arange(ids.shape[1]) >= starts)
