"""What the tasks on whole studies share: what a model and a data set must have, and how pictures are shown."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medvlm_lab.datasets.base import Study
from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.tasks.result import model_name


def needs_studies(data: Any) -> None:
    """MedVLMError for a data set without studies."""
    if not callable(getattr(data, "study", None)):
        raise MedVLMError(
            f"{getattr(data, 'name', 'The data set')} holds questions, not studies with reports; choose one such as "
            "phantom:chest-xray."
        )


def needs(model: Any, method: str, what: str) -> None:
    """MedVLMError where the model lacks a capability, naming it and the bundled models that have it."""
    if not callable(getattr(model, method, None)):
        able = able_models(method)
        raise MedVLMError(
            f"Model {model_name(model)!r} does not {what} (it has no {method}, which is {capability(method)}); "
            + (f"of the bundled models these do: {', '.join(able)}." if able else "no bundled model does.")
        )


def capability(method: str) -> str:
    """The Protocol of `models.base` that a method belongs to, in words."""
    from medvlm_lab.models import base

    names = ("ImageTextEncoder", "Answerer", "Reporter", "Segmenter", "Explainable")
    found = next((name for name in names if method in vars(getattr(base, name))), None)
    return f"of the capability {found}" if found else "a capability of its own"


def able_models(method: str) -> list[str]:
    """The bundled models whose class has a method; loads no weights."""
    from medvlm_lab.models import CATALOGUE

    classes = {name: getattr(importlib.import_module(module), cls) for name, (module, cls, *_) in CATALOGUE.items()}
    return sorted(name for name, cls in classes.items() if callable(getattr(cls, method, None)))


def shown_frame(image: MedicalImage) -> UInt8[np.ndarray, "h w 3"]:
    """The picture as a reader sees it; of a cine or a volume the frame that a model reads."""
    return image.covered(image.picture(image.reading_frame))


def batches(
    studies: list[Study], batch_size: int, title: str, progress: bool
) -> Iterator[tuple[list[Study], list[MedicalImage]]]:
    """Studies with their pictures, `batch_size` at a time: memory does not grow with their number."""
    from medvlm_lab.progress import tqdm

    with tqdm(total=len(studies), unit="study", desc=title, disable=not progress) as bar:
        for i in range(0, len(studies), batch_size):
            part = studies[i : i + batch_size]
            yield part, [study.image() for study in part]
            bar.update(len(part))
