"""S3 as moto's server speaks it, with errors, throttling and cut-off answers put in between: nothing is lost."""

from __future__ import annotations

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_steps import Inverse, folder, picture, results

from restore.pipeline import remote, retrying
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.remote import RemoteFolder
from restore.pipeline.sharding import Shard

s3fs = pytest.importorskip("s3fs")
moto_app = pytest.importorskip("moto.server")
serving = pytest.importorskip("werkzeug.serving")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")]

IN, OUT = "s3://pictures/xray", "s3://pictures/clean"
Application = Callable[[dict[str, Any], Any], Any]


class Faulty:
    """A WSGI application that answers some of the requests with an error, before or after they took effect, or with half of the answer."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.fraction = 0.0
        self.random = random.Random(1)
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self.lock:
            self.requests[environ["REQUEST_METHOD"]] += 1
            fault = self.random.random() < self.fraction
            kind = self.random.choice(["503 SlowDown", "500 InternalError", "500 after"] + ["cut"] * (environ["REQUEST_METHOD"] == "GET"))
            self.faults[kind] += fault
        if not fault:
            return self.application(environ, start_response)
        if kind == "cut":
            return _half(self.application, environ, start_response)
        if kind == "500 after":
            list(self.application(environ, lambda *_: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code = kind.replace("after", "InternalError").split(" ")
        body = f"<Error><Code>{code}</Code><Message>Please reduce your request rate.</Message></Error>".encode()
        start_response(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


def _half(application: Application, environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Promises the whole answer and sends half of it."""
    head: list[Any] = []
    body = b"".join(application(environ, lambda status, headers, *_: head.extend([status, headers])))
    headers = [(name, value) for name, value in head[1] if name.lower() != "content-length"]
    start_response(head[0], [*headers, ("Content-Length", str(len(body)))])
    return [body[: len(body) // 2]]


Store = tuple[Any, Faulty]
"""s3fs's file system, and the server that it talks to."""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Faulty]]:
    faulty = Faulty(moto_app.DomainDispatcherApplication(moto_app.create_backend_app))
    running = serving.make_server("127.0.0.1", 0, faulty, threaded=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", faulty
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def s3(server: tuple[str, Faulty], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    address, faulty = server
    for name, value in {
        "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.01)
    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    if not fs.exists("pictures"):
        fs.mkdir("pictures")
    yield fs, faulty
    faulty.fraction = 0.0
    fs.rm("pictures", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def upload(fs: Any, source: Path, place: str = "pictures/xray") -> None:
    for path in source.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{place}/{path.relative_to(source).as_posix()}", path.read_bytes())


def objects(fs: Any) -> dict[str, bytes]:
    found = [name for name in fs.find("pictures/clean") if "/.restore/" not in name]
    return {name.removeprefix("pictures/clean/"): fs.cat_file(name) for name in found}


def test_errors_throttling_and_cut_answers_lose_nothing(tmp_path: Path, s3: Store) -> None:
    fs, faulty = s3
    source = folder(tmp_path / "in", 24, (40, 50))
    (source / "bad.png").write_bytes(b"no picture")
    upload(fs, source)
    here = run(Inverse(), [source], tmp_path / "out")
    faulty.fraction = 0.25
    there = run(Inverse(), [IN], OUT, BatchOptions(workers=3))
    faulty.fraction = 0.0
    assert (there.done, there.failed) == (here.done, here.failed) == (24, 1), [record.error for record in there.records if record.error]
    assert objects(fs) == {name: (tmp_path / "out" / name).read_bytes() for name in results(tmp_path / "out")}
    assert sum(faulty.faults.values()) > 20 and len(faulty.faults) == 4, faulty.faults
    print(f"{sum(faulty.requests.values())} requests, {dict(faulty.faults)}")


def test_a_rerun_reads_records_but_no_pictures(tmp_path: Path, s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, faulty = s3
    upload(fs, folder(tmp_path / "in", 5))
    assert run(Inverse(), [IN], OUT).done == 5
    monkeypatch.setattr(RemoteFolder, "fetch", lambda *_: pytest.fail("an unchanged picture was read"))
    faulty.requests.clear()
    assert run(Inverse(), [IN], OUT).skipped == 5
    assert faulty.requests["PUT"] == 1, "the mark of the run"
    assert faulty.requests["GET"] <= 5 + 3 and faulty.requests["HEAD"] <= 2 * 5 + 3
    monkeypatch.undo()


def test_the_listing_comes_in_pages(tmp_path: Path, s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, _ = s3
    upload(fs, folder(tmp_path / "in", 7))
    fs.pipe_file("pictures/xray/empty/", b"")
    fs.pipe_file("pictures/xray-other/a.png", b"not below the folder")
    monkeypatch.setattr(remote, "PAGE", 2)
    found = [entry.name for entry in RemoteFolder.at(IN).objects() if not isinstance(entry, OSError)]
    assert found == sorted(name for name in fs.find("pictures/xray") if not name.endswith("/"))
    assert len(found) == 7


def test_shards_and_suffixless_objects(tmp_path: Path, s3: Store) -> None:
    fs, _ = s3
    source = folder(tmp_path / "in", 6)
    picture(source / "plain.png", 9).rename(source / "plain")
    (source / "notes").write_bytes(b"words")
    upload(fs, source)
    reports = [run(Inverse(), [IN], OUT, BatchOptions(shard=Shard(index, 2))) for index in (1, 2)]
    assert sum(report.done for report in reports) == 7
    assert sum(report.ignored for report in reports) == 1
    assert "plain" in objects(fs)


def test_a_bucket_that_does_not_exist(tmp_path: Path, s3: Store) -> None:
    fs, _ = s3
    upload(fs, folder(tmp_path / "in", 1))
    with pytest.raises(ValueError, match=r"cannot write to s3://nowhere/clean.*check the bucket's name"):
        run(Inverse(), [IN], "s3://nowhere/clean")
    report = run(Inverse(), ["s3://nowhere/xray"], tmp_path / "out")
    assert report.records[0].error == "no such object or folder"
