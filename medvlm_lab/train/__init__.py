"""Training: recipes are data files, one loop runs them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from medvlm_lab.errors import MedVLMError, UnknownNameError

RECIPES = Path(__file__).parent / "recipes"


def recipe(name: str | Path) -> dict[str, Any]:
    """A bundled recipe by model name, or any recipe file by path."""
    path = Path(name) if str(name).endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise UnknownNameError("recipe", str(name), (p.stem for p in RECIPES.glob("*.toml")))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise MedVLMError(f"Recipe {path.name} is not valid TOML: {error}.") from error


def train(
    name: str,
    *,
    recipe_file: str | Path | None = None,
    minutes: float | None = None,
    out: str | Path | None = None,
    threads: int | None = None,
) -> Path:
    """Trains a model by its recipe into the folder `out` (default `runs/NAME`) and returns that folder.

    A run that was stopped continues from its last finished epoch. The folder then loads with
    `lab.load(name, checkpoint=folder)`.

    Raises:
        UnknownNameError: no recipe of that name.
        MissingDataError: a data set of the recipe is not on this machine.
    """
    import torch

    from medvlm_lab.train.setup import prepare
    from medvlm_lab.train.vqa import Trainer

    settings = recipe(recipe_file or name)
    folder = Path(out or Path("runs") / name)
    folder.mkdir(parents=True, exist_ok=True)
    if threads:
        torch.set_num_threads(threads)
    trainer: Trainer = prepare(settings, folder)
    if not trainer.resume():
        (folder / "log.jsonl").unlink(missing_ok=True)
    trainer.run(minutes)
    trainer.export()
    return folder
