"""Data sets from their public homes, put into the layout that `dataset` reads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medvlm_lab.datasets.base import data_root, default_root, load_vqa, read_rows
from medvlm_lab.datasets.download import download, unpack
from medvlm_lab.errors import DownloadError, MedVLMError, UnknownNameError


@dataclass(frozen=True)
class Source:
    """One file of a data set. Without a known `sha256` the one found is printed, to be compared by the reader."""

    file: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Recipe:
    """A data set's home: what to download, and how it becomes `trainset.json`, `testset.json` and `images/`."""

    folder: str
    home: str
    licence: str
    sources: tuple[Source, ...]
    build: Callable[[Path, Path], None] | None  # (downloads, new folder)
    by_hand: str = ""


def build_vqa_rad(downloads: Path, folder: Path) -> None:
    """The public release's two files into the layout that research code shares."""
    train, test = expand_vqa_rad(read_rows(downloads / "questions.json"))
    for name, rows in (("trainset.json", train), ("testset.json", test)):
        (folder / name).write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    unpack(downloads / "images.zip", folder / "images", (".jpg", ".jpeg", ".png"))


def expand_vqa_rad(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(training, test) rows of the public file.

    The public file holds each question's template phrasing in a field of its row (`question_frame`). Here it becomes a
    row that follows its question, always in training, also where the question itself is a test question: 2,248 rows
    become 3,064 for training and 451 for testing.
    """
    train: list[dict[str, Any]] = []
    test: list[dict[str, Any]] = []
    kept = ("image_name", "image_organ", "answer", "answer_type", "question_type")
    qid = 0
    for row in rows:
        phrase = str(row.get("phrase_type", "freeform")).strip()
        common = {k: row.get(k, "") for k in kept}
        qid += 1
        target = test if phrase.startswith("test_") else train
        kind = phrase.removeprefix("test_")
        target.append({"qid": qid, **common, "question": row.get("question", ""), "phrase_type": kind})
        frame = str(row.get("question_frame") or "").strip()
        if frame and frame.upper() != "NULL":
            qid += 1
            train.append({"qid": qid, **common, "question": frame, "phrase_type": "frame"})
    return train, test


RECIPES = {
    "vqa_rad": Recipe(
        "vqa_rad", "https://osf.io/89kps/", "CC0",
        (
            Source("questions.json", "https://osf.io/download/6qdas/"),
            # zipped anew by the server for every request, so its checksum cannot be known beforehand
            Source(
                "images.zip",
                "https://files.osf.io/v1/resources/89kps/providers/osfstorage/5b21453986d8510011c277bc/?zip=",
            ),
        ),
        build_vqa_rad,
    ),
    "path_vqa": Recipe(
        "pathvqa_histology", "https://github.com/UCSD-AI4H/PathVQA", "questions MIT, images their publishers'", (),
        None, "its authors share it through a drive page meant for browsers",
    ),
}


def fetch(name: str, dest: str | Path | None = None, *, progress: bool = True) -> Path:
    """Download a data set and return its folder; does nothing if it is there already.

    Everything gathers beside the final folder, which appears only when complete and checked; a download that was cut
    off is taken up again within the same call.

    Args:
        name: `vqa_rad` or `path_vqa`.
        dest: the folder that holds one sub-folder per data set; `MEDVLM_DATA` or the reader's cache by default.
        progress: show a bar with rate and time left, and the checksums.

    Raises:
        UnknownNameError: no such data set.
        DownloadError: no network, damaged files, or a folder that cannot be written to.
    """
    if name not in RECIPES:
        raise UnknownNameError("data set", name, RECIPES)
    recipe = RECIPES[name]
    root = Path(dest).expanduser() if dest else (data_root() or default_root())
    target = root / recipe.folder
    if (target / "trainset.json").is_file():
        return target
    if recipe.build is None:
        raise DownloadError(
            f"Data set {name!r} cannot be fetched by a program ({recipe.by_hand}); get it from {recipe.home} and put "
            f"trainset.json and images/ into {target}."
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise DownloadError(f"{target} exists but holds no trainset.json; move it away and run this again.")
        with tempfile.TemporaryDirectory(prefix=f".{recipe.folder}-", dir=root) as scratch:
            downloads, folder = Path(scratch, "downloads"), Path(scratch, recipe.folder)
            folder.mkdir()
            for source in recipe.sources:
                found = download(source.url, downloads / source.file, source.sha256, progress=progress)
                if progress and source.sha256 is None:
                    print(f"{source.file}: sha256 {found} (none is known to compare it with)")
            recipe.build(downloads, folder)
            load_vqa(name, "train", folder / "trainset.json", folder / "images")  # every row and picture is there
            shutil.move(folder, target)  # same file system: a rename
    except OSError as error:
        raise DownloadError(
            f"Cannot write to {root} ({error.strerror or error}); name another folder with --dest or MEDVLM_DATA."
        ) from error
    except DownloadError:
        raise
    except MedVLMError as error:
        raise DownloadError(f"What {recipe.home} sent is not the data set that was expected: {error}") from error
    return target
