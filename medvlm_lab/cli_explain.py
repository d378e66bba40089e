"""`medvlm-lab explain`: which part of an image gave a text its score."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from medvlm_lab.explain.registry import METHODS


def explain(
    image: Annotated[str, typer.Argument(help="A file, or a sample's name.")],
    text: Annotated[str, typer.Argument(help="A prompt, a phrase, or a question for a model that answers.")],
    model: Annotated[str, typer.Option(help="A model's name.")],
    method: Annotated[str, typer.Option(help=", ".join(METHODS))],
    out: Annotated[Path, typer.Option(help="The picture to write, PNG.")],
    layer: Annotated[str | None, typer.Option(help="Another layer's map; a wrong name lists those there are.")] = None,
    shifts: Annotated[int, typer.Option(help="Mean of so many by so many moved pictures: a finer map.")] = 1,
    checkpoint: Annotated[str | None, typer.Option(help="A folder, or hf-hub:owner/name.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best one by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Draw which part of an image gave a text its score."""
    from medvlm_lab.cli import NOTICE, emit, open_image
    from medvlm_lab.explain import explain as run
    from medvlm_lab.explain.registry import function
    from medvlm_lab.models import load
    from medvlm_lab.models.known_words import unknown_words

    function(method)  # a wrong name is said before the model is read
    picture, explained = open_image(image), load(model, device=device, checkpoint=checkpoint)
    seen = run(method, explained, picture, text, layer=layer, shifts=shifts)
    seen.save(out)
    payload = {
        "method": method, "model": seen.model, "text": text, "answer": seen.answer, "score": seen.score,
        "peak": list(seen.peak), "frame": seen.frame, "signed": seen.signed, "image": picture.name, "out": out.name,
        "unknown_words": list(unknown_words(explained, text)), "note": seen.note,
        "device": str(getattr(explained, "device", "cpu")), "notice": NOTICE,
    }  # fmt: skip
    said = f", answered {seen.answer!r}" if seen.answer else ""
    where = "row {}, column {}".format(*seen.peak)
    emit(payload, f"{text!r}{said}: score {seen.score:.4g}, largest at {where}; drawn in {out}\n{NOTICE}", as_json)
    if seen.note:
        print(f"medvlm-lab: {seen.note}", file=sys.stderr)
