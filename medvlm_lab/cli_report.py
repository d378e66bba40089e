"""`medvlm-lab report`: a model's report about an image."""

from __future__ import annotations

from typing import Annotated

import typer


def report(
    image: Annotated[str, typer.Argument(help="A file, or a sample's name.")],
    model: Annotated[str, typer.Option(help="A model's name.")] = "clinical-blip",
    indication: Annotated[str | None, typer.Option(help="Why the image was taken.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="A folder, or hf-hub:owner/name.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu; the best one by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a report about an image."""
    from medvlm_lab.cli import NOTICE, emit, open_image
    from medvlm_lab.models import load
    from medvlm_lab.tasks.studies import needs

    picture, reporter = open_image(image), load(model, device=device, checkpoint=checkpoint)
    needs(reporter, "report", "write reports")
    written = reporter.report(picture, indication)
    payload = {
        "findings": written.findings,
        "impression": written.impression,
        "sentences": [{"text": text, "confidence": p} for text, p in written.sentences],
        "seconds": written.seconds,
        "model": reporter.name,
        "device": str(getattr(reporter, "device", "cpu")),
        "image": picture.name,
        "notice": NOTICE,
    }
    emit(payload, f"{written}\n{NOTICE}", as_json)
