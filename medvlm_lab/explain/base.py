"""What the methods share: a trace that has what they need, another layer's map, and the map drawn on the image."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.errors import MedVLMError
from medvlm_lab.explain.explanation import Explanation
from medvlm_lab.explain.registry import METHODS, NEEDS, met
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.known_words import note
from medvlm_lab.models.trace import Trace, record_map
from medvlm_lab.tasks.result import model_name
from medvlm_lab.tasks.studies import needs


def method(signed: bool = False, mode: str = "bilinear", against: Sequence[str] = ()) -> Callable:
    """Makes a function of a trace, which returns a map over some grid, a method (model, image, text, **options).

    Every method takes `trace=`, one computed before; `layer=`, the name of another layer whose map is looked at
    (`layers(model, image, text)` lists them); and `against=`, texts whose mean a dual encoder's text has to exceed:
    against "There is no nodule." the map shows what tells the two apart, not what any sentence on nodules agrees with.
    `shifts=4` averages the maps of 4 x 4 pictures, each moved by a part of a cell: finer than the grid of one pass.

    Args:
        signed: whether negative values mean something. mode: of the interpolation between cells.
        against: the texts by default.
    """
    usual = against

    def decorate(function: Callable[..., Float[Tensor, "*words h w"]]) -> Callable[..., Explanation]:
        name = function.__name__.replace("_", "-")

        def begun(
            model: Any, image: MedicalImage, text: str, *, trace: Trace | None = None, layer: str | None = None,
            against: Sequence[str] = usual, shifts: int = 1, **options: Any,
        ) -> Callable[[], Explanation]:  # fmt: skip
            """The map over the grid; what is returned draws it, and holds nothing else of the trace."""
            if trace is not None and layer is not None:
                raise MedVLMError(f"trace= already holds a layer's map; give trace= or layer={layer!r}, not both.")
            trace = suited(name, model, trace or traced(model, image, text, layer))
            trace = less(model, trace, against) if against else trace
            if shifts != 1:
                whole = shifted(explained, model, image, trace, shifts, options)
                return lambda: whole
            found = function(trace, **options).detach()
            # the rest of the trace goes, and with it the graph, before a map of the picture's size comes
            trace = Trace(trace.text, trace.score.detach(), found, trace.view, answer=trace.answer, words=trace.words)
            return functools.partial(drawn, name, model, image, trace, found, signed, mode)

        @functools.wraps(function)
        def explained(model: Any, image: MedicalImage, text: str, **options: Any) -> Explanation:
            return begun(model, image, text, **options)()

        explained.begun = begun
        return explained

    return decorate


def traced(
    model: Any, image: MedicalImage, text: str, layer: str | None = None, answer: str | None = None
) -> Trace:
    """The model's trace, with the map that leaves `layer` in the place of its own activations.

    answer: what a model that answers is to have said, by default its own answer.

    Raises MedVLMError for a model that shows nothing of its inside or a layer that is not there, and what the model
    raises: QuestionError for an empty text, ModalityError for a modality that it never saw.
    """
    needs(model, "trace", "show its inside")
    if layer is None:
        return answering(model, image, text, answer)
    known, own = layers(model, image, text), model.trace(image, text)
    if layer not in known:
        raise MedVLMError(
            f"{model_name(model)} has no layer {layer!r} with a map of the image; it has {', '.join(known) or 'none'}."
        )
    return behind(model, image, text, layer, own.grid, answer, own.tiles)


def answering(model: Any, image: MedicalImage, text: str, answer: str | None) -> Trace:
    """The model's trace, of `answer` if there is one; only models that answer can be told it."""
    return model.trace(image, text) if answer is None else model.trace(image, text, answer=answer)


def behind(
    model: Any, image: MedicalImage, text: str, layer: str, grid: tuple[int, int], answer: str | None = None,
    tiles: tuple[int, int] = (1, 1),
) -> Trace:  # fmt: skip
    """The trace with the map that leaves a layer, one of `layers`; `grid`, `tiles` are those of the model's own map."""
    with record_map(model.module.get_submodule(layer), grid, leaving=True, tiles=tiles) as maps:
        trace = answering(model, image, text, answer)
    looked = next(found for found in maps if found.requires_grad)  # a model that answers first passes without gradients
    return replace(trace, activations=looked, layer=layer)


def layers(model: Any, image: MedicalImage, text: str) -> list[str]:
    """Names of the layers whose output is a map of the image, through which the score's gradient flows.

    Blocks and stages only, which networks number and which have parts; of a stage and its last block, the stage.
    """
    own, found = model.trace(image, text), {}
    grid, count = own.grid, own.tiles[0] * own.tiles[1]
    del own  # and its graph

    def watch(name: str) -> Callable:
        def hook(module, args, output) -> None:
            if not isinstance(output, Tensor) or not output.requires_grad:
                return
            if output.ndim == 4 and output.shape[0] == 1:  # a map of the grid's proportions
                h, w = output.shape[-2:]
                fits = h * grid[1] == w * grid[0] and h > 1
            else:  # tokens of the patches, perhaps a class token before them; the whole view before tiles
                fits = output.ndim == 3 and output.shape[0] == count + (count > 1)
                fits = fits and output.shape[1] - grid[0] * grid[1] // count in (0, 1)
            if fits:
                found[output] = name

        return hook

    named = model.module.named_modules()
    blocks = [(name, part) for name, part in named if name.split(".")[-1].isdigit() and any(part.children())]
    handles = [part.register_forward_hook(watch(name)) for name, part in blocks]
    try:
        trace = model.trace(image, text)
    finally:
        for handle in handles:
            handle.remove()
    gradients = torch.autograd.grad(trace.score, list(found), allow_unused=True) if found else ()
    return [name for name, gradient in zip(found.values(), gradients, strict=True) if gradient is not None]


