"""From a recipe to a contrastive task: simulated studies, vocabulary, a model before training."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

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
    numbers = [i for i, token in enumerate(tokenizer.vocabulary) if token.isdigit()]
    with torch.no_grad():  # 61 and 62 start alike, so that what is learned of one holds for the other
        values = torch.tensor([float(tokenizer.vocabulary[i]) for i in numbers])
        model.text_encoder.token_embedding.weight[numbers] += 0.05 * waves(values, model.config.text_width)
    return ContrastiveTask(model, tokenizer, train, validation, recipe)


def waves(values: Float[Tensor, " n"], width: int) -> Float[Tensor, "n width"]:
    """Sines and cosines of each value, with periods from 6 to 1,200 (as Vaswani et al. 2017 mark positions)."""
    periods = torch.logspace(math.log10(6), math.log10(1200), width // 2)
    angle = values[:, None] * (2 * math.pi / periods)  # (n, width / 2)
    return torch.cat([angle.sin(), angle.cos()], 1)
