"""Tensors that take minutes to make, kept for the next run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from medvlm_lab.io.whole import whole


def cached(path: Path | None, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `path` holds, else what `make` returns, written there whole or not at all; only made where path is None."""
    from safetensors.torch import load_file, save_file

    if path is None:
        return make()
    if path.is_file():
        return load_file(path)
    made = make()
    with whole(path) as part:
        save_file(made, part)
    return made
