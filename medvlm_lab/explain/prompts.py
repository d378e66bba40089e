"""How a model is asked about a finding: by the prompts of its own zero-shot task, or by a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import less, traced
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.chexzero import NEGATIVE, POSITIVE
from medvlm_lab.models.echo_clip import DEVICES
from medvlm_lab.models.trace import Trace


def asked(
    model: Any, image: MedicalImage, findings: Iterable[str], layer: str | None = None,
    answers: Mapping[str, str] | None = None,
) -> dict[str, Trace]:  # fmt: skip
    """A trace for each finding that the model has prompts for; of a dual encoder from one pass of the image, and of
    every changed picture that methods score for each finding anew.

    A dual encoder is explained as it classifies: by the mean of its prompts, and where the negative counts, less the
    mean of the negative ones.

    answers: what a model that answers is to have said about each finding; its own answer by default. Maps of two
    answers do not compare, so whoever changes the model or the picture holds the first one.
    """
    if callable(getattr(model, "answer", None)):
        return {name: traced(model, image, f"Is there {name}?", layer, (answers or {}).get(name)) for name in findings}
    if not callable(getattr(model, "encode_texts", None)):
        return {name: traced(model, image, name, layer) for name in findings}
    found: dict[str, Trace] = {}
    first = None
    for name in findings:
        positive, negative = prompts(model, name)
        if not positive:
            continue
        if first is None:
            first = traced(model, image, positive[0], layer)
            first = replace(first, again=first.again and remembered(first.again))
        found[name] = first.towards(name, model.encode_texts(positive).mean(0).clone())
        if negative:
            found[name] = less(model, found[name], negative)
    return found


def remembered(again: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same; pixels that were there before, to be compared with another text, cost no second pass."""
    known: dict[bytes, Tensor] = {}

    def embedded(pixels: Float[Tensor, "n *k s s"]) -> Float[Tensor, "n d"]:
        if torch.is_grad_enabled():  # a graph is for one use
            return again(pixels)
        key = sha256(pixels.cpu().contiguous().numpy()).digest()
        if key not in known:
            known[key] = again(pixels)
        return known[key]

    return embedded


def prompts(model: Any, finding: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Positive and negative prompts of a dual encoder; EchoCLIP has some for devices, and no negative ones."""
    if callable(getattr(model, "devices", None)):
        return DEVICES.get(finding, ()), ()
    return tuple(t.format(finding) for t in POSITIVE), tuple(t.format(finding) for t in NEGATIVE)
