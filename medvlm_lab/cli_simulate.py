"""`medvlm-lab data simulate`: simulated patients as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    name: Annotated[str, typer.Argument(help="A phantom's name, such as chest-xray.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; an interrupted export is continued.")],
    n: Annotated[int, typer.Option(help="How many studies.")] = 100,
    file_format: Annotated[str, typer.Option("--format", help="png or dicom.")] = "png",
    size: Annotated[int, typer.Option(help="Pixels per side.")] = 512,
    masks: Annotated[bool, typer.Option(help="Write the masks too.")] = True,
    seed: int = 0,
    split: Annotated[str, typer.Option(help="train, validation or test; they share no patient.")] = "train",
    hospital: Annotated[int, typer.Option(help="0 to 3: where the images were taken.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write simulated patients: images, masks, reports, questions and measurements."""
    from medvlm_lab.cli import NOTICE, emit
    from medvlm_lab.phantoms.export import Export

    export = Export(name, n, out, file_format, size, masks, seed, split, hospital)
    folder = export.run(progress=not as_json)
    payload = {"name": name, "n": n, "folder": str(folder), "simulated": True, "notice": NOTICE}
    emit(payload, f"{n:,} simulated studies are in {folder}. {NOTICE}", as_json)
