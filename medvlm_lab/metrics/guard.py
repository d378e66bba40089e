"""What may be scored: finite numbers, labels of two classes, masks, texts. Every metric and task reads its input here.

Lists, NumPy arrays, PyTorch tensors on any device, and pandas columns are read alike.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from medvlm_lab.errors import ScoreError


def finite(values: Any, what: str) -> Float[np.ndarray, "*shape"]:
    """Numbers as float64; ScoreError naming the first that is none, NaN or infinite. `what` calls them, in the plural.

    Text is not read as numbers, and a missing value (None, NaN, a masked entry) is not skipped.
    """
    found = _array(values, what).astype(np.float64)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        place = ", ".join(map(str, wrong[0]))
        raise ScoreError(
            f"The {what} must be finite numbers, but {len(wrong):,} of {found.size:,} are not (first: "
            f"{found[tuple(wrong[0])]} at [{place}]); leave these out, or look for what made them."
        )
    return found


def zero_one(labels: Any, what: str = "labels") -> Float[np.ndarray, "*shape"]:
    """Labels that are exactly 0 and 1, or False and True; ScoreError for others."""
    found = finite(labels, what)
    if other := sorted(set(np.unique(found)) - {0.0, 1.0}):
        raise ScoreError(f"The {what} must be 0 or 1, not {other[0]:g}; say of each item which of the two it is.")
    return found


def two_classes(labels: Any, what: str = "labels") -> Float[np.ndarray, "*shape"]:
    """Labels as 0 and 1. Of two other whole numbers the higher one is 1, as in scikit-learn: -1 and 1, 1 and 2.

    ScoreError for three values, and for fractions. Where all labels are one number other than 0 and 1, all become 0.
    """
    found = finite(labels, what)
    kinds = np.unique(found)
    if len(kinds) > 2 or (kinds % 1).any():
        listed = ", ".join(f"{kind:g}" for kind in kinds[:4]) + ", ..." * (len(kinds) > 4)
        raise ScoreError(
            f"The {what} must be of two classes, 0 and 1, not {listed}; say which of them count as positive, as in "
            "`labels == 1`, and leave uncertain ones out first."
        )
    known = set(kinds) <= {0.0, 1.0}
    return found if known else (found == kinds[-1]).astype(np.float64) * (len(kinds) > 1)


def mask(values: Any, what: str = "mask") -> Bool[np.ndarray, "*shape"]:
    """Whatever is not 0, as in masks of 0 and 1, 0 and 255, or a label; ScoreError for NaN and for probabilities."""
    found = _array(values, f"pixels of the {what}")
    if found.dtype.kind == "f":
        if not np.isfinite(found).all():
            raise ScoreError(f"The {what} holds NaN or an infinite number; each pixel must be 0 or another number.")
        if (found % 1).any():
            raise ScoreError(f"The {what} holds fractions; decide from which on a pixel counts, as in `mask > 0.5`.")
    return found != 0


def two_masks(a: Any, b: Any) -> tuple[Bool[np.ndarray, "*shape"], Bool[np.ndarray, "*shape"]]:
    """Both as `mask`; ScoreError for unlike shapes."""
    masks = mask(a, "first mask"), mask(b, "second mask")
    if masks[0].shape != masks[1].shape:
        raise ScoreError(
            f"Masks of shapes {masks[0].shape} and {masks[1].shape} cannot be compared; bring both onto one grid."
        )
    return masks


def texts(values: Any, what: str = "texts") -> list[str]:
    """A list of texts; ScoreError for a single text in its place, and for what is no text, such as None or NaN."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise ScoreError(f"The {what} must be a list of texts, not {type(values).__name__}; put one text into a list.")
    found = list(values)
    for i, value in enumerate(found):
        if not isinstance(value, str):
            raise ScoreError(f"The {what} must be texts, but [{i}] is {value!r}; leave out what has none.")
    return found


def at_least(value: Any, least: int, what: str) -> None:
    """ScoreError unless `value` is a whole number from `least` on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ScoreError(f"{what} is {value!r}; it must be a whole number of at least {least}.")


def _array(values: Any, what: str) -> np.ndarray:
    """An array of booleans or real numbers; a masked entry and a missing value of pandas become NaN."""
    if hasattr(values, "detach"):  # a tensor, perhaps of a graphics card or in bfloat16
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    elif isinstance(values, np.ma.MaskedArray):
        values = values.astype(np.float64).filled(np.nan)
    elif not isinstance(values, Sized | np.ndarray) or isinstance(values, set | frozenset | dict | str | bytes):
        raise ScoreError(f"The {what} must be a list or an array of numbers, not {type(values).__name__}.")
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise ScoreError(f"The {what} must be one row or table of numbers, not rows of unlike lengths.") from error
    if found.dtype.kind == "O":  # numbers of several kinds, or something missing
        if wrong := [value for value in found.flat if not hasattr(type(value), "__float__")]:
            raise ScoreError(f"The {what} must be numbers, not {wrong[0]!r}; leave out what has none.")
        found = found.astype(np.float64)
    if found.dtype.kind not in "biuf":
        example = f" such as {found.flat[0].item()!r}" if found.size else ""
        raise ScoreError(f"The {what} must be numbers, not {found.dtype.name} values{example}; convert them.")
    return found


def rows_of_numbers(a: np.ndarray, b: np.ndarray, what: Sequence[str]) -> None:
    """ScoreError unless both are single rows of one length: `what` calls them."""
    for found, name in zip((a, b), what, strict=True):
        if found.ndim != 1:
            raise ScoreError(f"The {name} have the shape {found.shape}; give one row of numbers, as in `x.ravel()`.")
    if len(a) != len(b):
        raise ScoreError(f"{len(a)} {what[0]} cannot be measured against {len(b)} {what[1]}; give pairs.")
