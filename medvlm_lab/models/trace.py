"""The inside of one prediction: maps, attentions and a score through which gradients flow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medvlm_lab.models.view import View


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
        answer: what a model that generates said.
    """

    text: str
    score: Float[Tensor, ""]
    activations: Float[Tensor, "1 c h w"]
    view: View
    attentions: tuple[Float[Tensor, "1 heads rows columns"], ...] = ()
    tokens: Int[Tensor, " cells"] | None = None
    reads: slice = slice(None)
    embedding: Float[Tensor, " d"] | None = None
    text_embedding: Float[Tensor, " d"] | None = None
    answer: str = ""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return tuple(self.activations.shape[-2:])

    def gradients(self) -> Float[Tensor, "1 c h w"]:
        """Of the score with respect to the activations; the graph is kept."""
        return torch.autograd.grad(self.score, self.activations, retain_graph=True)[0]

    def to_image(self, values: Float[Tensor, "h w"], mode: str = "bilinear") -> Float[np.ndarray, "height width"]:
        """A map over the grid in the image's own pixels; see `View.to_image`."""
        return self.view.to_image(values, mode)


@contextmanager
def record_map(layer: nn.Module, grid: tuple[int, int], leaving: bool = False) -> Iterator[list[Tensor]]:
    """What enters (or leaves) `layer`, as a map `(1, c, h, w)` through which the computation then passes.

    Tokens that are no patches (the class token) come first in every encoder here and are passed on.
    """
    found: list[Tensor] = []

    def through(x: Tensor) -> Tensor:
        if x.ndim == 4:
            found.append(x)
            return x
        lead = x.shape[1] - grid[0] * grid[1]
        found.append(x[:, lead:].transpose(1, 2).unflatten(2, grid))  # (1, c, h, w)
        return torch.cat([x[:, :lead], found[-1].flatten(2).transpose(1, 2)], 1)

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

    Works for transformers (with eager attention), torch's own and timm's attention.
    """
    found: list[Tensor] = []
    undo = []

    def keep(weights: Tensor) -> None:
        if isinstance(weights, Tensor) and weights.ndim == 4 and not any(weights is seen for seen in found):
            found.append(weights)

    def ask(module, args, kwargs):  # torch computes weights only if asked
        return args, kwargs | {"need_weights": True, "average_attn_weights": False}

    for name, module in tower.named_modules():
        if not type(module).__name__.endswith("Attention") or only not in name:
            continue
        if hasattr(module, "fused_attn"):  # timm
            undo.append(lambda m=module, fused=module.fused_attn: setattr(m, "fused_attn", fused))
            module.fused_attn = False
            undo.append(module.attn_drop.register_forward_hook(lambda m, a, output: keep(output)).remove)
            continue
        if isinstance(module, nn.MultiheadAttention):
            undo.append(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
        undo.append(
            module.register_forward_hook(lambda m, a, out: keep(out[1]) if isinstance(out, tuple) else None).remove
        )
    try:
        yield found
    finally:
        for each in undo:
            each()


@contextmanager
def eager_attention(model) -> Iterator[None]:
    """transformers' attention written out, so that its weights exist; as it was afterwards."""
    config = model.config
    before = {"": config._attn_implementation}
    before |= {key: getattr(config, key)._attn_implementation for key in config.sub_configs if getattr(config, key)}
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
