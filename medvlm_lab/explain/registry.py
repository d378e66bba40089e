"""The methods by name, and what each needs to find in a model; no heavy import."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from medvlm_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from medvlm_lab.models.trace import Trace

#: method → what it needs of a trace. Its module and its function are called alike, with underscores.
METHODS = {
    "grad-cam": "map", "grad-cam-plus-plus": "map", "prompt-cam": "embedding", "score-cam": "pixels",
    "attention-rollout": "self-attention", "chefer": "attention", "legrad": "attention",
    "integrated-gradients": "pixels", "occlusion": "pixels", "cross-attention": "words",
    "patch-similarity": "patches",
}  # fmt: skip

#: need → how a reader calls it, and whether a trace meets it
NEEDS: dict[str, tuple[str, Callable[[Trace], bool]]] = {
    "map": ("a map of activations", lambda trace: True),
    "embedding": ("an embedding of the image", lambda trace: trace.embedding is not None),
    "pixels": ("a score of changed pixels", lambda trace: trace.again is not None),
    "attention": ("attention maps", lambda trace: bool(trace.attentions)),
    "self-attention": (
        "attention of the image's tokens to each other",
        lambda trace: bool(square := trace.encoder or trace.attentions)
        and all(w.shape[-1] == w.shape[-2] for w in square),
    ),
    "words": ("words that look at the image while they are written", lambda trace: trace.looks is not None),
    "patches": ("patches in the space of images and texts", lambda trace: trace.patches is not None),
}


def met(method: str, trace: Trace) -> bool:
    """Whether a trace holds what the method needs."""
    return NEEDS[METHODS[method]][1](trace)


def function(method: str) -> Callable:
    """The method itself. Raises UnknownNameError."""
    if method not in METHODS:
        raise UnknownNameError("method", method, METHODS)
    name = method.replace("-", "_")
    return getattr(importlib.import_module(f"medvlm_lab.explain.{name}"), name)
