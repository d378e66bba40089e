"""One file over HTTP: resumed when the connection drops, checked, and put in place only when whole."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import stat
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from medvlm_lab.errors import DownloadError
from medvlm_lab.io.whole import cannot_write

CHUNK_BYTES = 1 << 16
MAX_UNPACKED_BYTES = 20 << 30  # a small archive must not be able to fill the disk
AGENT = {"User-Agent": "medvlm-lab", "Accept-Encoding": "identity"}  # compressed bodies cannot be resumed


def download(
    url: str,
    path: Path,
    sha256: str | None = None,
    *,
    retries: int = 5,
    timeout_s: float = 30.0,
    wait_s: float = 1.0,
    progress: bool = True,
) -> str:
    """Download `url` to `path` and return its SHA-256.

    The bytes gather in `path` + ".part"; a dropped connection is taken up again where it broke off, at most `retries`
    times in a row without a new byte, waiting `wait_s`, 2 `wait_s`, ... in between. A later call goes on from the same
    part if the checksum can prove it, or the server says that the file is still the same one.

    Raises:
        DownloadError: no network, refused, cut off too often, other bytes than `sha256` says, or no room to write.
            Nothing is left at `path`.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (sha256 and part.is_file() and _sha256(part) == sha256):  # interrupted just before its last step
            _gather(url, part, sha256 is not None, retries, timeout_s, wait_s, progress)
        found = _sha256(part)
        _tag(part).unlink(missing_ok=True)
        if sha256 is not None and found != sha256:
            part.unlink()
            raise DownloadError(
                f"{url} sent other bytes than expected (sha256 {found[:12]}… instead of {sha256[:12]}…); nothing was "
                "kept, try again later or get the file by hand."
            )
        os.replace(part, path)
    except OSError as error:  # network errors were dealt with: what is left is the disk
        raise DownloadError(f"{cannot_write(path, error)} What has arrived is kept.") from error
    return found


def _tag(part: Path) -> Path:
    """Where the ETag of the file that `part` belongs to is noted, for a later call."""
    return part.with_name(part.name + ".etag")


def _gather(
    url: str, part: Path, proven: bool, retries: int, timeout_s: float, wait_s: float, progress: bool
) -> None:
    from medvlm_lab.progress import tqdm

    failures, furthest = 0, part.stat().st_size if part.exists() else 0
    with tqdm(
        desc=part.name.removesuffix(".part"), unit="B", unit_scale=True, unit_divisor=1024, initial=furthest,
        disable=not progress,
    ) as bar:
        while True:
            try:
                _transfer(url, part, proven, timeout_s, bar)
                return
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code not in (408, 416, 429):
                    raise DownloadError(
                        f"{url} answered {error.code} {error.reason}; the file may have moved, get it by hand."
                    ) from error
                if error.code == 416:  # the part is longer than the file: it belongs to something else
                    part.unlink(missing_ok=True)
                reason = f"HTTP {error.code}"
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            size = part.stat().st_size if part.exists() else 0
            failures = 1 if size > furthest else failures + 1
            furthest = max(size, furthest)
            if failures > retries:
                raise DownloadError(
                    f"Cannot download {url} ({reason}, after {failures} attempts and {size:,} bytes); check the "
                    "network and run the same command again: what has arrived is kept."
                )
            time.sleep(wait_s * failures)


def _transfer(url: str, part: Path, proven: bool, timeout_s: float, bar) -> None:
    """One attempt: append what is still missing. Raises ConnectionError when the body ends early.

    Without a checksum (`proven` is False) the rest is asked for under the condition that the file has not changed, so
    that a changed one comes whole instead of as a wrong tail.
    """
    have = part.stat().st_size if part.exists() else 0
    tag = _tag(part).read_text() if _tag(part).exists() else ""
    headers = dict(AGENT)
    if have and (proven or tag):
        headers["Range"] = f"bytes={have}-"
        if not proven:
            headers["If-Range"] = tag
    with _open(urllib.request.Request(url, headers=headers), timeout_s) as answer:
        start = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
        resumed = answer.status == 206 and start == str(have)
        if answer.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise ConnectionError("the server sent another part of the file than asked for")
        tag = answer.headers.get("ETag", "")
        if not resumed:  # what is there belongs to no known file as soon as this one begins
            part.unlink(missing_ok=True)
        _tag(part).write_text("" if tag.startswith("W/") else tag)  # a weak tag does not promise equal bytes
        offset = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = offset + int(length) if length else None
        bar.total, bar.n = total, offset
        bar.refresh()
        size = offset
        with part.open("ab") as file:
            for chunk in _chunks(answer):
                file.write(chunk)
                size += len(chunk)
                bar.update(len(chunk))
        if total is not None and size < total:
            raise ConnectionError("the connection was cut off")


def _open(request: urllib.request.Request, timeout_s: float) -> http.client.HTTPResponse:
    try:
        return urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.URLError:
        raise
    except OSError as error:  # a broken handshake, for instance, which must not be taken for trouble with the disk
        raise ConnectionError(str(error) or type(error).__name__) from error


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = answer.read(CHUNK_BYTES)
        except OSError as error:  # likewise
            raise ConnectionError(str(error) or type(error).__name__) from error
        if not chunk:
            return
        yield chunk


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, folder: Path, suffixes: tuple[str, ...]) -> int:
    """Unpack a ZIP's files that end in `suffixes` into `folder`, without its inner folders; returns their number.

    Raises:
        DownloadError: damaged, a path that leaves the folder, a link, two files of one name, or absurdly large.
    """
    try:
        with zipfile.ZipFile(archive) as z:
            members = [m for m in z.infolist() if not m.is_dir()]
            names: set[str] = set()
            for m in members:
                parts = m.filename.replace("\\", "/").split("/")
                if ".." in parts or m.filename.startswith(("/", "\\")) or ":" in parts[0]:
                    raise DownloadError(f"{archive.name} holds the unsafe path {m.filename!r}; nothing was unpacked.")
                if stat.S_ISLNK(m.external_attr >> 16):
                    raise DownloadError(f"{archive.name} holds the link {m.filename!r}; nothing was unpacked.")
            wanted = [m for m in members if m.filename.lower().endswith(suffixes) and "__MACOSX" not in m.filename]
            if sum(m.file_size for m in wanted) > MAX_UNPACKED_BYTES:
                raise DownloadError(f"{archive.name} would unpack to over 20 GiB; nothing was unpacked.")
            folder.mkdir(parents=True, exist_ok=True)
            for m in wanted:
                name = m.filename.replace("\\", "/").rsplit("/", 1)[-1]
                if name.lower() in names:  # some file systems do not tell a.jpg from A.jpg
                    raise DownloadError(f"{archive.name} holds two files named {name!r}; get the data set by hand.")
                names.add(name.lower())
                with z.open(m) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            return len(names)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{archive.name} is not a whole ZIP archive ({error}); download it again.") from error
