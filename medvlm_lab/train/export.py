"""A trained model → a checkpoint folder: weights, vocabulary, calibrated confidence, log and model card."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.store import WEIGHTS, save_weights
from medvlm_lab.models.vit_bert_vqa import ViTBertVQA
from medvlm_lab.models.vqa_answerer import BEAMS, VQAAnswerer
from medvlm_lab.text.tokenizer import Tokenizer

CARD = """# vit-bert-vqa

A ViT + BERT visual question answering transformer at a laptop's size, after Bazi et al., Bioengineering 2023.
**Not for clinical use.** A teaching model: it has seen {images:,} images.

| | |
|---|---|
| parameters | {parameters:,}, of which {learned:,} were trained here |
| stored | int8 matrices with a float16 scale per row, safetensors, {megabytes:.1f} MB |
| image encoder | EfficientNet-lite0 stem (ImageNet weights, Apache-2.0, frozen), then a ViT, trained here |
| question encoder | first {question_layers} layers of MiniLM-L6-v2 (MIT, frozen), vocabulary of {vocabulary:,} pieces |
| recipe | `{recipe}`, seed {seed}, {epochs} epochs |

## Data

{data}

VQA-RAD (Lau et al. 2018) is CC0. PathVQA (He et al. 2020): the questions are MIT, the images remain their publishers'
and were used to train and measure only. No image is part of this checkpoint.

## Scores

Held-out questions that no training step saw, split {split}, fraction {fraction}, seed {seed}; percent with a 95 %
bootstrap interval. They were also used to fit the confidence, so the calibration error is optimistic.

| data | questions | exact match, closed | exact match, open | calibration error (ECE) |
|---|---|---|---|---|
{scores}

In the `by_question` split an image's other questions stay in training, as in VQA-RAD's official test: such a score says
how well the model answers new questions about images that it knows, not how well it reads a new patient's image.
"""


@torch.inference_mode()
def held_out_answers(model: ViTBertVQA, tokenizer: Tokenizer, table) -> tuple[list[str], np.ndarray]:
    """The answer to each validation question and its log-probability, from the frozen features."""
    plain, texts, logs = VQAAnswerer(model, tokenizer, (1.0, 0.0)), [], []
    for rows in np.array_split(table.validation, max(1, len(table.validation) // 64)):
        image = model.image_encoder.encode_patches(table.images[0, table.image_index[rows]].float())
        memory, keep = model.fuse(image, table.words[rows].float(), table.keep[rows])
        found = beam_search(
            model.decode, memory, keep, tokenizer.start, tokenizer.end, BEAMS, model.config.answer_context
        )
        for ids, log in zip(*found, strict=True):
            answer = plain._answer(ids, log, 0.0)
            texts.append(answer.text)
            logs.append(math.log(max(answer.confidence / (1 - answer.confidence), 1e-12)))  # sigmoid undone: log p
    return texts, np.array(logs)


def fit_confidence(logs: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """(a, b) of confidence = sigmoid(a · log p + b): Platt scaling by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    if right.all() or not right.any():  # nothing to tell apart
        return 1.0, 0.0
    fit = LogisticRegression(C=1e3).fit(logs[:, None], right)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def export(model: ViTBertVQA, tokenizer: Tokenizer, tables: list, recipe: dict, learned: int, out: Path) -> None:
    """Writes the checkpoint into `out`."""
    from medvlm_lab.metrics import bootstrap_interval, exact_match, expected_calibration_error

    rows, data, answers = [], [], []
    for spec, table in zip(recipe["data"], tables, strict=True):
        texts, logs = held_out_answers(model, tokenizer, table)
        right = np.array([exact_match(t, table.texts[i]) for t, i in zip(texts, table.validation, strict=True)])
        answers.append((spec, table, logs, right))
    calibration = fit_confidence(
        np.concatenate([a[2] for a in answers]), np.concatenate([a[3] for a in answers])
    )
    for spec, table, logs, right in answers:
        confidence = 1 / (1 + np.exp(-(calibration[0] * logs + calibration[1])))
        closed = table.closed[table.validation]
        cells = []
        for chosen in (closed, ~closed):
            value, low, high = (100 * v for v in bootstrap_interval(right[chosen].astype(float)))
            cells.append(f"{value:.1f} ({low:.1f} to {high:.1f}), n = {chosen.sum()}")
        error = 100 * expected_calibration_error(confidence, right)
        rows.append(f"| {spec['name']} | {len(right)} | {cells[0]} | {cells[1]} | {error:.1f} |")
        data.append(f"- `{spec['name']}`: {len(table.train):,} questions about {table.images.shape[1]:,} images")
    config = {"architecture": VQAAnswerer.name, "model": asdict(model.config), "calibration": list(calibration)}
    config["recipe"] = recipe
    save_weights(out, model.state_dict(), config)
    shutil.copyfile(Path(__file__).parents[1] / "weights" / "vit-bert-vqa" / "vocabulary.txt", out / "vocabulary.txt")
    card = CARD.format(
        images=sum(t.images.shape[1] for t in tables),
        parameters=sum(p.numel() for p in model.parameters()),
        learned=learned,
        megabytes=(out / WEIGHTS).stat().st_size / 1e6,
        question_layers=model.config.question_layers,
        vocabulary=len(tokenizer),
        recipe="medvlm_lab/train/recipes/vit-bert-vqa.toml",
        seed=recipe["seed"],
        epochs=recipe["epochs"],
        data="\n".join(data),
        split=recipe["split"],
        fraction=recipe["validation_fraction"],
        scores="\n".join(rows),
    )
    (out / "README.md").write_text(card, encoding="utf-8")
