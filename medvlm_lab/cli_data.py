"""`medvlm-lab data`: which data sets there are and how to get them; `fetch NAME`: from its home; `simulate NAME`."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Annotated

import typer

from medvlm_lab.cli_simulate import simulate

data_app = typer.Typer(
    help="Data sets: list, fetch, simulate.", no_args_is_help=True, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
data_app.command("simulate")(simulate)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """The data sets: whether each is here, what it holds, for which tasks, its licence, how to get it."""
    from medvlm_lab.cli import emit
    from medvlm_lab.datasets import ABOUT, names
    from medvlm_lab.doctor import data_found

    found, rows = data_found(), []
    for name in names():
        row = {"name": name, "folder": found.get(name), "simulated": name not in ABOUT}
        rows.append(row | (asdict(ABOUT[name]) if name in ABOUT else {}))
    emit(rows, "\n".join(_lines(row) for row in rows), as_json)


def _lines(row: dict) -> str:
    where = "simulated" if row["simulated"] else row["folder"] or "not here"
    lines = [f"{row['name']:<24} {where}"]
    if not row["simulated"]:
        about = f"{row['holds']} ({', '.join(row['tasks'])}). {row['licence']}; {row['access']}. {row['home']}"
        lines += textwrap.wrap(about, 110, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines)


@data_app.command("fetch")
def data_fetch(name: str, as_json: Json = False) -> None:
    """Download a data set from its public home, resuming where an earlier download stopped."""
    from medvlm_lab.cli import emit
    from medvlm_lab.datasets import fetch

    folder = fetch(name)
    emit({"name": name, "folder": str(folder)}, f"{name} is in {folder}", as_json)
