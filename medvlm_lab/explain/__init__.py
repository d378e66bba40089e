"""Explanations: which part of an image gave a text its score, by many methods, and how far each can be trusted.

>>> lab.explain.methods(model)                                      # those that this model can be explained by
>>> seen = lab.explain.explain("prompt-cam", model, image, "A pacemaker lead is seen.")
>>> seen.values, seen.overlay()                                     # a map in the image's pixels, a tinted picture
>>> lab.explain.grade("prompt-cam", model, lab.dataset("phantom:echocardiogram", "test"), n=100)
>>> lab.explain.randomisation("prompt-cam", model, data).passes     # Adebayo et al. 2018
>>> lab.explain.counterfactual("prompt-cam", model, lab.phantom("chest-xray"), "pleural effusion")
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medvlm_lab.explain.registry import METHODS, function, met

if TYPE_CHECKING:
    from medvlm_lab.explain.explanation import Explanation
    from medvlm_lab.image import MedicalImage

_LAZY = {
    "Explanation": "explanation", "grade": "grading", "randomisation": "randomise", "counterfactual": "remove",
    "layers": "base", "place": "grading",
}  # fmt: skip
__all__ = ["METHODS", "explain", "explain_many", "methods", *_LAZY]


def explain(method: str, model: Any, image: MedicalImage, text: str, **options: Any) -> Explanation:
    """One text, one map.

    Args:
        method: a name in `METHODS`. model: anything with `trace`. text: a prompt, a phrase or a question.
        options: `trace=` shares one pass between methods, `layer=` looks at another layer's map, `shifts=` makes it
            finer; others by method.

    Raises:
        UnknownNameError: no such method.
        MedVLMError: the model lacks what the method needs (the methods that work are named), or has no such layer.
        QuestionError: the text is empty. ModalityError: a modality that the model never saw.
    """
    return function(method)(model, image, text, **options)


def explain_many(
    method: str, model: Any, image: MedicalImage, texts: Sequence[str], layer: str | None = None, **options: Any
) -> list[Explanation]:
    """A map for each text. A dual encoder's image tower sees the image once. Raises as `explain`."""
    from medvlm_lab.explain.base import traces

    begun = function(method).begun
    # every map over its grid first: the graph is gone before maps of the picture's size come
    found = [begun(model, image, trace.text, trace=trace, **options) for trace in traces(model, image, texts, layer)]
    return [draw() for draw in found]


def methods(model: Any) -> list[str]:
    """Names of the methods that can explain the model, tried on a grey square. Raises MedVLMError for one that shows
    nothing of its inside."""
    import numpy as np

    from medvlm_lab.explain.base import traced
    from medvlm_lab.image import MedicalImage

    trace = traced(model, MedicalImage.from_array(np.full((32, 32), 128, np.uint8)), "Is there a finding?")
    return [name for name in METHODS if met(name, trace)]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'medvlm_lab.explain' has no attribute {name!r}")
    return getattr(importlib.import_module(f"medvlm_lab.explain.{_LAZY[name]}"), name)
