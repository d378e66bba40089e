"""A small data set in VQA-RAD's layout, the real ones where present, and a loopback server that misbehaves."""

import io
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


def _real(folder):
    root = Path(os.environ.get("MEDVLM_DATA", ""))
    if not (root / folder / "trainset.json").is_file():
        pytest.skip(f"MEDVLM_DATA names no folder with {folder}/trainset.json")
    return root


@pytest.fixture
def real_data():
    return _real("vqa_rad")


@pytest.fixture
def real_micrographs():
    return _real("pathvqa_histology") / "pathvqa_histology"


class Server(ThreadingHTTPServer):
    """Serves `files`; sends at most `cut` bytes per connection, `drops` times; calls `after_headers` before a body."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut, self.drops, self.ranges, self.status, self.etag = 0, 0, True, None, '"one"'
        self.requests: list[str | None] = []
        self.after_headers = lambda: None

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
        s.after_headers()
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


@pytest.fixture
def zipped():
    """(name=content, ...) -> the bytes of a ZIP archive."""

    def pack(deflated=False, **files):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as z:
            for name, content in files.items():
                z.writestr(name, content)
        return buffer.getvalue()

    return pack
