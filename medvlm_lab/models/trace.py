"""The inside of one prediction: maps, attentions and a score through which gradients flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.models.view import View
from medvlm_lab.nn.connector import framed, parted
from medvlm_lab.nn.layers import Attention


@dataclass(frozen=True, eq=False)
class Trace:
    """One prediction with its graph: `torch.autograd.grad(trace.score, trace.activations)` works.

    Attributes:
        text: what is explained. score: of `text`; a similarity or a log-probability.
        activations: of the last convolutional block, or of the patch tokens that enter the last layer (behind it only
            the class token counts) or the language model.
        attentions: weights of each layer, first to last; empty for a convolutional network.
        tokens: column, in `attentions`, of each cell of the grid, row by row.
        reads: rows, in `attentions`, from which the score is read: the class token, the question or the answer.
        view: where the grid lies in the image.
        embedding: the image's, not normalised; text_embedding: of unit length; both None for a model that generates.
        answer: what a model that generates said; words: the same in tokens; looks: how much each of them looked at each
            cell, mean over heads and layers, through whatever stands between.
        pixels: what entered the network. again: other such pixels → their score, of a dual encoder their embedding.
        patches: makes each cell's own row in the space of images and texts, not of unit length.
        layer: whose map `activations` is, where it is another than the model's own.
        encoder: weights of the image's tokens on each other, where `attentions` are of words or queries that look at
            what becomes of them; `tokens` are its columns, too.
        tiles: rows and columns of the tiles that the grid consists of, where the image's encoder sees each of them by
            itself, and before them the whole view.
    """

    text: str
    score: Float[Tensor, ""]
    activations: Float[Tensor, "1 c h w"]
    view: View
    attentions: tuple[Float[Tensor, "1 heads rows columns"], ...] = ()
    tokens: Int[Tensor, " cells"] | None = None
    reads: slice = field(default_factory=lambda: slice(None))
    embedding: Float[Tensor, " d"] | None = None
    text_embedding: Float[Tensor, " d"] | None = None
    answer: str = ""
    words: tuple[str, ...] = ()
    looks: Float[Tensor, "words cells"] | None = None
    pixels: Float[Tensor, "1 *k s s"] | None = None
    again: Callable[[Tensor], Tensor] | None = None
    patches: Callable[[], Float[Tensor, "cells d"]] | None = None
    layer: str = ""
    encoder: tuple[Float[Tensor, "1 heads t t"], ...] = ()
    tiles: tuple[int, int] = (1, 1)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return tuple(self.activations.shape[-2:])

    def gradients(self) -> Float[Tensor, "1 c h w"]:
        """Of the score with respect to the activations; the graph is kept."""
        return torch.autograd.grad(self.score, self.activations, retain_graph=True)[0]

    def towards(self, text: str, row: Float[Tensor, " d"]) -> Trace:
        """The same pass of a dual encoder, explained for another text whose embedding is `row`."""
        row = row.to(self.embedding)
        return replace(self, text=text, score=self.embedding @ row, text_embedding=row)

    def rescore(self, pixels: Float[Tensor, "n *k s s"]) -> Float[Tensor, " n"]:
        """The score that other pixels would have had, of the same text and the same answer."""
        found = self.again(pixels)
        return found if self.text_embedding is None else found @ self.text_embedding

    def to_image(
        self, values: Float[Tensor, "*n h w"], mode: str = "bilinear"
    ) -> Float[np.ndarray, "*n height width"]:
        """A map over the grid in the image's own pixels; see `View.to_image`."""
        return self.view.to_image(values, mode)


