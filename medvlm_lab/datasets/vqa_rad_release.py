"""VQA-RAD's public release (https://osf.io/89kps/) and the way from it to the layout that research code shares."""

from __future__ import annotations

from pathlib import Path

from medvlm_lab.datasets import vqa_rad
from medvlm_lab.datasets.base import read_rows, said
from medvlm_lab.datasets.download import unpack
from medvlm_lab.datasets.recipe import Recipe, Rows, Source, write_rows
from medvlm_lab.errors import MissingDataError

KEPT = ("image_name", "image_organ", "answer", "answer_type", "question_type")
PHRASES = ("freeform", "para", "test_freeform", "test_para")


def expand(rows: Rows) -> tuple[Rows, Rows]:
    """(training, test) rows of the public file.

    The public file holds each question's template phrasing in a field of its row, `question_frame`, "NULL" where there
    is none. Here it becomes a row that follows its question, always in training, also where the question itself is a
    test question: 2,248 rows become 3,064 for training (1,797 questions and 1,267 frames) and 451 for testing (300
    freeform, 151 para), numbered from 1 to 3,515 in the file's order.

    Raises:
        MissingDataError: a row lacks a field or has an unknown `phrase_type`.
    """
    train: Rows = []
    test: Rows = []
    qid = 0
    for number, row in enumerate(rows):
        lacking = [field for field in (*KEPT, "question", "question_frame", "phrase_type") if field not in row]
        if lacking:
            raise MissingDataError(f"Row {number} of VQA-RAD's public file lacks {', '.join(lacking)}.")
        phrase = str(row["phrase_type"]).strip()
        if phrase not in PHRASES:
            raise MissingDataError(
                f"Row {number} of VQA-RAD's public file has phrase_type {phrase!r}; expected {', '.join(PHRASES)}."
            )
        common = {field: row[field] for field in KEPT}
        kind, frame = phrase.removeprefix("test_"), row["question_frame"]
        qid += 1
        (train if kind == phrase else test).append(
            {"qid": qid, **common, "question": row["question"], "phrase_type": kind}
        )
        if said(frame):
            qid += 1
            train.append({"qid": qid, **common, "question": frame, "phrase_type": "frame"})
    return train, test


def build(downloads: Path, folder: Path) -> None:
    """The release's two files as trainset.json, testset.json and images/."""
    train, test = expand(read_rows(downloads / "questions.json"))
    write_rows(folder / "trainset.json", train)
    write_rows(folder / "testset.json", test)
    unpack(downloads / "images.zip", folder / "images", (".jpg", ".jpeg", ".png"))


RECIPE = Recipe(
    vqa_rad.FOLDER, "https://osf.io/89kps/", "CC0",
    (
        Source("questions.json", "https://osf.io/download/6qdas/"),
        # zipped anew by the server for every request, so its checksum cannot be known beforehand
        Source(
            "images.zip",
            "https://files.osf.io/v1/resources/89kps/providers/osfstorage/5b21453986d8510011c277bc/?zip=",
        ),
    ),
    60,
    build,
)
