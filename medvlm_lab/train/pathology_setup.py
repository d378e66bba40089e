"""From a recipe to the stages of `pathology-vlm`: simulated patients, real questions, the stem's features of both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab import datasets
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models.pathology_vlm import FINDINGS, Config, PathologyNet, picture
from medvlm_lab.models.writer import VOCABULARY
from medvlm_lab.phantoms import phantom
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.contrastive import Studies
from medvlm_lab.train.generative_setup import started
from medvlm_lab.train.lessons import Lessons, instruction_vocabulary
from medvlm_lab.train.loop import Task
from medvlm_lab.train.pathology_answers import AnswerTask
from medvlm_lab.train.pathology_pictures import pictures
from medvlm_lab.train.pathology_plip import Asked, PlipTask, Slides
from medvlm_lab.train.pretrained import load_stem


@dataclass(frozen=True)
class Data:
    """Vocabulary, simulated patients, real questions if any, and the folder in which the stages keep checkpoints."""

    tokenizer: Tokenizer
    train: Slides
    validation: Slides
    asked: Asked | None
    folder: Path


def prepare(recipe: dict, folder: Path) -> Data:
    """What all stages share; vocabulary, pictures and features stay in `folder` for the next run.

    Raises MissingDataError where the recipe's real data set is not on this machine.
    """
    items = datasets.dataset(recipe["data"], "train") if recipe["data"] else None
    parts = {} if items is None else split(items.rows, recipe)
    path = folder / VOCABULARY
    if not path.is_file():
        read = [f"{items[i].question} {items[i].answer}" for i in parts.get("train", ())]
        write_whole(path, "\n".join(vocabulary(recipe["phantom"], read)))
    tokenizer = Tokenizer.from_file(path)
    net = PathologyNet(Config(len(tokenizer), tokenizer.end, **recipe["model"]))
    load_stem(net.vision.stem)

    def features(name: str, read, count: int, copies: int):
        return pictures(net, read, count, copies, folder / "features" / f"{name}-{count}-{copies}-cells.safetensors")

    def slides(part: str, count: int, copies: int = 1) -> Slides:
        size, seed = recipe["size"], recipe["seed"]
        studies = Studies(phantom(recipe["phantom"]), part, count, 3, size, seed, folder / "studies")

        def read(i: int) -> Float[Tensor, "3+m h w"]:
            masks = studies.simulator.masks(studies.scenes[i : i + 1], size)
            return torch.cat([studies.pixels[i].float() / 255, *(masks[name].float() for name in FINDINGS)])

        return Slides(studies, features(part, read, count, copies))

    train = slides("train", recipe["studies"], recipe["copies"])
    validation = slides("validation", recipe["validation_studies"])
    return Data(tokenizer, train, validation, items and asked(items, parts, features, recipe), folder)


def split(rows: list[dict], recipe: dict) -> dict[str, np.ndarray]:
    """Rows to train, validate and test on; no image in two of them."""
    rest, test = datasets.by_image(rows, recipe["test_fraction"], recipe["seed"])
    train, validation = datasets.by_image([rows[i] for i in rest], recipe["validation_fraction"], recipe["seed"])
    return {"train": np.array(rest)[train], "validation": np.array(rest)[validation], "test": np.array(test)}


def asked(items, parts: dict[str, np.ndarray], features, recipe: dict) -> Asked:
    """The real questions and the features of their pictures."""
    first = {item.image_name: item for item in items}
    names = sorted(first)
    where = {name: i for i, name in enumerate(names)}
    return Asked(
        features(recipe["data"], lambda i: picture(first[names[i]].image()), len(names), recipe["real_copies"]),
        [item.question for item in items], [item.answer for item in items],
        np.array([item.closed for item in items]), np.array([where[item.image_name] for item in items]), parts,
    )  # fmt: skip


def vocabulary(name: str, read: list[str]) -> list[str]:
    """The phantom's words and those of the real questions and answers that training reads."""
    known = instruction_vocabulary(name, "")
    words = {word for text in read for word in re.findall(r"[^\W_]+|[^\w\s]|_", text.lower())}
    return [*known, *sorted(words - set(known))]


def task(recipe: dict, data: Data, stage: str) -> Task:
    """The task of one stage, its model as the stage before left it, the stem always frozen."""
    model, lessons = started(recipe, data, stage), Lessons(data.tokenizer)
    model.vision.stem.requires_grad_(False)
    if recipe["stages"][stage]["learns"] == "contrast":
        return PlipTask(model, lessons, data.train, data.validation, data.asked, recipe)
    return AnswerTask(model, lessons, data.train, data.validation, data.asked, recipe)
