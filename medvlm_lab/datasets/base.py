"""Question-answer data sets: rows checked once on loading, pictures opened only when asked for."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from medvlm_lab.errors import MissingDataError
from medvlm_lab.io.private import neutral_name

if TYPE_CHECKING:
    from medvlm_lab.image import MedicalImage

DATA_VARIABLE = "MEDVLM_DATA"
REQUIRED_FIELDS = ("question", "answer", "answer_type")
NOTHING = ("nan", "null", "<na>")  # what exports write for a missing value; "none" is an answer
ROW = "row_in_file"  # a row's number there, where `read` leaves rows out


@dataclass(frozen=True)
class VQAItem:
    """One question about one image.

    Attributes:
        image_path: the picture's file; it exists, but is opened only by `image()`.
        question: as asked, surrounding blanks removed.
        answer: the reference answer as text (some files hold counts as numbers, or true and false for yes and no).
        closed: the answer comes from a short list that the question implies, mostly yes or no.
        question_type: the data set's own label, such as "PRES" or "MODALITY"; may be empty.
        image_name: the picture's name inside the data set.
        modality: what the whole data set's pictures are, None where they differ.
        public: whether `image_name` is published; of a reader's own pictures the image has a neutral name instead.
    """

    image_path: Path = field(repr=False)
    question: str
    answer: str
    closed: bool
    question_type: str
    image_name: str = field(repr=False)
    modality: str | None = None
    public: bool = field(default=False, kw_only=True)

    def image(self) -> MedicalImage:
        """The picture, read now. Raises ImageReadError if it is damaged."""
        from medvlm_lab.io import read

        image = read(self.image_path, self.modality)
        return image.with_(name=self.image_name) if self.public else image

    @property
    def name(self) -> str:
        """The picture's name wherever it is stored or passed on. Raises OSError where an own picture is gone."""
        return self.image_name if self.public else neutral_name(self.image_path)