def suited(name: str, model: Any, trace: Trace) -> Trace:
    """The trace itself; MedVLMError, naming the methods that work, where it lacks what the method needs."""
    if not met(name, trace):
        what = NEEDS[METHODS[name]][0]
        raise MedVLMError(
            f"{name} needs {what}, which {model_name(model)} does not have; methods that work: "
            f"{', '.join(other for other in METHODS if met(other, trace))}."
        )
    return trace


def less(model: Any, trace: Trace, against: Sequence[str]) -> Trace:
    """What the text has over the mean of others; MedVLMError for a model without a space of images and texts."""
    if trace.embedding is None:
        raise MedVLMError(
            f"{model_name(model)} has no space of images and texts in which to compare them; leave against= out."
        )
    others = model.encode_texts(list(against)).to(trace.text_embedding).mean(0)
    return trace.towards(trace.text, trace.text_embedding - others)


def drawn(
    name: str, model: Any, image: MedicalImage, trace: Trace, found: Float[Tensor, "*words h w"], signed: bool,
    mode: str = "bilinear",
) -> Explanation:  # fmt: skip
    """A map over a grid, or one for each word of the answer, in the image's own pixels."""
    values = trace.to_image(found, mode)
    if not signed:
        np.maximum(values, 0, out=values)  # bicubic interpolation swings below what it interpolates
    words, looks = (trace.words, values) if values.ndim == 3 else ((), None)
    return Explanation(
        values if looks is None else values.mean(0), name, model_name(model), trace.text, trace.score.item(), image,
        trace.view.frame, signed, trace.answer, words, looks, note(model, trace.text),
    )  # fmt: skip


def shifted(
    run: Callable[..., Explanation], model: Any, image: MedicalImage, trace: Trace, shifts: int, options: dict
) -> Explanation:
    """The mean of the maps of the picture moved by `shifts` x `shifts` parts of a cell, each moved back.

    A map has no more places than its grid has cells. A moved picture lies otherwise on the grid, so that together they
    see `shifts` times as finely: the shift-and-stitch of Long et al. 2015, with a mean for the stitching.
    """
    if trace.answer:
        raise MedVLMError(
            f"{model_name(model)} may answer otherwise when its picture is moved, so that the maps are of different "
            "answers; leave shifts= out."
        )
    if shifts < 1:
        raise MedVLMError(f"shifts={shifts} moves no picture; give 2 or more, or leave shifts= out.")
    top, left, bottom, right = trace.view.cell(0, 0, trace.grid)
    steps = (np.arange(shifts) + 0.5) / shifts - 0.5  # of a cell, the same to both sides
    frame, maps = trace.view.frame, []
    still = image.still(frame)
    window = None if image.color else still.resolve_window()  # the image's own, not that of what is left of it
    for down in np.rint(steps * (bottom - top)).astype(int):
        for along in np.rint(steps * (right - left)).astype(int):
            picture = still.with_(pixels=moved(still.pixels, down, along), window=window)
            other = traced(model, picture, trace.text, trace.layer or None)
            other = other if trace.text_embedding is None else other.towards(trace.text, trace.text_embedding)
            found = run(model, picture, trace.text, trace=other, against=(), **options)
            maps.append(moved(found.values[None], -down, -along)[0])
    whole = run(model, image, trace.text, trace=trace, against=(), **options)
    return replace(whole, values=np.mean(maps, 0))


def moved(pixels: np.ndarray, down: int, along: int) -> np.ndarray:
    """Frames (f, h, w, ...) moved by whole pixels; what comes in at a border repeats it."""
    rows, columns = (np.arange(n) - by for n, by in zip(pixels.shape[1:3], (down, along), strict=True))
    return pixels[:, rows.clip(0, pixels.shape[1] - 1)][:, :, columns.clip(0, pixels.shape[2] - 1)]


def traces(model: Any, image: MedicalImage, texts: Sequence[str], layer: str | None = None) -> Iterator[Trace]:
    """A trace for each text; of a dual encoder, all from one pass of the image through its tower."""
    if not texts:
        return
    first = traced(model, image, texts[0], layer)
    if first.embedding is not None:
        yield from (first.towards(*pair) for pair in zip(texts, model.encode_texts(texts).clone(), strict=True))
        return
    yield first
    del first  # and its graph
    yield from (traced(model, image, text, layer) for text in texts[1:])


def weighted(activations: Float[Tensor, "1 c h w"], weights: Float[Tensor, "1 c"]) -> Float[Tensor, "h w"]:
    """What all class activation maps are: ReLU of the channels' weighted sum."""
    return torch.einsum("kc,kchw->hw", weights, activations).relu()


def attention_gradients(trace: Trace) -> tuple[Tensor, ...]:
    """Of the score with respect to each layer's attention weights; the graph is kept."""
    return torch.autograd.grad(trace.score, trace.attentions, retain_graph=True)
