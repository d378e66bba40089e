"""`MedicalImage`: raw pixels with everything needed to show them honestly: modality, spacing, window, provenance.

Pixels keep the values that were acquired; windowing and inversion happen only in `display`. Readers turn them to the
radiological convention (`orientation.py`), and `picture` draws pixels that are not square in their true proportions.

Which frame a model reads: a model of still pictures reads the middle frame of a volume and of a cine alike, the one
that `reading_frame` names and that widgets open with. A model of cines (echo-clip) reads evenly spaced frames of a cine
and averages them; of a volume it reads the middle slice (`models.preprocess.frames_read`).
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.arrays import NOT_FINITE, as_rgb8, compact, filled
from medvlm_lab.errors import ImageReadError, UnknownNameError
from medvlm_lab.grey import FUNCTIONS, PLAIN, STORED, WINDOW_PRESETS, Voi, Window, checked, estimate, levels
from medvlm_lab.orientation import marked

if TYPE_CHECKING:
    from jaxtyping import Shaped, UInt8
    from PIL import Image

MODALITIES = (
    "X-ray", "CT", "MR", "ultrasound", "echo", "nuclear medicine", "fundus", "histology", "heart sounds", "unknown",
)

MAX_FRAME_PIXELS = 100_000_000  # 20,000 x 20,000 is four times this: a screen shows none of it and memory pays for it
MAX_TOTAL_PIXELS = 600_000_000  # a 512 x 512 CT of 2,000 slices still fits

COVER = (96, 112, 128)  # a plain box over burned-in text: no grey of the picture's own, so that it is seen as a cover

SIMULATED_NOTE = "Simulated by MedVLM Lab"  # how a written picture's comment begins, so that it is known on reading

MAX_SIDE = 4096  # of a picture that is stretched to square pixels; larger ones keep their longer side


def check_size(height: int, width: int, frames: int = 1, name: str = "image") -> None:
    """Raise ImageReadError for an empty or oversized image; called before decoding wherever a header tells the size."""
    if min(height, width, frames) < 1:
        raise ImageReadError(f"{name} is empty ({frames} frames of {width} x {height} pixels); choose another file.")
    if height * width > MAX_FRAME_PIXELS:
        raise ImageReadError(
            f"{name} has {width:,} x {height:,} pixels, above the limit of {MAX_FRAME_PIXELS:,} per frame; "
            "crop or downsample it first."
        )
    if height * width * frames > MAX_TOTAL_PIXELS:
        raise ImageReadError(
            f"{name} has {frames:,} frames of {width:,} x {height:,} pixels, above the limit of "
            f"{MAX_TOTAL_PIXELS:,} pixels in all; keep fewer frames."
        )


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """One study's picture, cine or volume.

    pixels: raw values, (frames, h, w) grey or (frames, h, w, 3) uint8 RGB. spacing_mm: (row, column) distance between
    pixel centres. window: (center, width) in the units of `pixels`. inverted: MONOCHROME1, low values shown bright.
    burned_in: boxes (x0, y0, x1, y1) in pixels that may hold burned-in text: every picture that is kept or sent covers
    them; `image.with_(burned_in=())` shows all. tags: the allow-listed header only.
    orientation: where the picture's right and bottom edges point in the patient, such as ("L", "P"); None if unknown.
    pixel_aspect: a pixel's height over its width where no spacing is known. padding: (least, most) value of pixels
    outside the picture, shown black. voi: window function, windows per frame, lookup table.
    Raises ImageReadError for empty, oversized or non-finite pixels, UnknownNameError for an unknown modality.
    """

    pixels: Shaped[np.ndarray, ...]
    modality: str = "unknown"
    spacing_mm: tuple[float, float] | None = None
    window: Window | None = None
    units: str = ""
    inverted: bool = False
    fps: float | None = None
    burned_in: tuple[tuple[int, int, int, int], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    name: str = ""
    anatomy: str = ""
    questions: tuple[str, ...] = ()
    simulated: bool = False
    orientation: tuple[str, str] | None = None
    pixel_aspect: float = 1.0
    padding: tuple[float, float] | None = None
    voi: Voi = PLAIN

    def __post_init__(self) -> None:
        pixels, name = self.pixels, self.name or "The image"
        if self.modality not in MODALITIES:
            raise UnknownNameError("modality", self.modality, MODALITIES)
        grey = pixels.ndim == 3
        if not grey and not (pixels.ndim == 4 and pixels.shape[-1] == 3):
            raise ImageReadError(
                f"{name} has pixels of shape {pixels.shape}; expected (frames, h, w) or (frames, h, w, 3)."
            )
        if not grey and pixels.dtype != np.uint8:
            raise ImageReadError(f"{name} has {pixels.dtype} colour pixels; expected uint8 RGB.")
        if pixels.dtype.kind not in "uif":
            raise ImageReadError(f"{name} has pixels of type {pixels.dtype}; expected real numbers.")
        check_size(pixels.shape[1], pixels.shape[2], pixels.shape[0], name)
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise ImageReadError(f"{name} {NOT_FINITE}")
        if self.voi.function not in FUNCTIONS:
            raise UnknownNameError("window function", self.voi.function, FUNCTIONS)
        if self.voi.windows and len(self.voi.windows) != len(pixels):
            raise ImageReadError(f"{name} has {len(pixels)} frames but {len(self.voi.windows)} windows; give one each.")
        fixed = pixels.view()
        fixed.flags.writeable = False  # what was computed from an image stays true of it
        object.__setattr__(self, "pixels", fixed)

    @classmethod
    def from_array(
        cls, array: Shaped[np.ndarray, ...], modality: str = "unknown", fill_nan: bool = False, **kw: Any
    ) -> MedicalImage:
        """Wrap an array: (h, w), (h, w, 3 or 4), (frames, h, w) or (frames, h, w, 3 or 4).

        A last axis of 3 or 4 is colour; floats in [0, 1] and 16-bit colour are brought to uint8. Grey values stay raw.
        fill_nan: NaN and infinite grey values are the background and shown dark, instead of refused.
        """
        array, name = np.asarray(array), kw.get("name") or "The array"
        if array.size == 0 or array.ndim not in (2, 3, 4) or array.dtype.kind not in "buif":
            raise ImageReadError(
                f"{name} is not an image: shape {array.shape}, type {array.dtype}; expected numbers of shape (h, w), "
                "(h, w, 3), (frames, h, w) or (frames, h, w, 3)."
            )
        if array.dtype.kind == "b":
            array = array.astype(np.uint8)
            kw = {"window": (0.5, 1.0)} | kw  # False black, True white
        color = array.shape[-1] in (3, 4) and array.ndim >= 3
        if color:
            array = as_rgb8(array[..., :3], name)
        elif array.ndim == 4 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.dtype.kind == "f":
            if fill_nan:
                array, window = filled(array, name)
                kw = ({"window": window} if window else {}) | kw
            array = compact(array)
        if array.ndim == (3 if color else 2):
            array = array[None]
        return cls(pixels=array.astype(array.dtype.newbyteorder("="), copy=True), modality=modality, **kw)

    @property
    def frames(self) -> int:
        """Number of frames (a cine's pictures, a volume's slices)."""
        return self.pixels.shape[0]

    @property
    def height(self) -> int:
        return self.pixels.shape[1]

    @property
    def width(self) -> int:
        return self.pixels.shape[2]

    @property
    def color(self) -> bool:
        return self.pixels.ndim == 4

    def with_(self, **changes: Any) -> MedicalImage:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    @property
    def reading_frame(self) -> int:
        """The frame that a model of still pictures reads: the middle one."""
        return self.frames // 2

    @property
    def cine(self) -> bool:
        """Whether the frames are moments, not places: they have a rate, or are several of an ultrasound."""
        return self.frames > 1 and bool(self.fps or self.modality in ("ultrasound", "echo"))

    def still(self, frame: int | None = None) -> MedicalImage:
        """One frame, by default the one that a model reads, as an image of its own that is shown as in the whole."""
        frame = self.reading_frame if frame is None else range(self.frames)[frame]
        if self.frames == 1:
            return self
        window = None if self.color else self.resolve_window(frame=frame)
        part = slice(frame, frame + 1)
        return self.with_(pixels=self.pixels[part], window=window, voi=self.voi.of_frames(part))

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value, padding left out."""
        inside = self.pixels[~self._padded(self.pixels)] if self.padding else self.pixels
        inside = inside if inside.size else self.pixels
        return float(inside.min()), float(inside.max())

    @property
    def presets(self) -> dict[str, Window]:
        """Windows by name for this modality; none for colour, nor for a CT that is not in Hounsfield units."""
        return {} if self.color or self.units == STORED else WINDOW_PRESETS.get(self.modality, {})

    def resolve_window(self, window: Window | str | None = None, frame: int = 0) -> Window:
        """(center, width) to show: a pair, a preset's name for this modality, or None for the header's or an estimate.

        The estimate, `grey.estimate`, is taken over all frames, subsampled, so that a cine does not flicker.
        """
        if isinstance(window, str):
            if window not in self.presets:
                kind = " ".join(filter(None, (self.modality, self.units)))
                raise UnknownNameError(f"window preset for {kind}", window, self.presets or ["(none)"])
            return self.presets[window]
        if window is not None:
            return checked(window)
        if self.voi.windows and self.window is None:
            return checked(self.voi.windows[frame])
        if self.window is not None:
            return checked(self.window)
        if self.voi.table is not None:
            return self.voi.first + len(self.voi.table) / 2, float(len(self.voi.table))
        flat = self.pixels.reshape(-1)
        values = flat[:: max(1, flat.size // 200_000)]
        if self.padding:
            values = values[~self._padded(values)]
        return checked(estimate(values, self.units, self.pixels.dtype))

    def display(self, frame: int = 0, window: Window | str | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """One frame's own pixels as uint8 RGB, windowed, inverted where the header says so; colour is left alone.

        Without a window, or with the one that `resolve_window` gives, a file's lookup table is applied.
        """
        if not -self.frames <= frame < self.frames:
            raise ImageReadError(f"Frame {frame} does not exist; {self.name or 'the image'} has {self.frames} frames.")
        pixels = self.pixels[frame]
        if self.color:
            return np.ascontiguousarray(pixels)  # (h, w, 3)
        window = self.resolve_window(window, frame)
        table = self.voi.table is not None and window == self.resolve_window(None, frame)
        grey = levels(pixels, window, self.voi, table)  # (h, w)
        if self.inverted:
            grey = 255 - grey
        if self.padding:
            grey = np.where(self._padded(pixels), np.uint8(0), grey)
        return np.repeat(grey[..., None], 3, axis=-1)  # (h, w, 3)

    def covered(self, shown: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """A displayed frame with plain boxes where text may be burned in; what a model gets is `picture`, uncovered."""
        if not self.burned_in:
            return shown
        shown = shown.copy()
        down, right = shown.shape[0] / self.height, shown.shape[1] / self.width
        for x0, y0, x1, y1 in self.burned_in:
            rows = slice(math.floor(y0 * down), math.ceil(y1 * down))
            shown[rows, math.floor(x0 * right) : math.ceil(x1 * right)] = COVER
        return shown

    def _padded(self, values: np.ndarray) -> np.ndarray:
        return (values >= self.padding[0]) & (values <= self.padding[1])

    @property
    def picture_size(self) -> tuple[int, int]:
        """(height, width) with square pixels as fine as the finer spacing, the longer side at most `MAX_SIDE`."""
        row, column = self.spacing_mm or (self.pixel_aspect, 1.0)
        if abs(row / column - 1) < 0.01:
            return self.height, self.width
        high, wide = self.height * max(row / column, 1.0), self.width * max(column / row, 1.0)
        scale = min(1.0, max(MAX_SIDE, self.height, self.width) / max(high, wide))
        return max(1, round(high * scale)), max(1, round(wide * scale))

    def stretched(self, drawn: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "H W *c"]:
        """What was drawn on the image's own pixels, or a mask of them (h, w), in its true proportions."""
        if self.picture_size == drawn.shape[:2]:
            return drawn
        from PIL import Image

        method = Image.Resampling.NEAREST if drawn.dtype == bool else Image.Resampling.BILINEAR
        picture = Image.fromarray(np.ascontiguousarray(drawn).astype(np.uint8))
        return np.array(picture.resize(self.picture_size[::-1], method)).astype(drawn.dtype)

    def picture(self, frame: int = 0, window: Window | str | None = None) -> UInt8[np.ndarray, "H W 3"]:
        """`display` with square pixels: what a model is given."""
        return self.stretched(self.display(frame, window))

    def pil(self, frame: int = 0, window: Window | str | None = None) -> Image.Image:
        """One frame with square pixels as a PIL RGB image to keep or to show, `covered`."""
        from PIL import Image

        return Image.fromarray(self.covered(self.picture(frame, window)))

    def _repr_png_(self) -> bytes:
        picture = self.pil(self.reading_frame)
        picture.thumbnail((512, 512))
        buffer = io.BytesIO()
        marked(picture, self.orientation).save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        kind = "colour" if self.color else str(self.pixels.dtype)
        simulated = ", simulated" if self.simulated else ""
        size = f"{self.frames} x {self.height} x {self.width}"
        return f"MedicalImage({self.name!r}, {self.modality}, {size}, {kind}{simulated})"
