"""A trained prompt segmenter → a checkpoint folder: weights, vocabulary, log and a model card with its scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from medvlm_lab import datasets
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models import CATALOGUE, load
from medvlm_lab.models.prompt_segmenter import PromptSegmenter
from medvlm_lab.models.store import WEIGHTS, save_weights
from medvlm_lab.nn.layers import count_parameters
from medvlm_lab.phantoms import phantom
from medvlm_lab.tasks import evaluate
from medvlm_lab.tasks.segmentation import TITLES, SegmentationRow, score_rows
from medvlm_lab.train.loop import Loop, joined_log

CARD = """# {name}

{about}.
**Not for clinical use.** A teaching model: it has seen simulated images only.

| | |
|---|---|
| parameters | {parameters:,} |
| stored | int8 matrices with a float16 scale per row, safetensors, {megabytes:.1f} MB |
| image tower | ConvNeXt U-Net, {depths} blocks of {widths} channels, {size} pixels |
| text tower | causal transformer, {layers} layers of width {width}, vocabulary of {vocabulary:,} words |
| presence | mask empty below a probability of {threshold:.3f}, that {empty_share:.0%} of absent structures stay below |
| recipe | `medvlm_lab/train/recipes/{name}.toml`, seed {seed}; stages: {stages} |

## Data

{patients}: simulated patients and their exact masks. No real image was used. PET, histology and heart sounds are left
out (minutes to simulate, or too fine for {size} pixels), and so is {leave_out} (a single frame does not show it).
Phrases hold the masks' names and a few synonyms. A phrase that means several structures ("kidneys") gets the union of
their masks; one that names nothing learned in pictures of that modality gets an empty mask and a note that says so.

## Scores

{held:,} other simulated patients of each kind (test part, seed {seed}, {test_size} pixels), asked for every
structure that they have or lack; 95 % bootstrap intervals over patients. What is there but not found counts as Dice 0;
what covers less than 0.05 % of the picture is not asked for. The blinded twin is the same network, trained on the same
phrases with a black square for every image, for {blind_share:.0%} of the steps. Thresholds of presence were set on
validation patients. The image tower had a stage of its own before, without phrases: every structure outlined by a row
that knows its name, which is dropped (`medvlm_lab/train/tower.py`).{parts}
**Simulated: not to be compared with figures on real patients.**

| | wording never trained on | usual wording | blinded twin |
|---|---|---|---|
{scores}

## Structure by structure

In wording never trained on. "Covers" is the median share of the picture where the structure is there.

| picture | structure | covers | Dice | blinded twin |
|---|---|---|---|---|
{structures}
"""


PARTS = """
Stage "further" put single words of other structures' names around the phrases: validation patients had shown that the
held-out form "draw a line around" failed, for "line" is a word of "central line". No held-out form was trained on."""


def export(loops: dict[str, Loop], recipe: dict, out: Path) -> None:
    """Writes the checkpoint and its card into `out`; the scores are those of the stored weights."""
    loop, blind, name = loops[recipe["keeps"]], loops["blind"], recipe["name"]
    steps = sum(own.step for stage, own in loops.items() if stage not in ("tower", "blind"))
    model = loop.averaged().cpu()
    config, threshold = model.config, loop.task.validate(model)["threshold"]
    structures = {scans.simulator.modality: scans.names for scans in loop.task.train}
    settings = {"architecture": name, "model": asdict(config), "threshold": threshold, "structures": structures}
    save_weights(out, model.state_dict(), settings | {"recipe": recipe})
    write_whole(out / "log.jsonl", joined_log(loops))
    stored = load(name, checkpoint=out)
    twin = blind.averaged().cpu()
    twin = PromptSegmenter(twin, blind.task.tokenizer, blind.task.validate(twin)["threshold"])
    held, usual = measured(stored, recipe), measured(stored, recipe, "usual")
    blinded = measured(twin, recipe)
    columns = [score_rows(sum(part.values(), [])) for part in (held, usual, blinded)]
    card = CARD.format(
        name=name, about=CATALOGUE[name][2], parameters=count_parameters(model),
        megabytes=(out / WEIGHTS).stat().st_size / 1e6, depths=list(config.depths), widths=list(config.widths),
        size=config.image_size, layers=config.text_depth, width=config.text_width, vocabulary=config.vocabulary,
        threshold=threshold, empty_share=recipe["empty_share"], seed=recipe["seed"],
        stages=", ".join(f"{stage} {own.step:,} steps" for stage, own in loops.items()),
        leave_out=", ".join(recipe["leave_out"]) or "nothing else",
        patients=", ".join(f"{entry['patients']:,} of `phantom:{entry['phantom']}`" for entry in recipe["data"]),
        held=recipe["test_patients"], test_size=recipe["test_size"], parts=PARTS if "further" in loops else "",
        blind_share=blind.step / steps,
        scores="\n".join(f"| {title} | {' | '.join(str(c[k]) for c in columns)} |" for k, title in TITLES.items()),
        structures="\n".join(structure_lines(held, blinded)),
    )  # fmt: skip
    write_whole(out / "README.md", card)


def measured(model: PromptSegmenter, recipe: dict, wording: str | None = None) -> dict[str, list[SegmentationRow]]:
    """The test part of each phantom, in its own held-out wording unless another is named."""
    found = {}
    for entry in recipe["data"]:
        name, count = entry["phantom"], recipe["test_patients"]
        data = datasets.dataset(f"phantom:{name}", "test", n=count, size=recipe["test_size"])
        simulator = phantom(name)
        structures = [n for n in simulator.masks([data.scene(0)], 32) if n not in recipe["leave_out"]]
        options = {"structures": structures, "wording": wording, "resamples": 1}
        found[name] = list(evaluate("segmentation", model, data, **options).rows)
    return found


def structure_lines(found: dict[str, list[SegmentationRow]], twin: dict[str, list[SegmentationRow]]) -> list[str]:
    """Rows of the card's table, the largest structures of each phantom first."""
    lines = []
    for name, rows in found.items():
        scores, blind = score_rows(rows), score_rows(twin[name])
        share = lambda key, rows=rows: np.median([r.share for r in rows if r.present and r.structure == key])  # noqa: E731
        keys = [key.removeprefix("dice ") for key in scores if key.startswith("dice ")]
        for key in sorted(keys, key=share, reverse=True):
            score, other = scores[f"dice {key}"], blind[f"dice {key}"]
            lines.append(f"| {name} | {key} | {share(key):.1%} | {score} | {other.value:.2f} |")
    return lines
