"""Rows of an encoder: checked as they come, and as text, exact and short, so that a line of JSON can keep them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import guard
from medvlm_lab.tasks.result import model_name


def rows_of(model: Any, rows: Any, count: int, of: str = "images") -> Float[Tensor, "n d"]:
    """What a model's encoder gave for `count` images or texts, as float32.

    Raises MedVLMError, naming the model, for NaN and infinite numbers, and where there is not one row for each.
    """
    with np.errstate(over="ignore"):  # said below
        values = numbers_of(model, rows, f"rows that embed {of}").astype(np.float32)
    if values.ndim != 2 or len(values) != count or not values.shape[1]:
        raise MedVLMError(
            f"Model {model_name(model)!r} embedded {count} {of} as an array of shape {values.shape}; it must give one "
            "row of numbers for each."
        )
    if not np.isfinite(values).all():
        raise MedVLMError(f"Model {model_name(model)!r} embeds {of} as numbers too large for float32; divide them.")
    return torch.from_numpy(values)


def numbers_of(model: Any, values: Any, what: str) -> Float[np.ndarray, "*shape"]:
    """Finite numbers that a model gave; MedVLMError naming the model for others."""
    try:
        return guard.finite(values, what)
    except MedVLMError as error:
        raise MedVLMError(f"Model {model_name(model)!r} cannot be scored. {error}") from error


def to_text(rows: Float[Tensor, "n d"]) -> list[str]:
    """Each row's float32 values, little-endian, in base64."""
    return [b64encode(row.tobytes()).decode() for row in rows.numpy().astype("<f4")]


def from_text(texts: Iterable[str]) -> Float[Tensor, "n d"]:
    """The rows that `to_text` wrote."""
    return torch.from_numpy(np.stack([np.frombuffer(b64decode(text), "<f4") for text in texts]).astype(np.float32))
