"""`medvlm-lab evaluate`: a model's scores on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    task: Annotated[
        str,
        typer.Argument(help="vqa, zero-shot, retrieval, identification, regression, segmentation or report."),
    ],
    model: Annotated[str, typer.Option(help="A model's name.")],
    data: Annotated[str, typer.Option(help="A data set's name, or a folder in its layout.")],
    split: str = "test",
    questions: Annotated[Path | None, typer.Option(help="The questions' file, if not in the usual place.")] = None,
    images: Annotated[Path | None, typer.Option(help="The images' folder, if not in the usual place.")] = None,
    n: Annotated[int | None, typer.Option(min=1, help="Only this many questions or studies, drawn at random.")] = None,
    seed: int = 0,
    size: Annotated[
        int | None, typer.Option(help="Pixels per side of simulated patients' pictures; 256 by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions or studies per call of the model.")] = 64,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for rows, scores and the worst errors; an interrupted evaluation is continued."),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="A folder, or hf-hub:owner/name; bundled weights by default.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best one by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a model on a data set, with 95 % bootstrap intervals."""
    from medvlm_lab.cli import emit, left_out
    from medvlm_lab.datasets import dataset
    from medvlm_lab.doctor import versions
    from medvlm_lab.models import load
    from medvlm_lab.tasks import evaluate as run

    chosen = dataset(data, split=split, questions=questions, images=images, size=size)
    loaded = load(model, device=device, checkpoint=checkpoint)
    result = run(task, loaded, chosen, n=n, seed=seed, batch_size=batch_size, out=out)
    payload = {name: score.to_dict() for name, score in result.scores.items()}
    payload["left_out"] = list(result.left_out)
    payload |= {"model": model, "data": getattr(chosen, "name", data), "split": split, "seed": seed}
    emit(payload | {"versions": versions("medvlm-lab", "torch", "transformers", "numpy")}, str(result), as_json)
    left_out(list(result.left_out), "pictures that cannot be read")
