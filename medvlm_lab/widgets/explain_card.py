"""The picture that a saved notebook shows in place of a live widget with maps: side by side on black, with captions."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace

from medvlm_lab import style
from medvlm_lab.widgets import explain_state as logic
from medvlm_lab.widgets.studio_state import outline

_INK, _DIM, _WIDE, _GAP = "#d0d5da", "#8b949e", 880, 16
EDGE = style.YELLOW
SIGNS = "Orange speaks for the text, blue against it. Run this cell to explore."


def card_png(state: logic.ExplainState, methods: Sequence[str], word: int, outlined: str, model: str) -> bytes:
    """PNG of both maps of the explain widget."""
    panes = [(pane(state, m, word, outlined), m, told(state, m, word, outlined)) for m in methods]
    simulated = " Simulated." if state.image.simulated else ""
    return beside(f"{model}: {state.text}", panes, f"{SIGNS}{simulated} {logic.DISCLAIMER}")


def describe(state: logic.ExplainState, methods: Sequence[str], word: int, outlined: str, model: str) -> str:
    """The card in words."""
    maps = "; ".join(", ".join([method, *told(state, method, word, outlined)]) for method in methods)
    simulated = ", simulated" if state.image.simulated else ""
    about = f"{state.image.modality}{simulated}: {state.image.name or 'image'}"
    return f"{about}, explained by {model}: {state.text}. {maps}. {logic.DISCLAIMER}"


def told(state: logic.ExplainState, method: str, word: int = -1, outlined: str = "") -> list[str]:
    """A map's captions, or the sentence that says why there is none."""
    if method in state.found:
        return logic.captions(state, method, word, outlined)
    return [state.error or state.problems.get(method, "")]


def beside(heading: str, panes: Sequence[tuple], note: str) -> bytes:
    """PNG of (Pillow image, title, lines) beside each other."""
    from PIL import Image, ImageDraw

    side = _WIDE // len(panes)
    sizes = [[max(1, round(n * side / max(picture.size))) for n in picture.size] for picture, *_ in panes]
    most = math.ceil(4000 / side)  # lines: as many words, however narrow
    wrapped = [[part for line in lines for part in textwrap.wrap(line, side // 7)] for *_, lines in panes]
    wrapped = [[*lines[: most - 1], f"{lines[most - 1]} …"] if len(lines) > most else lines for lines in wrapped]
    below = 44 + max(rows for _, rows in sizes) + 8
    high = below + 22 + 18 * max(map(len, wrapped)) + 40
    card = Image.new("RGB", (len(panes) * (side + _GAP) + _GAP, high), "black")
    draw, font = ImageDraw.Draw(card), {n: style.font(n) for n in (13, 16)}
    draw.text((_GAP, 12), textwrap.shorten(heading, 110, placeholder=" …"), fill=_INK, font=font[16])
    for i, ((picture, title, _), lines) in enumerate(zip(panes, wrapped, strict=True)):
        left, size = _GAP + i * (side + _GAP), sizes[i]
        card.paste(picture.resize(size, Image.Resampling.BILINEAR), (left + (side - size[0]) // 2, 44))
        draw.text((left, below), title, fill=_INK, font=font[16])
        draw.multiline_text((left, below + 22), "\n".join(lines), fill=_INK, font=font[13])
    draw.text((_GAP, high - 26), note, fill=_DIM, font=font[13])
    buffer = io.BytesIO()
    card.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pane(state: logic.ExplainState, method: str, word: int = -1, outlined: str = "", full: float | None = None):
    """Pillow image: the picture, tinted by a method's map where there is one, with the true mask's outline.

    full: the value drawn at full tint, by default the map's largest.
    """
    from PIL import Image

    if method in state.found:
        seen = state.found[method]
        shown = replace(seen, values=logic.values(state, method, word)).overlay(full=full)
    else:
        shown = state.image.covered(state.image.display(state.frame)).copy()
    if (place := logic.true_place(state, outlined)) is not None:
        edge = outline(place[state.frame])
        shown[edge] = [int(EDGE[i : i + 2], 16) for i in (1, 3, 5)]
    return Image.fromarray(state.image.stretched(shown))
