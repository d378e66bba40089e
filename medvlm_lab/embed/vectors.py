"""Vectors of images and texts in one space, with a table of what is known of each: searched, compared, kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from medvlm_lab.embed import storage
from medvlm_lab.errors import MedVLMError, MissingDataError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io.private import Original, read_originals, write_originals
from medvlm_lab.metrics import guard

if TYPE_CHECKING:
    from jaxtyping import Float32

    from medvlm_lab.embed.pictures import Picture

BLOCK = 2048  # rows compared with all others at a time


class Failure(NamedTuple):
    """An image that was left out: its file, if it has one, and the sentence that says why; `kept` names no file."""

    file: str
    error: str
    kept: str = ""

    def __repr__(self) -> str:  # a notebook keeps it
        return f"Failure({self.kept!r})"


class Neighbour(NamedTuple):
    """A row that is near, and the cosine between the two."""

    row: int
    id: str
    kind: str
    cosine: float


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Unit rows and what each of them is.

    Attributes:
        vectors: one row for each image or text, of unit length.
        table: columns `id` (a published name, or a hash of the content), `path` (empty: `originals` has it), `kind`
            ("image" or "text"), `modality`, `findings`, `numbers`, `report` (of a prompt, its words), `patient` and
            `key` (a hash of content and model).
        model, identity: the model's name, and a hash of that and its weights.
        encoder: the model itself, for texts and new images; None after loading without it.
        pictures: where the images without a file come from, in the order of the first rows.
        failures: the images that `embed` could not read and left out.
        originals: of each id file and patient; kept apart, in `private-names.csv`, which is not to be passed on.

    Raises MedVLMError for rows that are no directions: NaN, or not of unit length.
    """

    vectors: Float32[np.ndarray, "n d"]
    table: pa.Table
    model: str
    identity: str
    encoder: Any = field(default=None, repr=False)
    pictures: Sequence[Picture] = field(default=(), repr=False)
    failures: Sequence[Failure] = ()
    originals: Sequence[Original] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.vectors) != self.table.num_rows:
            raise MedVLMError(f"{self.table.num_rows} rows need as many vectors, not an array {self.vectors.shape}.")
        # NaN fails the comparison too
        wrong = np.flatnonzero(~(np.abs(np.linalg.norm(self.vectors, axis=1) - 1) < 1e-3))
        if len(wrong):
            raise MedVLMError(
                f"The vector of {self.table['id'][int(wrong[0])]} has NaN or is not of unit length; the model "
                f"{self.model!r} must give finite rows that are divided by their length."
            )

    @classmethod
    def from_rows(
        cls, rows: list[dict[str, Any]], model: str, identity: str, encoder: Any = None, pictures: Sequence = (),
        failures: Sequence[Failure] = (), originals: Sequence[Original] = (),
    ) -> Embeddings:
        """Of dictionaries with the table's columns and a `vector`."""
        vectors = np.stack([row["vector"] for row in rows])
        table = pa.Table.from_pylist(rows, storage.SCHEMA)
        return cls(vectors, table, model, identity, encoder, pictures, failures, originals)

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        n = int(self.of_kind("image").sum())
        left_out = f", {len(self.failures):,} left out" if self.failures else ""
        texts, width = len(self) - n, self.vectors.shape[1]
        return f"<Embeddings {self.model}: {n:,} images, {texts:,} texts, {width} numbers each{left_out}>"

    def of_kind(self, kind: str) -> np.ndarray:
        """Which rows are "image" or "text", as booleans."""
        return np.asarray(self.table["kind"].to_pylist()) == kind

    def image(self, row: int) -> MedicalImage:
        """The picture of a row, read now.

        Raises MissingDataError where its file is gone, or where it has none and the data set is not at hand.
        """
        from medvlm_lab.io import read

        about = self.table.slice(row, 1).to_pylist()[0]
        if path := about["kind"] == "image" and self.original(row):
            if not Path(path).is_file():
                gone = "was moved or deleted after it was embedded; put it back."
                raise MissingDataError(f"{path} {gone}").about(Path(path), f"{about['id']} {gone}")
            return read(path).with_(modality=about["modality"] or "unknown", name=about["id"])
        if about["kind"] == "text" or row >= len(self.pictures):
            raise MissingDataError(
                f"{about['id']} has no picture here; load with images= to see those of a data set, or put "
                "private-names.csv beside the vectors."
            )
        return self.pictures[row].study().image()

    def original(self, row: int) -> str:
        """The path of a row's file; "" where it has none or `private-names.csv` is not at hand."""
        ids = self.table["id"].to_pylist()
        paths = [known.path for known in self.originals if known.name == ids[row] and known.path]
        paths = [path for path in paths if Path(path).is_file()] or paths
        return paths[min(ids[:row].count(ids[row]), len(paths) - 1)] if paths else ""  # equal files share a name

    def texts(self, prompts: Sequence[str] | None = None) -> Embeddings:
        """These rows and those of texts from the same model: each image's own report, or the prompts.

        Raises MedVLMError where the model is not at hand, or no image has a report.
        """
        if prompts is None:
            rows = [row for row in self.table.to_pylist() if row["kind"] == "image" and row["report"]]
        else:
            rows = [{"id": words, "report": words, "patient": "", "findings": [], "numbers": []} for words in prompts]
        if not rows:
            raise MedVLMError("There are no texts to embed: no image has a report; give prompts.")
        new = [row | {"kind": "text", "path": "", "modality": "", "key": ""} for row in rows]
        table = pa.Table.from_pylist(new, self.table.schema)
        vectors = np.concatenate([self.vectors, self.encode_texts([row["report"] for row in rows])])
        return replace(self, vectors=vectors, table=pa.concat_tables([self.table, table]))

    def encode_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Unit rows of new texts; MedVLMError where the model is not at hand or embeds none."""
        from medvlm_lab.tasks.embeddings import rows_of

        model, texts = self._encoder("encode_texts", "embed texts"), list(texts)
        return rows_of(model, model.encode_texts(texts), len(texts), "texts").numpy()

    def encode_images(self, images: Sequence[MedicalImage]) -> Float32[np.ndarray, "n d"]:
        """Unit rows of new images; MedVLMError where the model is not at hand."""
        from medvlm_lab.tasks.embeddings import rows_of

        model, images = self._encoder("encode_images", "embed images"), list(images)
        return rows_of(model, model.encode_images(images), len(images)).numpy()

    def _encoder(self, method: str, what: str) -> Any:
        from medvlm_lab.tasks.studies import needs

        if self.encoder is None:
            raise MedVLMError(f"The model {self.model!r} is not at hand; load the vectors with model= to {what}.")
        needs(self.encoder, method, what)
        return self.encoder

    def vector(self, query: int | str | Path | MedicalImage | np.ndarray) -> Float32[np.ndarray, " d"]:
        """The unit row of a query: a row's number, a text, an image or its path, or a vector."""
        if isinstance(query, int | np.integer):
            return self.vectors[query]
        if isinstance(query, str):
            return self.encode_texts([query])[0]
        if isinstance(query, Path):
            from medvlm_lab.io import read

            query = read(query)
        if isinstance(query, MedicalImage):
            return self.encode_images([query])[0]
        found = guard.finite(query, "numbers of the query").astype(np.float32)
        if found.shape != self.vectors.shape[1:]:
            raise MedVLMError(f"The query has the shape {found.shape}; give a row of {self.vectors.shape[1]} numbers.")
        return found

    def nearest(
        self, query: int | str | Path | MedicalImage | np.ndarray, k: int = 10, kind: str | None = None
    ) -> list[Neighbour]:
        """The k rows with the largest cosine, all compared; a row is not its own neighbour. See `vector`.

        With `kind` only images, or only texts: a text's nearest rows are mostly texts, for the gap between the two.
        """
        cosines = self.vectors @ self.vector(query)  # (n,)
        if kind is not None:
            cosines[~self.of_kind(kind)] = -np.inf
        if isinstance(query, int | np.integer):
            cosines[query] = -np.inf
        order = [int(i) for i in np.argsort(-cosines, kind="stable")[:k] if np.isfinite(cosines[i])]
        ids, kinds = self.table["id"], self.table["kind"]
        return [Neighbour(i, ids[i].as_py(), kinds[i].as_py(), float(cosines[i])) for i in order]

    def duplicates(self, threshold: float = 0.99) -> list[tuple[int, int, float]]:
        """Pairs of images whose cosine is at least `threshold`: (row, later row, cosine), the most alike first."""
        rows = np.flatnonzero(self.of_kind("image"))
        seen, pairs = self.vectors[rows], []
        for start in range(0, len(rows), BLOCK):
            cosines = np.triu(seen[start : start + BLOCK] @ seen[start:].T, 1)  # each pair once
            for i, j in np.argwhere(cosines >= threshold):
                pairs.append((int(rows[start + i]), int(rows[start + j]), float(cosines[i, j])))
        return sorted(pairs, key=lambda pair: -pair[2])

    def label_clusters(self, prompts: Sequence[str], clusters: int = 8, seed: int = 0) -> Embeddings:
        """With a column `cluster`: images in k-means clusters, each called by the prompt that fits its centre best.

        The mean of the centres and that of the prompts are taken off first: the gap between images and texts would
        otherwise let one prompt win everywhere. Two clusters may get one name. Texts get "".

        Raises MedVLMError for fewer than two prompts, or fewer images than clusters.
        """
        from sklearn.cluster import KMeans

        images = self.of_kind("image")
        if len(prompts) < 2 or not 2 <= clusters <= images.sum():
            raise MedVLMError(
                f"{clusters} clusters of {images.sum()} images by {len(prompts)} prompts cannot be told apart; give at "
                "least two prompts, and from two clusters to as many as there are images."
            )
        fitted = KMeans(clusters, n_init=4, random_state=seed).fit(self.vectors[images])
        centres = fitted.cluster_centers_ - fitted.cluster_centers_.mean(0)  # (clusters, d)
        texts = self.encode_texts(prompts)
        towards = texts - texts.mean(0)  # (prompts, d)
        best = (centres @ (towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)).T).argmax(1)
        names = np.full(len(self), "", object)
        names[images] = [prompts[best[label]] for label in fitted.labels_]
        kept = self.table.drop_columns("cluster") if "cluster" in self.table.column_names else self.table
        return replace(self, table=kept.append_column("cluster", pa.array(names.tolist(), pa.string())))

    def gap(self) -> float:
        """The modality gap: the distance between the mean image and the mean text (Liang et al. 2022, section 2).

        Raises MedVLMError where there are no images or no texts.
        """
        images, texts = (self.vectors[self.of_kind(kind)] for kind in ("image", "text"))
        if not len(images) or not len(texts):
            raise MedVLMError("The gap needs images and texts; add texts with embeddings.texts().")
        return float(np.linalg.norm(images.mean(0) - texts.mean(0)))

    def save(self, path: str | Path) -> Path:
        """Writes one Parquet file, or `embeddings.parquet` into a folder; an interruption leaves the old one.

        Beside it `private-names.csv` keeps the files' and patients' own names, which the Parquet file does not hold.
        """
        path = storage.file_of(path)
        write_originals(path.parent, [known for known in self.originals if known.path or known.original_patient])
        storage.write(path, self.vectors, self.table, {"model": self.model, "identity": self.identity})
        return path

    @classmethod
    def load(cls, path: str | Path, model: Any = None, images: Any = None) -> Embeddings:
        """What `save` or `embed` wrote.

        Args:
            model: the model that it came from, to search by text or by a new image.
            images: what was embedded, to see its pictures; without it, those that `private-names.csv` lists are found.

        Raises:
            MissingDataError: no such file, or it is damaged. MedVLMError: `model` has other weights.
        """
        from medvlm_lab.embed.encode import identify
        from medvlm_lab.embed.pictures import pictures

        path = storage.file_of(path)
        vectors, table, about = storage.read(path)
        if model is not None and identify(model) != about["identity"]:
            raise MedVLMError(f"{path} is of {about['model']} with other weights than the model given; embed again.")
        found = () if images is None else pictures(images)
        return cls(vectors, table, **about, encoder=model, pictures=found, originals=read_originals(path.parent))