@dataclass(frozen=True, eq=False)
class Tower:
    """Where a network is looked into.

    Attributes:
        layer: whose input is the map, or whose output if `leaving`. grid: rows and columns of that map.
        attended: the module whose attentions are kept, those whose name holds `only`.
        reads, tokens: as in `Trace`; the last columns by default.
        encoder: whose attentions are `Trace.encoder`; none by default.
    """

    layer: nn.Module
    grid: tuple[int, int]
    attended: nn.Module
    only: str = ""
    reads: slice = field(default_factory=lambda: slice(None))
    tokens: Int[Tensor, " cells"] | None = None
    leaving: bool = False
    encoder: nn.Module = field(default_factory=nn.Module)

    @contextmanager
    def record(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """Maps and attentions of what is computed inside."""
        with (
            record_map(self.layer, self.grid, self.leaving) as maps,
            record_attention(self.attended, self.only) as attentions,
        ):
            yield maps, attentions

    def places(self, attentions: list[Tensor]) -> Int[Tensor, " cells"] | None:
        """Column of each cell in the attentions."""
        if not attentions or self.tokens is not None:
            return self.tokens
        columns = attentions[0].shape[-1]
        return torch.arange(columns - self.grid[0] * self.grid[1], columns)


@dataclass(frozen=True, eq=False)
class Reading:
    """Where an answer's words look at what stands between them and the patches: queries, latents, a question's words.

    Attributes:
        attended, only: as in `Tower`; nothing by default. rows: from which the words are written.
        columns: what stands between, each the row with the same place in the tower's attentions.
    """

    attended: nn.Module = field(default_factory=nn.Module)
    only: str = ""
    rows: slice = field(default_factory=lambda: slice(None))
    columns: slice | Int[Tensor, " between"] = field(default_factory=lambda: slice(None))


@contextmanager
def record_map(
    layer: nn.Module, grid: tuple[int, int], leaving: bool = False, tiles: tuple[int, int] = (1, 1)
) -> Iterator[list[Tensor]]:
    """What enters (or leaves) `layer`, as a map `(1, c, h, w)` through which the computation then passes.

    Tokens that are no patches (the class token) come first in every encoder here and are passed on, as is the whole
    view before tiles.
    """
    found: list[Tensor] = []
    count, cells = tiles[0] * tiles[1], (grid[0] // tiles[0], grid[1] // tiles[1])

    def through(x: Tensor) -> Tensor:
        if x.ndim == 4:
            found.append(x)
            return x
        views, lead = x.shape[0] % count, x.shape[1] - cells[0] * cells[1]
        found.append(framed(x[views:, lead:].unflatten(1, cells).unflatten(0, (-1, count)), tiles))  # (1, c, h, w)
        patches = parted(found[-1], tiles).flatten(0, 1).flatten(1, 2)  # (tiles, cells of each, c)
        return torch.cat([x[:views], torch.cat([x[views:, :lead], patches], 1)])

    if leaving:
        handle = layer.register_forward_hook(lambda module, args, output: through(output))
    else:
        handle = layer.register_forward_pre_hook(lambda module, args: (through(args[0]), *args[1:]))
    try:
        yield found
    finally:
        handle.remove()


@contextmanager
def record_attention(tower: nn.Module, only: str = "") -> Iterator[list[Tensor]]:
    """Weights `(1, heads, rows, columns)` of every attention under `tower` whose name holds `only`, in order.

    Works for transformers (with eager attention), torch's own, timm's and our own attention.
    """
    found: list[Tensor] = []
    undo = []

    def keep(weights: Tensor | None) -> None:
        if weights is not None and weights.ndim == 4 and not any(weights is seen for seen in found):
            found.append(weights)

    def rewrite(module: nn.MultiheadAttention, args, output):
        mixed, weights = written_out(module, *args[:3])
        keep(weights)
        return mixed, None

    def resample(module: nn.Module, args, output):
        mixed, weights = resampling_written_out(module, *args)
        keep(weights)
        return mixed

    for name, module in tower.named_modules():
        if not type(module).__name__.endswith("Attention") or only not in name:
            continue
        if isinstance(module, nn.MultiheadAttention):
            undo.append(module.register_forward_hook(rewrite).remove)
        elif isinstance(module, Attention):
            ask = lambda m, args, options: (args, options | {"maps": found})  # noqa: E731
            undo.append(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
        elif type(module).__name__ == "IdeficsPerceiverAttention":  # it returns no weights
            undo.append(module.register_forward_hook(resample).remove)
        elif hasattr(module, "fused_attn"):  # timm: with `fused_attn` off, the weights pass a module of their own
            undo.append(lambda m=module, fused=module.fused_attn: setattr(m, "fused_attn", fused))
            module.fused_attn = False
            undo.append(module.attn_drop.register_forward_hook(lambda m, a, weights: keep(weights)).remove)
        else:  # transformers: (output, weights), T5 (output, bias, weights); an outer module may pass them on
            see = lambda m, a, output: keep(output[-1]) if isinstance(output, tuple) else None  # noqa: E731
            undo.append(module.register_forward_hook(see).remove)
    try:
        yield found
    finally:
        for each in undo:
            each()


def written_out(
    module: nn.MultiheadAttention,
    query: Float[Tensor, "n q d"],
    key: Float[Tensor, "n k d"],
    value: Float[Tensor, "n k d"],
) -> tuple[Float[Tensor, "n q d"], Float[Tensor, "n heads q k"]]:
    """torch's attention with weights through which its output was computed; those that it returns have no gradient."""
    parts = zip((query, key, value), module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
    q, k, v = (F.linear(x, w, b).unflatten(-1, (module.num_heads, -1)).transpose(1, 2) for x, w, b in parts)
    weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)  # (n, heads, q, k)
    return module.out_proj((weights @ v).transpose(1, 2).flatten(2)), weights


def resampling_written_out(
    module: nn.Module, context: Float[Tensor, "n p d"], latents: Float[Tensor, "n l d"]
) -> tuple[Float[Tensor, "n l d"], Float[Tensor, "n heads l p+l"]]:
    """The attention of IDEFICS's resampler, whose latents look at patches and latents, as `written_out`."""
    latents = module.latents_layer_norm(latents)
    both = torch.cat([module.context_layer_norm(context), latents], 1)
    parts = module.q_proj(latents), module.k_proj(both), module.v_proj(both)
    q, k, v = (x.unflatten(-1, (module.n_heads, -1)).transpose(1, 2) for x in parts)
    if module.qk_layer_norms:
        q, k = module.q_layer_norm(q), module.k_layer_norm(k)
    weights = (module.qk_scale * q @ k.transpose(-1, -2)).softmax(-1)  # (n, heads, l, p + l)
    return module.output_proj((weights @ v).transpose(1, 2).flatten(2)), weights


@contextmanager
def eager_attention(model: nn.Module) -> Iterator[None]:
    """transformers' attention written out, so that its weights exist; as it was afterwards.

    `set_attn_implementation` cannot restore a model whose parts it does not know (IDEFICS), so the settings that it
    changes are changed here.
    """
    name = "_attn_implementation_internal"
    found = (getattr(module, "config", None) for module in model.modules())
    before = [(config, getattr(config, name)) for config in {id(c): c for c in found if hasattr(c, name)}.values()]
    for config, _ in before:
        setattr(config, name, "eager")
    try:
        yield
    finally:
        for config, implementation in before:
            setattr(config, name, implementation)
