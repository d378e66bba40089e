"""A contact sheet: pictures in a grid, each with what was true and what a model made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten, wrap
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab import style

if TYPE_CHECKING:
    from jaxtyping import Bool, UInt8
    from matplotlib.figure import Figure

INK, PALE = "#222222", "#666666"
TRUTH, MODEL = style.BLUE, style.VERMILION
COLUMNS, WIDTH, LINE, SIDE = 4, 3.0, 0.135, 2.3  # tiles in a row; inches: of a tile, of a line of text, of a picture
LETTERS, BOLD, LIMIT = 52, 44, 330  # in a line, in a bold one, in one text


@dataclass(frozen=True, eq=False)
class Tile:
    """One item of a sheet.

    Attributes:
        pictures: side by side, each uint8 RGB.
        heading: what went wrong, in a few words.
        truth, said: what is true, and what the model says; their colours tell them apart.
        context: what was asked, if anything.
        outlines: of the truth and of the model's mask, drawn into the first picture.
    """

    pictures: Sequence[UInt8[np.ndarray, "h w 3"]]
    heading: str
    truth: str
    said: str
    context: str = ""
    outlines: tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]] | None = None

    def lines(self) -> list[tuple[str, str, str]]:
        """(line, colour, weight) as they stand under the pictures."""
        texts = (
            (self.heading, INK, "bold"), (self.context, INK, "normal"), (f"Truth: {self.truth}", TRUTH, "normal"),
            (f"Model: {self.said}", MODEL, "normal"),
        )  # fmt: skip
        return [
            (line, *look) for text, *look in texts
            for line in wrap(shorten(text, LIMIT, placeholder=" …"), BOLD if "bold" in look else LETTERS)
        ]  # fmt: skip


def sheet(tiles: Sequence[Tile], title: str, note: str) -> Figure:
    """The tiles in rows of `COLUMNS`, dark on white, so that the file reads alike on any page.

    Args:
        note: a line under everything.
    """
    from matplotlib.figure import Figure

    span = 2 if tiles and len(tiles[0].pictures) > 1 else 1  # several pictures take the room of two
    columns = min(COLUMNS // span, max(2, len(tiles)))
    parts = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    texts = [LINE * (1.7 + max(len(tile.lines()) for tile in part)) for part in parts]
    head, foot = 0.55, 0.35
    width, height = WIDTH * columns * span + 0.3, head + foot + sum(SIDE + text for text in texts)
    figure = Figure(figsize=(width, height), facecolor="white", dpi=130)
    label = {"ha": "left", "va": "top", "fontfamily": "sans-serif"}
    figure.text(0.2 / width, 1 - 0.17 / height, title, fontsize=11.5, fontweight="bold", color=INK, **label)
    figure.text(0.2 / width, 0.24 / height, note, fontsize=7.5, color=PALE, **label)
    top = height - head
    for part, text in zip(parts, texts, strict=True):
        for k, tile in enumerate(part):
            left = 0.2 + WIDTH * span * k
            room = (WIDTH * span - 0.2) / len(tile.pictures)
            for j, picture in enumerate(tile.pictures):
                box = (left + room * j, top - SIDE, room - 0.04 * (j + 1 < len(tile.pictures)), SIDE)
                axes = figure.add_axes([box[0] / width, box[1] / height, box[2] / width, box[3] / height])
                axes.set(xticks=[], yticks=[], facecolor="black")
                axes.spines[:].set_visible(False)
                axes.imshow(picture, interpolation="nearest", aspect="equal")
                axes.set_adjustable("datalim")  # the black ground fills the box around the picture
                if tile.outlines and not j:
                    for mask, color in zip(tile.outlines, (TRUTH, MODEL), strict=True):
                        if mask.any():
                            axes.contour(mask, levels=[0.5], colors=[color], linewidths=1.2)
            down = top - SIDE - 0.07
            for number, (line, color, weight) in enumerate(tile.lines()):
                y = down - LINE * number
                figure.text(left / width, y / height, line, fontsize=7.3, color=color, fontweight=weight, **label)
        top -= SIDE + text
    return figure
