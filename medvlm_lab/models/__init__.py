"""The reviewed models by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medvlm_lab.errors import MissingDataError, UnknownNameError

WEIGHTS = Path(__file__).parents[1] / "weights"
# name → (module, class, one line, capabilities)
CATALOGUE = {
    "vit-bert-vqa": (
        "medvlm_lab.models.vqa_answerer",
        "VQAAnswerer",
        "ViT + BERT visual question answering transformer (Bazi et al. 2023), trained on VQA-RAD and PathVQA",
        ("Answerer",),
    ),
    "echo-clip": (
        "medvlm_lab.models.echo_clip",
        "EchoCLIP",
        "Echocardiograms and reports in one space (Christensen et al. 2024), trained on simulated patients",
        ("ImageTextEncoder",),
    ),
    "chexzero": (
        "medvlm_lab.models.chexzero",
        "CheXzero",
        "Zero-shot classification of chest X-rays (Tiu et al. 2022), trained on simulated patients",
        ("ImageTextEncoder",),
    ),
    "prompt-segmenter": (
        "medvlm_lab.models.prompt_segmenter",
        "PromptSegmenter",
        "Masks for phrases (after CLIPSeg, Lüddecke & Ecker 2022), trained on simulated patients",
        ("Segmenter",),
    ),
}


def names() -> list[str]:
    """Names that `load` knows."""
    return sorted(CATALOGUE)


def load(name: str, *, checkpoint: str | Path | None = None, device: str | None = None, untrained: bool = False):
    """A model by name with its bundled weights, or those of the folder `checkpoint`.

    Args:
        name: one of `names()`.
        checkpoint: a folder that `medvlm-lab train` wrote.
        device: as for `lab.device`.
        untrained: the same model before training, weights drawn with seed 0.

    Raises:
        UnknownNameError: no such model; the nearest name is suggested.
        MissingDataError: the weights are not there.
        CheckpointError: the weights are damaged or of another architecture.
    """
    import importlib

    from medvlm_lab.devices import device as choose

    if name not in CATALOGUE:
        raise UnknownNameError("model", name, CATALOGUE)
    folder = Path(checkpoint) if checkpoint else WEIGHTS / name
    if not folder.is_dir():
        raise MissingDataError(f"No checkpoint folder {folder}; name a folder that `medvlm-lab train {name}` wrote.")
    module, cls, *_ = CATALOGUE[name]
    return getattr(importlib.import_module(module), cls).load(folder, choose(device), untrained)


def describe() -> list[dict[str, Any]]:
    """One row per model: name, what it is, capabilities, size of its bundled weights in MB."""
    rows = []
    for name, (_, _, line, capabilities) in CATALOGUE.items():
        file = WEIGHTS / name / "model.safetensors"
        size = round(file.stat().st_size / 1e6, 1) if file.is_file() else None
        rows.append({"name": name, "about": line, "capabilities": list(capabilities), "weights_mb": size})
    return rows
