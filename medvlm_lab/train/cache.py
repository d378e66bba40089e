"""Tensors that take minutes to make, kept for the next run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor


def cached(path: Path | None, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """What `path` holds, else what `make` returns, written there whole or not at all; only made where path is None."""
    from safetensors.torch import load_file, save_file

    if path is None:
        return make()
    if path.is_file():
        return load_file(path)
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    save_file(made, unfinished)
    unfinished.replace(path)
    return made
