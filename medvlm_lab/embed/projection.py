"""Vectors → a map: UMAP, PCA or t-SNE, and how far its neighbourhoods can be believed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.embed.vectors import Embeddings
from medvlm_lab.errors import MedVLMError, UnknownNameError

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

METHODS = ("umap", "pca", "tsne")
METRICS = ("euclidean", "cosine")  # rows of unit length: the same order of neighbours
NEIGHBOURS, LEAST = 15, 3  # rows: asked for by default; on a map at least
SAMPLE = 2000  # rows that trustworthiness and continuity are computed on: both need all their pairs


@dataclass(frozen=True, eq=False)
class Projection:
    """Where each row lies on the map.

    Attributes:
        coordinates: of every row. method, n_neighbors: as asked for.
        trustworthiness: in [0, 1], 1 where nobody is a neighbour on the map who is none in truth.
        continuity: in [0, 1], 1 where no true neighbour is lost on the map (Venna & Kaski 2001).
        sample: rows that both were computed on, drawn at random where there are more than 2,000.
    """

    coordinates: Float32[np.ndarray, "n 2"]
    method: str
    n_neighbors: int
    trustworthiness: float
    continuity: float
    sample: int
    vectors: Float32[np.ndarray, "n d"] = field(repr=False)
    linear: Any = field(default=None, repr=False)  # PCA itself

    def transform(self, vectors: Float[np.ndarray, "m d"]) -> Float32[np.ndarray, "m 2"]:
        """Where new vectors lie, without moving the others.

        PCA's own projection. On another map, the mean of a vector's nearest neighbours, those at a smaller distance
        counting more: the place from which UMAP's own `transform` starts, found without its index, which takes a minute
        to compile. Raises MedVLMError for vectors of another width, or with NaN.
        """
        vectors = np.atleast_2d(np.asarray(vectors, np.float32))
        if vectors.shape[1] != self.vectors.shape[1] or not np.isfinite(vectors).all():
            raise MedVLMError(
                f"New vectors must be finite and have {self.vectors.shape[1]} numbers each, not {vectors.shape[1]}; "
                "take them from the same model."
            )
        if self.linear is not None:
            return self.linear.transform(vectors).astype(np.float32)
        squared = 2 - 2 * np.minimum(vectors @ self.vectors.T, 1)  # (m, n), of unit rows
        near = np.argpartition(squared, self.n_neighbors - 1)[:, : self.n_neighbors]  # (m, k)
        distance = np.sqrt(np.take_along_axis(squared, near, 1))
        beyond = distance - distance.min(1, keepdims=True)  # UMAP's: the nearest one counts fully
        weight = np.exp(-beyond / np.maximum(beyond.mean(1, keepdims=True), 1e-6))
        weight /= weight.sum(1, keepdims=True)
        return np.einsum("mk,mkc->mc", weight, self.coordinates[near]).astype(np.float32)

    def __str__(self) -> str:
        part = f", on {self.sample:,} of {len(self.coordinates):,} rows" * (self.sample < len(self.coordinates))
        return (
            f"{self.method.upper().replace('TSNE', 't-SNE')}: trustworthiness {self.trustworthiness:.3f}, continuity "
            f"{self.continuity:.3f} ({self.n_neighbors} neighbours{part})"
        )


def project(
    embeddings: Embeddings, method: str = "umap", seed: int | None = 0, metric: str = "euclidean",
    n_neighbors: int | None = None, supervised_by: str | None = None, sample: int = SAMPLE,
) -> Projection:
    """Lay vectors out on a map.

    Args:
        method: "umap", "pca" or "tsne".
        seed: equal seeds give equal maps; with None UMAP uses every core and gives another map each time.
        metric: "euclidean" or "cosine"; on unit rows both order neighbours alike, and the first is faster.
        n_neighbors: of UMAP, and of both measures of quality; t-SNE's perplexity. By default 15, of fewer rows all
            others.
        supervised_by: UMAP only: a column of the table whose values shall lie together; of `findings`, all of them
            count as one value. Such a map shows the labels too, not the vectors alone.
        sample: the most rows on which the quality is computed.

    Raises:
        UnknownNameError: no such method, metric or column.
        MedVLMError: fewer than three rows, fewer than neighbours, or all of them identical.
    """
    vectors, n = embeddings.vectors, len(embeddings)
    for kind, name, known in (("method", method, METHODS), ("metric", metric, METRICS)):
        if name not in known:
            raise UnknownNameError(kind, name, known)
    if n < LEAST:
        raise MedVLMError(f"A map needs at least {LEAST} images or texts; give {LEAST - n} more.")
    n_neighbors = min(NEIGHBOURS, n - 1) if n_neighbors is None else n_neighbors
    if not 2 <= n_neighbors < n:
        raise MedVLMError(f"n_neighbors is {n_neighbors}, of {n} rows; it must be at least 2 and less than the rows.")
    if np.abs(vectors - vectors[0]).max() < 1e-6:
        raise MedVLMError(f"All {n} vectors are identical, so there is no map of them; look at the images themselves.")
    if supervised_by is not None and method != "umap":
        raise MedVLMError(f"supervised_by is for UMAP only; leave it out for {method}.")
    linear = None
    if method == "umap":
        coordinates = _umap(vectors, _codes(embeddings, supervised_by), seed, metric, n_neighbors)
    elif method == "pca":
        from sklearn.decomposition import PCA

        linear = PCA(2, random_state=seed).fit(vectors)
        coordinates = linear.transform(vectors)
    else:
        from sklearn.manifold import TSNE

        coordinates = TSNE(perplexity=n_neighbors, init="pca", metric=metric, random_state=seed).fit_transform(vectors)
    coordinates = np.asarray(coordinates, np.float32)
    quality = measure(vectors, coordinates, n_neighbors, sample)
    return Projection(coordinates, method, n_neighbors, *quality, vectors, linear)


def measure(
    vectors: Float[np.ndarray, "n d"], coordinates: Float[np.ndarray, "n 2"], k: int, sample: int = SAMPLE
) -> tuple[float, float, int]:
    """(trustworthiness, continuity, rows used); continuity is trustworthiness with the two spaces exchanged.

    Of few rows, fewer neighbours are asked for: both are defined below half of the rows.
    """
    from sklearn.manifold import trustworthiness

    n = min(len(vectors), sample)
    rows = np.sort(np.random.default_rng(0).choice(len(vectors), n, replace=False))
    space, plane, k = vectors[rows], coordinates[rows], max(1, min(k, (n - 1) // 2))
    return tuple(float(trustworthiness(a, b, n_neighbors=k)) for a, b in ((space, plane), (plane, space))) + (n,)


def _umap(vectors: np.ndarray, codes: np.ndarray | None, seed: int | None, metric: str, k: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numba and of UMAP, nothing that a reader could change
        from umap import UMAP

        jobs = -1 if seed is None else 1
        # PCA keeps the large distances that a spectral layout of separate clusters loses, and costs less
        return UMAP(k, metric=metric, init="pca", random_state=seed, n_jobs=jobs).fit_transform(vectors, codes)


def _codes(embeddings: Embeddings, column: str | None) -> np.ndarray | None:
    """One number for each value of a column, -1 where there is none."""
    if column is None:
        return None
    if column not in embeddings.table.column_names:
        raise UnknownNameError("column", column, embeddings.table.column_names)
    values = [v if v is None or isinstance(v, str) else repr(v) for v in embeddings.table[column].to_pylist()]
    names = {name: i for i, name in enumerate(dict.fromkeys(filter(None, values)))}
    return np.array([names.get(value, -1) for value in values])
