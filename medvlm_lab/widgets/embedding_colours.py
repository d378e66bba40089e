"""By what the points of an embedding map can be coloured, and how: colour-blind-safe, with a legend. No ipywidgets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from medvlm_lab.embed import Embeddings
from medvlm_lab.style import COLORS, CYCLE, GREY, SKY, VERMILION

if TYPE_CHECKING:
    from jaxtyping import UInt8

FINDING, NUMBER = "finding: ", "number: "
MOST_FINDINGS = 20
DARKEST = 0.25  # of cividis: what is darker cannot be seen on a dark page
PLAIN = ("kind", "modality", "patient")
_NOT_COLOURS = ("id", "path", "report", "key", "findings", "numbers")


@dataclass(frozen=True)
class Colours:
    """Each point's place in `palette` (the last colour is that of points without a value), and what colours mean.

    `legend` has (label, colour, points) of each value; `bounds` is (least, most) of a number instead.
    """

    codes: UInt8[np.ndarray, " n"]
    palette: tuple[str, ...]
    legend: tuple[tuple[str, str, int], ...] = ()
    bounds: tuple[float, float] | None = None

    def view(self) -> dict[str, Any]:
        """For the browser."""
        return {"palette": list(self.palette), "legend": [list(e) for e in self.legend], "bounds": self.bounds}


def choices(embeddings: Embeddings) -> list[str]:
    """Columns with more than one value, then each finding and each number that differs between rows.

    A column of names that are all different tells no groups apart and is left out.
    """
    table = embeddings.table
    own = [name for name in table.column_names if name not in (*_NOT_COLOURS, *PLAIN)]
    columns = [name for name in (*own, *PLAIN) if _differs(table[name])]
    found = Counter(name for names in table["findings"].to_pylist() for name in names or ())
    numbers: dict[str, set[float]] = {}
    for name, value in (pair for pairs in table["numbers"].to_pylist() for pair in pairs or ()):
        if np.isfinite(value):
            numbers.setdefault(name, set()).add(value)
    differing = [name for name, values in numbers.items() if len(values) > 1]
    some = [name for name, count in found.most_common(MOST_FINDINGS) if count < len(table)]
    return [*columns, *(FINDING + name for name in some), *(NUMBER + name for name in differing)] or ["kind"]


def colours(embeddings: Embeddings, choice: str) -> Colours:
    """Of one of `choices`."""
    if choice.startswith(NUMBER):
        name = choice.removeprefix(NUMBER)
        pairs = embeddings.table["numbers"].to_pylist()
        return _continuous(np.array([dict(p or ()).get(name, np.nan) for p in pairs]))
    if choice.startswith(FINDING):
        name = choice.removeprefix(FINDING)
        listed = zip(embeddings.table["findings"].to_pylist(), embeddings.table["patient"].to_pylist(), strict=True)
        # a prompt is of no patient, so nothing can be absent
        values = ["present" if name in (f or ()) else "absent" if patient else None for f, patient in listed]
        return _categories(values, {"present": VERMILION, "absent": SKY})
    fixed = {kind: COLORS[kind] for kind in ("image", "text")} if choice == "kind" else {}
    column = embeddings.table[choice]
    if _measured(column):
        return _continuous(np.array([np.nan if value is None else value for value in column.to_pylist()], float))
    return _categories([None if value in ("", None) else str(value) for value in column.to_pylist()], fixed)


def _differs(column: pa.ChunkedArray) -> bool:
    if pa.types.is_nested(column.type):
        return False
    values = {value for value in column.to_pylist() if value not in ("", None)}
    if _measured(column):
        return len({value for value in values if np.isfinite(value)}) > 1
    return 1 < len(values) < len(column)


def _measured(column: pa.ChunkedArray) -> bool:
    """Numbers on a scale; whole ones that are as few as the colours are names, such as those of clusters."""
    whole = pa.types.is_integer(column.type) and len(column.unique().drop_null()) >= len(CYCLE)
    return whole or pa.types.is_floating(column.type)


def _categories(values: list[str | None], fixed: dict[str, str]) -> Colours:
    """The commonest values in their own colours, the others in grey."""
    counts = Counter(value for value in values if value is not None).most_common()
    common = counts[: len(CYCLE) - 1]  # the last of the cycle is grey
    own = {value: fixed.get(value, CYCLE[i]) for i, (value, _) in enumerate(common)}
    place = {value: i for i, value in enumerate(own)}
    codes = np.array([place.get(value, len(own)) for value in values], np.uint8)
    legend = [(value, own[value], count) for value, count in common]
    if rest := len(values) - sum(count for _, count in common):
        legend.append(("other" if len(counts) > len(common) else "none", GREY, rest))
    return Colours(codes, (*own.values(), GREY), tuple(legend))


def _continuous(values: np.ndarray) -> Colours:
    """Cividis from the least to the most, without its darkest part."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    known = np.isfinite(values)
    low, high = float(values[known].min()), float(values[known].max())
    share = (np.where(known, values, low) - low) / max(high - low, 1e-12)
    codes = np.where(known, np.rint(share * 254), 255).astype(np.uint8)
    ramp = colormaps["cividis"](np.linspace(DARKEST, 1, 255))
    palette = tuple(to_hex(colour) for colour in ramp)
    return Colours(codes, (*palette, GREY), bounds=(low, high))
