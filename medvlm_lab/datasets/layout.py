"""How a published data set lies on disk: what it is recognised by, and what reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medvlm_lab.datasets.base import Study, read_rows
from medvlm_lab.errors import MedVLMError, MissingDataError
from medvlm_lab.io.private import neutral_name

if TYPE_CHECKING:
    from medvlm_lab.image import MedicalImage

#: Of data sets with studies. Where nobody has published a division, `part_of` makes one.
STUDY_SPLITS = ("train", "validation", "test", "all")
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}


@dataclass(frozen=True)
class Questions:
    """A data set of questions.

    Attributes:
        folder: its folder's name under the data root.
        modality: what all its pictures are, None where they differ.
        marks: file patterns that are all found in it.
        files: split → question file, as published. images: the pictures' folder.
        read: a question file's rows, with the fields that VQA-RAD has.
    """

    folder: str
    modality: str | None = None
    marks: tuple[str, ...] = ("t*set.json",)
    files: Mapping[str, str] = field(default_factory=lambda: {"train": "trainset.json", "test": "testset.json"})
    images: str = "images"
    read: Callable[[Path], list[dict[str, Any]]] = read_rows


@dataclass(frozen=True)
class Studies:
    """A data set of studies: `folder` and `marks` as above; `load` takes a name, the folder, a split and a seed."""

    folder: str
    marks: tuple[str, ...]
    load: Callable[[str, Path, str, int], StudyDataset]


def fits(layout: Questions | Studies, folder: Path) -> bool:
    """Whether a folder holds what a data set is recognised by."""
    return bool(layout.marks) and all(any(folder.glob(mark)) for mark in layout.marks)


def unnamed(data: StudyDataset, folder: Path) -> StudyDataset:
    """A reader's own data set: neither its folder's name nor a file's is stored or passed on with what it holds."""
    held = repr(data.keys).replace(str(folder), "")
    code = hashlib.sha256(held.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return replace(data, name=f"own studies {code}", read=partial(_unnamed, data.read), public=False)


def _unnamed(read: Callable[[Any], Study], key: Any) -> Study:
    try:
        study = read(key)
    except MedVLMError as error:
        raise error if error.file else error.about(Path(), "A study's files are missing or damaged.") from error
    try:
        return replace(study, name=neutral_name(study.file) if study.file else "image-missing")
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); put it back."
        missing = MissingDataError(f"Picture {study.file} {problem}")
        raise missing.about(study.file, f"A picture {problem}") from error


@dataclass(frozen=True)
class StudyDataset(Sequence[Study]):
    """Studies on disk: an index in memory, each report and picture read when it is asked for.

    Attributes:
        name, split: of the data set.
        keys: one for each study; `read` makes the study of it.
        classes: where each study is of one class: the classes, and how a prompt calls them.
        public: whether its studies have published names; a reader's own are called by a hash of the picture.

    Raises MissingDataError where there is no study.
    """

    name: str
    split: str
    keys: Sequence[Any] = field(repr=False)
    read: Callable[[Any], Study] = field(repr=False)
    classes: Mapping[str, str] = field(default_factory=dict, repr=False)
    public: bool = field(default=True, repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise MissingDataError(f"{self.name} has no study in its split {self.split!r}; complete it or use another.")

    @property
    def studies(self) -> int:
        """How many there are."""
        return len(self.keys)

    def study(self, number: int) -> Study:
        """Study `number`; its picture is not opened yet. Raises MissingDataError where its report is missing."""
        return self.read(self.keys[number])

    def examples(self, number: int, count: int) -> list[tuple[MedicalImage, str]]:
        """Images and reports of `count` other studies for few-shot prompts, from half the set away.

        Neighbours in a published table are often one patient's. Raises MissingDataError where there are fewer.
        """
        if count >= self.studies:
            raise MissingDataError(
                f"{self.name} has {self.studies} studies in its split {self.split!r}; {count} examples beside each "
                "study are too many."
            )
        first = number + max(1, min(self.studies // 2, self.studies - count))
        others = [self.study((first + k) % self.studies) for k in range(count)]
        return [(study.image(), f"findings: {study.report}") for study in others]

    def __len__(self) -> int:
        return self.studies

    def __getitem__(self, index):
        return [self.study(i) for i in range(len(self))[index]] if isinstance(index, slice) else self.study(index)

    def __iter__(self) -> Iterator[Study]:
        return map(self.read, self.keys)

    def __str__(self) -> str:
        return f"{self.name} ({self.split}): {self.studies:,} studies"


def part_of(patient: str, seed: int = 0) -> str:
    """The split that a patient falls into by chance: the same on every machine, whoever else is there.

    A hash of the name and the seed decides, so that all studies of one patient stay together.
    """
    number = int.from_bytes(hashlib.sha256(f"{seed}/{patient}".encode()).digest()[:8]) / 2**64
    if number < SHARES["train"]:
        return "train"
    return "validation" if number < SHARES["train"] + SHARES["validation"] else "test"


def check_present(names: Sequence[str], folder: Path, what: str) -> None:
    """MissingDataError where a folder lacks some of these files: one listing instead of a look at each."""
    try:
        present = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise MissingDataError(f"Folder {folder} cannot be read ({error.strerror}); put the {what} there.") from error
    if missing := sorted(set(names) - present):
        raise MissingDataError(
            f"{len(missing)} of the {what} are not in {folder} (first: {missing[0]}); complete the folder."
        )
