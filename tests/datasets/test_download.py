"""Downloads against a loopback server that cuts connections, forgets ranges and sends wrong bytes."""

import errno
import hashlib
import os
import ssl
import zipfile

import pytest

from medvlm_lab.datasets.download import download, unpack
from medvlm_lab.errors import DownloadError

BODY = os.urandom(300_000)
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(server):
    server.files["/file"] = BODY
    return server


def get(server, path, sha256=SHA, **kw):
    return download(server.url(), path, sha256, wait_s=0.0, timeout_s=5.0, progress=False, **kw)


def test_a_dropped_connection_is_resumed_where_it_broke_off(server, tmp_path):
    server.cut, server.drops = 70_000, 3
    assert get(server, tmp_path / "deep" / "file") == SHA
    assert (tmp_path / "deep" / "file").read_bytes() == BODY
    assert server.requests == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-"]
    assert os.listdir(tmp_path / "deep") == ["file"]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.cut, server.drops, server.ranges = 70_000, 2, False
    assert get(server, tmp_path / "file") == SHA
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_file_that_changes_meanwhile_is_not_mixed(server, tmp_path):
    server.cut, server.drops = 70_000, 1
    changed = os.urandom(len(BODY))

    def change():
        server.etag, server.files["/file"] = '"two"', changed

    server.after_headers = change
    get(server, tmp_path / "file", sha256=None)
    assert (tmp_path / "file").read_bytes() == changed
    assert server.requests == [None, "bytes=70000-"]


def test_retries_are_bounded(server, tmp_path):
    server.cut, server.drops = 0, 10_000
    with pytest.raises(DownloadError, match="after 3 attempts") as caught:
        get(server, tmp_path / "file", retries=2)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 3
    assert not (tmp_path / "file").exists()


def test_an_earlier_part_is_used_when_a_checksum_can_prove_it(server, tmp_path):
    (tmp_path / "file.part").write_bytes(BODY[:100_000])
    get(server, tmp_path / "file")
    assert server.requests == ["bytes=100000-"]
    (tmp_path / "other.part").write_bytes(b"of another file")
    download(server.url(), tmp_path / "other", wait_s=0.0, progress=False)
    assert (tmp_path / "other").read_bytes() == BODY


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    (tmp_path / "file.part").write_bytes(BODY + b"more")
    assert get(server, tmp_path / "file") == SHA


def test_wrong_bytes_leave_nothing(server, tmp_path):
    server.files["/file"] = b"x" * len(BODY)
    with pytest.raises(DownloadError, match="other bytes than expected"):
        get(server, tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_a_later_call_goes_on_where_the_first_was_cut_off(server, tmp_path):
    server.cut, server.drops = 70_000, 3
    with pytest.raises(DownloadError, match="what has arrived is kept"):
        get(server, tmp_path / "file", sha256=None, retries=0)
    assert get(server, tmp_path / "file", sha256=None) == SHA  # proven by the ETag
    assert server.requests == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-"]
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("etag", ['W/"weak"', ""])
def test_without_a_strong_etag_or_checksum_a_later_call_starts_over(server, tmp_path, etag):
    server.cut, server.drops, server.etag = 70_000, 1, etag
    assert get(server, tmp_path / "file", sha256=None) == SHA
    assert server.requests == [None, None]


def test_a_whole_part_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(BODY)
    assert get(server, tmp_path / "file") == SHA
    assert server.requests == [] and os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_not_taken_for_the_network(server, tmp_path, monkeypatch):
    def full(answer):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield

    monkeypatch.setattr("medvlm_lab.datasets.download._chunks", lambda answer: full(answer))
    with pytest.raises(DownloadError, match="file cannot be written: the disk is full.*arrived is kept") as caught:
        get(server, tmp_path / "file")
    assert "\n" not in str(caught.value) and len(server.requests) == 1
    assert not (tmp_path / "file").exists()


def test_trouble_with_the_connection_is_not_taken_for_the_disk(server, tmp_path, monkeypatch):
    def broken(self, amount):
        raise ssl.SSLError("decryption failed")

    monkeypatch.setattr("http.client.HTTPResponse.read", broken)
    with pytest.raises(DownloadError, match="check the network"):
        get(server, tmp_path / "file", retries=1)


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3)])
def test_refusals(server, tmp_path, status, requests):
    server.status = status
    with pytest.raises(DownloadError, match=str(status)):
        get(server, tmp_path / "file", retries=2)
    assert len(server.requests) == requests


def test_no_server(tmp_path):
    with pytest.raises(DownloadError, match="check the network"):
        download("http://127.0.0.1:9/file", tmp_path / "f", wait_s=0.0, retries=1, progress=False)
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written_to(server, tmp_path):
    (tmp_path / "not_a_folder").touch()
    with pytest.raises(DownloadError, match="cannot be written"):
        get(server, tmp_path / "not_a_folder" / "file")


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, zipped, name):
    (tmp_path / "z.zip").write_bytes(zipped(**{"good.jpg": b"1", name: b"2"}))
    with pytest.raises(DownloadError, match="unsafe path"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    assert sorted(os.listdir(tmp_path)) == ["z.zip"]


def test_links_doubles_and_damage_are_refused(tmp_path, zipped):
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as z:
        z.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="link"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    (tmp_path / "z.zip").write_bytes(zipped(**{"a/x.jpg": b"1", "b/X.jpg": b"2"}))
    with pytest.raises(DownloadError, match="two files named"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    (tmp_path / "z.zip").write_bytes(zipped(**{"x.jpg": b"1" * 999})[:500])
    with pytest.raises(DownloadError, match="not a whole ZIP"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    whole = bytearray(zipped(deflated=True, **{"x.jpg": bytes(range(256)) * 40}))
    whole[60:90] = b"\xff" * 30
    (tmp_path / "z.zip").write_bytes(whole)
    with pytest.raises(DownloadError, match="not a whole ZIP"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
