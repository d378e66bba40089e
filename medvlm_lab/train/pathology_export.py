"""A trained pathology-vlm → a checkpoint folder: weights, vocabulary, log and a model card with its scores."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from medvlm_lab import datasets
from medvlm_lab.datasets.base import VQAItem
from medvlm_lab.image import MedicalImage
from medvlm_lab.io.whole import write_whole
from medvlm_lab.metrics import bootstrap_interval, exact_match, paired
from medvlm_lab.models import CATALOGUE, load
from medvlm_lab.models import WEIGHTS as MODELS
from medvlm_lab.models.base import Answer
from medvlm_lab.models.pathology_vlm import PathologyNet, PathologyVLM
from medvlm_lab.models.store import WEIGHTS, save_weights
from medvlm_lab.nn.lora import merge_lora
from medvlm_lab.tasks import evaluate
from medvlm_lab.tasks.result import BLANK, Score
from medvlm_lab.tasks.vqa import VQARow, score_rows
from medvlm_lab.train.loop import Loop

CARD = """# {name}

{about}.
**Not for clinical use.** A teaching model.

| | |
|---|---|
| parameters | {parameters:,}, of which {stem:,} are a frozen stem |
| stored | int8 matrices with a float16 scale per row, safetensors, {megabytes:.1f} MB |
| image encoder | EfficientNet-lite0 stem (ImageNet weights, Apache-2.0, frozen), then a ViT, trained here |
| tiles | the whole view and 4 to {tiles} tiles of {tile} pixels, always {tokens} soft tokens |
| language model | LLaMA, {layers} layers of width {width}; {vocabulary:,} words, at first MiniLM-L6-v2's (MIT) |
| recipe | `medvlm_lab/train/recipes/{name}.toml`, seed {seed}, epochs: {epochs} |

## Data

- `phantom:{phantom}`: {studies:,} simulated patients with reports and questions
{real}
No image is part of this checkpoint. Confidence is the model's own probability of the words, not calibrated.

## Answers on simulated patients

{held:,} other simulated patients (test part, seed {seed}), in pictures of {size} pixels a side, asked in wordings that
training never saw; exact match in percent with 95 % bootstrap intervals. The majority baseline says the most frequent
closed or open answer. The blinded twin is the same network, trained on the same questions with a black picture for
every image, for {blind:.0%} of the steps, and shown black pictures. Stage "wording", and the many forms in which it
asks, were added after the answers to validation patients' questions in these held-out wordings had been seen to fail;
no held-out form is among them.
**Simulated: not to be compared with a paper's figures on real patients.**

| | closed | open | all |
|---|---|---|---|
{simulated}
{pathvqa}
## Zero-shot classification

By prompts alone, on the same simulated patients.

| score | value |
|---|---|
{zero_shot}
"""

REAL = """- `{data}`: {train:,} questions about {images:,} images; another {validation:,} to validate

PathVQA (He et al. 2020): the questions are MIT, the images remain their publishers' and were used to train and measure
only.
"""

PATHVQA = """
## Answers on real micrographs

`{data}`: {test:,} questions about images of which training saw none ({fraction:.0%} of all, by image, seed
{seed}); exact match in percent with 95 % bootstrap intervals. The last two rows are the part of them on which
vit-bert-vqa was scored, and what its card says. The model went through the real training questions {seen:.1f} times,
its twin {blind:.1f} times; before that its image encoder had passed {named:.0f} times through the training images, each
beside one of its answers.

