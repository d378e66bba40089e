"""Arrays of any type to values that an image may hold: kept or refused, never wrapped around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.grey import Window, estimate

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

NOT_FINITE = (
    "has NaN or infinite pixels; give MedicalImage.from_array(array, fill_nan=True) where they are the background, "
    "or put numbers in their place."
)


def filled(array: Float[np.ndarray, ...], name: str) -> tuple[Float[np.ndarray, ...], Window | None]:
    """NaN and infinite values replaced by the smallest number, and the window of the others; None without such values.

    Raises ImageReadError where there is no number at all.
    """
    there = np.isfinite(array)
    if there.all():
        return array, None
    if not there.any():
        raise ImageReadError(f"{name} holds no number, only NaN or infinite values; choose another file.")
    values = array[there]
    return np.where(there, array, values.min()), estimate(values[:: max(1, values.size // 200_000)], "", array.dtype)


def compact(array: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Floats in single precision, which shows as much in half the memory; in double where they exceed its range."""
    if array.dtype.itemsize <= 4:
        return array if array.dtype == np.float32 else array.astype(np.float32)
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    return single if np.isfinite(single).sum() == np.isfinite(array).sum() else array.astype(np.float64)


def as_rgb8(array: np.ndarray, name: str) -> UInt8[np.ndarray, "... 3"]:
    """Colour of any numeric type to uint8: floats of 0 to 1 or 0 to 255, 16-bit ones scaled; others are refused."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageReadError(f"{name} has NaN or infinite colours; put numbers in their place.")
    least, most = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and -0.1 <= least and most <= 1.1:  # a resized picture overshoots a little
        return np.clip(np.rint(array * 255), 0, 255).astype(np.uint8)
    if array.dtype == np.uint16 and most > 255:
        return (array >> 8).astype(np.uint8)
    slack = 1 if array.dtype.kind == "f" else 0  # likewise
    if least < -slack or most > 255 + slack:
        raise ImageReadError(
            f"{name} has {array.dtype} colours from {least:g} to {most:g}; expected 0 to 1, 0 to 255 or 16-bit ones."
        )
    return np.clip(np.rint(array), 0, 255).astype(np.uint8)
