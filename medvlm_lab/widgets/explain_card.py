"""The picture that a saved notebook shows in place of the live explain widget."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medvlm_lab import style
from medvlm_lab.widgets import explain_state as logic
from medvlm_lab.widgets.studio_state import outline

_INK, _DIM, _SIDE, _GAP = "#d0d5da", "#8b949e", 440, 16
EDGE = style.YELLOW


def card_png(state: logic.ExplainState, methods: Sequence[str], word: int, outlined: str, model: str) -> bytes:
    """PNG of both maps on black, each over its captions."""
    from PIL import Image, ImageDraw, ImageFont

    panes = [pane(state, method, word, outlined) for method in methods]
    scale = _SIDE / max(panes[0].size)
    panes = [each.resize([max(1, round(n * scale)) for n in each.size], Image.Resampling.BILINEAR) for each in panes]
    high = max(each.height for each in panes)
    card = Image.new("RGB", (2 * _SIDE + 3 * _GAP, high + 190), "black")
    draw, font = ImageDraw.Draw(card), {size: ImageFont.load_default(size) for size in (13, 16)}
    title = textwrap.shorten(f"{model}: {state.text}", 110, placeholder=" …")
    draw.text((_GAP, 12), title, fill=_INK, font=font[16])
    for i, (each, method) in enumerate(zip(panes, methods, strict=True)):
        left, y = _GAP + i * (_SIDE + _GAP), 44
        card.paste(each, (left + (_SIDE - each.width) // 2, y))
        y += high + 8
        draw.text((left, y), method, fill=_INK, font=font[16])
        told = logic.captions(state, method, word, outlined) if method in state.found else [
            state.error or state.problems.get(method, "")
        ]  # fmt: skip
        lines = [part for line in told for part in textwrap.wrap(line, 64)][:4]
        draw.multiline_text((left, y + 22), "\n".join(lines), fill=_INK, font=font[13])
    simulated = "Simulated. " if state.image.simulated else ""
    note = f"Red speaks for the text, blue against it. Run this cell to explore. {simulated}{logic.DISCLAIMER}"
    draw.text((_GAP, card.height - 26), note, fill=_DIM, font=font[13])
    buffer = io.BytesIO()
    card.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pane(state: logic.ExplainState, method: str, word: int = -1, outlined: str = ""):
    """Pillow image: the picture, tinted by a method's map where there is one, with the true mask's outline."""
    from PIL import Image

    if method in state.found:
        seen = state.found[method]
        shown = replace(seen, values=logic.values(state, method, word)).overlay()
    else:
        shown = state.image.display(state.frame).copy()
    if outlined in state.masks:
        edge = outline(np.asarray(state.masks[outlined][state.frame]))
        shown[edge] = [int(EDGE[i : i + 2], 16) for i in (1, 3, 5)]
    return Image.fromarray(shown)
