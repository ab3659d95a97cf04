"""Pictures of a web server of this machine: a page that lists files, single files, and answers that fail at first."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from batch_steps import Inverse, folder, results, tree

from restore.pipeline import retrying
from restore.pipeline.batch import run

pytest.importorskip("aiohttp")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; the first answer for each picture is 503."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        if self.path.endswith(".png") and self.asked[self.path] == 1:
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.0)
    folder(tmp_path / "in", 5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "in")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_and_single_files(tmp_path: Path, address: str) -> None:
    run(Inverse(), [tmp_path / "in"], tmp_path / "here")
    report = run(Inverse(), [f"{address}/"], tmp_path / "there")
    assert report.done == 5, [record.error for record in report.records]
    assert {name: tree(tmp_path / "there")[name] for name in results(tmp_path / "there")} == {
        name: tree(tmp_path / "here")[name] for name in results(tmp_path / "here")
    }
    report = run(Inverse(), [f"{address}/deep/002.png", f"{address}/none.png"], tmp_path / "single")
    assert [(record.name, record.status) for record in report.records] == [
        (f"{address}/deep/002.png", "done"), (f"{address}/none.png", "failed"),
    ]  # fmt: skip
    assert report.records[1].error == "no such object or folder"
