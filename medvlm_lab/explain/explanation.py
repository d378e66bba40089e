"""What every method returns: a map in the image's own pixels, and a picture of it that stays as bright as it was."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from medvlm_lab.image import MedicalImage
from medvlm_lab.io.whole import write_whole
from medvlm_lab.style import BLUE, VERMILION

LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue in how bright a pixel looks (ITU-R BT.601)
NOTICE = "Not for clinical use."


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a model gave a score, as one number for each pixel.

    Attributes:
        values: float32 in the image's own pixels, 0 where the model did not look. Their scale is the method's own.
        signed: whether negative values, which spoke against the text, can occur.
        method, model, text: what was explained by which method.
        score: of the text, a similarity or a log-probability. answer: what a model that generates said.
        note: what the model could not read of the text, such as words that it never learned; "" if nothing.
        image, frame: the picture. words, looks: a map for each word of the answer, from methods that have them.
    """

    values: Float32[np.ndarray, "h w"]
    method: str
    model: str
    text: str
    score: float
    image: MedicalImage = field(repr=False)
    frame: int = 0
    signed: bool = False
    answer: str = ""
    words: tuple[str, ...] = ()
    looks: Float32[np.ndarray, "words h w"] | None = field(default=None, repr=False)
    note: str = ""

    @property
    def peak(self) -> tuple[int, int]:
        """Row and column of the largest value."""
        return tuple(int(i) for i in np.unravel_index(self.values.argmax(), self.values.shape))

    def overlay(self, opacity: float = 1.0, full: float | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The picture as displayed, tinted orange where the map speaks for the text and blue where against it.

        Only the hue changes: every pixel stays as bright as it was, within a grey level, for brightness is what a
        reader of X-rays reads; boxes cover burned-in text. The full tint goes to the magnitude `full`, by default the
        map's largest; give maps that are compared the same one.
        """
        full = (float(np.abs(self.values).max()) if full is None else full) or 1.0
        share = opacity * np.minimum(np.abs(self.values / full), 1)[..., None]  # (h, w, 1)
        shown = self.image.display(self.frame) / 255
        red, blue = (tinted(shown @ LUMA, colour) for colour in (VERMILION, BLUE))
        colour = np.where(self.values[..., None] >= 0, red, blue)
        return self.image.covered(np.rint(255 * (shown + share * (colour - shown))).astype(np.uint8))

    def _repr_png_(self) -> bytes:
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        said = PngInfo()
        about = f"{self.method} of {self.model} for {self.text!r}, score {self.score:.4g}. {NOTICE}"
        said.add_itxt("Description", about)
        buffer = io.BytesIO()
        Image.fromarray(self.image.stretched(self.overlay())).save(buffer, "PNG", pnginfo=said)
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Writes the overlay as PNG, whole or not at all; the file says what it shows."""
        write_whole(Path(path), self._repr_png_())
        return Path(path)


def tinted(luma: Float[np.ndarray, "h w"], colour: str) -> Float[np.ndarray, "h w 3"]:
    """The colour, darkened towards black or lightened towards white until it is as bright as each pixel (0 to 1)."""
    pure = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    own, luma = pure @ LUMA, luma[..., None]
    return np.where(luma <= own, pure * luma / own, pure + (1 - pure) * (luma - own) / (1 - own))
