"""Which way up a picture is shown: from the header's directions to the radiological convention.

Axial: the patient's right on the picture's left, front up. Coronal and frontal films: right on the left, head up.
Sagittal and lateral films: front on the left, head up. An oblique plane is turned as the nearest of the three.
Directions are DICOM's: x to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[int, int, int, int]
OPPOSITE = dict(zip("LRPAHF", "RLAPFH", strict=True))
_VECTORS = {
    "L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1),
}  # fmt: skip
#: By the axis that the plane's normal follows most: where the picture's right and bottom edges shall point.
_SHOWN = {2: ("L", "P"), 1: ("L", "F"), 0: ("P", "F")}
_ALIKE = 1e-3  # what rounding in a header may change
_NAMED = 0.25  # a direction's smaller parts are named from 15 degrees


@dataclass(frozen=True)
class Turn:
    """How stored rows and columns become those that are shown: transposed first, then flipped."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def __bool__(self) -> bool:
        return self.transpose or self.flip_rows or self.flip_columns

    def pixels(self, frames: np.ndarray) -> np.ndarray:
        """(frames, h, w, ...) turned; a view where that is enough."""
        if self.transpose:
            frames = frames.swapaxes(1, 2)
        return frames[:, :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def pair(self, values: tuple) -> tuple:
        """(row, column) values, such as spacings, in the order of the turned picture."""
        return values[::-1] if self.transpose else values

    def box(self, box: Box, height: int, width: int) -> Box:
        """(x0, y0, x1, y1) of a stored picture of `height` × `width` in the turned one."""
        x0, y0, x1, y1 = box
        if self.transpose:
            x0, y0, x1, y1, height, width = y0, x0, y1, x1, width, height
        if self.flip_rows:
            y0, y1 = height - y1, height - y0
        if self.flip_columns:
            x0, x1 = width - x1, width - x0
        return x0, y0, x1, y1

    def letters(self, row: np.ndarray, column: np.ndarray) -> tuple[str, str]:
        """Where the turned picture's right and bottom edges point: ("L", "P") on an axial slice."""
        right, down = (column, row) if self.transpose else (row, column)
        return letters(-right if self.flip_columns else right), letters(-down if self.flip_rows else down)


def directions(cosines: Sequence[float]) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit vectors of a row and of a column from six direction cosines; None where they are no right angle."""
    values = np.asarray(cosines, float)
    if values.shape != (6,) or not np.isfinite(values).all():
        return None
    row, column = values[:3], values[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5:
        return None
    row, column = row / lengths[0], column / lengths[1]
    return (row, column) if abs(row @ column) < 0.1 else None


def from_codes(codes: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Unit vectors from DICOM's PatientOrientation, such as ("L", "F") or ("L", "PF"); None for other letters."""
    if len(codes) != 2:
        return None
    vectors = []
    for code in codes:
        if not code or not set(code.upper()) <= set(_VECTORS):
            return None
        # the first letter leads: where letters weigh alike, an oblique direction would have two nearest planes
        vectors.append(sum(np.array(_VECTORS[c], float) / (1 + 0.5 * i) for i, c in enumerate(code.upper())))
    row, column = vectors
    if min(np.linalg.norm(row), np.linalg.norm(column)) < 0.5 or np.linalg.norm(np.cross(row, column)) < 0.5:
        return None
    return row / np.linalg.norm(row), column / np.linalg.norm(column)


def turn_for(row: np.ndarray, column: np.ndarray) -> Turn:
    """The turn that brings rows and columns along these directions nearest to the convention."""
    normal = np.abs(np.cross(row, column))
    axis = max((2, 1, 0), key=lambda i: normal[i] + _ALIKE * (i == 2))
    right, down = (np.array(_VECTORS[letter]) for letter in _SHOWN[axis])
    straight, across = (row @ right, column @ down), (column @ right, row @ down)
    transpose = abs(across[0]) + abs(across[1]) > abs(straight[0]) + abs(straight[1]) + _ALIKE
    along, downwards = across if transpose else straight
    return Turn(bool(transpose), bool(downwards < -_ALIKE), bool(along < -_ALIKE))


def letters(direction: np.ndarray) -> str:
    """A direction's letters, the largest part first: "L", or "PF" for a tilted one."""
    parts = [(abs(v), ("LR", "PA", "HF")[i][int(v < 0)]) for i, v in enumerate(direction)]
    return "".join(letter for size, letter in sorted(parts, key=lambda part: -part[0]) if size >= _NAMED)


def edges(orientation: tuple[str, str]) -> dict[str, str]:
    """The letters of a picture's four edges from those of its right and bottom."""
    right, bottom = orientation
    left, top = ("".join(OPPOSITE[letter] for letter in letters) for letters in orientation)
    return {"left": left, "right": right, "top": top, "bottom": bottom}


def marked(picture: Image.Image, orientation: tuple[str, str] | None) -> Image.Image:
    """A copy with the letters at its edges; the picture itself where no direction is known."""
    if orientation is None or min(picture.size) < 64:
        return picture
    from PIL import ImageDraw, ImageFont

    picture = picture.copy()
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(max(11, min(picture.size) // 24))
    (w, h), off = picture.size, 4
    places = {"left": ((off, h / 2), "lm"), "right": ((w - off, h / 2), "rm"),
              "top": ((w / 2, off), "mt"), "bottom": ((w / 2, h - off), "mb")}  # fmt: skip
    for edge, text in edges(orientation).items():
        place, anchor = places[edge]
        draw.text(place, text, fill="white", font=font, anchor=anchor, stroke_width=2, stroke_fill="black")
    return picture
