"""A trained dual encoder → a checkpoint folder: weights, vocabulary, log and a model card with its scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from medvlm_lab import datasets
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models import CATALOGUE, load
from medvlm_lab.models.store import WEIGHTS, save_weights
from medvlm_lab.tasks import evaluate
from medvlm_lab.tasks.result import Result
from medvlm_lab.train.loop import Loop, joined_log

#: task → the method by which a model can do it
MEASURED = {"zero-shot": "score_findings", "regression": "regress", "retrieval": "encode_images"}

CARD = """# {name}

{about}.
**Not for clinical use.** A teaching model: it has seen simulated images only.

| | |
|---|---|
| parameters | {parameters:,} |
| stored | int8 matrices with a float16 scale per row, safetensors, {megabytes:.1f} MB |
| image tower | ConvNeXt, {depths} blocks of {widths} channels, {size} pixels |
| text tower | causal transformer, {layers} layers of width {width}, vocabulary of {vocabulary:,} words and numbers |
| recipe | `medvlm_lab/train/recipes/{name}.toml`, seed {seed}, epochs {epochs} |

Stage outline stands in for the pretrained image tower that the paper starts from: the tower learns which structure
covers which part of a picture{numbers}.
Stage contrast learns from pictures and reports alone.
{words}
## Data

`phantom:{phantom}`, {studies:,} simulated patients with simulated reports. No real image and no real report was used.

## Scores

{held:,} other simulated patients (test part, seed {seed}, {image_size} pixels), their reports in wordings that training
never saw; 95 % bootstrap intervals. A blinded twin, shown a black square for every study, gives all of them the same
row whatever it learns: its areas are 0.5, its MCMRR is 50 %, and its best number is the mean.
**Simulated: not to be compared with a paper's figures on real patients.**

| task | score | value |
|---|---|---|
{scores}
"""


WORDS = """\
Stage words also tells a short sentence about one finding from its denial, patients who have the finding from those who
lack it, the part of a picture that shows it from the rest{number}.
The paper's model learned from reports alone.
"""


def export(loops: dict[str, Loop], recipe: dict, out: Path) -> None:
    """Writes the checkpoint and its card into `out`; the scores are those of the stored weights."""
    loop, name = loops[recipe["keeps"]], recipe["name"]
    model = loop.averaged().cpu()
    settings = {"architecture": name, "model": asdict(model.config)}
    save_weights(out, model.state_dict(), settings | {"recipe": recipe})
    write_whole(out / "log.jsonl", joined_log(loops))
    results = measured(name, out, recipe)
    card = CARD.format(
        name=name, about=CATALOGUE[name][2], parameters=sum(p.numel() for p in model.parameters()),
        megabytes=(out / WEIGHTS).stat().st_size / 1e6, depths=list(model.config.depths),
        widths=list(model.config.widths), size=model.config.image_size, layers=model.config.text_depth,
        width=model.config.text_width, vocabulary=model.config.vocabulary, seed=recipe["seed"],
        epochs=" + ".join(f"{part.epoch} of {part.recipe['epochs']} ({stage})" for stage, part in loops.items()),
        phantom=recipe["phantom"],
        words=words(loop.recipe), numbers=taught(loops["outline"].recipe["numbers"]), studies=recipe["studies"],
        held=recipe["test_studies"],
        image_size=model.config.image_size,
        scores="\n".join(
            f"| {task} | {result.titles[k]} | {score} |"
            for task, result in results.items() for k, score in result.scores.items()
        ),
    )  # fmt: skip
    write_whole(out / "README.md", card)


def words(numbers: dict) -> str:
    """What the card says about the stage that is kept, where it taught more than pictures and reports."""
    if numbers["learns"] != "prompts":
        return ""
    number = numbers["number"].removesuffix("_percent").replace("_", " ")
    return WORDS.format(number=f", and the {number} from every other" if number else "")


def taught(names: list[str]) -> str:
    """How the card says which numbers a study's frames were taught with."""
    return ", and the numbers " + ", ".join(name.replace("_", " ") for name in names) if names else ""


def measured(name: str, folder: Path, recipe: dict) -> dict[str, Result]:
    """Every task that the model can do, on the test part of its phantom."""
    model = load(name, checkpoint=folder)
    size = model.module.config.image_size
    data = datasets.dataset(f"phantom:{recipe['phantom']}", "test", n=recipe["test_studies"], size=size)
    return {task: evaluate(task, model, data) for task, method in MEASURED.items() if hasattr(model, method)}