| | closed | open | all |
|---|---|---|---|
{rows}
"""


class Blinded:
    """A model that is shown a black picture in place of every image."""

    def __init__(self, model: PathologyVLM):
        self.model, self.name = model, f"{model.name}, blinded"

    def answer_batch(self, images: Sequence[MedicalImage], questions: Sequence[str]) -> list[Answer]:
        black = {id(image): image.with_(pixels=np.zeros_like(image.pixels)) for image in images}
        return self.model.answer_batch([black[id(image)] for image in images], questions)


def export(loops: dict[str, Loop], recipe: dict, out: Path) -> None:
    """Writes the checkpoint and its card into `out`; the scores are those of the stored weights."""
    loop, name = loops["wording"], recipe["name"]
    net, task = merged(loop), loop.task
    settings = {"architecture": name, "model": asdict(net.config)}
    save_weights(out, net.state_dict(), settings | {"recipe": recipe})
    shutil.copyfile(loop.out / "log.jsonl", out / "log.jsonl")
    model = load(name, checkpoint=out)
    twin = Blinded(PathologyVLM(merged(loops["blind_wording"]), model.tokenizer))
    simulator, size = f"phantom:{recipe['phantom']}", recipe["size"]
    patients = datasets.dataset(simulator, "test", n=recipe["test_studies"], size=size)
    usual = datasets.dataset(simulator, "validation", n=recipe["validation_studies"], size=size)
    simulated = [
        ("pathology-vlm", answered(model, patients)), ("blinded twin", answered(twin, patients)),
        ("majority", majority(patients, usual)),
    ]  # fmt: skip
    found, real, pathvqa = evaluate("zero-shot", model, patients), "", ""
    if task.asked is not None:
        real, pathvqa = real_scores(model, twin, task.asked.parts, recipe)
    config = net.config
    card = CARD.format(
        name=name, about=CATALOGUE[name][2], parameters=sum(p.numel() for p in net.parameters()),
        stem=sum(p.numel() for p in net.vision.stem.parameters()), megabytes=(out / WEIGHTS).stat().st_size / 1e6,
        tiles=config.tiles, tile=config.tile, tokens=net.vision.grid**2, layers=config.language_depth,
        width=config.width, vocabulary=config.vocabulary, seed=recipe["seed"],
        epochs=", ".join(f"{stage} {loop.epoch}" for stage, loop in loops.items()), phantom=recipe["phantom"],
        studies=recipe["studies"], real=real, held=recipe["test_studies"], size=size,
        blind=(loops["blind"].step + loops["blind_wording"].step) / (loops["vqa"].step + loop.step),
        simulated="\n".join(line(*entry) for entry in simulated), pathvqa=pathvqa,
        zero_shot="\n".join(f"| {found.titles[key]} | {score} |" for key, score in found.scores.items()),
    )  # fmt: skip
    write_whole(out / "README.md", card)


def merged(loop: Loop) -> PathologyNet:
    """The averaged weights of a stage, adapters merged."""
    net = loop.averaged().cpu()
    merge_lora(net)
    return net


def answered(model: PathologyVLM | Blinded, data: Sequence[VQAItem]) -> tuple[VQARow, ...]:
    return evaluate("vqa", model, data).rows


def majority(data: Sequence[VQAItem], train: Sequence[VQAItem]) -> tuple[VQARow, ...]:
    """Rows of a model that gives the most frequent answer of `train`, closed and open."""
    counts = {kind: Counter(item.answer for item in train if item.closed == kind) for kind in (True, False)}
    said = {kind: count.most_common(1)[0][0] for kind, count in counts.items() if count}
    return tuple(
        VQARow(item.image_name, item.question, item.answer, said[item.closed], 1.0, item.closed,
               exact_match(said[item.closed], item.answer), 0.0)
        for item in data
    )  # fmt: skip


def line(title: str, rows: Sequence[VQARow]) -> str:
    """One row of the card's tables."""
    scores, right = score_rows(rows), [100.0 * row.correct for row in rows]
    return f"| {title} | {scores['closed']} | {scores['open']} | {Score(*bootstrap_interval(right), len(right))} |"


def difference(title: str, rows: Sequence[VQARow], others: Sequence[VQARow]) -> str:
    """One row of the card's tables: by how many points more of the same questions are answered rightly."""
    cells = []
    for kinds in ((True,), (False,), (True, False)):
        a, b = (np.array([100.0 * row.correct for row in side if row.closed in kinds]) for side in (rows, others))
        cells.append(str(Score(*paired(a, b), len(a)) if len(a) else BLANK))
    return f"| {title} | {' | '.join(cells)} |"


def by_image_scores(data: str) -> list[str]:
    """What vit-bert-vqa's card says of its closed and open answers about images that it had not seen."""
    card = (MODELS / "vit-bert-vqa" / "README.md").read_text(encoding="utf-8")
    row = next(line for line in card.splitlines() if line.startswith(f"| {data} | `by_image`"))
    found = re.findall(r"([\d.]+) \(([\d.]+) to ([\d.]+)\), n = (\d+)", row)
    return [f"{value} ({low}–{high}, n = {n})" for value, low, high, n in found]


def real_scores(model: PathologyVLM, twin: Blinded, parts: dict[str, np.ndarray], recipe: dict) -> tuple[str, str]:
    """The card's paragraphs about real data: what was trained on, and the scores."""
    items = datasets.dataset(recipe["data"], "train")
    train, test = ([items[i] for i in parts[part]] for part in ("train", "test"))
    rows = answered(model, test)
    _, half = datasets.by_image(items.rows, 0.1, recipe["seed"])  # vit-bert-vqa's own
    shared = [row for i, row in zip(parts["test"], rows, strict=True) if i in set(half)]
    blinded = answered(twin, test)
    table = [
        line("pathology-vlm", rows), line("blinded twin (questions only)", blinded),
        difference("pathology-vlm less its twin, question by question", rows, blinded),
        line("majority", majority(test, train)), line("pathology-vlm, vit-bert-vqa's images", shared),
        f"| vit-bert-vqa, its `by_image` model | {' | '.join(by_image_scores(recipe['data']))} | |",
    ]  # fmt: skip
    about = REAL.format(
        data=recipe["data"], train=len(train), images=len({item.image_name for item in train}),
        validation=len(parts["validation"]),
    )  # fmt: skip
    fraction = recipe["test_fraction"]
    passes = {name: stage.get("real", 0.0) * stage["epochs"] for name, stage in recipe["stages"].items()}
    black = passes["blind"] + passes["blind_wording"]
    return about, PATHVQA.format(
        data=recipe["data"], test=len(test), fraction=fraction, seed=recipe["seed"], rows="\n".join(table),
        seen=sum(passes.values()) - black, blind=passes["language"] + black,
        named=sum(stage.get("named", 0.0) * stage["epochs"] for stage in recipe["stages"].values()),
    )  # fmt: skip
