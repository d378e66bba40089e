"""Published checkpoints behind the capabilities of `models.base`.

    lab.load("clip", checkpoint="a folder")                              # as save_pretrained writes it
    lab.load("clip", checkpoint="hf-hub:openai/clip-vit-base-patch32")   # out of the hub's local cache
    lab.load("clip", checkpoint="hf-hub:…", download=True)               # fetched first

Nothing is downloaded unless asked for, no code of a checkpoint is run, and weights are read from safetensors only:
what is published as a pickle is converted once it is fetched.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from medvlm_lab.errors import CheckpointError, MissingDataError, UnknownNameError
from medvlm_lab.models import hub_files as files
from medvlm_lab.models import hub_memory as memory
from medvlm_lab.models.hub_convert import to_safetensors
from medvlm_lab.models.hub_table import PUBLISHED, Published

DTYPES = ("float32", "bfloat16", "float16")
# kind → (module, class)
WRAPPERS = {
    "open_clip": ("hub_open_clip", "OpenCLIPEncoder"),
    "clip": ("hub_contrastive", "TransformersEncoder"),
    "siglip": ("hub_contrastive", "TransformersEncoder"),
    "clipseg": ("hub_segmenter", "CLIPSegSegmenter"),
    "blip": ("hub_blip", "BlipAnswerer"),
    "instructblip": ("hub_instructblip", "InstructBlipAnswerer"),
    "idefics": ("hub_idefics", "IdeficsAnswerer"),
    "llava": ("hub_chat", "ChatAnswerer"),
    "paligemma": ("hub_chat", "PaliGemmaAnswerer"),
    "gemma3": ("hub_chat", "ChatAnswerer"),
}
#: A checkpoint whose model does more than its kind: the tasks of its paper.
NAMED = {("echo-clip", "open_clip"): ("hub_open_clip", "PublishedEchoCLIP")}


def load(
    name: str,
    checkpoint: str | Path | None,
    device: Any,
    *,
    download: bool = False,
    dtype: str | None = None,
    sha256: dict[str, str] | None = None,
):
    """A published checkpoint by name, out of a folder or the hub's local cache.

    Args:
        checkpoint: a folder, or "hf-hub:owner/name"; None for the table's own out of the local cache.
        device: a torch device. download: fetch what is missing.
        dtype: of the weights, such as "bfloat16"; by default float32 on a CPU and as published elsewhere.
        sha256: checksums of files by name, checked before they are read.

    Raises:
        MissingDataError: not on this machine; the message says size, licence and how to fetch it.
        CheckpointError: damaged, a pickle, or of another architecture.
        DownloadError: it could not be fetched. OutOfMemoryError: it does not fit the device.
    """
    if dtype not in (None, *DTYPES):
        raise UnknownNameError("dtype", dtype, DTYPES)
    entry = PUBLISHED[name]
    dtype = dtype or ("float32" if device.type == "cpu" else "auto")
    if download and checkpoint in (None, files.HUB + entry.repository):  # of others the table knows no size
        memory.check_room(name, device, entry.weigh(dtype), hint(name, entry))
    folder = locate(name, entry, checkpoint, download)
    found = files.kind(folder)
    if found not in entry.kinds:
        raise CheckpointError(f"{folder} holds a {found!r} model, but {name!r} is {' or '.join(entry.kinds)}.")
    weights = files.examine(folder, sha256)
    memory.check_room(name, device, files.weigh(weights, dtype), hint(name, entry))
    module, cls = NAMED.get((name, found)) or WRAPPERS[found]
    wrapper = getattr(import_module(f"medvlm_lab.models.{module}"), cls)
    with memory.memory_hint(name, device):
        return wrapper.load(folder, name, device, dtype)


def locate(name: str, entry: Published, checkpoint: str | Path | None, download: bool) -> Path:
    """The folder that holds the checkpoint; see `load`."""
    if checkpoint is not None and not str(checkpoint).startswith(files.HUB):
        if not Path(checkpoint).is_dir():
            raise MissingDataError(f"No checkpoint folder {checkpoint}. {hint(name, entry)}")
        return Path(checkpoint)
    repository = str(checkpoint or files.HUB + entry.repository).removeprefix(files.HUB)
    if download:
        return fetch_repository(repository, entry)
    folder = files.cached(repository)
    if folder is None:
        raise MissingDataError(f"{repository} is not on this machine. {hint(name, entry)}")
    return folder


def hint(name: str, entry: Published) -> str:
    """Size, licence and the command that fetches a checkpoint, in one sentence."""
    gate = f", gated: accept it on https://huggingface.co/{entry.repository} first" if entry.gated else ""
    note = f" {entry.note}" if entry.note else ""
    return (
        f"{name} is {entry.size_gb:g} GB under the licence {entry.licence}{gate}; fetch it with "
        f"`medvlm-lab models fetch {name}`, or name a folder that holds it.{note}"
    )


def fetch(name: str) -> Path:
    """Downloads a published checkpoint into the hub's local cache.

    Raises:
        UnknownNameError: no such checkpoint. DownloadError: the hub cannot be reached, or refuses.
        MissingDataError: the repository holds no weights. CheckpointError: they are damaged.
    """
    if name not in PUBLISHED:
        raise UnknownNameError("published checkpoint", name, PUBLISHED)
    folder = fetch_repository(PUBLISHED[name].repository, PUBLISHED[name])
    files.examine(folder)
    return folder


def fetch_repository(repository: str, entry: Published) -> Path:
    """The repository and its companions, downloaded; weights that are there as a pickle only become safetensors."""
    for other, pattern in entry.companions:
        files.download(other, (pattern,))
    folder = files.download(repository)
    if entry.pickle and not any(folder.glob("*.safetensors")):
        folder = files.download(repository, (entry.pickle,))
        if (folder / entry.pickle).is_file():
            to_safetensors(folder / entry.pickle)
    return folder


def describe(name: str) -> dict[str, Any]:
    """What a table row says of a published checkpoint, and whether it is on this machine."""
    entry = PUBLISHED[name]
    folder = files.cached(entry.repository)
    return {
        "repository": entry.repository,
        "size_gb": entry.size_gb,
        "licence": entry.licence,
        "gated": entry.gated,
        "source": entry.source,
        "present": folder is not None and any(folder.glob("*.safetensors")),
    }
