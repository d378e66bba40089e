"""What can be embedded, brought into one form: a picture with what is known of it, read when it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from medvlm_lab.datasets import ImageFolder, VQAItem, dataset
from medvlm_lab.datasets.base import Study
from medvlm_lab.errors import MedVLMError, MissingDataError
from medvlm_lab.image import MedicalImage
from medvlm_lab.io import read
from medvlm_lab.io.private import content_hash, neutral_name


class Picture(NamedTuple):
    """`study` makes or reads what is known. `path` is the picture's own file, where there is one."""

    study: Callable[[], Study]
    path: Path | None = None
    modality: str | None = None

    def content(self, image: MedicalImage | None = None) -> bytes:
        """A hash of the file's bytes, which need no decoding; without a file, of the pixels and how they are shown."""
        if self.path is not None:
            try:
                return bytes.fromhex(content_hash(self.path)) + (self.modality or "").encode()
            except OSError as error:
                raise _missing(self.path, error) from error
        shown = (
            image.pixels.shape, image.pixels.dtype, image.window, image.inverted, image.fps, image.modality,
            image.picture_size, image.padding, image.voi.function, image.voi.windows, image.voi.first,
        )  # fmt: skip
        table = b"" if image.voi.table is None else image.voi.table.tobytes()
        return hashlib.sha256(repr(shown).encode() + table + image.pixels.tobytes()).digest()


def pictures(images: Any) -> list[Picture]:
    """Pictures of a data set, of a folder or of a sequence of images and paths.

    Args:
        images: a data set with studies or questions (each picture once), a data set's name, a folder, an `ImageFolder`,
            or a sequence of `MedicalImage`s and paths.

    Raises MissingDataError for a folder without images, MedVLMError where there is nothing to embed.
    """
    images = opened(images)
    if isinstance(images, ImageFolder):
        paths = images.paths
        found = [_of_file(path, images.modality) for path in paths]
    elif callable(getattr(images, "study", None)):
        found = [Picture(partial(images.study, i)) for i in range(images.studies)]
    else:
        items = list({item.image_name: item for item in images}.values() if _asks(images) else images)
        found = [_of_item(item, i) for i, item in enumerate(items)]
    if not found:
        raise MedVLMError("There are no images to embed; give at least one.")
    return found


def opened(images: Any) -> Any:
    """The folder or the data set that a path or a name stands for; anything else is itself."""
    if not isinstance(images, str | Path):
        return images
    return ImageFolder(images) if Path(images).expanduser().is_dir() else dataset(images)


def _asks(images: Any) -> bool:
    if not isinstance(images, Sequence):
        raise MedVLMError(
            f"A {type(images).__name__} holds no images; give a data set, a folder or a list of images and paths."
        )
    return len(images) > 0 and isinstance(images[0], VQAItem)


def _of_item(item: Any, number: int) -> Picture:
    if isinstance(item, VQAItem):
        return _of_file(item.image_path, item.modality, item.image_name if item.public else "")
    if isinstance(item, str | Path):
        return _of_file(Path(item).expanduser())
    if isinstance(item, MedicalImage):
        study = Study(item.name or f"image-{number}", "", frozenset(), {}, lambda: item)
        return Picture(lambda: study)
    raise MedVLMError(f"Item {number} is a {type(item).__name__}, no image; give MedicalImages or paths.")


def _of_file(path: Path, modality: str | None = None, name: str = "") -> Picture:
    """A file's picture; without a published name it is called by its content."""
    return Picture(partial(_study, path, modality, name), path.resolve(), modality)


def _study(path: Path, modality: str | None, name: str) -> Study:
    try:
        return Study(name or neutral_name(path), "", frozenset(), {}, partial(read, path, modality), path)
    except OSError as error:
        raise _missing(path, error) from error


def _missing(path: Path, error: OSError) -> MedVLMError:
    problem = MissingDataError(f"{path} cannot be opened ({error.strerror}); put it back.")
    return problem.about(path, f"An image cannot be opened ({error.strerror}); put it back.")