@dataclass(frozen=True)
class VQADataset(Sequence[VQAItem]):
    """Items in file order, with the raw rows beside them for whoever needs a field that `VQAItem` leaves out."""

    name: str
    split: str
    items: tuple[VQAItem, ...]
    rows: tuple[dict[str, Any], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> VQAItem: ...
    @overload
    def __getitem__(self, index: slice) -> VQADataset: ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self.items[index]

    def __iter__(self) -> Iterator[VQAItem]:
        return iter(self.items)

    def select(self, indices: Sequence[int], split: str | None = None) -> VQADataset:
        """The items at `indices`, in that order, under another split name if one is given."""
        items, rows = tuple(self.items[i] for i in indices), tuple(self.rows[i] for i in indices)
        return VQADataset(self.name, split or self.split, items, rows)

    @property
    def closed(self) -> int:
        """How many questions are closed; the others are open."""
        return sum(item.closed for item in self.items)

    @property
    def image_names(self) -> tuple[str, ...]:
        """Each picture's name once, in order of first use."""
        return tuple(dict.fromkeys(item.image_name for item in self.items))

    def __str__(self) -> str:
        return (
            f"{self.name} ({self.split}): {len(self):,} questions, {self.closed:,} closed and "
            f"{len(self) - self.closed:,} open, on {len(self.image_names):,} images"
        )

    def __repr__(self) -> str:  # thousands of items would flood a notebook cell
        return f"<VQADataset {self}>"


@dataclass(frozen=True)
class Study:
    """One patient's picture with what is known of it: its report, its findings, what can be measured in it.

    Attributes:
        report: findings, then impression, without headings: what is scored and trained on.
        findings: kinds that are there, as reports name them. values: measurements, the unit in each name.
        picture: makes or reads the image. file: the picture's, where there is one.
        impression: the end of `report` that is its impression, if it has one.
    """

    name: str
    report: str
    findings: frozenset[str]
    values: dict[str, float]
    picture: Callable[[], MedicalImage] = field(repr=False)
    file: Path | None = field(default=None, repr=False)
    impression: str = ""

    @property
    def headed(self) -> str:
        """The report as it is shown, under the headings FINDINGS and IMPRESSION."""
        found = {"FINDINGS": self.report.removesuffix(self.impression).strip(), "IMPRESSION": self.impression}
        return "\n".join(f"{heading}: {body}" for heading, body in found.items() if body)

    def image(self) -> MedicalImage:
        """The picture, made or read now."""
        return self.picture()


def data_root() -> Path | None:
    """The folder that holds one sub-folder per data set: `MEDVLM_DATA`, else where `fetch` puts them, else None."""
    chosen = os.environ.get(DATA_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    try:
        return default if (default := default_root()).is_dir() else None
    except MissingDataError:  # without a home folder nothing was fetched
        return None


def default_root() -> Path:
    """Where `fetch` puts data sets when nothing else is said: the reader's cache folder.

    Raises MissingDataError for a user without a home folder, as in some containers.
    """
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise MissingDataError(f"This user has no home folder; set HOME, or {DATA_VARIABLE} to a folder.") from error
    return Path(cache) / "medvlm-lab" / "data"


def read_rows(questions: Path) -> list[dict[str, Any]]:
    """The rows of a question file.

    Raises:
        MissingDataError: the file is missing, is not JSON, or is not a list of objects.
    """
    try:
        rows = json.loads(questions.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise MissingDataError(
            f"Question file {questions} cannot be read ({error.strerror or error}); check the path, or get the data "
            "set with `medvlm-lab data fetch NAME`."
        ) from error
    except (ValueError, RecursionError) as error:
        raise MissingDataError(
            f"Question file {questions} is not valid JSON ({error}); download it again or mend it."
        ) from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise MissingDataError(
            f"Question file {questions} must hold a JSON list of question objects with the fields image_name, "
            "question, answer and answer_type."
        )
    return rows


def load_vqa(
    name: str, split: str, questions: Path, images: Path, modality: str | None = None,
    read: Callable[[Path], list[dict[str, Any]]] = read_rows, public: bool = True,
) -> VQADataset:
    """A data set from a question file in VQA-RAD's form and its folder of pictures.

    The picture's name may be under `image_name` (VQA-RAD) or `image` (PathVQA). `read` brings a file of another form
    into VQA-RAD's. `public` says that the pictures' names are published.

    Raises:
        MissingDataError: a file or picture is missing, or a row lacks a field; the message names the row.
    """
    rows = read(questions)
    try:
        present = {entry.name for entry in os.scandir(images)}  # one listing instead of thousands of stat calls
    except OSError as error:
        raise MissingDataError(
            f"Image folder {images} cannot be read ({error.strerror or error}); check the path of the pictures."
        ) from error
    items = tuple(_item(row, row.get(ROW, i), questions, images, modality, public) for i, row in enumerate(rows))
    missing = sorted({item.image_name for item in items if item.image_name not in present})
    missing = [n for n in missing if not (images / n).is_file()]  # names that point into sub-folders
    if missing:
        raise MissingDataError(
            f"{len(missing)} of the images that {questions} names are not in {images} (first: {missing[0]}); "
            "complete the folder or name another."
        )
    return VQADataset(name, split, items, tuple(rows))


def _item(
    row: dict[str, Any], number: int, questions: Path, images: Path, modality: str | None, public: bool
) -> VQAItem:
    name = row.get("image_name", row.get("image"))
    told = {field: said(row.get(field), numbers=field == "answer") for field in REQUIRED_FIELDS}
    lacking = [field for field, text in told.items() if not text]
    if not isinstance(name, str) or not name.strip():
        lacking.insert(0, "image_name")
    if lacking:
        raise MissingDataError(
            f"Row {number} of {questions} has no usable {', '.join(lacking)}; every row needs image_name, question, "
            "answer and answer_type."
        )
    name, kind = name.strip(), told["answer_type"].upper()
    if kind not in ("CLOSED", "OPEN"):
        raise MissingDataError(f"Row {number} of {questions} has answer_type {kind!r}; it must be CLOSED or OPEN.")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise MissingDataError(
            f"Row {number} of {questions} names the image {name!r}, which lies outside the image folder; use "
            "plain names."
        )
    question_type = said(row.get("question_type"))
    return VQAItem(
        images / name, told["question"], told["answer"], kind == "CLOSED", question_type, name, modality,
        public=public,
    )  # fmt: skip


def said(value: Any, numbers: bool = True) -> str:
    """A field as text, with `numbers` also true as yes, false as no, a count as its digits.

    "" for null, NaN, also where an export has made words of them, and for what is no text.
    """
    if numbers and isinstance(value, bool):
        return "yes" if value else "no"
    if numbers and (isinstance(value, int) or isinstance(value, float) and math.isfinite(value)):
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.casefold() in NOTHING else text
