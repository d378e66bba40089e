"""A trained model that writes → a checkpoint folder: weights, vocabulary, logs and a model card with its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from medvlm_lab import datasets
from medvlm_lab.image import MedicalImage
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models import CATALOGUE, load
from medvlm_lab.models.base import Report
from medvlm_lab.models.store import WEIGHTS, save_weights
from medvlm_lab.models.writer import Writer
from medvlm_lab.nn.layers import count_parameters
from medvlm_lab.tasks import Result, evaluate
from medvlm_lab.tasks.report import TITLES, ceiling, compare
from medvlm_lab.train.contrastive import Data
from medvlm_lab.train.generative_setup import finished
from medvlm_lab.train.loop import Loop, joined_log

AUTHORS = 50  # of the reports after examples, none of whom wrote a training report
SHOTS = 4

CARD = """# {name}

{about}.
**Not for clinical use.** A teaching model: it has seen simulated images only.

| | |
|---|---|
| parameters | {parameters:,} |
| stored | int8 matrices with a float16 scale per row, safetensors, {megabytes:.1f} MB |
| image encoder | ViT over a convolutional stem, {vision} layers of width {width}, {size} pixels |
| language model | LLaMA, {language} layers of width {width}, vocabulary of {vocabulary:,} words and numbers |
| recipe | `medvlm_lab/train/recipes/{name}.toml`, seed {seed}; stages: {stages} |

## Data

`phantom:{phantom}`, {studies:,} simulated patients with their reports, questions and masks. No real image and no real
report was used.

## Scores

{held:,} other simulated patients (test part, seed {seed}); questions, and reports unless it is said, in wordings that
training never saw; 95 % bootstrap intervals. Findings are read out of the reports by the rule labeller of
`medvlm_lab.text.labeller`. The blinded twin is the same network, trained alike with a black square for every image, for
{blind_share:.0%} of the steps. "Whole truth" is another report of the same patient by the simulator: a model that saw
everything would be about as close to the reference. The forms in which training asks (wording "taught") became many
after answers to validation patients' questions in held-out wordings had been seen to fail; no held-out form is among
them. **Simulated: not to be compared with a paper's figures on real patients.**

| | {columns} |
|{rules}|
{scores}

## What {helped} bring

Reports with them less reports without, patient by patient.

| | {gained} |
|---|---|---|---|
{gains}
"""

GAINED = ("f1", "meteor", "rouge_l")


def export(loops: dict[str, Loop], recipe: dict, out: Path) -> None:
    """Writes the checkpoint and its card into `out`; the scores are those of the stored weights."""
    name, kept = recipe["name"], recipe["keeps"]
    task = loops[kept].task
    data = Data(task.lessons.tokenizer, task.train, task.validation, out)
    model = finished(recipe, data, kept)
    save_weights(out, model.state_dict(), {"architecture": name, "model": asdict(model.config), "recipe": recipe})
    write_whole(out / "log.jsonl", joined_log(loops))
    stored = load(name, checkpoint=out)
    earlier = lambda stage: type(stored)(finished(recipe, data, stage), stored.tokenizer)  # noqa: E731
    columns = [Column("as it is", stored)]
    if "tags" in loops:
        columns += [Column("tags left out", untagged(load(name, checkpoint=out)))]
        columns += [Column("before the tag stage", untagged(earlier("instruct")))]
    else:
        columns += [Column(f"after {SHOTS} examples", stored, {"shots": SHOTS})]
    *_, last_blind = (stage for stage, entry in recipe["stages"].items() if entry.get("sees") == "black")
    columns += [Column("blinded twin", untagged(earlier(last_blind)))]
    config, (scores, gains) = model.config, score_lines(columns, recipe)
    like, steps = recipe["stages"][kept]["learns"], Counter()
    for stage, entry in recipe["stages"].items():
        if entry["learns"] == like:
            steps[entry["sees"]] += loops[stage].step
    card = CARD.format(
        name=name, about=CATALOGUE[name][2], parameters=count_parameters(model),
        megabytes=(out / WEIGHTS).stat().st_size / 1e6, vision=config.vision_depth, width=config.width,
        size=config.image_size, language=config.language_depth, vocabulary=config.vocabulary, seed=recipe["seed"],
        stages=", ".join(f"{stage} {loop.step:,} steps" for stage, loop in loops.items()), phantom=recipe["phantom"],
        studies=recipe["studies"], held=recipe["test_studies"], blind_share=steps["black"] / steps["image"],
        columns=" | ".join([*(column.title for column in columns), "whole truth"]),
        rules="|".join(["---"] * (len(columns) + 2)), scores="\n".join(scores), gains="\n".join(gains),
        helped="tags" if "tags" in loops else "examples", gained=" | ".join(TITLES[key] for key in GAINED),
    )  # fmt: skip
    write_whole(out / "README.md", card)


@dataclass(frozen=True)
class Column:
    """A model in one way of using it; `options` are those of the report task.

    Each image's report is written once, however many references it is compared with.
    """

    title: str
    model: Writer
    options: dict = field(default_factory=dict)
    written: dict[str, Report] = field(default_factory=dict)

    def report_batch(self, images: Sequence[MedicalImage]) -> list[Report]:
        new = [image for image in images if image.name not in self.written]
        self.written.update(zip((image.name for image in new), self.model.report_batch(new), strict=True))
        return [self.written[image.name] for image in images]

    def scored(self, data: Any) -> Result | None:
        """The report task's result; None without authors, for there is nobody whose examples could be shown."""
        if self.options:
            return evaluate("report", self.model, data, **self.options) if data.authors else None
        return evaluate("report", self, data)


def untagged(model: Writer) -> Writer:
    """The model without tags in its prompts."""
    model.tagged = False
    return model


def score_lines(columns: Sequence[Column], recipe: dict) -> tuple[list[str], list[str]]:
    """Rows of the card's tables: reports in two wordings, then questions; what the first two columns differ by."""
    name, count, size = f"phantom:{recipe['phantom']}", recipe["test_studies"], recipe["model"]["image_size"]
    make = partial(datasets.dataset, name, "test", n=count, seed=recipe["seed"], size=size)
    lines, gains = [], []
    groups = {"held-out wording": make(), f"usual wording of {AUTHORS} authors": make(wording="usual", authors=AUTHORS)}
    for group, data in groups.items():
        results, whole = [column.scored(data) for column in columns], ceiling(data)
        for key, title in TITLES.items():
            cells = ["" if result is None else str(result.scores[key]) for result in (*results, whole)]
            lines.append(f"| {title}; {group} | {' | '.join(cells)} |")
        if None not in results:
            gain = compare(*(results[1::-1] if columns[1].options else results[:2]))
            gains.append(f"| {group} | {' | '.join(str(gain[key]) for key in GAINED)} |")
    questions = [None if column.options else evaluate("vqa", column.model, make()) for column in columns]
    for key in ("closed", "open"):
        cells = ["" if result is None else str(result.scores[key]) for result in questions]
        lines.append(f"| {key} questions, exact match, %; held-out wording | {' | '.join(cells)} | |")
        answers = [row.reference for row in questions[0].rows if row.closed == (key == "closed")]
        (_, often), = Counter(answers).most_common(1)
        baseline = f"{100 * often / len(answers):.1f}"
        lines.append(f"| {key} questions, always the commonest answer, % | {baseline} |{' |' * len(columns)}")
    return lines, gains
