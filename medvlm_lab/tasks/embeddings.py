"""Rows of an encoder as text, exact and short, so that a line of JSON can keep them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def to_text(rows: Float[Tensor, "n d"]) -> list[str]:
    """Each row's float32 values, little-endian, in base64."""
    return [b64encode(row.tobytes()).decode() for row in rows.cpu().numpy().astype("<f4")]


def from_text(texts: Iterable[str]) -> Float[Tensor, "n d"]:
    """The rows that `to_text` wrote."""
    return torch.from_numpy(np.stack([np.frombuffer(b64decode(text), "<f4") for text in texts]).astype(np.float32))
