"""The reviewed models by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medvlm_lab.errors import CheckpointError, MissingDataError, UnknownNameError
from medvlm_lab.models import hub
from medvlm_lab.models.hub_table import PUBLISHED
from medvlm_lab.models.memory import room

WEIGHTS = Path(__file__).parents[1] / "weights"
# name → (module, class, one line, capabilities)
CATALOGUE = {
    "vit-bert-vqa": (
        "medvlm_lab.models.vqa_answerer",
        "VQAAnswerer",
        "ViT + BERT visual question answering transformer (Bazi et al. 2023), trained on VQA-RAD and PathVQA",
        ("Answerer", "Staged", "Explainable"),
    ),
    "echo-clip": (
        "medvlm_lab.models.echo_clip",
        "EchoCLIP",
        "Echocardiograms and reports in one space (Christensen et al. 2024), trained on simulated patients",
        ("ImageTextEncoder", "Explainable"),
    ),
    "chexzero": (
        "medvlm_lab.models.chexzero",
        "CheXzero",
        "Zero-shot classification of chest X-rays (Tiu et al. 2022), trained on simulated patients",
        ("ImageTextEncoder", "Explainable"),
    ),
    "clinical-blip": (
        "medvlm_lab.models.clinical_blip",
        "ClinicalBLIP",
        "Reports and answers for chest X-rays by a Q-Former (ClinicalBLIP 2024), trained on simulated patients",
        ("Answerer", "Reporter", "Explainable"),
    ),
    "flamingo-cxr": (
        "medvlm_lab.models.flamingo_cxr",
        "FlamingoCXR",
        "Reports for chest X-rays by gated cross-attention (Flamingo-CXR 2025), trained on simulated patients",
        ("Answerer", "Reporter", "Explainable"),
    ),
    "prompt-segmenter": (
        "medvlm_lab.models.prompt_segmenter",
        "PromptSegmenter",
        "Masks for phrases (after CLIPSeg, Lüddecke & Ecker 2022), trained on simulated patients",
        ("Segmenter", "Explainable"),
    ),
    "pathology-vlm": (
        "medvlm_lab.models.pathology_vlm",
        "PathologyVLM",
        "Questions about H&E micrographs (PathologyVLM, Dai et al. 2025), trained on simulated patients and PathVQA",
        ("Answerer", "ImageTextEncoder", "Explainable"),
    ),
}


def names() -> list[str]:
    """Names that `load` knows."""
    return sorted({*CATALOGUE, *PUBLISHED})


def load(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    untrained: bool = False,
    download: bool = False,
    dtype: str | None = None,
    sha256: dict[str, str] | None = None,
):
    """A model by name: the teaching model with its bundled weights, or a published checkpoint.

    Args:
        name: one of `names()`.
        checkpoint: a folder that `medvlm-lab train` wrote or that holds a published checkpoint, or "hf-hub:owner/name".
        device: as for `lab.device`.
        untrained: the same teaching model before training, weights drawn with seed 0; frozen parts of others as ever.
        download, dtype: of published checkpoints; see `hub.load`.
        sha256: checksums of files by name, checked before they are read, as are those in a file `SHA256SUMS`.

    Raises:
        UnknownNameError: no such model; the nearest name is suggested.
        MissingDataError: the weights are not there.
        CheckpointError: the weights are damaged, of another architecture, or not those of their checksum.
        DownloadError: a published checkpoint could not be fetched. OutOfMemoryError: it does not fit the device.
    """
    import importlib

    from medvlm_lab.devices import device as choose

    if name not in CATALOGUE and name not in PUBLISHED:
        raise UnknownNameError("model", name, names())
    if name in PUBLISHED and (name not in CATALOGUE or is_published(checkpoint)):
        if untrained:
            raise CheckpointError(f"{name} is published trained; untrained=True is for the teaching models.")
        return hub.load(name, checkpoint, choose(device), download=download, dtype=dtype, sha256=sha256)
    folder = Path(checkpoint) if checkpoint else WEIGHTS / name
    if not folder.is_dir():
        raise MissingDataError(f"No checkpoint folder {folder}; name a folder that `medvlm-lab train {name}` wrote.")
    if sha256 or (folder / hub.files.SUMS).is_file():
        hub.files.examine(folder, sha256)
    (module, cls, *_), device = CATALOGUE[name], choose(device)
    with room(name, device):
        return getattr(importlib.import_module(module), cls).load(folder, device, untrained)


def is_published(checkpoint: str | Path | None) -> bool:
    """Whether a checkpoint is on the hub, or a folder in open_clip's layout, which no teaching model has."""
    if checkpoint is None:
        return False
    return str(checkpoint).startswith(hub.files.HUB) or (Path(checkpoint) / "open_clip_config.json").is_file()


def describe() -> list[dict[str, Any]]:
    """One row per model: name, what it is, capabilities, size of its bundled weights in MB, published checkpoint."""
    rows = []
    for name, (_, _, line, capabilities) in CATALOGUE.items():
        file = WEIGHTS / name / "model.safetensors"
        size = round(file.stat().st_size / 1e6, 1) if file.is_file() else None
        rows.append({"name": name, "about": line, "capabilities": list(capabilities), "weights_mb": size})
    for name, entry in PUBLISHED.items():
        if name not in CATALOGUE:
            capabilities = list(entry.capabilities)
            rows.append({"name": name, "about": entry.about, "capabilities": capabilities, "weights_mb": None})
    return [row | {"published": hub.describe(row["name"]) if row["name"] in PUBLISHED else None} for row in rows]
