"""`medvlm-lab chapters`: run, test, build and grade."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

chapters_app = typer.Typer(
    help="Chapters: run, test, build, grade, book.",
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
)  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Numbers = Annotated[list[str] | None, typer.Argument(metavar="[NN]...", help="Chapter numbers; all by default.")]
Jobs = Annotated[int, typer.Option(min=1, help="How many at a time.")]
Engine = Annotated[str, typer.Option(help="local, or ray: on the Ray cluster that is running.")]


def _print(results: list, as_json: bool) -> None:
    from medvlm_lab.cli import emit

    emit([result.as_dict() for result in results], "\n".join(str(result) for result in results), as_json)
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def _parameters(pairs: list[str]) -> dict[str, Any]:
    """`seed=3` → {"seed": 3}; what is no number, truth value or list in Python is a word."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} has no '='; write --param seed=3")
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


@chapters_app.command("run")
def run(
    numbers: Numbers = None,
    jobs: Jobs = 1,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best one by default.")] = None,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a variable; repeatable.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for report.html and junit.xml.")] = None,
    seconds: Annotated[float, typer.Option(min=1, help="After so long by the clock a chapter hangs.")] = 600,
    cpu_seconds: Annotated[
        float | None, typer.Option(min=1, help="Processor time that each may take, all its threads together.")
    ] = None,
    memory_mb: Annotated[float | None, typer.Option(min=100, help="Memory that each may have.")] = None,
    engine: Engine = "local",
    as_json: Json = False,
) -> None:
    """Execute chapters through papermill, leaving the notebooks as they are."""
    from medvlm_lab.classroom.report import write_report
    from medvlm_lab.classroom.run import run

    parameters = _parameters(param or [])
    limits = {"seconds": seconds, "memory_mb": memory_mb or float("inf"), "cpu_seconds": cpu_seconds or float("inf")}
    results = run(
        numbers or (), jobs, device=device, parameters=parameters, engine=engine, progress=not as_json, **limits
    )
    if report is not None:
        write_report(results, report)
    _print(results, as_json)


@chapters_app.command("build")
def build(
    numbers: Numbers = None,
    jobs: Jobs = 1,
    solutions: Annotated[
        Path | None, typer.Option(help="Folder for notebooks with all exercises answered, instead of the students'.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Execute notebooks/src/*.py into notebooks/*.ipynb, or into a folder of solutions."""
    from medvlm_lab.classroom.build import build

    _print(build(numbers or (), jobs, solutions=solutions, progress=not as_json), as_json)


@chapters_app.command("test")
def test(numbers: Numbers = None, jobs: Jobs = 1, as_json: Json = False) -> None:
    """Check chapters with nbval: every cell runs without an error."""
    from medvlm_lab.classroom.run import test

    _print([test(numbers or (), jobs=jobs, quiet=as_json)], as_json)


@chapters_app.command("grade")
def grade(
    folder: Annotated[Path, typer.Argument(help="Submitted notebooks; folders in it are read too.")],
    out: Annotated[Path, typer.Option(help="Folder for grades and feedback; an interrupted grading is continued.")],
    jobs: Jobs = 1,
    seconds: Annotated[float, typer.Option(min=1, help="What each may take, by the clock.")] = 600,
    memory_mb: Annotated[float, typer.Option(min=100, help="Memory that each may have, all its processes.")] = 4000,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Run each in bubblewrap: no network, no writing.")] = False,
    engine: Engine = "local",
    as_json: Json = False,
) -> None:
    """Grade a folder of submitted notebooks: CSV, JSON, and a page of feedback for each."""
    from medvlm_lab.classroom.grade import grade
    from medvlm_lab.classroom.sandbox import GUARDED, UNGUARDED
    from medvlm_lab.cli import emit

    notice = GUARDED if sandbox else UNGUARDED
    rows = grade(folder, out, jobs, seconds, memory_mb, sandbox, engine, progress=not as_json)
    payload = {"out": str(out), "guarded": notice, "grades": [row.as_dict() for row in rows]}
    emit(payload, "\n".join([*map(str, rows), f"Grades and feedback are in {out}.", notice]), as_json)


@chapters_app.command("book")
def book(
    numbers: Numbers = None,
    out: Annotated[Path, typer.Option(help="Folder for the site.")] = Path("build/book"),
    as_json: Json = False,
) -> None:
    """Write the executed chapters as a static site that loads nothing from elsewhere."""
    from medvlm_lab.classroom.book import book
    from medvlm_lab.cli import emit

    index = book(out, numbers or ())
    emit({"index": str(index)}, f"Open {index}", as_json)
