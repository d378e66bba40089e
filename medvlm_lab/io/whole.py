"""Files that are there completely or not at all: how every part of this package writes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medvlm_lab.errors import CannotWriteError

LONGEST_NAME = 255  # bytes: what common file systems allow
KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}  # fmt: skip
STREAMS = ("/dev/std", "/dev/fd/", "/proc/")
FULL = "the disk is full; make room, or name a place on another disk, and run it again"
REASONS = {
    errno.ENOSPC: FULL,
    getattr(errno, "EDQUOT", errno.ENOSPC): FULL.replace("disk is full", "disk quota is used up", 1),
    errno.EFBIG: "it is larger than a file may be here; raise the limit (ulimit -f), or name another place",
    errno.EROFS: "that disk is read-only; name another place",
    errno.EACCES: "you may not write there; change the permissions, or name another place",
    errno.EPERM: "you may not write there; change the permissions, or name another place",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of its path is a file, no folder; name another place",
    errno.EEXIST: "a part of its path is a file, no folder; name another place",
    errno.ELOOP: "its links lead round in a circle; name another place",
}
CODE = re.compile(r"\bos error (\d+)\)")  # how safetensors says what the system said


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Writes a file, texts as UTF-8, and its folders where they are missing; an interruption leaves the old one.

    Raises CannotWriteError, see `whole`.
    """
    with whole(path) as part:
        part.write_bytes(content if isinstance(content, bytes) else in_utf8(content).encode())


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A file to be written by the block, which takes the place of `path` at its end; after an error nothing is left.

    Raises CannotWriteError, in one sentence, where no plain file can be written there: a full disk, a device.
    """
    path = _target(path)
    part = path.with_name(path.name + ".part")
    if len(os.fsencode(part.name)) > LONGEST_NAME:
        part = path.with_name(hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16] + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # of an earlier run that was killed
        yield part
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if (said := _said(error)) is None:
            raise
        raise cannot_write(path, said) from error


def append(path: str | Path, text: str) -> None:
    """Adds a text to a file as UTF-8, all of it or nothing. Raises CannotWriteError, see `whole`."""
    path, data = _target(path), in_utf8(text).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with open(path, "ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            try:
                while data:
                    data = data[file.write(data) :]
            except BaseException:
                file.truncate(before)
                if new:
                    path.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise cannot_write(path, error) from error


def in_utf8(text: str) -> str:
    r"""The text with what UTF-8 cannot hold written out: a byte of a file name that is not UTF-8 becomes `\udcf6`.

    In JSON that means the same as before.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def from_utf8(text: str) -> str:
    """The file name of which `in_utf8` made `text`."""
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda found: chr(0xDC00 + int(found[1], 16)), text)


def cannot_write(path: str | Path, error: OSError) -> CannotWriteError:
    """What a failed writing of `path` is called: which file, why, and what to do."""
    why = REASONS.get(error.errno, f"{error.strerror or error}; name another place")
    told = CannotWriteError(f"{path} cannot be written: {why}.")
    told.errno = error.errno
    return told


def _said(error: BaseException) -> OSError | None:
    """The system's error, also where a library has put it into words; None for an error of another kind."""
    if isinstance(error, OSError):
        return error
    found = CODE.search(str(error)) if type(error).__name__ == "SafetensorError" else None
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else None


def _target(path: str | Path) -> Path:
    """The file that a path means, links followed; CannotWriteError where it may not become, or is, no plain file."""
    path = Path(path).expanduser()
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise cannot_write(path, error) from error
    streams = os.path.abspath(path).startswith(STREAMS)  # what is redirected to a file is a plain file, too
    if streams or not stat.S_ISREG(mode):
        kind = "an open stream" if streams else KINDS.get(stat.S_IFMT(mode), "no plain file")
        raise CannotWriteError(f"{path} cannot be written: it is {kind}; name a file.")
    if path.exists() and not os.access(path, os.W_OK):
        raise CannotWriteError(f"{path} cannot be written: it is write-protected; name another file, or unprotect it.")
    return Path(os.path.realpath(path))
