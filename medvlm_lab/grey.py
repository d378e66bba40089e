"""From an image's values to grey levels: window presets, DICOM's window functions, lookup tables, constant pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import ImageReadError

if TYPE_CHECKING:
    from jaxtyping import Shaped, UInt8

Window = tuple[float, float]

#: (center, width) in the image's own units; Hounsfield units for CT.
WINDOW_PRESETS: dict[str, dict[str, Window]] = {
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
STORED = "stored values"  # the units of a CT whose header does not lead to Hounsfield units
FUNCTIONS = ("LINEAR_EXACT", "LINEAR", "SIGMOID")


@dataclass(frozen=True, eq=False)
class Voi:
    """How a file wants its values shown (DICOM PS3.3, C.11.2).

    function: of the window; "LINEAR" counts whole grey values, as DICOM does by default, "LINEAR_EXACT" does not.
    windows: one (center, width) for each frame where they differ. table: uint8 grey levels of the values from `first`
    on, in place of a window.
    """

    function: str = "LINEAR_EXACT"
    windows: tuple[Window, ...] = ()
    first: int = 0
    table: UInt8[np.ndarray, " n"] | None = None

    def of_frames(self, frames: slice | list[int]) -> Voi:
        """The same for some of the frames."""
        if not self.windows:
            return self
        chosen = self.windows[frames] if isinstance(frames, slice) else tuple(self.windows[i] for i in frames)
        return Voi(self.function, chosen, self.first, self.table)


PLAIN = Voi()


def checked(window: Window) -> Window:
    """(center, width) as finite floats; raises ImageReadError for what cannot be shown."""
    center, width = float(window[0]), float(window[1])
    if not (np.isfinite(center) and np.isfinite(width) and width > 0):
        raise ImageReadError(f"Window ({center}, {width}) is not usable; give a finite center and a width above 0.")
    return center, width


def levels(pixels: Shaped[np.ndarray, "h w"], window: Window, voi: Voi, table: bool) -> UInt8[np.ndarray, "h w"]:
    """Grey levels of one frame, before inversion: by the table or by the window.

    Values of up to 16 bits are looked up, each computed once in double precision.
    """
    if table:
        at = np.clip(np.floor(pixels.astype(np.float64)) - voi.first, 0, len(voi.table) - 1)
        return voi.table[at.astype(np.intp)]
    shade = _shader(window, voi.function)
    if pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2:
        least, most = int(pixels.min()), int(pixels.max())
        if most - least < pixels.size:
            return shade(np.arange(least, most + 1, dtype=np.float64))[pixels.astype(np.int32) - least]
    return shade(pixels if pixels.dtype == np.float32 else pixels.astype(np.float64))


def _shader(window: Window, function: str) -> Callable[[np.ndarray], np.ndarray]:
    """Values to 0 … 255 by DICOM's formulas (C.11.2.1.2 and C.11.2.1.3)."""
    center, width = window
    if function == "SIGMOID":
        return lambda x: _rounded(255 / (1 + np.exp(np.clip(-4 * (x - center) / width, -60, 60))))
    if function == "LINEAR" and width >= 1:  # below 1 the standard defines only LINEAR_EXACT
        center, width = center - 0.5, width - 1
        if width == 0:
            return lambda x: np.where(x <= center, 0, 255).astype(np.uint8)
    low = center - width / 2
    return lambda x: _rounded((x - x.dtype.type(low)) / x.dtype.type(width) * x.dtype.type(255))


def _rounded(grey: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def estimate(values: Shaped[np.ndarray, " n"], units: str, kind: np.dtype) -> Window:
    """A window for values that come without one: their 1st to 99th percentile; of a constant its type's whole range.

    The range of a constant: Hounsfield units the abdomen's window, whole numbers from 0 to the most that the type
    holds, other numbers 0 to 1. So zeros are black, and neither a dark nor a bright picture is shown as grey.
    """
    if values.size:
        low, high = np.percentile(values, (1, 99)).tolist()
        if high <= low:  # mostly background: a small bright object must still show
            low, high = float(values.min()), float(values.max())
        if high > low:
            return low / 2 + high / 2, max(high - low, 1e-6)
    if units == "HU":
        return WINDOW_PRESETS["CT"]["abdomen"]
    most = float(np.iinfo(kind).max) if kind.kind in "ui" else 1.0
    return most / 2, most
