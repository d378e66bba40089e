"""From a recipe to a segmentation task: simulated scans, the phrases' vocabulary, a model before training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from medvlm_lab.errors import MissingDataError
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models.dual_encoder import VOCABULARY
from medvlm_lab.models.prompt_segmenter import Config, PromptNet
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import forms
from medvlm_lab.text.phrases import PATTERNS, all_names
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer
from medvlm_lab.train.loop import CHECKPOINT
from medvlm_lab.train.scans import Scans
from medvlm_lab.train.segmentation import SegmentationTask
from medvlm_lab.train.tower import TowerTask

Data = tuple[Tokenizer, list[Scans], list[Scans], Path]


def prepare(recipe: dict, folder: Path) -> Data:
    """The phrases' vocabulary, which stays in `folder`, and for each phantom the scans to train and to validate on."""
    size = Config(0, **recipe["model"]).image_size
    make = lambda part, entry, patients, drawn=None: Scans(  # noqa: E731
        phantom(entry["phantom"]), part, patients, entry["frames"], size, recipe["seed"], recipe["leave_out"],
        folder / "scans", drawn,
    )
    train = [make("train", entry, entry["patients"], entry["drawn"]) for entry in recipe["data"]]
    validation = [make("validation", entry, recipe["validation_patients"]) for entry in recipe["data"]]
    path = folder / VOCABULARY
    if not path.is_file():
        write_whole(path, "\n".join(phrase_vocabulary([scans.names for scans in train])))
    return Tokenizer.from_file(path), train, validation, folder


def phrase_vocabulary(names: Sequence[Sequence[str]]) -> list[str]:
    """Every word that a phrase of usual wording may hold, special tokens first; `names` of each phantom's masks."""
    texts = [form for pattern in PATTERNS["usual"] for form in forms(re.sub(r"<[^>]+>", " ", pattern))]
    texts += [text for own in names for text in all_names(own)]
    words = {word for text in texts for word in re.findall(r"[a-z]+|[^\w\s]", text.lower())}
    return [PAD, UNKNOWN, START, END, *sorted(words)]


def task(recipe: dict, data: Data, stage: str) -> TowerTask | SegmentationTask:
    """The task of one stage, its model as the stage before left it; "blind" sees black squares."""
    tokenizer, train, validation, folder = data
    torch.manual_seed(recipe["seed"])
    model = PromptNet(Config(len(tokenizer), **recipe["model"], blind=stage == "blind"), tokenizer.end)
    model = model.to(memory_format=torch.channels_last)  # a third faster on a CPU
    entry = recipe["stages"][stage]
    if entry["learns"] == "tower":
        return TowerTask(model, train, validation, recipe)
    if "after" in entry:
        tower = recipe["stages"][entry["after"]]["learns"] == "tower"
        part, mark = (model.image_tower, "average.net.image_tower.") if tower else (model, "average.")
        part.load_state_dict(left_by(folder / entry["after"], mark))
    return SegmentationTask(model, tokenizer, train, validation, recipe)


def left_by(folder: Path, mark: str) -> dict[str, Tensor]:
    """The weights in a stage's checkpoint whose names begin with `mark`, without it."""
    if not (path := folder / CHECKPOINT).is_file():
        raise MissingDataError(f"Stage {folder.name!r} has left no checkpoint in {folder}; train it first.")
    return {name.removeprefix(mark): value for name, value in load_file(path).items() if name.startswith(mark)}
