"""Pictures in one folder for each class: BACH, OSCC, ColonPath, and any other folder of such folders.

    Normal/n001.tif, Benign/b001.tif, ...    classes in the folder itself, or in Photos/ as BACH is published
    train/Normal/1.jpg, test/OSCC/2.jpg ...  or in a folder for each split, which then decides

BACH (Aresta et al., Med Image Anal 2019) has the classes Normal, Benign, InSitu and Invasive; OSCC (Rahman et al., Data
Brief 2020) is read as Normal and OSCC; ColonPath (MedFMC: Wang et al., Sci Data 2023) is published as a table and is
read once its pictures are put into a folder for each class. Without folders for splits, each picture falls into one by
chance: whose it is is not known, so that one patient may be in two. For zero-shot scoring use the split "all".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from medvlm_lab.datasets.base import Study
from medvlm_lab.datasets.image_folder import SUFFIXES
from medvlm_lab.datasets.layout import Studies, StudyDataset, part_of
from medvlm_lab.errors import MissingDataError
from medvlm_lab.io.identity import identity_of

HISTOLOGY = "histology"
PARTS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
BACH = {
    "Normal": "normal breast tissue", "Benign": "a benign breast lesion", "InSitu": "breast carcinoma in situ",
    "Invasive": "invasive breast carcinoma",
}  # fmt: skip
OSCC = {"Normal": "normal oral mucosa", "OSCC": "oral squamous cell carcinoma"}


def load(name: str, folder: Path, split: str, seed: int, modality: str | None = None) -> StudyDataset:
    """The pictures of a split as studies, each with its class as its only finding.

    Prompts call the classes as the folders are called, those of BACH and OSCC by their medical names. Raises
    MissingDataError where the split is empty, there are fewer than two classes, or one is called by a patient's name.
    """
    found = list(pictures(folder))
    if any(part for part, *_ in found):
        keys = [key for key in found if split in ("all", key[0])]
    else:
        keys = [key for key in found if split in ("all", part_of(f"{key[1]}/{key[2].name}", seed))]
    first = {kind: path for _, kind, path in reversed(found)}
    classes = sorted(first)
    if any(identity_of(path).inside(kind) for kind, path in first.items()):
        raise MissingDataError(
            f"A folder in {folder} is called by a name that stands in its pictures' headers; class names are stored "
            "with every result: call each folder by its class."
        )
    if len(classes) < 2:
        raise MissingDataError(f"{folder} has no two folders with pictures, one for each class; choose another.")
    known = next((phrases for phrases in (BACH, OSCC) if set(phrases) == set(classes)), {})
    named = {kind: known.get(kind, kind.replace("_", " ")) for kind in classes}
    read = partial(_study, folder, modality or (HISTOLOGY if known else None))
    return StudyDataset(name, split, keys, read, named)


def pictures(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """(split, class, file) of every picture, sorted; the split is "" where the folder has none."""
    roots = {p: folder / own for p, names in PARTS.items() for own in names if (folder / own).is_dir()}
    photos = folder / "Photos"
    for part, root in (roots or {"": photos if photos.is_dir() else folder}).items():
        for kind in sorted(root.iterdir()):
            if kind.is_dir() and not kind.name.startswith("."):
                files = sorted(entry.name for entry in os.scandir(kind) if _is_picture(entry.name) and entry.is_file())
                yield from ((part, kind.name, kind / file) for file in files)


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def holds_classes(folder: Path) -> bool:
    """Whether a folder holds pictures of at least two classes."""
    return len({kind for _, kind, _ in pictures(folder)}) > 1


def _study(folder: Path, modality: str | None, key: tuple[str, str, Path]) -> Study:
    from medvlm_lab.io import read

    _, kind, path = key
    return Study(path.relative_to(folder).as_posix(), "", frozenset((kind,)), {}, partial(read, path, modality), path)


PLAIN = Studies("", (), load)
LAYOUTS = {name: Studies(name, (), partial(load, modality=HISTOLOGY)) for name in ("bach", "oscc", "colonpath")}
