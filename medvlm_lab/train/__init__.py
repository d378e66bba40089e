"""Training: recipes are data files, one loop runs them."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path
from typing import Any

from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.io.whole import write_whole

RECIPES = Path(__file__).parent / "recipes"
#: a recipe's `task` → where its data and model come from (`prepare`, `task`), and what writes the checkpoint (`export`)
TASKS = {
    "vqa": ("medvlm_lab.train.setup", "medvlm_lab.train.export"),
    "segmentation": ("medvlm_lab.train.segmentation_setup", "medvlm_lab.train.segmentation_export"),
    "contrastive": ("medvlm_lab.train.contrastive_setup", "medvlm_lab.train.contrastive_export"),
    "generative": ("medvlm_lab.train.generative_setup", "medvlm_lab.train.generative_export"),
    "pathology": ("medvlm_lab.train.pathology_setup", "medvlm_lab.train.pathology_export"),
}


def recipe(name: str | Path) -> dict[str, Any]:
    """A bundled recipe by model name, or any recipe file by path."""
    path = Path(name) if str(name).endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise UnknownNameError("recipe", str(name), (p.stem for p in RECIPES.glob("*.toml")))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise MedVLMError(f"Recipe {path.name} is not valid TOML: {error}.") from error


def shortened(settings: dict[str, Any], quick: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the numbers of its table `quick`, in which `without` names stages that are left out."""
    stages = {
        stage: entry | quick.get("stages", {}).get(stage, {})
        for stage, entry in settings.get("stages", {}).items()
        if stage not in quick.get("without", ())
    }
    kept = {key: value for key, value in quick.items() if key not in ("stages", "without")}
    return settings | kept | ({"stages": stages} if stages else {})


def begin(folder: Path, settings: dict[str, Any]) -> None:
    """Notes in the folder which recipe is run there; MedVLMError where another one was begun in it."""
    path, kept = folder / "recipe.json", json.loads(json.dumps(settings))
    if path.is_file():
        told = json.loads(path.read_text(encoding="utf-8"))
        # another number of processes changes `accumulate`
        if changed := sorted(k for k in {*told, *kept} - {"accumulate"} if told.get(k) != kept.get(k)):
            raise MedVLMError(
                f"{folder} holds a run of another recipe (other: {', '.join(changed)}); go on with the recipe that it "
                "was begun with, or name another folder (--out)."
            )
    write_whole(path, json.dumps(kept, indent=1) + "\n")


def train(
    name: str,
    *,
    recipe_file: str | Path | None = None,
    quick: bool = False,
    minutes: float | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    **changes: Any,
) -> Path:
    """Trains a model by its recipe into the folder `out` (default `runs/NAME`) and returns that folder.

    A run that was stopped continues from its last finished epoch; a stage whose predecessor was not finished begins
    anew when that one goes on. The folder then loads with `lab.load(name, checkpoint=folder)`. Where a recipe has
    several splits, the weights are those trained on the first; a model trained on each further split is only scored,
    for the model card. Where it has stages, they follow each other, each with its own numbers.

    Several GPUs: `torchrun --nproc-per-node 4 -m medvlm_lab.cli train NAME`, or a script of one's own that calls this.
    Each step then takes four times as many batches, as four times the recipe's `accumulate` would; a stopped run may
    continue on another number of processes if `accumulate` changes with it. Several machines must share the folder.

    Args:
        name: a model's name.
        recipe_file: another recipe than the bundled one.
        quick: fewer patients, by the recipe's table `quick`: a usable model within a quarter of an hour on two cores.
        minutes: stop at the first epoch's end after this long, for each split or stage.
        out: where weights, log and card go.
        device: as for `lab.device`; under torchrun "cuda" is the process's own GPU.
        changes: of the recipe's numbers, such as `epochs=3`.

    Raises:
        UnknownNameError: no recipe of that name, or a number that it does not have.
        MedVLMError: `quick` of a recipe without such a table; a folder that holds a run of another recipe.
        MissingDataError: a data set of the recipe is not on this machine.
        MedVLMError: torchrun started more processes than there are GPUs.
    """
    from medvlm_lab.train.loop import CHECKPOINT, Loop
    from medvlm_lab.train.processes import join

    settings = recipe(recipe_file or name)
    fewer = settings.pop("quick", None)
    if quick and fewer is None:
        has = ", ".join(sorted(path.stem for path in RECIPES.glob("*.toml") if "quick" in recipe(path.stem)))
        raise MedVLMError(f"The recipe of {name} has no table [quick]; those with one: {has}. Leave quick out.")
    if quick:
        settings = shortened(settings, fewer)
    stages = settings.get("stages", {})
    known = {*settings, *(key for numbers in stages.values() for key in numbers)}
    if unknown := [key for key in changes if key not in known]:
        raise UnknownNameError("recipe entry", unknown[0], known)
    settings |= changes
    folder = Path(out or Path("runs") / name)
    if settings["task"] not in TASKS:
        raise UnknownNameError("training task", settings["task"], TASKS)
    setup, writer = map(importlib.import_module, TASKS[settings["task"]])
    processes, loops = join(device), {}
    folder.mkdir(parents=True, exist_ok=True)
    with processes.first_alone():
        begin(folder, settings)
        data = setup.prepare(settings, folder)
    moved = set()  # stages that were trained now: what was begun after an earlier state of theirs does not fit them
    for split in stages or settings["splits"]:
        run, numbers = folder / split, settings | stages.get(split, {}) | changes
        run.mkdir(parents=True, exist_ok=True)
        if numbers.get("after") in moved:
            with processes.first_alone():
                (run / CHECKPOINT).unlink(missing_ok=True)
        task = setup.task(numbers, data, split)
        loop = loops[split] = Loop(task, numbers, run, processes.device, processes)
        if not loop.resume() and processes.rank == 0:
            (run / "log.jsonl").unlink(missing_ok=True)
        begun = loop.step
        loop.run(minutes)
        if loop.step > begun:
            moved.add(split)
    if processes.rank == 0:
        writer.export(loops, settings, folder)
    processes.wait()
    processes.leave()
    return folder
