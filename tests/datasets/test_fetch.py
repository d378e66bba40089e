"""Downloads against a loopback server that cuts connections, forgets ranges and sends wrong bytes."""

import hashlib
import io
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from medvlm_lab.datasets import dataset, fetch
from medvlm_lab.datasets.download import download, unpack
from medvlm_lab.errors import DownloadError, UnknownNameError

BODY = os.urandom(300_000)
SHA = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `files`; sends at most `cut` bytes per connection, `drops` times."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {"/file": BODY}
        self.cut, self.drops, self.ranges, self.status, self.etag = 0, 0, True, None, '"one"'
        self.requests: list[str | None] = []

    def url(self, path="/file"):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        s = self.server
        wanted = self.headers.get("Range")
        s.requests.append(wanted)
        if s.status or self.path not in s.files:
            self.send_error(s.status or 404)
            return
        body, start = s.files[self.path], 0
        same = self.headers.get("If-Range") in (None, s.etag)
        if wanted and s.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", s.etag)
        self.end_headers()
        end = len(body)
        if s.drops > 0:
            s.drops -= 1
            end = min(end, start + s.cut)
        self.wfile.write(body[start:end])


@pytest.fixture
def server():
    s = Server()
    thread = threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield s
    s.shutdown()
    s.server_close()


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
    old = Handler.end_headers

    def change_after_first(self):
        old(self)
        if len(server.requests) == 1:
            server.etag, server.files["/file"] = '"two"', changed

    Handler.end_headers = change_after_first
    try:
        get(server, tmp_path / "file", sha256=None)
    finally:
        Handler.end_headers = old
    assert (tmp_path / "file").read_bytes() == changed


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
    with pytest.raises(DownloadError, match="Cannot write"):
        get(server, tmp_path / "not_a_folder" / "file")


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, content in files.items():
            z.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "/evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, name):
    (tmp_path / "z.zip").write_bytes(zipped(**{"good.jpg": b"1", name: b"2"}))
    with pytest.raises(DownloadError, match="unsafe path"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    assert sorted(os.listdir(tmp_path)) == ["z.zip"]


def test_links_doubles_and_damage_are_refused(tmp_path):
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as z:
        z.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="link"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    (tmp_path / "z.zip").write_bytes(zipped(**{"a/x.jpg": b"1", "b/x.jpg": b"2"}))
    with pytest.raises(DownloadError, match="two files named"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))
    (tmp_path / "z.zip").write_bytes(zipped(**{"x.jpg": b"1" * 999})[:500])
    with pytest.raises(DownloadError, match="not a whole ZIP"):
        unpack(tmp_path / "z.zip", tmp_path / "out", (".jpg",))


@pytest.fixture
def public_home(server, monkeypatch):
    """VQA-RAD's public release in small: 2 training questions, 1 test question, 2 template phrasings."""
    from medvlm_lab.datasets.fetch import RECIPES, Source, build_vqa_rad

    def row(kind, question, frame):
        return {
            "phrase_type": kind, "question": question, "question_frame": frame, "image_name": "a.jpg",
            "image_organ": "HEAD", "answer": "Yes", "answer_type": "CLOSED", "question_type": "PRES",
        }

    rows = [
        row("freeform", "f?", "frame of f?"), row("para", "p?", "NULL"), row("test_freeform", "t?", "frame of t?"),
    ]
    server.files |= {
        "/questions": json.dumps(rows).encode(), "/images": zipped(**{"VQA_RAD Image Folder/a.jpg": b"jpeg"}),
    }
    sources = (Source("questions.json", server.url("/questions")), Source("images.zip", server.url("/images")))
    recipe = type(RECIPES["vqa_rad"])("vqa_rad", "https://osf.io/89kps/", "CC0", sources, build_vqa_rad)
    monkeypatch.setitem(RECIPES, "vqa_rad", recipe)
    monkeypatch.setattr("time.sleep", lambda s: None)
    return server


def test_fetch_builds_the_layout(public_home, tmp_path, capsys):
    public_home.cut, public_home.drops = 40, 2
    folder = fetch("vqa_rad", tmp_path)
    assert folder == tmp_path / "vqa_rad" and os.listdir(tmp_path) == ["vqa_rad"]
    train, test = dataset(folder), dataset(folder, "test")
    assert [i.question for i in train] == ["f?", "frame of f?", "p?", "frame of t?"]
    assert [r["qid"] for r in train.rows] == [1, 2, 3, 5]
    assert [r["phrase_type"] for r in train.rows] == ["freeform", "frame", "para", "frame"]
    assert [(i.question, r["phrase_type"]) for i, r in zip(test, test.rows, strict=True)] == [("t?", "freeform")]
    assert "sha256" in capsys.readouterr().out
    before = len(public_home.requests)
    assert fetch("vqa_rad", tmp_path) == folder and len(public_home.requests) == before  # there already


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/questions", b"<html>maintenance</html>"),
        ("/questions", b'[{"image_name": "a.jpg"}]'),
        ("/images", b"<html>maintenance</html>"),
        ("/images", zipped(**{"b.jpg": b"1"})),
    ],
)
def test_what_is_not_the_data_set_leaves_nothing(public_home, tmp_path, path, content):
    public_home.files[path] = content
    with pytest.raises(DownloadError):
        fetch("vqa_rad", tmp_path, progress=False)
    assert os.listdir(tmp_path) == []


def test_fetch_goes_to_the_named_root(public_home, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path / "data"))
    assert fetch("vqa_rad", progress=False) == tmp_path / "data" / "vqa_rad"
    monkeypatch.delenv("MEDVLM_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetch("vqa_rad", progress=False)
    assert len(dataset("vqa_rad")) == 4


def test_fetch_says_what_it_cannot_do(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'vqa_rad'"):
        fetch("vqarad", tmp_path)
    with pytest.raises(DownloadError, match="github.com/UCSD-AI4H/PathVQA"):
        fetch("path_vqa", tmp_path)
    (tmp_path / "vqa_rad").mkdir()
    with pytest.raises(DownloadError, match="move it away"):
        fetch("vqa_rad", tmp_path)
    with pytest.raises(DownloadError, match="Cannot write"):
        (tmp_path / "a_file").touch()
        fetch("vqa_rad", tmp_path / "a_file" / "data")


def test_the_real_training_file_has_the_shape_that_fetch_builds(real_data):
    """Test questions leave gaps in the numbering: each template phrasing follows its question or such a gap."""
    kinds = {row["qid"]: row["phrase_type"] for row in dataset(real_data / "vqa_rad").rows}
    frames = [qid for qid, kind in kinds.items() if kind == "frame"]
    assert all(kinds.get(qid - 1) != "frame" for qid in frames)
    assert max(kinds) - len(frames) == 2248 and max(kinds) - len(kinds) == 451
