"""Every reviewed system beside what was measured here: the paper's figure, this project's, and on which data each.

>>> lab.scoreboard()

Papers are quoted in `published.toml`; this project's figures are read out of the model cards, never typed in again.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import asdict, dataclass, field
from functools import cache
from html import escape
from pathlib import Path

from medvlm_lab.errors import MissingDataError

HERE = Path(__file__).parent
SIMULATED = "simulated patients"


@dataclass(frozen=True)
class Figure:
    """One score of one system.

    Attributes:
        paper: as printed in `source`, on `data`; empty where no paper reports it.
        measured: value, 95 % interval and count out of the card of `model`, on `measured_on`; empty where not measured.
        claim: why a figure that talks quote is not supported; empty for all others.
    """

    system: str
    score: str
    data: str
    paper: str
    source: str
    model: str = ""
    measured: str = ""
    measured_on: str = ""
    remark: str = ""
    claim: str = ""


@dataclass(frozen=True)
class Scoreboard:
    """A table of `Figure`s: shown as HTML in a notebook, as text elsewhere."""

    figures: tuple[Figure, ...] = field(repr=False)

    def to_json(self) -> str:
        return json.dumps([asdict(figure) for figure in self.figures], ensure_ascii=False)

    def _repr_html_(self) -> str:
        heads = ("system", "score", "paper", "on", "measured here", "on", "")
        rows, before = [], ""
        for f in self.figures:
            name = "" if f.system == before else f"<b>{escape(f.system)}</b><br><small>{escape(f.source)}</small>"
            note = f"<b>no source</b>: {escape(f.claim)}" if f.claim else escape(f.remark)
            here = f"{escape(f.measured)}<br><small>{escape(f.model)}</small>" if f.measured else "–"
            cells = (name, escape(f.score), escape(f.paper) or "–", escape(f.data), here, escape(f.measured_on), note)
            rows.append("<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>")
            before = f.system
        head = "".join(f"<th style='text-align:left'>{h}</th>" for h in heads)
        caption = "Figures on real and on simulated patients are not to be compared: they only measure the same thing."
        body = "".join(rows)
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __str__(self) -> str:
        lines = []
        for f in self.figures:
            here = f"; here {f.measured} on {f.measured_on}" if f.measured else ""
            paper = f"{f.paper} on {f.data}" if f.paper else "no figure"
            lines.append(f"{f.system}, {f.score}: {paper}{here}{f' [no source: {f.claim}]' if f.claim else ''}")
        return "\n".join(lines)


def scoreboard() -> Scoreboard:
    """Every figure of every reviewed paper that has one, and what the bundled models' cards say of the same score.

    Raises MissingDataError where a card lacks a score that the table names.
    """
    quoted = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))
    figures = []
    for entry in quoted["figures"]:
        entry = dict(entry)
        where, table, real = entry.pop("card", None), entry.pop("table", ""), entry.pop("real", SIMULATED)
        if where:
            entry |= {"model": where[0], "measured": cell(*where, table), "measured_on": real}
        figures.append(Figure(source=quoted["sources"][entry["system"]], **entry))
    return Scoreboard(tuple(figures))


def twins() -> dict[tuple[str, str], tuple[str, str]]:
    """(model, score) → what the card says of the model, and of its blinded twin.

    CheXzero and EchoCLIP have none: without a picture they give every patient the same score, an area of 0.5.
    Raises MissingDataError where a card lacks a score that the table names.
    """
    quoted = tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))["twins"]
    return {
        (t["model"], t["score"]): tuple(cell(t["model"], *t[side], t.get("table", "")) for side in ("seen", "blind"))
        for t in quoted
    }


def cell(model: str, row: str, column: str, table: str = "") -> str:
    """What a model's card says in a table's first row that holds `row`; `table` is the heading above, any by default.

    Raises MissingDataError where there is no such cell.
    """
    for heading, heads, rows in tables(model):
        if column in heads and table in heading:
            for cells in rows:
                if row in cells:
                    return cells[heads.index(column)]
    raise MissingDataError(f"The card of {model} has no row {row!r} with a column {column!r}; see published.toml.")


@cache
def tables(model: str) -> list[tuple[str, list[str], list[list[str]]]]:
    """(heading above it, column heads, rows) of each table of a model's card, marks of code left out."""
    found, heading, lines = [], "", (HERE / "weights" / model / "README.md").read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines):
        heading = line.lstrip("# ") if line.startswith("#") else heading
        if re.fullmatch(r"\|(-+\|)+", line.strip()):
            rows = []
            for later in lines[i + 1 :]:
                if not later.startswith("|"):
                    break
                rows.append(_cells(later))
            found.append((heading, _cells(lines[i - 1]), rows))
    return found


def _cells(line: str) -> list[str]:
    return [part.strip().strip("`") for part in line.strip().strip("|").split("|")]
