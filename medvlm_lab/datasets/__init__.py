"""Data sets: found locally, checked on loading, split reproducibly.

>>> data = lab.dataset("vqa_rad", "validation")
>>> data[0].question, data[0].answer
>>> lab.dataset("iu_xray", "test").study(0).report

A data set is looked for under the folder that the environment variable `MEDVLM_DATA` names; nothing is downloaded
unless `fetch` (or `medvlm-lab data fetch NAME`) is called. `medvlm-lab data list` says what each holds and how to get
it. `phantom:NAME` is simulated on the spot.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medvlm_lab import phantoms
from medvlm_lab.datasets import (
    class_folders,
    echonet_dynamic,
    iu_xray,
    mimic_cxr,
    path_vqa,
    pmc_vqa,
    slake,
    vqa_rad,
)
from medvlm_lab.datasets.about import ABOUT, About
from medvlm_lab.datasets.base import Study, VQADataset, VQAItem, data_root, load_vqa
from medvlm_lab.datasets.fetch import RECIPES, fetch
from medvlm_lab.datasets.image_folder import ImageFolder
from medvlm_lab.datasets.layout import STUDY_SPLITS, Questions, Studies, StudyDataset, fits, unnamed
from medvlm_lab.datasets.phantom import PhantomDataset
from medvlm_lab.datasets.splits import by_image, by_question
from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError
from medvlm_lab.io.private import content_hash

__all__ = [
    "ABOUT", "About", "ImageFolder", "LAYOUTS", "PhantomDataset", "SPLITS", "STUDY_SPLITS", "Study", "StudyDataset",
    "VQADataset", "VQAItem", "by_image", "by_question", "dataset", "fetch", "names",
]

PHANTOM_PREFIX = "phantom:"
VQA_RAD = Questions(vqa_rad.FOLDER, vqa_rad.MODALITY)
LAYOUTS: dict[str, Questions | Studies] = {
    "vqa_rad": VQA_RAD, "path_vqa": Questions(path_vqa.FOLDER, path_vqa.MODALITY), "pmc_vqa": pmc_vqa.LAYOUT,
    "slake": slake.LAYOUT, "iu_xray": iu_xray.LAYOUT, "mimic_cxr": mimic_cxr.LAYOUT,
    "echonet_dynamic": echonet_dynamic.LAYOUT, **class_folders.LAYOUTS,
}  # fmt: skip
SPLITS = (
    "train", "test", "validation", "train-minus-validation", "validation-image", "train-minus-validation-image",
)


def names() -> tuple[str, ...]:
    """Names that `dataset` knows: the published ones, then the simulated ones."""
    return (*LAYOUTS, *(PHANTOM_PREFIX + name for name in phantoms.names()))


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
) -> VQADataset | StudyDataset | PhantomDataset:
    """Questions, reference answers and the pictures that they are about; or studies with what is known of them.

    Args:
        name_or_folder: a name of `names()`; a folder in the layout of one of them, recognised by its files (see the
            modules of `medvlm_lab.datasets`); a folder that holds a folder of pictures for each class; or simulated
            patients such as `phantom:chest-xray`.
        split: of questions, `train` and `test` are the data set's own files, as is SLAKE's `validation`. Else
            `validation` holds out questions of the training file as the official test does, `validation-image` holds
            out whole images; `train-minus-validation` and `train-minus-validation-image` are what remains. Of studies,
            `train`, `validation` and `test` are the official division or one by patient; `all` is all three.
        questions: a question file to use instead of the folder's own.
        images: a folder of pictures to use instead of the folder's own.
        fraction: of the rows to hold out, in (0, 1).
        seed: of the random split, or of the simulated patients.
        n, size, hospital: simulated patients only: how many studies (1,000), pixels per side (256), and where they
            were taken (0; others shift the appearance). Their splits never share a patient, and `test` is worded anew.
        wording, authors: simulated patients only: see `PhantomDataset`.

    Pictures of a data set that is called by its name keep their published names; those of a folder or question file of
    the reader's own are called by a hash of their content, and the data set "own".

    Raises:
        MissingDataError: the data set, one of its files, a field or a picture is missing.
        SceneError: a number of simulated patients that cannot be made.
        UnknownNameError: no such data set or split.
    """
    if isinstance(name_or_folder, str) and name_or_folder.startswith(PHANTOM_PREFIX):
        _check_split(split, SPLITS)
        part = next(p for p in ("train", "validation", "test") if split.startswith(p))
        name = name_or_folder.removeprefix(PHANTOM_PREFIX)
        return PhantomDataset(
            name, part, 1000 if n is None else n, seed, size or 256, hospital or 0, wording, authors or 0
        )
    own = {"n": n, "size": size, "hospital": hospital, "wording": wording, "authors": authors}
    if given := [k for k, v in own.items() if v is not None]:
        raise MedVLMError(f"{given[0]} is for simulated patients only; leave it out for {name_or_folder}.")
    title, folder, layout = _locate(name_or_folder, questions, images)
    public = isinstance(name_or_folder, str) and name_or_folder in LAYOUTS and not images
    if isinstance(layout, Studies):
        _check_split(split, STUDY_SPLITS)
        if questions or images:
            raise MedVLMError(f"questions and images are for data sets of questions only; leave them out for {title}.")
        found = layout.load(title, folder, split, seed)
        return found if public else unnamed(found, folder)
    _check_split(split, SPLITS)
    own = layout.files.get(split, layout.files["train"])
    file = Path(questions).expanduser() if questions else folder / own
    pictures = Path(images).expanduser() if images else folder / layout.images
    if split == "test" and not questions and not file.is_file():
        raise MissingDataError(
            f"The official test questions, {own}, are not in {folder}; put the file there (for VQA-RAD, "
            "`medvlm-lab data fetch vqa_rad` into another folder brings it) or name it with --questions."
        )
    data = load_vqa(title, split, file, pictures, layout.modality, layout.read, public)
    if not public:
        data = replace(data, name=f"own questions {content_hash(file)[:6]}")
    if split.removeprefix("train-minus-") in layout.files:  # published apart from the training file
        return data
    divide = by_image if split.endswith("-image") else by_question
    rest, held = divide(data.rows, fraction, seed)
    return data.select(held if split.startswith("validation") else rest)


def _check_split(split: str, known: tuple[str, ...]) -> None:
    if split not in known:
        raise UnknownNameError("split", split, known)


def _locate(
    name_or_folder: str | Path | None, questions: str | Path | None, images: str | Path | None
) -> tuple[str, Path, Questions | Studies]:
    """(title, folder, layout) of what the caller named."""
    if name_or_folder is None:
        if not questions or not images:
            raise MissingDataError("No data set is named; give a name, a folder, or both questions and images.")
        return Path(questions).stem, Path(images).expanduser().parent, VQA_RAD
    name = str(name_or_folder)
    if name in LAYOUTS and not isinstance(name_or_folder, Path):
        layout, root = LAYOUTS[name], data_root()
        if root is None or not (root / layout.folder).is_dir():
            where = f"in {root}" if root else "on this machine"
            get = f"run `medvlm-lab data fetch {name}`" if name in RECIPES else "see `medvlm-lab data list` for access"
            raise MissingDataError(
                f"Data set {name!r} is not {where}; {get}, or point MEDVLM_DATA at the folder that holds "
                f"{layout.folder}/."
            )
        return name, root / layout.folder, layout
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder.resolve().name, folder, _recognised(folder, asks=bool(questions or images))
    if isinstance(name_or_folder, Path) or len(folder.parts) > 1:
        raise MissingDataError(
            f"Folder {folder} does not exist; give the folder of a data set, or a name: {', '.join(LAYOUTS)}."
        )
    raise UnknownNameError("data set", name, names())


def _recognised(folder: Path, asks: bool) -> Questions | Studies:
    """The layout that a folder's files fit, VQA-RAD's where none does; its name decides between equals.

    A folder that `asks`, for which the caller names questions or images, holds no classes.
    """
    fitting = [layout for layout in LAYOUTS.values() if fits(layout, folder)]
    own = [layout for layout in fitting if layout.folder == folder.resolve().name]
    if fitting:
        return (own or fitting)[0]
    return class_folders.PLAIN if not asks and class_folders.holds_classes(folder) else VQA_RAD
