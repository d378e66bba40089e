"""CSV files, plain or gzipped, as data sets publish them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medvlm_lab.errors import MissingDataError


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The rows of a CSV file as text, in the order of `columns` and `optional`; what an optional one lacks is "".

    Raises MissingDataError where the file or a column is missing, or the file is not CSV.
    """
    import pyarrow
    from pyarrow import csv

    wanted = [*columns, *optional]
    try:
        table = csv.read_csv(
            path, csv.ReadOptions(use_threads=False), csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(column_types=dict.fromkeys(wanted, pyarrow.string())),
        )  # fmt: skip
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())  # Arrow's own may take several lines
        raise MissingDataError(f"Table {path} cannot be read ({reason}); get that file again.") from error
    if lacking := [name for name in columns if name not in table.column_names]:
        raise MissingDataError(f"Table {path} has no column {', '.join(lacking)}; use the file as published.")
    nothing = [""] * table.num_rows
    return list(zip(*(table[n].to_pylist() if n in table.column_names else nothing for n in wanted), strict=True))
