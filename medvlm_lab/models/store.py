"""Weights on disk: safetensors, matrices as eight-bit integers with one scale a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from medvlm_lab.errors import CheckpointError, MissingDataError
from medvlm_lab.io.whole import whole, write_whole
from medvlm_lab.models.memory import room
from medvlm_lab.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor, nn

Module = TypeVar("Module", bound="nn.Module")
Sizes = TypeVar("Sizes")
WEIGHTS, CONFIG, VOCABULARY, SCALE = "model.safetensors", "config.json", "vocabulary.txt", ".scale"
DIGEST = "vocabulary_sha256"  # of the vocabulary that weights were saved beside; the bundled ones name none


def save_weights(folder: Path, state: dict[str, Tensor], config: dict) -> None:
    """Writes `state` and `config` into `folder`, each file atomically.

    Matrices become int8 with a float16 scale per row, which costs 0.4 % of the row's largest weight at most; vectors
    become float16. The configuration also tells the vocabulary in the folder, if there is one, from every other.
    """
    from safetensors.torch import save_file

    if (folder / VOCABULARY).is_file():
        config = config | {DIGEST: Tokenizer.from_file(folder / VOCABULARY).digest()}
    with whole(folder / WEIGHTS) as part:
        save_file({k: v.contiguous() for k, v in pack(state).items()}, part)
    write_whole(folder / CONFIG, json.dumps(config, indent=1) + "\n")


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
        CheckpointError: the file is damaged, or is no JSON object.
    """
    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(
            f"No checkpoint in {folder}: {CONFIG} is missing; name a folder that `medvlm-lab train` wrote."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG} is damaged: {error}; restore or retrain the checkpoint.") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{folder / CONFIG} is damaged: it holds no settings; restore or retrain the checkpoint.")
    return settings


def load_weights(folder: Path) -> dict[str, Tensor]:
    """The checkpoint's tensors as float32.

    Raises:
        MissingDataError: no weights in the folder.
        CheckpointError: the file is truncated or not safetensors, or a tensor holds NaN or an infinite number.
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
    if wrong := spoiled(stored.items()):
        raise CheckpointError(
            f"The tensor {wrong.removesuffix(SCALE)} in {path} holds NaN or an infinite number, so that nothing the "
            "model says means anything; restore or retrain the checkpoint."
        )
    return unpack(stored)


def spoiled(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first tensor with NaN or an infinite number; None where all are finite. One pass over each."""
    for name, value in tensors:
        if value.is_floating_point() and value.numel() and not all(end.isfinite() for end in value.aminmax()):
            return name
    return None


def opened(folder: Path, architecture: str, sizes: Callable[..., Sizes], *keys: str) -> tuple[dict, Sizes, Tokenizer]:
    """A checkpoint's configuration, the sizes that its "model" gives, and the tokenizer that belongs to them.

    Args:
        sizes: what "model" is put into, with a `vocabulary`. keys: what else the configuration must hold.

    Raises:
        MissingDataError: no configuration or vocabulary in the folder.
        CheckpointError: one of them is damaged, of another architecture, or does not fit the other.
    """
    settings, file, advice = load_config(folder), folder / CONFIG, "restore or retrain the checkpoint"
    if settings.get("architecture") != architecture:
        raise CheckpointError(f"{folder} holds {settings.get('architecture')!r}, not {architecture!r}.")
    if missing := [key for key in ("model", *keys) if key not in settings]:
        raise CheckpointError(f"{file} lacks {missing[0]!r}; {advice}.")
    try:
        model = sizes(**settings["model"])
    except (ArithmeticError, TypeError, ValueError) as error:
        raise CheckpointError(f"'model' in {file} gives no sizes of {architecture}: {error}; {advice}.") from error
    tokenizer = Tokenizer.from_file(folder / VOCABULARY)
    if len(tokenizer) != model.vocabulary:
        raise CheckpointError(
            f"{folder / VOCABULARY} has {len(tokenizer)} tokens, but the model's embedding has {model.vocabulary} "
            f"rows; {advice}."
        )
    if settings.get(DIGEST, tokenizer.digest()) != tokenizer.digest():
        raise CheckpointError(f"{folder / VOCABULARY} is not the vocabulary that the model learned; {advice}.")
    return settings, model, tokenizer


def restored(
    folder: Path, architecture: str, make: Callable[[], Module], untrained: bool = False, given: tuple[str, ...] = ()
) -> Module:
    """The module that `make` builds, with the checkpoint's weights, or those that seed 0 draws if `untrained`.

    Parts whose names begin as one of `given` come from elsewhere and were never trained: they stay either way.
    The caller's random numbers stay as they were. Raises as `load_weights`, CheckpointError where they do not fit or
    no module can have such sizes, and OutOfMemoryError.
    """
    import torch

    try:
        # not on the meta device: random numbers there bring in torch's compiler, seconds for what takes a tenth of one
        with room(architecture, "cpu"), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = make()
            if not untrained:
                module.load_state_dict(load_weights(folder), assign=True)
            elif given:
                kept = {name: value for name, value in load_weights(folder).items() if name.startswith(given)}
                module.load_state_dict(kept, strict=False, assign=True)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"The weights in {folder} do not fit its {architecture} config.json: {error}") from error
    return module
