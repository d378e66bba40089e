"""`medvlm-lab models`: which there are; `medvlm-lab models fetch NAME`: a published checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

models_app = typer.Typer(help="The models: list, fetch a published checkpoint.", add_completion=False)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """The models that `answer`, `train` and `evaluate` know, with size, licence and whether they are here."""
    if context.invoked_subcommand is not None:
        return
    from medvlm_lab import models as registry
    from medvlm_lab.cli import emit

    rows = registry.describe()
    emit(rows, "\n".join(_line(row) for row in rows), as_json)


def _line(row: dict) -> str:
    bundled = f"{row['weights_mb']:g} MB, bundled" if row["weights_mb"] else ""
    published = ""
    if row["published"]:
        entry = row["published"]
        here = "here" if entry["present"] else "gated" if entry["gated"] else "to fetch"
        published = f"published {entry['size_gb']:g} GB, {entry['licence']}, {here}"
    return f"{row['name']:<16} {row['about']} [{'; '.join(filter(None, (bundled, published)))}]"


@models_app.command("fetch")
def fetch(name: Annotated[str, typer.Argument(help="A published checkpoint's name.")], as_json: Json = False) -> None:
    """Download a published checkpoint into the hub's local cache; a pickle becomes safetensors.

    Its licence is the reader's to accept.
    """
    from medvlm_lab.cli import emit
    from medvlm_lab.models import hub

    folder = hub.fetch(name)
    emit({"name": name, "folder": str(folder)}, f"{name} is in {folder}", as_json)


@models_app.command("scoreboard")
def scoreboard(as_json: Json = False) -> None:
    """The reviewed papers' figures beside those measured here, and claims that have no source."""
    from medvlm_lab.cli import emit
    from medvlm_lab.published import scoreboard as table

    found = table()
    emit([asdict(figure) for figure in found.figures], str(found), as_json)
