"""Neutral names for images, and the one file that keeps the original ones.

Files and folders are often called by patients. So an image is called by a short hash of its content wherever it is
stored or passed on; where it came from stands in `private-names.csv` beside the output, which stays with the reader.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from medvlm_lab.io.whole import from_utf8, write_whole

PRIVATE = "private-names.csv"
FIRST_LINE = "# Private: original names of files and patients. Keep this file to yourself; do not pass it on."
DIGITS = 12  # of the hash: two among a million images share a name with a chance of 1 in 560


class Original(NamedTuple):
    """What a neutral name stands for; "" where there is no file or no patient's name."""

    name: str
    path: str = ""
    patient: str = ""
    original_patient: str = ""


def content_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, computed once while the file stays as it is. Raises OSError."""
    about = path.stat()
    return _hash(str(path), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=2**16)
def _hash(path: str, changed: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def neutral_name(path: Path) -> str:
    """`image-` and the first digits of a hash of the file's content. Raises OSError."""
    return f"image-{content_hash(path)[:DIGITS]}"


def write_originals(folder: Path, originals: Iterable[Original]) -> None:
    """Adds to the list in a folder what it does not hold yet; only the user may read the file."""
    rows = dict.fromkeys((*read_originals(folder), *originals))
    if not rows:
        return
    text = io.StringIO()
    text.write(FIRST_LINE + "\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Original._fields)
    table.writerows(rows)
    write_whole(folder / PRIVATE, text.getvalue())
    os.chmod(folder / PRIVATE, 0o600)


def read_originals(folder: Path) -> list[Original]:
    """The list that lies in a folder; empty where there is none or it is none of ours."""
    try:
        lines = (folder / PRIVATE).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    rows = list(csv.reader(lines[1:]))
    if not rows or tuple(rows[0]) != Original._fields:
        return []
    return [Original(row[0], from_utf8(row[1]), *row[2:]) for row in rows[1:] if len(row) == 4]


def without_file_content(text: str, path: Path) -> str:
    """A sentence without what it quotes out of the file: a decoder's complaint may repeat a name in the header."""
    try:
        with path.open("rb") as file:
            held = file.read(2**20)
    except OSError:
        held = b""

    def shown(quoted: re.Match) -> str:
        word = quoted[2].strip()
        inside = any(word.encode(code, "replace") in held for code in ("utf-8", "latin-1", "utf-16-le"))
        return "what its header says" if word and inside else quoted[0]

    return re.sub(r"""(?:\bb)?(['"])(.*?)\1""", shown, text.replace(str(path), path.name))
