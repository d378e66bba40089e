"""From a recipe to a task: data, splits, starting weights, frozen features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from medvlm_lab import datasets
from medvlm_lab.models.vit_bert_vqa import Config, ViTBertVQA
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.pretrained import load_pretrained
from medvlm_lab.train.vqa import Table, VQATask, question_features, stem_features

VOCABULARY = Path(__file__).parents[1] / "weights" / "vit-bert-vqa" / "vocabulary.txt"


def start(recipe: dict) -> tuple[ViTBertVQA, Tokenizer]:
    """The model before training, its frozen layers filled, and its tokenizer."""
    torch.manual_seed(recipe["seed"])
    tokenizer = Tokenizer.from_file(VOCABULARY)
    model = ViTBertVQA(Config(vocabulary=len(tokenizer), **recipe.get("model", {})), pad=tokenizer.pad)
    if not load_pretrained(model, tokenizer):
        from medvlm_lab.models.store import load_weights

        bundled = load_weights(VOCABULARY.parent)
        frozen = ("image_encoder.stem.", "question_encoder.")
        model.load_state_dict({k: v for k, v in bundled.items() if k.startswith(frozen)}, strict=False)
    return model, tokenizer


def prepare(recipe: dict, folder: Path) -> list[Table]:
    """The recipe's data sets as tensors, not yet divided; image features are kept in `folder` for the next run."""
    model, tokenizer = start(recipe)
    return [table(model, tokenizer, spec, folder) for spec in recipe["data"]]


def task(recipe: dict, tables: list[Table], split: str) -> VQATask:
    """A fresh model over the tables, divided as `split` says: validation questions are never seen in training.

    A split that ends in "_blind" is that of the blinded twin: the same questions, and no picture for any of them.
    """
    divide, parts = getattr(datasets, split.removesuffix("_blind")), []
    for whole in tables:
        if split.endswith("_blind"):
            whole = replace(whole, images=torch.zeros_like(whole.images))
        train, validation = divide(whole.rows, recipe["validation_fraction"], recipe["seed"])
        parts.append(replace(whole, train=np.asarray(train), validation=np.asarray(validation)))
    return VQATask(*start(recipe), parts, recipe)


def table(model: ViTBertVQA, tokenizer: Tokenizer, spec: dict, folder: Path) -> Table:
    """One data set with the frozen layers' output for its images and questions."""
    data = datasets.dataset(spec["name"], "train")
    first = {item.image_name: item for item in data}
    names = sorted(first)
    where = {name: i for i, name in enumerate(names)}
    images = stem_features(
        model, [first[n] for n in names], spec["copies"], folder / "features" / f"{spec['name']}.safetensors"
    )
    words, keep = question_features(
        model, tokenizer.batch([item.question for item in data], model.config.question_context)
    )
    return Table(
        rows=data.rows,
        images=images,
        words=words,
        keep=keep,
        answers=tokenizer.batch([item.answer for item in data], model.config.answer_context),
        image_index=torch.tensor([where[item.image_name] for item in data]),
        share=spec.get("share", 1.0),
        texts=[item.answer for item in data],
        closed=np.array([item.closed for item in data]),
    )
