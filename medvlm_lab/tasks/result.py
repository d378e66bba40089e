"""What every task returns: scores with their intervals, and the rows that they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from medvlm_lab.errors import MedVLMError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Score:
    """A score with its 95 % bootstrap interval, over `n` items; NaN where n is 0."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """For JSON, which knows no NaN: None instead."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        if not self.n:
            return "nothing to score"
        return f"{shown(self.value)} ({shown(self.low)}–{shown(self.high)}, n = {self.n})"


BLANK = Score(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Result:
    """Scores of one model on one data set, and every item that they come from, in the data set's order.

    Attributes:
        titles: of the scores, with their units, as a reader sees them.
        rows: dataclasses, one an item.
        sheet: draws the `k` worst errors; None where nobody can say what was asked about.
        left_out: a sentence for each item that is in no score, because its picture cannot be read.
    """

    model: str
    data: str
    scores: dict[str, Score]
    rows: tuple[Any, ...] = field(repr=False)
    titles: dict[str, str] = field(default_factory=dict, repr=False)
    sheet: Callable[[int], Figure] | None = field(default=None, repr=False, compare=False)
    left_out: tuple[str, ...] = field(default=(), repr=False)

    def worst(self, k: int = 12) -> Figure:
        """The `k` worst errors as a contact sheet: each picture with what was true and what the model said.

        Raises MedVLMError for k below 1, and for scores that were not made by `lab.evaluate`.
        """
        if k < 1:
            raise MedVLMError(f"k is {k}; ask for at least 1 error.")
        if self.sheet is None:
            raise MedVLMError(f"The scores of {self.model} hold no pictures; make them with lab.evaluate.")
        return self.sheet(k)

    def to_json(self, rows: bool = False) -> str:
        """A JSON object with `model`, `data`, one `{value, low, high, n}` per score, and the rows if asked for."""
        out: dict[str, Any] = {"model": self.model, "data": self.data}
        out |= {name: score.to_dict() for name, score in self.scores.items()}
        if self.left_out:
            out["left_out"] = list(self.left_out)
        if rows:
            out["rows"] = [asdict(row) for row in self.rows]
        return json.dumps(out, ensure_ascii=False, allow_nan=False)

    def _repr_html_(self) -> str:
        body = "".join(
            f"<tr><td style='text-align:left'>{escape(self.titles.get(k, k))}</td><td>{shown(s.value)}</td>"
            f"<td>{shown(s.low)} – {shown(s.high)}</td><td>{s.n:,}</td></tr>"
            for k, s in self.scores.items()
        )
        return (
            f"<table><caption>{escape(self.model)} on {escape(self.data)}</caption><thead><tr><th></th><th>score</th>"
            f"<th>95 % interval</th><th>n</th></tr></thead><tbody>{body}</tbody></table>"
        )

    def __str__(self) -> str:
        lines = [f"{self.model} on {self.data}"]
        if self.left_out:
            lines.append(f"  {len(self.left_out):,} left out. The first: {self.left_out[0]}")
        return "\n".join(lines + [f"  {self.titles.get(name, name)}: {score}" for name, score in self.scores.items()])


def shown(value: float) -> str:
    """Percent and ranks with one decimal, shares below 1 with three, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.3f}" if 0 < abs(value) < 1 else f"{value:.1f}"


def model_name(model: Any) -> str:
    return str(getattr(model, "name", type(model).__name__))


def data_title(data: Any, count: int, unit: str = "questions") -> str:
    """The data set's name with its part, and how much of it was used."""
    name, split = getattr(data, "name", "data"), getattr(data, "split", "")
    whole = len(data) if unit == "questions" else data.studies
    part = "" if count == whole else f", {count:,} of {whole:,} {unit}"
    return f"{name} ({split}{part})" if split else f"{name}{part}"
