"""The picture that a saved notebook shows in place of the live reader study."""

from __future__ import annotations

import io
import textwrap

from medvlm_lab import style
from medvlm_lab.widgets.reader_state import DISCLAIMER, ReaderState, simulated

_INK, _DIM, _PAPER = "#1b1f24", "#5c6670", "#ffffff"
_WIDTH, _HEIGHT, _SIDE = 1080, 400, 340


def describe(state: ReaderState) -> str:
    """The card in words."""
    study = state.study
    reports = "; ".join(f"report {letter}: {text}" for letter, text in study.reports().items())
    return f"{progress(state)}. {' '.join(reports.split())} {disclaimer(state)}"


def progress(state: ReaderState) -> str:
    """Which case is in view, and how many are answered."""
    study = state.study
    return f"Reader study · case {study.position + 1} of {len(study.cases)} · {study.answered} answered"


def disclaimer(state: ReaderState) -> str:
    """Whether what is in view is simulated, and what it is not for."""
    return f"{'Simulated. ' if simulated(state.study) else ''}{DISCLAIMER}"


def card_png(state: ReaderState) -> bytes:
    """PNG, 1080 × 400: the image of the case in view beside its two reports, still blinded."""
    from PIL import Image, ImageDraw

    study = state.study
    card = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw, font = ImageDraw.Draw(card), {size: style.font(size) for size in (13, 15)}
    draw.rectangle((0, 0, _SIDE + 20, _HEIGHT), fill="black")
    if study.case.image is not None:
        shown = study.case.image.pil(study.case.image.reading_frame)
        shown.thumbnail((_SIDE, _SIDE))
        card.paste(shown, ((_SIDE + 20 - shown.width) // 2, (_HEIGHT - shown.height) // 2))
    left = _SIDE + 44
    draw.text((left, 16), progress(state), font=font[13], fill=_DIM)
    for column, (letter, text) in enumerate(study.reports().items()):
        x = left + column * 345
        draw.text((x, 48), f"Report {letter}", font=font[15], fill=_INK)
        lines = [line for part in text.splitlines() for line in textwrap.wrap(part, 46)]
        draw.multiline_text((x, 74), "\n".join(lines[:16]), font=font[13], fill=_INK, spacing=5)
    draw.text((left, _HEIGHT - 28), f"Run this cell to take part. {disclaimer(state)}", font=font[13], fill=_DIM)
    buffer = io.BytesIO()
    card.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
