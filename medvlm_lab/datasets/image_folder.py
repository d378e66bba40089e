"""A folder of pictures as a sequence: the reader's own images, without questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medvlm_lab.errors import MissingDataError

if TYPE_CHECKING:
    from medvlm_lab.image import MedicalImage

SUFFIXES = (".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", "")


class ImageFolder(Sequence["MedicalImage"]):
    """Every image file under a folder, sorted by path, read when indexed.

    Hidden files and files of other kinds are passed over; a file without a suffix counts, as DICOM often has none.

    Args:
        folder: where the pictures are, sub-folders included.
        modality: what they are, where the files do not say so themselves.

    Raises:
        MissingDataError: the folder is missing or holds no image file.
    """

    def __init__(self, folder: str | Path, modality: str | None = None):
        self.folder, self.modality = Path(folder).expanduser(), modality
        if not self.folder.is_dir():
            raise MissingDataError(f"Folder {self.folder} does not exist; give the folder that holds the images.")
        self.paths = tuple(sorted(p for p in self.folder.rglob("*") if self._is_image(p)))
        if not self.paths:
            raise MissingDataError(
                f"Folder {self.folder} holds no image file; expected DICOM, NIfTI, PNG, JPEG, TIFF or NumPy."
            )

    def _is_image(self, path: Path) -> bool:
        hidden = any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
        return not hidden and suffix in SUFFIXES and path.is_file()

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
        return f"<ImageFolder {self.folder}: {len(self):,} images>"
