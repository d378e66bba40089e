"""A trained model → a checkpoint folder: weights, vocabulary, calibrated confidence, log and model card."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from medvlm_lab.io.whole import write_whole
from medvlm_lab.metrics import bootstrap_interval, exact_match, expected_calibration_error
from medvlm_lab.models.store import WEIGHTS, pack, save_weights, unpack
from medvlm_lab.models.vit_bert_vqa import ViTBertVQA
from medvlm_lab.models.vqa_answerer import BEAMS, VQAAnswerer
from medvlm_lab.text.tokenizer import WORDS, Tokenizer
from medvlm_lab.train.loop import Loop
from medvlm_lab.train.setup import VOCABULARY
from medvlm_lab.train.vqa import Table, decoded

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

Held-out questions that no training step saw, fraction {fraction}, seed {seed}; percent with a 95 % bootstrap interval.

| data | split | epochs | exact match, closed | exact match, open | calibration error (ECE) |
|---|---|---|---|---|---|
{scores}

`by_question` imitates VQA-RAD's official test: an image's other questions stay in training, and so do template wordings
of about six held-out questions in ten. It says how well the model answers new questions about images that it knows.
`by_image` holds out whole images, and was scored on a model trained for that alone: it says how well a new patient's
image is read. `by_question_blind` is the blinded twin, trained as long on the same questions without any picture: what
the first has over it is what the pictures tell. The bundled weights are those of `{split}`, whose held-out questions
were also used to fit the confidence, so that split's calibration error is optimistic.
"""


def held_out_answers(model: ViTBertVQA, tokenizer: Tokenizer, table: Table) -> tuple[list[str], np.ndarray]:
    """The answer to each validation question and its log-probability, from the frozen features."""
    plain, texts, logs = VQAAnswerer(model, tokenizer, (1.0, 0.0)), [], []
    for ids, log in decoded(model, tokenizer, table, BEAMS):
        answer = plain._answer(torch.tensor(ids), log, "", {}, 0.0)
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


def scored(loop: Loop) -> list[tuple[dict, Table, np.ndarray, np.ndarray]]:
    """(recipe entry, table, log-probability of each answer, whether it is right) per data set."""
    model, task = loop.averaged().cpu(), loop.task
    model.load_state_dict(unpack(pack(model.state_dict())))  # what is scored is what is stored
    found = []
    for spec, table in zip(task.recipe["data"], task.tables, strict=True):
        texts, logs = held_out_answers(model, task.tokenizer, table)
        right = np.array([exact_match(t, table.texts[i]) for t, i in zip(texts, table.validation, strict=True)])
        found.append((spec, table, logs, right))
    return found


def score_rows(split: str, epochs: int, answers: list, calibration: tuple[float, float]) -> list[str]:
    """The card's table rows of one split."""
    rows = []
    for spec, table, logs, right in answers:
        confidence = 1 / (1 + np.exp(-(calibration[0] * logs + calibration[1])))
        closed = table.closed[table.validation]
        cells = []
        for chosen in (closed, ~closed):
            value, low, high = (100 * v for v in bootstrap_interval(right[chosen].astype(float)))
            cells.append(f"{value:.1f} ({low:.1f} to {high:.1f}), n = {chosen.sum()}")
        # the confidence was fitted for the model that is kept, and says nothing of its twin
        error = "–" if split.endswith("_blind") else f"{100 * expected_calibration_error(confidence, right):.1f}"
        rows.append(f"| {spec['name']} | `{split}` | {epochs} | {cells[0]} | {cells[1]} | {error} |")
    return rows


def training_words(tables: Sequence[Table], tokenizer: Tokenizer) -> list[str]:
    """Every word of the questions and answers that were trained on, as the tokenizer parts them, sorted."""
    rows = (table.rows[i] for table in tables if table.rows for i in table.train)
    texts = (str(row[key]) for row in rows for key in ("question", "answer"))
    return sorted({word for text in texts for word in tokenizer.split(text) if any(c.isalnum() for c in word)})


def export(loops: dict[str, Loop], recipe: dict, out: Path) -> None:
    """Writes into `out` the checkpoint of the first split's model, and a card with the scores of every split's."""
    answers = {split: scored(loop) for split, loop in loops.items()}
    split, loop = next(iter(loops.items()))
    logs, right = (np.concatenate([a[k] for a in answers[split]]) for k in (2, 3))
    calibration = fit_confidence(logs, right)
    model, tables = loop.averaged().cpu(), loop.task.tables
    config = {"architecture": VQAAnswerer.name, "model": asdict(model.config), "calibration": list(calibration)}
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(VOCABULARY, out / "vocabulary.txt")  # before the weights, which name its hash
    write_whole(out / WORDS, "\n".join(training_words(tables, loop.task.tokenizer)) + "\n")
    save_weights(out, model.state_dict(), config | {"recipe": recipe})
    shutil.copyfile(loop.out / "log.jsonl", out / "log.jsonl")
    card = CARD.format(
        images=sum(t.images.shape[1] for t in tables),
        parameters=sum(p.numel() for p in model.parameters()),
        learned=sum(p.numel() for _, p in loop.learning),
        megabytes=(out / WEIGHTS).stat().st_size / 1e6,
        question_layers=model.config.question_layers,
        vocabulary=model.config.vocabulary,
        recipe="medvlm_lab/train/recipes/vit-bert-vqa.toml",
        seed=recipe["seed"],
        epochs=loop.epoch,
        data="\n".join(
            f"- `{spec['name']}`: {len(table.train):,} questions about {table.images.shape[1]:,} images"
            for spec, table in zip(recipe["data"], tables, strict=True)
        ),
        split=split,
        fraction=recipe["validation_fraction"],
        scores="\n".join(
            row
            for name, found in answers.items()
            for row in score_rows(name, loops[name].epoch, found, calibration)
        ),
    )
    write_whole(out / "README.md", card)
