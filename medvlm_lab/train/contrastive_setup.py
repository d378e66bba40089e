"""From a recipe to a contrastive task: simulated studies, vocabulary, a model before training."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.errors import MissingDataError
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models.dual_encoder import VOCABULARY, Config, DualEncoder
from medvlm_lab.phantoms import phantom
from medvlm_lab.text.report_vocabulary import report_vocabulary
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.contrastive import ContrastiveTask, Data, Studies
from medvlm_lab.train.loop import CHECKPOINT, Task
from medvlm_lab.train.outlines import OutlineTask
from medvlm_lab.train.prompts import PromptTask


def prepare(recipe: dict, folder: Path) -> Data:
    """The reports' vocabulary, which stays in `folder`, and the studies to train and to validate on."""
    path = folder / VOCABULARY
    if not path.is_file():
        write_whole(path, "\n".join(report_vocabulary(recipe["phantom"])))
    tokenizer, simulator = Tokenizer.from_file(path), phantom(recipe["phantom"])
    size = Config(len(tokenizer), **recipe["model"]).image_size
    make = lambda part, count: Studies(  # noqa: E731
        simulator, part, count, recipe["frames"], size, recipe["seed"], folder / "studies"
    )
    return Data(tokenizer, make("train", recipe["studies"]), make("validation", recipe["validation_studies"]), folder)


def task(recipe: dict, data: Data, stage: str) -> Task:
    """The task of one stage; a stage `after` another one starts from the towers that it left."""
    model = fresh(recipe, data.tokenizer)
    if "after" in recipe["stages"][stage]:
        model.load_state_dict(left_by(recipe, data.folder, recipe["stages"][stage]["after"]), strict=False)
    if recipe["stages"][stage]["learns"] == "outlines":
        return OutlineTask(model, data.train, data.validation, recipe, data.folder / "studies")
    for name in recipe["frozen"]:
        model.get_submodule(name).requires_grad_(False)
    if recipe["stages"][stage]["learns"] == "prompts":
        return PromptTask(model, data, recipe)
    return ContrastiveTask(model, data.tokenizer, data.train, data.validation, recipe)


def left_by(recipe: dict, folder: Path, stage: str) -> dict[str, Tensor]:
    """The averaged weights of the towers after a stage: what it learned, and what it took over frozen."""
    from safetensors.torch import load_file

    path = folder / stage / CHECKPOINT
    if not path.is_file():
        raise MissingDataError(f"Stage {stage!r} has left no checkpoint in {folder / stage}; train it first.")
    entry = recipe["stages"][stage]
    before = left_by(recipe, folder, entry["after"]) if "after" in entry else {}
    mark = "average.encoder." if entry["learns"] == "outlines" else "average."
    return before | {name.removeprefix(mark): value for name, value in load_file(path).items() if name.startswith(mark)}


def fresh(recipe: dict, tokenizer: Tokenizer) -> DualEncoder:
    """The network before training."""
    torch.manual_seed(recipe["seed"])
    model = DualEncoder(Config(len(tokenizer), **recipe["model"]), tokenizer.end)
    numbers = [i for i, token in enumerate(tokenizer.vocabulary) if token.isdigit()]
    with torch.no_grad():  # 61 and 62 start alike, so that what is learned of one holds for the other
        values = torch.tensor([float(tokenizer.vocabulary[i]) for i in numbers])
        model.text_encoder.token_embedding.weight[numbers] += 0.05 * waves(values, model.config.text_width)
    return model


def waves(values: Float[Tensor, " n"], width: int) -> Float[Tensor, "n width"]:
    """Sines and cosines of each value, with periods from 6 to 1,200 (as Vaswani et al. 2017 mark positions)."""
    periods = torch.logspace(math.log10(6), math.log10(1200), width // 2)
    angle = values[:, None] * (2 * math.pi / periods)  # (n, width / 2)
    return torch.cat([angle.sin(), angle.cos()], 1)
