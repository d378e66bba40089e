"""`medvlm-lab embed`: the vectors of a folder of images or of a data set, in a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def embed(
    images: Annotated[str, typer.Argument(metavar="FOLDER_OR_DATASET", help="A folder, or a data set's name.")],
    model: Annotated[str, typer.Option(help="A model's name.")],
    out: Annotated[Path, typer.Option(help="Folder for embeddings.parquet; an interrupted run is resumed.")],
    split: Annotated[str | None, typer.Option(help="Read a data set's part, also of a folder in its layout.")] = None,
    n: Annotated[int | None, typer.Option(min=1, help="How many simulated patients.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per call of the model.")] = 64,
    checkpoint: Annotated[str | None, typer.Option(help="A folder, or hf-hub:owner/name.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best one by default.")] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: on the Ray cluster that is running.")] = "local",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute the vectors of images, once for each content, for search and maps.

    Images that cannot be read are left out and named; the exit code is then 3.
    """
    from medvlm_lab.cli import NOTICE, emit, left_out
    from medvlm_lab.datasets import dataset
    from medvlm_lab.embed import embed as run
    from medvlm_lab.models import load

    plain = split is None and n is None and Path(images).expanduser().is_dir()
    chosen = images if plain else dataset(images, split or "train", n=n)
    encoder = load(model, device=device, checkpoint=checkpoint)
    made = run(encoder, chosen, out, batch_size, progress=not as_json, engine=engine)
    payload = {"model": model, "images": len(made), "width": made.vectors.shape[1], "out": out.name, "notice": NOTICE}
    payload["left_out"] = [{"error": failure.kept} for failure in made.failures]
    emit(payload, f"{made} in {out}\n{NOTICE}", as_json)
    left_out([told(failure) for failure in made.failures], "images")


def told(failure) -> str:
    """Why an image was left out; the console names its file where the sentence may not."""
    return failure.error if Path(failure.file).name in failure.error else f"{failure.error} (the file: {failure.file})"
