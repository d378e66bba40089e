"""From a recipe to a contrastive task: simulated studies, vocabulary, a model before training."""

from __future__ import annotations

from pathlib import Path

import torch

from medvlm_lab.models.dual_encoder import VOCABULARY, Config, DualEncoder
from medvlm_lab.phantoms import phantom
from medvlm_lab.text.report_vocabulary import report_vocabulary
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.contrastive import ContrastiveTask, Studies


def prepare(recipe: dict, folder: Path) -> tuple[Tokenizer, Studies, Studies]:
    """The reports' vocabulary, which stays in `folder`, and the studies to train and to validate on."""
    path = folder / VOCABULARY
    if not path.is_file():
        part = path.with_suffix(".part")
        part.write_text("\n".join(report_vocabulary(recipe["phantom"])), encoding="utf-8")
        part.replace(path)
    tokenizer = Tokenizer.from_file(path)
    config = Config(len(tokenizer), **recipe["model"])
    simulator = phantom(recipe["phantom"])
    make = lambda part, count: Studies(  # noqa: E731
        simulator, part, count, recipe["frames"], config.image_size, recipe["seed"], folder / "studies"
    )
    return tokenizer, make("train", recipe["studies"]), make("validation", recipe["validation_studies"])


def task(recipe: dict, data: tuple[Tokenizer, Studies, Studies], split: str) -> ContrastiveTask:
    """A fresh model over the studies. Simulated parts never share a patient: `split` "patients" is the only one."""
    tokenizer, train, validation = data
    torch.manual_seed(recipe["seed"])
    model = DualEncoder(Config(len(tokenizer), **recipe["model"]), tokenizer.end)
    return ContrastiveTask(model, tokenizer, train, validation, recipe)
