"""Vectors and their table as one Parquet file, so that a row and its vector cannot come apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from medvlm_lab.errors import MissingDataError
from medvlm_lab.io.whole import whole

if TYPE_CHECKING:
    from jaxtyping import Float32

EMBEDDINGS, VECTOR = "embeddings.parquet", "vector"
SCHEMA = pa.schema({
    "id": pa.string(), "path": pa.string(), "kind": pa.string(), "modality": pa.string(),
    "findings": pa.list_(pa.string()), "numbers": pa.map_(pa.string(), pa.float64()), "report": pa.string(),
    "patient": pa.string(), "key": pa.string(),
})  # fmt: skip


def file_of(path: str | Path) -> Path:
    """A Parquet file itself, or the one in a folder."""
    path = Path(path).expanduser()
    return path if path.suffix == ".parquet" else path / EMBEDDINGS


def write(path: Path, vectors: Float32[np.ndarray, "n d"], table: pa.Table, about: dict[str, str]) -> None:
    """Writes a file whole: an interruption leaves the old one, or none."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    table = table.append_column(VECTOR, pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
    with whole(path) as part:
        parquet.write_table(table.replace_schema_metadata(about), part)


def read(path: Path) -> tuple[Float32[np.ndarray, "n d"], pa.Table, dict[str, str]]:
    """What `write` wrote: vectors, table, and what it says of itself. Raises MissingDataError."""
    if not path.is_file():
        raise MissingDataError(f"No vectors in {path}; compute them with lab.embed.embed(..., out=...) first.")
    try:
        table = parquet.read_table(path)
        flat = table[VECTOR].combine_chunks()
        vectors = flat.values.to_numpy().reshape(len(flat), -1).copy()  # Arrow's memory is read-only
        about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        return vectors, table.drop_columns(VECTOR), {name: about[name] for name in ("model", "identity")}
    except (pa.ArrowException, KeyError, AttributeError, ValueError, OSError) as error:
        raise MissingDataError(
            f"{path} is damaged or not a file of vectors ({' '.join(str(error).split())}); delete it and embed again."
        ) from error
