"""Writing: whole or not at all, into plain files only, and one sentence that says why not."""

import errno
import os
import socket
import subprocess
import sys

import pytest
import torch
from pyarrow import Table
from pyarrow.parquet import write_table
from safetensors.torch import save_file

from medvlm_lab.errors import CannotWriteError
from medvlm_lab.io.whole import append, from_utf8, in_utf8, whole, write_whole

LIMITED = """
import os, resource, sys
import numpy as np, torch
from pyarrow import Table
from pyarrow.parquet import write_table
from safetensors.torch import save_file
from medvlm_lab.io.whole import append, whole, write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
path = sys.argv[1] + "/file"
def tensors():
    with whole(path) as part:
        save_file({"a": torch.zeros(10000)}, part)
def parquet():
    with whole(path) as part:
        write_table(Table.from_pydict({"a": np.random.default_rng(0).random(10000)}), part)
for write in (tensors, parquet, lambda: write_whole(path, "x" * 10000), lambda: append(path, "x" * 10000)):
    try:
        write()
    except Exception as error:
        print(type(error).__name__, error)
print(sorted(os.listdir(sys.argv[1])))
"""


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_whole_and_links_are_followed(tmp_path):
    write_whole(tmp_path / "new" / "file", "old")
    (tmp_path / "link").symlink_to(tmp_path / "new" / "file")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "new" / "file").read_bytes() == b"new" and (tmp_path / "link").is_symlink()
    append(tmp_path / "link", "é")
    assert (tmp_path / "new" / "file").read_text(encoding="utf-8") == "newé"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "link", "new"]


@pytest.mark.parametrize("write", [write_whole, append])
def test_what_is_no_plain_file_stays_as_it_is(tmp_path, write, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the name of a socket may be short only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for path, kind in (("pipe", "pipe"), ("socket", "socket"), (".", "folder"), ("/dev/full", "device")):
            with pytest.raises(CannotWriteError, match=f"cannot be written: it is a {kind}; name a file"):
                write(path, "text")
        for stream in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            with pytest.raises(CannotWriteError, match="open stream"):
                write(stream, "text")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(CannotWriteError, match="circle"):
        write("loop", "text")
    with pytest.raises(CannotWriteError, match="name is too long"):
        write("x" * 300, "text")
    (tmp_path / "plain").write_text("")
    with pytest.raises(CannotWriteError, match="is a file, no folder"):
        write("plain/below", "text")
    assert sorted(os.listdir()) == ["loop", "pipe", "plain", "socket"]


def test_long_names_are_written(tmp_path):
    write_whole(tmp_path / ("ö" * 127), "x")
    assert os.listdir(tmp_path) == ["ö" * 127]


def test_a_full_disk_names_the_file_and_the_remedy_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(CannotWriteError, match="file cannot be written: the disk is full; make room") as told:
        with whole(path) as part:
            part.write_text("half")
            full()
    assert told.value.errno == errno.ENOSPC and path.read_text() == "old" and os.listdir(tmp_path) == ["file"]
    with pytest.raises(ValueError):  # an error of another kind stays as it is
        with whole(path) as part:
            part.write_text("half")
            raise ValueError
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_libraries_that_write_by_themselves_say_the_same(tmp_path):
    ended = subprocess.run([sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=True)
    *said, left = ended.stdout.splitlines()
    assert left == "[]" and len(said) == 4
    for line in said:
        assert line.startswith(f"CannotWriteError {tmp_path}/file cannot be written: it is larger than"), line


def test_what_libraries_write_is_read_back(tmp_path):
    with whole(tmp_path / "a.safetensors") as part:
        save_file({"a": torch.zeros(3)}, part)
    with whole(tmp_path / "a.parquet") as part:
        write_table(Table.from_pydict({"a": [1]}), part)
    assert sorted(os.listdir(tmp_path)) == ["a.parquet", "a.safetensors"]


@pytest.mark.parametrize("name", ["plain", "é", os.fsdecode(b"R\xf6.png"), os.fsdecode(bytes(range(1, 256)))])
def test_names_that_are_not_utf8_are_written_out_and_found_again(name):
    written = in_utf8(name)
    assert from_utf8(written) == name and written.encode().decode() == written
