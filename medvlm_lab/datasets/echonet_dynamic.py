"""EchoNet-Dynamic (Ouyang et al., Nature 2020): 10,030 apical four-chamber videos with measured volumes.

    FileList.csv                       FileName, EF, ESV, EDV, ..., Split: one row a video, each of another patient
    Videos/0X100009310A3BD7FC.avi ...  112 x 112 pixels

Values are named as the simulated echocardiogram's: `ejection_fraction_percent` (EF), `systolic_ml` (ESV) and
`ventricle_ml` (EDV, at its fullest). There are no reports.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from medvlm_lab.datasets.base import Study
from medvlm_lab.datasets.layout import Studies, StudyDataset, check_present
from medvlm_lab.datasets.tables import read_table
from medvlm_lab.errors import MissingDataError

FILE_LIST, VIDEOS = "FileList.csv", "Videos"
PARTS = {"TRAIN": "train", "VAL": "validation", "TEST": "test"}
VALUES = {"EF": "ejection_fraction_percent", "ESV": "systolic_ml", "EDV": "ventricle_ml"}


def load(name: str, folder: Path, split: str, seed: int) -> StudyDataset:
    """The studies of a split; `seed` has nothing to decide.

    Raises MissingDataError where the table or a video is missing, or the split is empty.
    """
    keys = []
    for number, (file, part, *values) in enumerate(read_table(folder / FILE_LIST, ("FileName", "Split", *VALUES))):
        if split not in ("all", PARTS.get(part.strip().upper())):
            continue
        try:
            measured = dict(zip(VALUES.values(), map(float, values), strict=True))
        except ValueError as error:
            raise MissingDataError(
                f"Row {number} of {folder / FILE_LIST} has no number for EF, ESV or EDV ({error}); mend it."
            ) from error
        keys.append((file.removesuffix(".avi"), measured))
    check_present([f"{file}.avi" for file, _ in keys], folder / VIDEOS, "videos")
    return StudyDataset(name, split, keys, partial(_study, folder / VIDEOS))


def _study(videos: Path, key: tuple[str, dict[str, float]]) -> Study:
    from medvlm_lab.io import read

    file = videos / f"{key[0]}.avi"
    return Study(key[0], "", frozenset(), key[1], partial(read, file, "echo"), file)


LAYOUT = Studies("echonet_dynamic", (FILE_LIST,), load)
