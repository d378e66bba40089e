"""What a data set's home offers, and how it becomes `trainset.json`, `testset.json` and `images/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvlm_lab.io.whole import write_whole

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Source:
    """One file of a data set. Without a known `sha256` the one found is printed, to be compared by the reader."""

    file: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Recipe:
    """A data set's home and the way from there to the layout that `dataset` reads.

    Attributes:
        folder: its folder's name under the data root.
        home: where a reader finds it.
        licence: of questions and images.
        sources: the files to download, in order.
        disk_mb: room that fetching needs at most, downloads and result together.
        build: (downloads, new folder): writes what `dataset` reads, once every source has arrived.
        extract: (source file, new folder, show progress) -> rows. Where given, each source is extracted as soon as it
            has arrived, its rows are noted in `SOURCE.rows` among the downloads, and the source is deleted.
    """

    folder: str
    home: str
    licence: str
    sources: tuple[Source, ...]
    disk_mb: int
    build: Callable[[Path, Path], None]
    extract: Callable[[Path, Path, bool], Rows] | None = None


def write_rows(path: Path, rows: Rows) -> None:
    """`rows` as JSON, at once or not at all."""
    write_whole(path, json.dumps(rows, indent=0, ensure_ascii=False))
