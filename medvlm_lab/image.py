"""`MedicalImage`: raw pixels with everything needed to show them honestly: modality, spacing, window, provenance.

Pixels stay as they were acquired; windowing and inversion happen only in `display`.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.errors import ImageReadError, UnknownNameError

if TYPE_CHECKING:
    from jaxtyping import Shaped, UInt8
    from PIL import Image

MODALITIES = (
    "X-ray", "CT", "MR", "ultrasound", "echo", "nuclear medicine", "fundus", "histology", "heart sounds", "unknown",
)

#: (center, width) in the image's own units; Hounsfield units for CT.
WINDOW_PRESETS: dict[str, dict[str, tuple[float, float]]] = {
    "CT": {
        "lung": (-600.0, 1500.0),
        "mediastinum": (40.0, 400.0),
        "abdomen": (50.0, 400.0),
        "liver": (60.0, 160.0),
        "bone": (480.0, 2500.0),
        "brain": (40.0, 80.0),
        "stroke": (35.0, 40.0),
        "angiography": (300.0, 600.0),
    },
}

MAX_FRAME_PIXELS = 100_000_000  # 20,000 x 20,000 is four times this: a screen shows none of it and memory pays for it
MAX_TOTAL_PIXELS = 600_000_000  # a 512 x 512 CT of 2,000 slices still fits

COVER = (96, 112, 128)  # a plain box over burned-in text: no grey of the picture's own, so that it is seen as a cover

SIMULATED_NOTE = "Simulated by MedVLM Lab"  # how a written picture's comment begins, so that it is known on reading

Window = tuple[float, float]


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
            raise ImageReadError(f"{name} has NaN or infinite pixels; replace them with numbers (np.nan_to_num) first.")
        fixed = pixels.view()
        fixed.flags.writeable = False  # what was computed from an image stays true of it
        object.__setattr__(self, "pixels", fixed)

    @classmethod
    def from_array(cls, array: Shaped[np.ndarray, ...], modality: str = "unknown", **kw: Any) -> MedicalImage:
        """Wrap an array: (h, w), (h, w, 3 or 4), (frames, h, w) or (frames, h, w, 3 or 4).

        A last axis of 3 or 4 is colour; floats in [0, 1] and 16-bit colour are brought to uint8. Grey values stay raw.
        """
        array, name = np.asarray(array), kw.get("name") or "The array"
        if array.size == 0 or array.ndim not in (2, 3, 4) or array.dtype.kind not in "buif":
            raise ImageReadError(
                f"{name} is not an image: shape {array.shape}, type {array.dtype}; expected numbers of shape (h, w), "
                "(h, w, 3), (frames, h, w) or (frames, h, w, 3)."
            )
        if array.dtype.kind == "b":
            array = array.astype(np.uint8)
        if (
            array.dtype.itemsize > 4 and array.dtype.kind == "f"
        ):  # double precision doubles memory and shows nothing more
            array = array.astype(np.float32)
        color = array.shape[-1] in (3, 4) and array.ndim >= 3
        if color:
            array = _as_rgb8(array[..., :3], name)
        elif array.ndim == 4 and array.shape[-1] == 1:
            array = array[..., 0]
        if array.ndim == (3 if color else 2):
            array = array[None]
        return cls(pixels=array.copy(), modality=modality, **kw)

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

    def resolve_window(self, window: Window | str | None = None) -> Window:
        """(center, width) to show: a pair, a preset's name for this modality, or None for the header's or 1-99 %.

        The percentiles are taken over all frames, subsampled, so that a cine does not flicker.
        """
        if isinstance(window, str):
            presets = WINDOW_PRESETS.get(self.modality, {})
            if window not in presets:
                raise UnknownNameError(f"window preset for {self.modality}", window, presets or ["(none)"])
            return presets[window]
        window = window or self.window
        if window is None:
            flat = self.pixels.reshape(-1)
            low, high = np.percentile(flat[:: max(1, flat.size // 200_000)], (1, 99)).tolist()
            if high <= low:  # mostly background: a small bright object must still show
                low, high = float(flat.min()), float(flat.max())
            window = ((low + high) / 2, max(high - low, 1e-6))
        center, width = float(window[0]), float(window[1])
        if not (np.isfinite(center) and np.isfinite(width) and width > 0):
            raise ImageReadError(f"Window ({center}, {width}) is not usable; give a finite center and a width above 0.")
        return center, width

    def display(self, frame: int = 0, window: Window | str | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """One frame as uint8 RGB, windowed linearly and inverted where the header says so; colour is left alone."""
        if not -self.frames <= frame < self.frames:
            raise ImageReadError(f"Frame {frame} does not exist; {self.name or 'the image'} has {self.frames} frames.")
        pixels = self.pixels[frame]
        if self.color:
            return np.ascontiguousarray(pixels)  # (h, w, 3)
        center, width = self.resolve_window(window)
        scaled = (pixels.astype(np.float32) - np.float32(center - width / 2)) * np.float32(255 / width)
        grey = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)  # (h, w)
        if self.inverted:
            grey = 255 - grey
        return np.repeat(grey[..., None], 3, axis=-1)  # (h, w, 3)

    def covered(self, shown: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """A displayed frame with plain boxes where text may be burned in; what a model gets is `display`, uncovered."""
        if not self.burned_in:
            return shown
        shown = shown.copy()
        down, right = shown.shape[0] / self.height, shown.shape[1] / self.width
        for x0, y0, x1, y1 in self.burned_in:
            rows = slice(math.floor(y0 * down), math.ceil(y1 * down))
            shown[rows, math.floor(x0 * right) : math.ceil(x1 * right)] = COVER
        return shown

    def pil(self, frame: int = 0, window: Window | str | None = None) -> Image.Image:
        """One displayed frame as a PIL RGB image to keep or to show, `covered`."""
        from PIL import Image

        return Image.fromarray(self.covered(self.display(frame, window)))

    def _repr_png_(self) -> bytes:
        picture = self.pil(self.frames // 2 if self.frames > 1 and not self.fps else 0)
        picture.thumbnail((512, 512))
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        kind = "colour" if self.color else str(self.pixels.dtype)
        simulated = ", simulated" if self.simulated else ""
        size = f"{self.frames} x {self.height} x {self.width}"
        return f"MedicalImage({self.name!r}, {self.modality}, {size}, {kind}{simulated})"


def _as_rgb8(array: np.ndarray, name: str) -> np.ndarray:
    """Colour of any numeric type to uint8: floats must lie in [0, 1] or [0, 255], 16-bit ones are scaled."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ImageReadError(f"{name} has NaN or infinite pixels; replace them with numbers (np.nan_to_num) first.")
        scale = 255.0 if array.max() <= 1 else 1.0
        return np.clip(np.rint(array * scale), 0, 255).astype(np.uint8)
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    return np.clip(array, 0, 255).astype(np.uint8)
