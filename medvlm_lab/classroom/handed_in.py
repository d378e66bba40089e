"""What was handed in: every submission in a folder, whatever it is, and under which plain name its feedback stands."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from medvlm_lab.errors import MedVLMError

SUFFIX = ".ipynb"
LARGEST_MB = 200
LONGEST_PAGE = 200  # bytes of a page's name that is kept
UNSAFE = re.compile(r'[<>:"|?*\\]')  # in a file's name on Windows


def submissions(folder: Path) -> dict[str, Path]:
    """Name → path of everything in a folder that is called a notebook, and of linked or unreadable folders.

    Hidden files and folders are passed over: JupyterLab's checkpoints, for instance.
    """
    found, waiting = {}, [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError:
            found[here.relative_to(folder).as_posix()] = here
            continue
        for entry in entries:
            path = here / entry.name
            folded = entry.is_dir(follow_symlinks=False)
            if entry.name.startswith("."):
                continue
            if folded:
                waiting.append(path)
            if entry.name.lower().endswith(SUFFIX) or (entry.is_symlink() and os.path.isdir(path)):
                found[path.relative_to(folder).as_posix()] = path
    return {name: found[name] for name in sorted(found)}


def content(path: Path, name: str) -> bytes:
    """The bytes of a submission; MedVLMError says what it is where it is no file that can be run."""
    root = path.parents[len(PurePosixPath(name).parts) - 1]
    try:
        about = path.stat()
        real = Path(os.path.realpath(path))
    except (FileNotFoundError, RuntimeError):
        raise MedVLMError("It is a link to a file that is not there; hand in the file itself.") from None
    except OSError as error:
        raise MedVLMError(f"It cannot be opened ({error.strerror}); hand in the file itself.") from None
    if path.is_symlink() and not real.is_relative_to(os.path.realpath(root)):
        raise MedVLMError("It is a link that leads out of the folder; hand in the file itself.")
    if stat.S_ISDIR(about.st_mode):
        kind = "linked folder, which is not followed" if path.is_symlink() else "folder"
        raise MedVLMError(f"It is a {kind}; hand in the {SUFFIX} file itself.")
    if not stat.S_ISREG(about.st_mode):
        raise MedVLMError(f"It is a device or a pipe, no file; hand in the {SUFFIX} file as JupyterLab saved it.")
    if about.st_size > LARGEST_MB * 1e6:
        raise MedVLMError(
            f"It has {about.st_size / 1e6:,.0f} MB, more than {LARGEST_MB} MB; clear its outputs and hand it in again."
        )
    if not about.st_size:
        raise MedVLMError(f"It is empty (0 bytes), not a notebook; hand in the {SUFFIX} file as JupyterLab saved it.")
    return path.read_bytes()


def digest(path: Path, name: str) -> str:
    """A hash of a submission's bytes; "" where it is no file, or cannot be read."""
    try:
        return hashlib.sha256(content(path, name)).hexdigest()
    except (MedVLMError, OSError):  # its row says so
        return ""


def pages(names: Iterable[str]) -> dict[str, str]:
    """Name → its page of feedback: the same with `.html`, or shortened with a hash.

    So every file system holds it, apart from every other: also one that takes `A` and `a`, or two forms of `é`, for
    the same.
    """
    names = list(names)
    alike = Counter(map(_folded, names))
    return {name: f"{name}.html" if alike[_folded(name)] == 1 and _safe(name) else _short(name) for name in names}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return name.isprintable() and not UNSAFE.search(name) and max(len(part.encode()) for part in parts) < LONGEST_PAGE


def _short(name: str) -> str:
    code = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9.-]+', '_', PurePosixPath(name).stem)[:60]}-{code}.html"
