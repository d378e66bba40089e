"""A picture with lines of text below it, for pages on which no kernel runs."""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING

from medvlm_lab import style

if TYPE_CHECKING:
    from PIL.Image import Image

NARROWEST, LINE = 420, 19  # pixels: room for a sentence, and the height of a line


def captioned(picture: Image, lines: list[str], note: str, most: tuple[int, int] = (640, 480)) -> bytes:
    """PNG: the picture on black, no larger than `most` (width, height), its lines below, then `note`."""
    from PIL import Image, ImageDraw

    shown = picture.convert("RGBA")  # what is transparent in a figure shows the black below
    shown.thumbnail(most)
    width = max(shown.width, NARROWEST)
    wrapped = [part for line in lines for part in textwrap.wrap(line, width // 7) or [""]]
    card = Image.new("RGB", (width, shown.height + LINE * (len(wrapped) + 1) + 6), "black")
    card.paste(shown, ((width - shown.width) // 2, 0), shown)
    draw, font = ImageDraw.Draw(card), style.font(13)
    for number, line in enumerate([*wrapped, note]):
        ink = "#d0d5da" if number < len(wrapped) else "#8b949e"
        draw.text((8, shown.height + 4 + LINE * number), line, fill=ink, font=font)
    buffer = io.BytesIO()
    card.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
