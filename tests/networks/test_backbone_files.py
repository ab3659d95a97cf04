"""Downloads of backbones: once, resumed, checksummed; from a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from restore.networks import backbone_files
from restore.networks.backbone_files import BackboneFile, fetch, find

CONTENT = bytes(range(256)) * 9000
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


class _Server(BaseHTTPRequestHandler):
    """Serves CONTENT, in parts if asked; `cut` ends the connection after so many bytes, `asked` keeps the ranges."""

    cut: int | None = None
    ranges = True
    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.cut])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[_Server]]:
    """A row `net` of BACKBONE_FILES whose file the server has; torch's folder is a temporary one."""
    monkeypatch.setattr(_Server, "cut", None)
    monkeypatch.setattr(_Server, "ranges", True)
    monkeypatch.setattr(_Server, "asked", [])
    listening = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    address = f"http://127.0.0.1:{listening.server_port}"
    rows = {
        "net": BackboneFile(lambda: f"{address}/net-{DIGITS}.pth", ""),
        "wrong": BackboneFile(lambda: f"{address}/net-00000000.pth", ""),
    }
    monkeypatch.setattr(backbone_files, "BACKBONE_FILES", rows)
    yield _Server
    listening.shutdown()
    listening.server_close()
    thread.join()


def test_a_backbone_is_fetched_once(server: type[_Server]) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch("net", lambda here, size: told.append((here, size)))
    assert path is not None and path.read_bytes() == CONTENT and path == find("net")
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch("net") == path and server.asked == [None]


def test_an_interrupted_download_goes_on(server: type[_Server]) -> None:
    server.cut = 1_000_000
    with pytest.raises(OSError, match="run the command again"):
        fetch("net")
    with pytest.raises(ValueError, match="fetch-backbones"):
        find("net")
    server.cut = None
    path = fetch("net")
    assert path is not None and path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-"]
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_server_that_cannot_resume_sends_all(server: type[_Server]) -> None:
    server.cut, server.ranges = 1_000_000, False
    with pytest.raises(OSError):
        fetch("net")
    server.cut = None
    path = fetch("net")
    assert path is not None and path.read_bytes() == CONTENT


def test_a_complete_part_is_taken(server: type[_Server]) -> None:
    part = backbone_files.folder() / f"net-{DIGITS}.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    path = fetch("net")
    assert path is not None and path.read_bytes() == CONTENT and not part.exists()


def test_a_wrong_checksum_leaves_nothing(server: type[_Server]) -> None:
    with pytest.raises(ValueError, match="checksum"):
        fetch("wrong")
    assert not list(backbone_files.folder().iterdir())


def test_a_damaged_backbone_is_told(server: type[_Server]) -> None:
    path = fetch("net")
    assert path is not None
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match="delete it and fetch it again"):
        fetch("net")


def test_without_a_network_the_reason_is_told(server: type[_Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbone_files.BACKBONE_FILES, "net", BackboneFile(lambda: "http://127.0.0.1:9/net-00000000.pth", ""))  # type: ignore[arg-type]
    with pytest.raises(OSError):
        fetch("net")


def test_every_row_names_a_file_with_a_checksum() -> None:
    for name, row in backbone_files.BACKBONE_FILES.items():
        url = row.url()
        if url is not None:
            digits = url.rsplit("-", 1)[1].removesuffix(".pth")
            assert len(digits) == 8 and int(digits, 16) >= 0, name
