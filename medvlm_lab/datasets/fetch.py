"""Data sets from their public homes, put into the layout that `dataset` reads."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medvlm_lab.datasets import path_vqa, vqa_rad_release
from medvlm_lab.datasets.about import ABOUT
from medvlm_lab.datasets.base import data_root, default_root, load_vqa
from medvlm_lab.datasets.download import download
from medvlm_lab.datasets.recipe import Recipe, write_rows
from medvlm_lab.errors import CannotWriteError, DownloadError, MedVLMError, UnknownNameError
from medvlm_lab.io.whole import cannot_write

RECIPES = {"vqa_rad": vqa_rad_release.RECIPE, "path_vqa": path_vqa.RECIPE}


def fetch(name: str, dest: str | Path | None = None, *, progress: bool = True) -> Path:
    """Download a data set and return its folder; does nothing if it is there already.

    Everything gathers in `.NAME-partial` beside the final folder, which appears only when complete and checked. What
    has arrived there stays when a download breaks off, is interrupted or fills the disk, and the next call goes on
    from it.

    Args:
        name: `vqa_rad` or `path_vqa`.
        dest: the folder that holds one sub-folder per data set; `MEDVLM_DATA` or the reader's cache by default.
        progress: show a bar with rate and time left, and the checksums.

    Raises:
        UnknownNameError: no such data set.
        DownloadError: a data set that the reader has to get, no network, damaged files, no room, or a folder that
            cannot be written to.
    """
    if name in ABOUT and name not in RECIPES:
        raise DownloadError(f"{name} is not downloaded here: {ABOUT[name].access} ({ABOUT[name].home}).")
    if name not in RECIPES:
        raise UnknownNameError("data set", name, RECIPES)
    recipe = RECIPES[name]
    root = Path(dest).expanduser() if dest else (data_root() or default_root())
    target, partial = root / recipe.folder, root / f".{recipe.folder}-partial"
    if (target / "trainset.json").is_file():
        return target
    try:
        if target.exists():
            raise DownloadError(f"{target} exists but holds no trainset.json; move it away and run this again.")
        partial.mkdir(parents=True, exist_ok=True)
        with _alone(partial):
            if not (target / "trainset.json").is_file():  # another process may have finished meanwhile
                _gather(name, recipe, partial, progress)
                os.replace(partial / recipe.folder, target)
        shutil.rmtree(partial, ignore_errors=True)
    except CannotWriteError as error:
        raise DownloadError(f"{error} What has arrived is kept.") from error
    except OSError as error:
        raise DownloadError(
            f"{cannot_write(root, error)} MEDVLM_DATA may name another folder; what has arrived is kept."
        ) from error
    return target


def _gather(name: str, recipe: Recipe, partial: Path, progress: bool) -> None:
    """Download and build the data set in `partial`/FOLDER, passing over what an earlier call has done."""
    downloads, folder = partial / "downloads", partial / recipe.folder
    folder.mkdir(exist_ok=True)
    for source in recipe.sources:
        file, rows = downloads / source.file, downloads / f"{source.file}.rows"
        if rows.is_file():
            continue
        if not file.is_file():  # it gets this name only when whole
            _check_room(recipe, partial)
            found = download(source.url, file, source.sha256, progress=progress)
            if progress and source.sha256 is None:
                print(f"{source.file}: sha256 {found} (none is known to compare it with)", file=sys.stderr)
        if recipe.extract:
            with _genuine(recipe, partial):
                write_rows(rows, recipe.extract(file, folder, progress))
            file.unlink()
    with _genuine(recipe, partial):
        recipe.build(downloads, folder)
        load_vqa(name, "train", folder / "trainset.json", folder / "images")  # every row and picture is there


def _check_room(recipe: Recipe, partial: Path) -> None:
    here = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    free_mb = (shutil.disk_usage(partial).free + here) / 1e6
    if free_mb < recipe.disk_mb:
        raise DownloadError(
            f"{partial.parent} has room for {free_mb:.0f} MB, and {recipe.folder} needs {recipe.disk_mb} MB to be "
            "fetched; make room or point MEDVLM_DATA at another folder."
        )


@contextmanager
def _genuine(recipe: Recipe, partial: Path) -> Iterator[None]:
    """Throws away what proves not to be the data set: a later call must start anew, not fail over it again."""
    try:
        yield
    except CannotWriteError:  # a full disk is not their fault
        raise
    except MedVLMError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise DownloadError(f"What {recipe.home} sent is not the data set that was expected: {error}") from error


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Two processes that write into one partial folder would spoil it."""
    try:
        with FileLock(partial / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise DownloadError(f"Another process is fetching into {partial}; wait until it has finished.") from error
