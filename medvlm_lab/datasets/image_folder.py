"""A folder of pictures as a sequence: the reader's own images, without questions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvlm_lab.errors import MissingDataError
from medvlm_lab.io import raster

if TYPE_CHECKING:
    from medvlm_lab.image import MedicalImage

SUFFIXES = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".avi", ".mp4", ".npy", *raster.SUFFIXES)
HEAD = 1024  # bytes: where a file says what it is
DIRECTORY = b"1.2.840.10008.1.3.10"  # the SOP class of a DICOMDIR (DICOM part 10, section 8.6)


class ImageFolder(Sequence["MedicalImage"]):
    """Every image file under a folder, sorted by path, read when indexed.

    Hidden files and files of other kinds are passed over; of a file without a suffix its first bytes decide, as DICOM
    often has none. Linked folders are read, each folder once, however many links lead to it.

    Args:
        folder: where the pictures are, sub-folders included.
        modality: what they are, where the files do not say so themselves.

    Attributes:
        paths: of the pictures.
        refused: of each folder inside that may not be read, the error that says so.

    Raises:
        MissingDataError: the folder is missing, may not be read, or holds no image file.
    """

    def __init__(self, folder: str | Path, modality: str | None = None):
        self.folder, self.modality = Path(folder).expanduser(), modality
        if not self.folder.is_dir():
            raise MissingDataError(f"Folder {self.folder} does not exist; give the folder that holds the images.")
        self.refused: list[MissingDataError] = []
        self.paths = tuple(sorted(path for path in files(self.folder, self.refused) if is_picture(path)))
        if not self.paths and self.refused:
            raise self.refused[0]
        if not self.paths:
            raise MissingDataError(
                f"Folder {self.folder} holds no image file; expected DICOM, NIfTI, PNG, JPEG, TIFF, AVI, MP4 or NumPy."
            )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        from medvlm_lab.io import read

        return read(self.paths[index], self.modality)

    def __iter__(self) -> Iterator[MedicalImage]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        left = f", {len(self.refused):,} left out" * bool(self.refused)
        return f"<ImageFolder: {len(self):,} images{left}>"


def files(folder: Path, refused: list[MissingDataError]) -> Iterator[Path]:
    """The plain files under a folder, hidden ones left out; links are followed after all else, each folder read once.

    `refused` gets the error of each folder inside that may not be read; where that is `folder` itself it is raised.
    """
    waiting, linked, seen = [folder], [], set()
    while waiting or linked:
        here = waiting.pop() if waiting else linked.pop(0)
        try:
            about = here.stat()
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            why = f"cannot be read ({error.strerror}); change its permissions, or move it away."
            problem = MissingDataError(f"Folder {here} {why}").about(here, f"A folder {why}")
            if here == folder:
                raise problem from error
            refused.append(problem)
            continue
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is(entry.is_dir):
                (linked if entry.is_symlink() else waiting).append(here / entry.name)
            elif _is(entry.is_file):
                yield here / entry.name


def _is(kind) -> bool:
    try:
        return kind()
    except OSError:  # a link that leads round in a circle
        return False


def is_picture(path: Path) -> bool:
    """Whether a file is meant to be a picture: by its suffix, or by its first bytes where it has none, or a number."""
    name = path.name.lower()
    if name.endswith(SUFFIXES):
        return True
    if path.suffix and not path.suffix[1:].isdigit():  # DICOM files are often named by their UID
        return False
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:  # may be one: its own error says why it cannot be read
        return True
    if not head:  # likewise
        return True
    dicom = head[128:132] == b"DICM" and DIRECTORY not in head and name != "dicomdir"
    nifti = head[344:348] in (b"n+1\0", b"ni1\0")
    return dicom or nifti or head[8:12] == b"AVI " or head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*"))
