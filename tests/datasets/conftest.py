"""A small data set in VQA-RAD's layout, and the real ones where present."""

import json
import os
from pathlib import Path

import pytest


def vqa_rows(images=6, groups=5):
    """Rows as VQA-RAD's: per image, groups of freeform, frame, para, frame, then a gap in the numbering."""
    rows, qid = [], 0
    for image in range(images):
        for group in range(groups):
            for kind in ("freeform", "frame", "para", "frame"):
                qid += 1
                closed = group % 2 == 0
                rows.append(
                    {
                        "qid": qid, "image_name": f"synpic{image}.jpg", "image_organ": "CHEST",
                        "answer": "Yes" if closed else group, "answer_type": "CLOSED " if closed else "OPEN",
                        "question_type": "PRES", "question": f"{kind} {image} {group}?", "phrase_type": kind,
                    }
                )
            qid += 1
    return rows


@pytest.fixture
def rows():
    return vqa_rows()


@pytest.fixture
def folder(tmp_path, rows):
    """A folder with trainset.json and images/ (empty files: pictures are not opened on loading)."""
    root = tmp_path / "vqa_rad"
    (root / "images").mkdir(parents=True)
    for name in {row["image_name"] for row in rows}:
        (root / "images" / name).touch()
    (root / "trainset.json").write_text(json.dumps(rows))
    return root


@pytest.fixture
def real_data():
    root = Path(os.environ.get("MEDVLM_DATA", ""))
    if not (root / "vqa_rad" / "trainset.json").is_file():
        pytest.skip("MEDVLM_DATA names no folder with vqa_rad/trainset.json")
    return root
