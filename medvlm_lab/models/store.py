"""Weights on disk: safetensors, matrices as eight-bit integers with one scale a row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from medvlm_lab.errors import CheckpointError, MissingDataError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, CONFIG, SCALE = "model.safetensors", "config.json", ".scale"


def save_weights(folder: Path, state: dict[str, Tensor], config: dict) -> None:
    """Writes `state` and `config` into `folder`, each file atomically.

    Matrices become int8 with a float16 scale per row, which costs 0.4 % of the row's largest weight at most; vectors
    become float16.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (WEIGHTS + ".part")
    save_file({k: v.contiguous() for k, v in pack(state).items()}, part)
    part.replace(folder / WEIGHTS)
    part = folder / (CONFIG + ".part")
    part.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / CONFIG)


def pack(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are stored; see `save_weights`."""
    import torch

    stored = {}
    for name, value in state.items():
        if value.ndim < 2 or not value.is_floating_point():
            stored[name] = value.half() if value.is_floating_point() else value
            continue
        rows = value.float().flatten(1)
        # rounded up to float16 first, so that dividing by the stored scale never leaves [-127, 127]
        scale = (rows.abs().amax(1).clamp(min=1e-6) / 127).half()
        stored[name] = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view(value.shape)
        stored[name + SCALE] = scale
    return stored


def unpack(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors as float32."""
    state = {}
    for name, value in stored.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in stored:
            continue
        if name + SCALE in stored:
            shape = (-1,) + (1,) * (value.ndim - 1)
            value = value.float() * stored[name + SCALE].float().view(shape)
        state[name] = value.float() if value.is_floating_point() else value
    return state


def load_config(folder: Path) -> dict:
    """The checkpoint's configuration.

    Raises:
        MissingDataError: the folder holds no checkpoint.
        CheckpointError: the file is damaged.
    """
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(
            f"No checkpoint in {folder}: {CONFIG} is missing; name a folder that `medvlm-lab train` wrote."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG} is damaged: {error}; restore or retrain the checkpoint.") from error


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors as float32.

    Raises:
        MissingDataError: no weights in the folder.
        CheckpointError: the file is truncated or not safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise MissingDataError(f"No weights in {folder}: {WEIGHTS} is missing; name another folder or retrain.")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; restore or retrain the checkpoint.") from error
    return unpack(stored)
