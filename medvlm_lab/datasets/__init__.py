"""Question-answer data sets: found locally, checked on loading, split reproducibly.

>>> data = lab.dataset("vqa_rad", "validation")
>>> data[0].question, data[0].answer

A data set is looked for under the folder that the environment variable `MEDVLM_DATA` names; nothing is downloaded
unless `fetch` (or `medvlm-lab data fetch NAME`) is called. `phantom:NAME` is simulated on the spot.
"""

from __future__ import annotations

from pathlib import Path

from medvlm_lab import phantoms
from medvlm_lab.datasets import path_vqa, vqa_rad
from medvlm_lab.datasets.base import VQADataset, VQAItem, data_root, load_vqa
from medvlm_lab.datasets.fetch import fetch
from medvlm_lab.datasets.image_folder import ImageFolder
from medvlm_lab.datasets.phantom import PhantomDataset
from medvlm_lab.datasets.splits import by_image, by_question
from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError

__all__ = [
    "ImageFolder", "PhantomDataset", "SPLITS", "VQADataset", "VQAItem", "by_image", "by_question", "dataset", "fetch",
    "names",
]

PHANTOM_PREFIX = "phantom:"
KNOWN = {"vqa_rad": vqa_rad, "path_vqa": path_vqa}
SPLITS = (
    "train", "test", "validation", "train-minus-validation", "validation-image", "train-minus-validation-image",
)


def names() -> tuple[str, ...]:
    """Names that `dataset` knows: those that `fetch` brings, then the simulated ones."""
    return (*KNOWN, *(PHANTOM_PREFIX + name for name in phantoms.names()))


def dataset(
    name_or_folder: str | Path | None = None,
    split: str = "train",
    *,
    questions: str | Path | None = None,
    images: str | Path | None = None,
    fraction: float = 0.10,
    seed: int = 0,
    n: int | None = None,
    size: int | None = None,
    hospital: int | None = None,
    wording: str | None = None,
    authors: int | None = None,
) -> VQADataset | PhantomDataset:
    """Questions, reference answers and the pictures that they are about.

    Args:
        name_or_folder: `vqa_rad`, `path_vqa`, a folder in VQA-RAD's layout (`trainset.json`, `testset.json`,
            `images/`), or simulated patients such as `phantom:chest-xray`.
        split: `train` and `test` are the data set's own files. `validation` holds out questions of the training file
            as the official test does, `validation-image` holds out whole images; `train-minus-validation` and
            `train-minus-validation-image` are what remains.
        questions: a question file to use instead of the folder's own.
        images: a folder of pictures to use instead of the folder's own.
        fraction: of the rows to hold out, in (0, 1).
        seed: of the random split, or of the simulated patients.
        n, size, hospital: simulated patients only: how many studies (1,000), pixels per side (256), and where they
            were taken (0; others shift the appearance). Their splits never share a patient, and `test` is worded anew.
        wording, authors: simulated patients only: see `PhantomDataset`.

    Raises:
        MissingDataError: the data set, one of its files, a field or a picture is missing.
        SceneError: a number of simulated patients that cannot be made.
        UnknownNameError: no such data set or split.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if isinstance(name_or_folder, str) and name_or_folder.startswith(PHANTOM_PREFIX):
        part = next(p for p in ("train", "validation", "test") if split.startswith(p))
        name = name_or_folder.removeprefix(PHANTOM_PREFIX)
        return PhantomDataset(
            name, part, 1000 if n is None else n, seed, size or 256, hospital or 0, wording, authors or 0
        )
    own = {"n": n, "size": size, "hospital": hospital, "wording": wording, "authors": authors}
    if given := [k for k, v in own.items() if v is not None]:
        raise MedVLMError(f"{given[0]} is for simulated patients only; leave it out for {name_or_folder}.")
    title, folder, modality = _locate(name_or_folder, questions, images)
    own = "testset.json" if split == "test" else "trainset.json"
    file = Path(questions).expanduser() if questions else folder / own
    pictures = Path(images).expanduser() if images else folder / "images"
    if split == "test" and not questions and not file.is_file():
        raise MissingDataError(
            f"The official test questions, testset.json, are not in {folder}; put the file there (for VQA-RAD, "
            "`medvlm-lab data fetch vqa_rad` into another folder brings it) or name it with --questions."
        )
    data = load_vqa(title, split, file, pictures, modality)
    if split in ("train", "test"):
        return data
    divide = by_image if split.endswith("-image") else by_question
    rest, held = divide(data.rows, fraction, seed)
    return data.select(held if split.startswith("validation") else rest)


def _locate(
    name_or_folder: str | Path | None, questions: str | Path | None, images: str | Path | None
) -> tuple[str, Path, str | None]:
    """(title, folder, modality of all its pictures) of what the caller named."""
    if name_or_folder is None:
        if not questions or not images:
            raise MissingDataError("No data set is named; give a name, a folder, or both questions and images.")
        return Path(questions).stem, Path(images).expanduser().parent, None
    name = str(name_or_folder)
    if name in KNOWN and not isinstance(name_or_folder, Path):
        module, root = KNOWN[name], data_root()
        if root is None or not (root / module.FOLDER).is_dir():
            where = f"in {root}" if root else "on this machine"
            raise MissingDataError(
                f"Data set {name!r} is not {where}; run `medvlm-lab data fetch {name}`, or point MEDVLM_DATA at the "
                f"folder that holds {module.FOLDER}/."
            )
        return name, root / module.FOLDER, module.MODALITY
    folder = Path(name).expanduser()
    if folder.is_dir():
        modality = next((m.MODALITY for m in KNOWN.values() if m.FOLDER == folder.resolve().name), None)
        return folder.resolve().name, folder, modality
    if isinstance(name_or_folder, Path) or len(folder.parts) > 1:
        raise MissingDataError(
            f"Folder {folder} does not exist; give a folder in VQA-RAD's layout or a name: {', '.join(KNOWN)}."
        )
    raise UnknownNameError("data set", name, names())
