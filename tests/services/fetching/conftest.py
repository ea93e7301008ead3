"""A real HTTP server that behaves as badly as a test wants, and a folder of models."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Site:
    """What the server offers, and what it was asked for.

    Attributes:
        address: its own, without a slash at the end.
        files: path -> bytes.
        cut_after: answers end after so many bytes of a body, as often as `cuts` says.
        cuts: how many answers are still to be cut.
        status: path -> (status, X-Error-Code) to answer instead.
        ranges: whether Range is understood.
        version: part of every ETag.
        asked: "METHOD path range" of each request.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int = 0
    cuts: int = 0
    status: dict[str, tuple[int, str]] = field(default_factory=dict)
    ranges: bool = True
    version: str = "1"
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        site, wanted = self.site, self.headers.get("Range", "")
        site.asked.append(f"{self.command} {self.path} {wanted}".strip())
        if self.path in site.status or self.path not in site.files:
            status, code = site.status.get(self.path, (404, "EntryNotFound"))
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = site.files[self.path]
        digest = hashlib.sha256(content).hexdigest()
        etag = f'"{site.version}-{digest[:12]}"'
        start = 0
        if wanted and site.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", etag)
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("X-Linked-ETag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if body:
            self.send(content[start:])

    def send(self, rest: bytes) -> None:
        site = self.site
        if site.cuts and len(rest) > site.cut_after:
            site.cuts -= 1
            self.wfile.write(rest[: site.cut_after])
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    handler = type("BoundHandler", (Handler,), {"site": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    monkeypatch.setenv("GLASSHOUSE_MODELS", str(folder))
    return folder
