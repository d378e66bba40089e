"""PathVQA (He et al., 2020, arXiv:2003.10286): questions generated from the captions of pathology textbooks.

Used here are the H&E-like micrographs of its training split, reduced to a shortest side of 288 px. The questions are
under the MIT licence; the images remain their publishers', so they serve to train and to measure, and are not passed
on.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medvlm_lab.datasets.base import said
from medvlm_lab.datasets.recipe import Recipe, Rows, Source, write_rows
from medvlm_lab.errors import MissingDataError

FOLDER = "pathvqa_histology"
MODALITY = "histology"

# The authors share PathVQA through a drive page meant for browsers; this mirror of their 2023 version, cleared of
# repeated questions, has direct links. Pinned, with the checksums that its pages state: 477 MB in seven shards.
HOME = "https://huggingface.co/datasets/flaviagiammarino/path-vqa"
REVISION = "cf69efe406aece2f8b2c514e37c7e98cb353e79e"
SHARDS = {
    "train-00000-of-00007-f2d0e9ef9f022d38": "fa75b76f6498a22223f2fe081529cb835042047259519e509f46c91d49731c1b",
    "train-00001-of-00007-47d8e0220bf6c933": "5c6ed7602cc83a5a992e7da699b2b269b873779515cd84d35ee58e104858221d",
    "train-00002-of-00007-7fb5037c4c5da7be": "ceda7a0f84de7271821ce62a05106f2655990e8737557a623426030e78f98acc",
    "train-00003-of-00007-74b9b7b81cc55f90": "d252ad1ad205df77a72b64c99f34e30f1992c5a3f0212ec8c738ad9a4701467e",
    "train-00004-of-00007-77eea90af4a55dce": "900989f212e1efb3f0c93f48307d547fb01caa19c8a8129028de53cafdff31f3",
    "train-00005-of-00007-5332ec423be520bd": "72c19236d378815270cb0fd55d8a1a9be74a3a032048e8090f563662265f30b4",
    "train-00006-of-00007-637a58c700b604af": "3e171b2cbc3b6bc07152f59e41e7a05e2d43fd2949e6c92bddacbeecdd75127b",
}
SHORTEST_SIDE_PX = 288
JPEG_QUALITY = 88
ROWS_AT_A_TIME = 32  # a picture comes with each of its questions: this bounds the memory that they take

ASKED_WITH_A_VERB = frozenset("is are was were am do does has have had can could will would should".split())
SUBJECT_OF_WHAT = (
    (re.compile("view|projection"), "PLANE"),
    (re.compile(" or "), "CHOICE"),
    (re.compile("abnormal|condition"), "ABNORMALITY"),
    (re.compile("structure"), "ORGAN"),
)
OTHERWISE = ((re.compile("color"), "COLOR"), (re.compile("large"), "SIZE"))


def question_type(question: str) -> str:
    """A label in the manner of VQA-RAD's, told from the wording alone, as PathVQA has none of its own."""
    first = question.split(maxsplit=1)[0].lower() if question.strip() else ""
    if first in ASKED_WITH_A_VERB:
        return "YESNO"
    if first in ("where", "how"):
        return "POSITION" if first == "where" else "ATTRIBUTE"
    subjects = SUBJECT_OF_WHAT if first == "what" else OTHERWISE
    default = "ATTRIBUTE" if first == "what" else "OTHER"
    return next((label for pattern, label in subjects if pattern.search(question.lower())), default)


def answer_type(answer: str) -> str:
    """CLOSED for yes and no, OPEN for everything else."""
    return "CLOSED" if answer in ("yes", "no") else "OPEN"


def extract(shard: Path, folder: Path, progress: bool = True) -> Rows:
    """Put a shard's micrographs into `folder`/images and return their questions, in the shard's order.

    A picture is named after the SHA-256 of its bytes, so that one that occurs under several names is kept once.
    Pictures that cannot be read are left out with their questions, and counted.

    Raises:
        MissingDataError: the file is not Parquet or has other columns.
    """
    from medvlm_lab.progress import tqdm

    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows: Rows = []
    kept: dict[str, bool | None] = {}
    with tqdm(desc=f"{shard.name}: micrographs", unit=" questions", disable=not progress) as bar:
        for row in read_shard(shard):
            picture = row["image"]["bytes"] if row["image"] and row["image"]["bytes"] else b""
            name = hashlib.sha256(picture).hexdigest()[:12] + ".jpg"
            if name not in kept:
                kept[name] = keep_micrograph(picture, images / name)
            if kept[name] and said(row["question"]) and said(row["answer"]):
                rows.append(_row(name, row["question"], row["answer"]))
            bar.total = row["of"]
            bar.update()
    damaged = sum(value is None for value in kept.values())
    if damaged and progress:
        print(f"{shard.name}: {damaged} pictures cannot be read and are left out", file=sys.stderr)
    return rows


def _row(image: str, question: str, answer: str) -> dict[str, str]:
    question, answer = question.strip().lower(), answer.strip().lower()
    return {
        "image": image, "question": question, "answer": answer,
        "question_type": question_type(question), "answer_type": answer_type(answer),
    }


def read_shard(shard: Path) -> Iterator[dict[str, Any]]:
    """A Parquet file's rows, a few in memory at a time, each with their number under `of`.

    Raises:
        MissingDataError: the file is not Parquet or has other columns.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(shard) as file:
            columns = {field.name: field.type for field in file.schema_arrow}
            picture = columns.get("image")
            if not {"question", "answer"} <= columns.keys() or picture is None or not pyarrow.types.is_struct(picture):
                raise MissingDataError(f"{shard.name} lacks one of the columns image, question and answer.")
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=["image", "question", "answer"], use_threads=False):
                for row in batch.to_pylist():
                    yield row | {"of": file.metadata.num_rows}
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())  # Arrow's own may take several lines
        raise MissingDataError(f"{shard.name} is not a whole Parquet file ({reason}).") from error


def keep_micrograph(picture: bytes, path: Path) -> bool | None:
    """Write `picture` to `path`, reduced, if it is a stained micrograph; False if it is not, None if it is damaged."""
    import numpy as np
    from PIL import Image

    from medvlm_lab.datasets.micrographs import is_stained_micrograph

    try:
        image = Image.open(io.BytesIO(picture)).convert("RGB")  # some of the pictures are CMYK
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    scale = SHORTEST_SIDE_PX / min(image.size)
    if scale < 1:  # smaller ones stay as they are
        image = image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    if not is_stained_micrograph(np.asarray(image)):
        return False
    image.save(path, "JPEG", quality=JPEG_QUALITY)
    return True


def build(downloads: Path, folder: Path) -> None:
    """The shards' rows, in their order, as trainset.json.

    Raises:
        MissingDataError: no micrograph was found.
    """
    rows = [row for file in sorted(downloads.glob("*.rows")) for row in json.loads(file.read_text(encoding="utf-8"))]
    if not rows:
        raise MissingDataError("No stained micrograph was found in it.")
    write_rows(folder / "trainset.json", rows)


RECIPE = Recipe(
    FOLDER, HOME, "questions MIT, images their publishers'",
    tuple(Source(f"{n}.parquet", f"{HOME}/resolve/{REVISION}/data/{n}.parquet", sha) for n, sha in SHARDS.items()),
    200,  # one shard of at most 104 MB at a time, and 45 MB of micrographs
    build,
    extract,
)
