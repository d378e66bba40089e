"""The command line: each command prints a few lines for a reader, or JSON with `--json`.

Exit codes: 0 done, 1 one clear sentence says what is wrong, 2 wrong usage, 3 done, but without the images that are
named at the end, 130 interrupted.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from medvlm_lab.cli_chapters import chapters_app
from medvlm_lab.cli_data import data_app
from medvlm_lab.cli_embed import embed
from medvlm_lab.cli_evaluate import evaluate
from medvlm_lab.cli_explain import explain
from medvlm_lab.cli_models import models_app
from medvlm_lab.cli_report import report
from medvlm_lab.errors import MedVLMError
from medvlm_lab.io.whole import cannot_write

SHOWN = 20  # images that are named at the end, of those that were left out
NOTICE = "Not for clinical use."
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best one by default.")]
Checkpoint = Annotated[str | None, typer.Option(help="A folder, or hf-hub:owner/name; bundled weights by default.")]

_QUIET = {"no_args_is_help": True, "add_completion": False, "pretty_exceptions_enable": False}
app = typer.Typer(help=f"MedVLM Lab: vision-language models in medical image analysis. {NOTICE}", **_QUIET)
kernel_app = typer.Typer(help="The Jupyter kernel.", **_QUIET)
app.command()(report)
app.command()(explain)
app.command()(evaluate)
app.command()(embed)
app.add_typer(models_app, name="models")
app.add_typer(data_app, name="data")
app.add_typer(chapters_app, name="chapters")
app.add_typer(kernel_app, name="kernel")


@kernel_app.callback()
def _kernel() -> None:
    """Keeps `install` a sub-command: typer would fold a lone command into its group."""


def emit(payload: Any, text: str, as_json: bool) -> None:
    """Prints `payload` as JSON, or `text`."""
    utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    print(json.dumps(payload, indent=2, default=str, ensure_ascii=not utf8) if as_json else text)


def left_out(sentences: list[str], what: str) -> None:
    """Says at the end what was left out, and why; the exit code is then 3."""
    if not sentences:
        return
    shown = [f"  {sentence}" for sentence in sentences[:SHOWN]]
    if len(sentences) > SHOWN:
        shown.append(f"  and {len(sentences) - SHOWN:,} more")
    print(f"medvlm-lab: left out, {what}: {len(sentences):,}", *shown, sep="\n", file=sys.stderr)
    raise typer.Exit(3)


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, which device, which data, weights and browser are found."""
    from medvlm_lab.doctor import examine

    report = examine()
    lines = [f"{name:<10} {value}" for name, value in report.lines()]
    emit(report.as_dict(), "\n".join(lines), as_json)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def samples(as_json: Json = False) -> None:
    """The sample images."""
    from dataclasses import asdict

    from medvlm_lab.catalogue import catalogue

    entries = catalogue()
    lines = [f"{name:<26} {entry.modality:<17} {entry.title}" for name, entry in entries.items()]
    emit([asdict(entry) for entry in entries.values()], "\n".join(lines), as_json)


def open_image(image: str):
    """The image at a path, or the sample of that name; ImageReadError or UnknownNameError where there is none."""
    from medvlm_lab.catalogue import sample
    from medvlm_lab.io import read

    path = Path(image).expanduser()
    return read(path) if path.exists() or path.suffix or len(path.parts) > 1 else sample(image)


@app.command()
def answer(
    image: Annotated[str, typer.Argument(help="A file, or a sample's name.")],
    question: str,
    model: Annotated[str, typer.Option(help="A model's name.")] = "vit-bert-vqa",
    checkpoint: Checkpoint = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Ask a question about an image."""
    from medvlm_lab.models import load

    picture = open_image(image)
    answerer = load(model, device=device, checkpoint=checkpoint)
    given = answerer.answer(picture, question)
    payload = {
        "text": given.text,
        "confidence": given.confidence,
        "alternatives": [
            {"text": text, "confidence": p} | ({"probability": given.probabilities[i]} if given.probabilities else {})
            for i, (text, p) in enumerate(given.alternatives)
        ],
        "unknown_words": list(given.unknown),
        "note": given.note,
        "seconds": given.seconds,
        "model": answerer.name,
        "device": str(getattr(answerer, "device", "cpu")),
        "image": picture.name,
        "question": question,
        "notice": NOTICE,
    }
    shares = given.ranks_with_shares(question)
    ranked = ", ".join(f"{text} {p:.0%}" if shares else text for text, p in given.alternatives)
    emit(payload, f"{given}\nalternatives: {ranked}\n{NOTICE}", as_json)
    if given.note:
        print(f"medvlm-lab: {given.note}", file=sys.stderr)


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    out: Annotated[Path | None, typer.Option(help="Folder for weights, card and log; runs/NAME by default.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe file; the model's own by default.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer patients: a quarter of an hour on two cores.")] = False,
    minutes: Annotated[float | None, typer.Option(min=0.0, help="Stop each stage after this long.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a model from its recipe. Several GPUs: torchrun --nproc-per-node 4 -m medvlm_lab.cli train NAME."""
    from medvlm_lab.train import train as run

    folder = run(name, recipe_file=recipe, quick=quick, minutes=minutes, out=out, device=device)
    if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
        text = f"{name} is trained; load it with checkpoint={str(folder)!r}"
        emit({"model": name, "out": str(folder)}, text, as_json)


@kernel_app.command("install")
def kernel_install(as_json: Json = False) -> None:
    """Register the Jupyter kernel, named after its device."""
    from medvlm_lab.classroom.kernel import install

    spec = install()
    emit(spec, f"{spec['display_name']}: {spec['folder']}", as_json)


@app.command("open", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def open_lab(context: typer.Context, as_json: Json = False) -> None:
    """Open JupyterLab on the first chapter; further options go to JupyterLab. `--json` only says what would start."""
    from medvlm_lab.classroom.run import lab_command, lab_environment

    command = lab_command(context.args)
    if not as_json:
        raise typer.Exit(subprocess.call(command, env=lab_environment()))
    emit({"command": command}, "", True)


def main() -> None:
    """The entry point: what the reader can put right is one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what a terminal cannot show is written out
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run()
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has gone, as `head` does
        code = _silenced(1)
    except OSError as error:
        print(f"medvlm-lab: {cannot_write('The output', error)}", file=sys.stderr)
        code = _silenced(1)
    raise SystemExit(code)


def _run() -> Any:
    """The exit code of the command that was asked for."""
    try:
        os.getcwd()
    except OSError:  # native libraries would end the process with a riddle
        return _told("The folder that you are in does not exist any more; change to another one.")
    try:
        app()
    except SystemExit as ended:
        return ended.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        raise
    except (MedVLMError, OSError) as error:
        file = getattr(error, "file", None)
        return _told(str(error) if isinstance(error, MedVLMError) or not error.errno else _words(error), file)
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        return _told("This user has no home folder; set HOME, or give paths without '~'.")
    return 0


def _words(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return str(cannot_write(error.filename or "A file", error))
    named = f"{error.filename}: " if error.filename is not None else ""
    return f"{named}{error.strerror}; check the path."


def _told(message: str, file: Path | None = None) -> int:
    message = " ".join(message.split())
    if "--json" in sys.argv:
        emit({"error": message}, "", True)
    else:
        where = f" (the file: {file})" if file and file.name not in message else ""
        print(f"medvlm-lab: {message}{where}", file=sys.stderr)
    return 1


def _silenced(code: int) -> int:
    """Python writes what is left of the output once more at its end, and would complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


if __name__ == "__main__":
    main()
