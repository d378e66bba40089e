"""A published checkpoint's files: on disk or in the hub's local cache, examined before a library reads them."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from medvlm_lab.errors import CheckpointError, DownloadError, MissingDataError
from medvlm_lab.models.store import spoiled

if TYPE_CHECKING:
    from torch import nn

HUB = "hf-hub:"
SUMS = "SHA256SUMS"
PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")  # no pickle, no code
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def cached(repository: str) -> Path | None:
    """The folder of `repository`, or of `repository@revision`, in the hub's local cache; None where it is not."""
    from huggingface_hub import snapshot_download

    repository, _, revision = repository.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except (OSError, ValueError, RuntimeError):  # not there, a malformed name, no home folder
        return None


def download(repository: str, patterns: tuple[str, ...] = PATTERNS) -> Path:
    """Fetches `repository`, or `repository@revision`, into the hub's cache: settings, tokenizer, safetensors only.

    Raises:
        DownloadError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = repository.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(patterns)))
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).strip() or type(error).__name__
        raise DownloadError(
            f"{repository} could not be fetched: {said.splitlines()[0]} For a gated one, accept its licence on "
            f"https://huggingface.co/{repository} and run `hf auth login` first."
        ) from error


def kind(folder: Path) -> str:
    """What a folder holds: "open_clip", a transformers `model_type`, or the architecture of our own.

    Raises:
        MissingDataError: no settings there.
        CheckpointError: settings that cannot be read or name no architecture.
    """
    if (folder / "open_clip_config.json").is_file():
        return "open_clip"
    settings = read_json(folder / "config.json")
    found = settings.get("architecture") or settings.get("model_type")
    if not isinstance(found, str):
        raise CheckpointError(f"{folder / 'config.json'} names no model_type; name a folder that holds a checkpoint.")
    return found


def read_json(file: Path) -> dict:
    """Settings; MissingDataError where the file is not, CheckpointError where it is no JSON object."""
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingDataError(
            f"No checkpoint in {file.parent}: {file.name} is missing; name another folder."
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged: {error}; fetch the checkpoint again.") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{file} is damaged: it holds no settings; fetch the checkpoint again.")
    return settings


def examine(folder: Path, sums: dict[str, str] | None = None) -> list[Path]:
    """The weights' files, each whole and as its checksum says.

    Args:
        sums: SHA-256 of files by name; those that a file `SHA256SUMS` beside the weights names are checked too.

    Raises:
        MissingDataError: no weights. CheckpointError: only pickles, a damaged or missing part, a wrong checksum.
    """
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files and (pickles := sorted(file for pattern in PICKLES for file in folder.glob(pattern))):
        raise CheckpointError(
            f"{pickles[0]} is a pickle, which can run code when it is read; convert it to safetensors "
            "(`medvlm-lab models fetch NAME` does so for EchoCLIP, BiomedCLIP and PLIP, "
            "https://huggingface.co/spaces/safetensors/convert for others) and name the folder, or the revision as "
            "'hf-hub:owner/name@refs/pr/1'."
        )
    if not files:
        raise MissingDataError(f"No weights in {folder}: *.safetensors is missing; fetch the checkpoint again.")
    for index in folder.glob("*.safetensors.index.json"):
        parts = set(read_json(index).get("weight_map", {}).values())
        if missing := sorted(parts - {file.name for file in files}):
            raise CheckpointError(f"{folder} lacks {', '.join(missing)}, which {index.name} names; fetch it again.")
    for file in files:
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{file} is damaged or truncated: {error}; fetch the checkpoint again.") from error
    for name, expected in (_sums(folder / SUMS) | (sums or {})).items():
        _check_sum(folder / name, expected)
    return files


def check_finite(module: nn.Module, folder: Path) -> None:
    """Raises CheckpointError where a weight is NaN or infinite, naming the tensor and, where it is there, its file."""
    from safetensors import safe_open

    if (wrong := spoiled(module.named_parameters())) is None:
        return
    where = folder
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            if any(name.endswith(wrong) or wrong.endswith(name) for name in tensors.keys()):
                where = file
    raise CheckpointError(
        f"The tensor {wrong} in {where} holds NaN or an infinite number, so that nothing the model says means "
        "anything; fetch the checkpoint again, or load it with dtype='float32' where it overflows in float16."
    )


def weigh(weights: list[Path], dtype: str) -> int:
    """Bytes that the tensors of `weights` take in memory as `dtype`, or as stored if it is "auto"."""
    from safetensors import safe_open

    if dtype == "auto":
        return sum(file.stat().st_size for file in weights)
    numbers = 0
    for file in weights:
        with safe_open(file, "pt") as tensors:
            numbers += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())
    return numbers * (4 if dtype == "float32" else 2)


def _sums(file: Path) -> dict[str, str]:
    """Lines of `sha256sum`: checksum, two spaces, name."""
    if not file.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(line) != 2 for line in lines):
        raise CheckpointError(
            f"{file} is damaged: each line must hold a checksum and a name, as sha256sum writes them."
        )
    return {name.strip().lstrip("*"): expected for expected, name in lines}


def _check_sum(file: Path, expected: str) -> None:
    if Path(file.name) != file.relative_to(file.parent) or not file.is_file():
        raise CheckpointError(f"{file} is missing, though its checksum is known; fetch the checkpoint again.")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected.strip().lower():
        raise CheckpointError(
            f"{file} has SHA-256 {found[:12]}…, expected {expected[:12]}…; it was damaged or replaced: fetch it again."
        )
