"""Inputs and outputs in other stores: the same guarantees as in folders. The store is fsspec's own in memory, made to fail."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from batch_steps import Identity, Inverse, folder, picture, results
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image as Pillow

from restore.pipeline import remote, retrying
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.records import Report
from restore.pipeline.remote import RemoteFolder, StoredObject
from restore.pipeline.sharding import Shard

IN, OUT = "memory://bucket/in", "memory://bucket/out"


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.0)
    fs = fsspec.filesystem("memory", use_listings_cache=False)  # the instance that a run uses
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


def upload(fs: MemoryFileSystem, source: Path, place: str = "/bucket/in") -> None:
    for path in source.rglob("*"):
        if path.is_file():
            fs.pipe_file(f"{place}/{path.relative_to(source).as_posix()}", path.read_bytes())


def objects(fs: MemoryFileSystem, place: str = "/bucket/out") -> dict[str, bytes]:
    """Results by their name below the output."""
    return {name[len(place) + 1 :]: bytes(fs.cat_file(name)) for name in fs.find(place) if "/.restore/" not in name}


def with_checksums(fs: MemoryFileSystem) -> Callable[..., dict[str, Any]]:
    """The store's `info`, with the content's MD5."""
    info = fs.info

    def with_checksum(path: str, **settings: Any) -> dict[str, Any]:
        found = dict(info(path, **settings))
        if found["type"] == "file":
            found["ETag"] = f'"{md5(fs.cat_file(path)).hexdigest()}"'
        return found

    return with_checksum


def rows(report: Report) -> list[tuple[str, str, str]]:
    return [(record.name, record.status, record.error) for record in report.records]


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_results_are_those_of_a_folder_and_a_rerun_reads_no_picture(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    source = folder(tmp_path / "in", 7)
    (source / "bad.png").write_bytes(b"no picture")
    (source / "notes.txt").write_bytes(b"not a picture")
    (source / ".hidden.png").write_bytes(b"hidden")
    upload(memory, source)
    here = run(Inverse(), [source], tmp_path / "out")
    there = run(Inverse(), [IN], OUT, BatchOptions(executor=executor))
    assert objects(memory) == {name: (tmp_path / "out" / name).read_bytes() for name in results(tmp_path / "out")}
    assert (there.done, there.failed, there.ignored) == (here.done, here.failed, here.ignored) == (7, 1, 2)
    assert [name.removeprefix(IN) for name, _, _ in rows(there)] == [name.removeprefix(str(source)) for name, _, _ in rows(here)]
    assert [record.error for record in there.records] == [record.error for record in here.records]
    line = json.loads(next(record for record in there.records if record.status == "done").as_json())
    assert (line["input"], line["output"]) == (f"{IN}/000.png", f"{OUT}/000.png")

    fetched: list[str] = []
    real = RemoteFolder.fetch

    def fetch(store: RemoteFolder, found: StoredObject, path: Path) -> None:
        fetched.append(found.name)
        real(store, found, path)

    monkeypatch.setattr(RemoteFolder, "fetch", fetch)
    memory.rm("/bucket/in/bad.png")
    assert run(Inverse(), [IN], OUT, BatchOptions(executor=executor)).skipped == 7
    assert len(fetched) == 7 and all(name.startswith("/bucket/out/") for name in fetched), "a store without checksums reads results"


def test_a_rerun_reads_nothing_where_the_store_has_checksums(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(memory, folder(tmp_path / "in", 4))
    run(Inverse(), [IN], OUT)
    with_checksum = with_checksums(memory)
    monkeypatch.setattr(memory, "info", with_checksum)
    monkeypatch.setattr(RemoteFolder, "fetch", lambda *_: pytest.fail("a picture or a result was read"))
    assert run(Inverse(), [IN], OUT).skipped == 4
    memory.pipe_file("/bucket/out/000.png", b"damaged")
    monkeypatch.undo()
    monkeypatch.setattr(memory, "info", with_checksum)
    report = run(Inverse(), [IN], OUT)
    assert (report.done, report.skipped) == (1, 3)


def test_a_changed_picture_other_settings_and_overwrite_restore_again(tmp_path: Path, memory: MemoryFileSystem) -> None:
    upload(memory, folder(tmp_path / "in", 4))
    assert run(Inverse(), [IN], OUT).done == 4
    assert run(Inverse(), [IN], OUT).skipped == 4
    memory.pipe_file("/bucket/in/000.png", picture(tmp_path / "new.png", 77).read_bytes())
    report = run(Inverse(), [IN], OUT)
    assert (report.done, report.skipped) == (1, 3)
    assert run(Inverse(), [IN], OUT, BatchOptions(salvage=True)).skipped == 4
    assert run(Inverse(), [IN], OUT, BatchOptions(salvage=True, overwrite=True)).done == 4
    assert run(Identity(), [IN], OUT).done == 4


def test_what_was_salvaged_is_not_taken_for_a_whole_picture(tmp_path: Path, memory: MemoryFileSystem) -> None:
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48), dtype=np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    memory.pipe_file("/bucket/in/a.png", whole[: len(whole) // 2])
    memory.pipe_file("/bucket/in/b.png", whole)
    assert run(Inverse(), [IN], OUT, BatchOptions(salvage=True)).done == 2
    again = run(Inverse(), [IN], OUT, BatchOptions(salvage=True))
    assert again.skipped == 2 and "with --salvage" in again.records[0].warnings[0] and not again.records[1].warnings
    without = run(Inverse(), [IN], OUT)
    assert (without.failed, without.skipped) == (1, 1) and "an earlier run with --salvage" in without.records[0].warnings[0]


def test_a_url_and_a_folder_mix(tmp_path: Path, memory: MemoryFileSystem) -> None:
    source = folder(tmp_path / "in", 3)
    upload(memory, source)
    assert run(Inverse(), [source], OUT).done == 3
    assert run(Inverse(), [f"{IN}/000.png", source / "001.png"], tmp_path / "out").done == 2
    assert results(tmp_path / "out") == {"000.png", "001.png"}
    assert (tmp_path / "out/000.png").read_bytes() == objects(memory)["000.png"]
    assert run(Inverse(), [f"{IN}/000.png"], f"file://{tmp_path}/out").skipped == 1


def test_a_file_that_no_run_wrote_is_kept(tmp_path: Path, memory: MemoryFileSystem) -> None:
    upload(memory, folder(tmp_path / "in", 2))
    memory.pipe_file("/bucket/out/000.png", b"someone's own")
    report = run(Inverse(), [IN], OUT)
    assert (report.done, report.failed) == (1, 1)
    assert report.records[0].error.startswith(f"{OUT}/000.png already exists and was not written by this program")
    assert objects(memory)["000.png"] == b"someone's own"
    assert run(Inverse(), [IN], OUT, BatchOptions(overwrite=True)).done == 2


def failing(real: Any, counts: dict[str, int], times: int, error: Exception) -> Any:
    """A method of a store that fails the first `times` times for each path."""

    def method(path: str, *arguments: Any, **settings: Any) -> Any:
        name = str(arguments[0]) if real.__name__ == "put_file" else path
        if ".restore" not in name:
            counts[name] = counts.get(name, 0) + 1
            if counts[name] <= times:
                raise error
        return real(path, *arguments, **settings)

    return method


BUSY = (OSError(errno.EBUSY, "slow down"), TimeoutError("no answer"), ConnectionResetError("reset"))


@pytest.mark.parametrize("error", BUSY, ids=lambda error: type(error).__name__)
def test_a_busy_store_is_asked_again_and_nothing_is_lost(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    upload(memory, folder(tmp_path / "in", 3))
    counts: dict[str, int] = {}
    for name in ("get_file", "put_file", "info", "ls"):
        monkeypatch.setattr(memory, name, failing(getattr(memory, name), counts, 2, error))
    report = run(Inverse(), [IN], OUT)
    assert report.done == 3, rows(report)
    assert len([name for name in counts if counts[name] >= 3]) >= 6, "every picture and every result failed twice"


def test_what_stays_broken_fails_its_picture_only_and_the_next_run_mends_it(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(memory, folder(tmp_path / "in", 4))
    real_get, real_put = memory.get_file, memory.put_file

    def get_file(path: str, target: str, **settings: Any) -> None:
        if path.endswith("000.png"):
            raise PermissionError("forbidden")
        if path.endswith("001.png"):  # the line breaks after half of it
            Path(target).write_bytes(memory.cat_file(path)[:40])
            return
        real_get(path, target, **settings)

    def put_file(path: str, target: str, **settings: Any) -> None:
        if target.endswith("003.png"):
            raise OSError(errno.EIO, "internal error")
        real_put(path, target, **settings)

    monkeypatch.setattr(memory, "get_file", get_file)
    monkeypatch.setattr(memory, "put_file", put_file)
    report = run(Inverse(), [IN], OUT)
    assert [status for _, status, _ in rows(report)] == ["failed", "failed", "failed", "done"]
    assert report.records[0].error == "access denied: check the credentials (forbidden)"
    assert "40 bytes came instead of" in report.records[1].error
    assert f"{OUT}/003.png" in report.records[2].error and "internal error" in report.records[2].error
    assert set(objects(memory)) == {"deep/002.png"}
    monkeypatch.undo()
    report = run(Inverse(), [IN], OUT)
    assert (report.done, report.skipped) == (3, 1)


def test_a_record_without_its_result_is_restored_again(tmp_path: Path, memory: MemoryFileSystem) -> None:
    """As after a kill between the two."""
    upload(memory, folder(tmp_path / "in", 2))
    run(Inverse(), [IN], OUT)
    whole = objects(memory)
    memory.rm("/bucket/out/000.png")
    memory.pipe_file("/bucket/out/001.png", b"an older result")
    assert run(Inverse(), [IN], OUT).done == 2
    assert objects(memory) == whole
    for name in memory.find("/bucket/out/.restore/done"):
        memory.pipe_file(name, b'{"half a rec')
    assert run(Inverse(), [IN], OUT).done == 2


@pytest.mark.parametrize("checksums", [False, True])
def test_a_result_that_was_edited_is_kept(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch, checksums: bool
) -> None:
    upload(memory, folder(tmp_path / "in", 2))
    if checksums:
        monkeypatch.setattr(memory, "info", with_checksums(memory))
    run(Inverse(), [IN], OUT)
    whole = objects(memory)["000.png"]
    for content, name in ((b"my work", "000.png.edited"), (b"more work", "000.png.edited-2")):
        memory.pipe_file("/bucket/out/000.png", content)
        report = run(Inverse(), [IN], OUT)
        assert report.done == 1 and report.records[0].warnings[0].endswith(f"{OUT}/.restore/replaced/{name}")
        assert memory.cat_file(f"/bucket/out/.restore/replaced/{name}") == content and objects(memory)["000.png"] == whole
    assert run(Identity(), [IN], OUT).warned == 0
    memory.pipe_file("/bucket/out/000.png", b"not wanted")
    assert run(Inverse(), [IN], OUT, BatchOptions(overwrite=True)).warned == 0
    assert sum("/replaced" in name for name in memory.find("/bucket/out/.restore")) == 2


def test_a_store_without_whole_puts_gets_drafts_that_are_renamed(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(memory, folder(tmp_path / "in", 3))
    monkeypatch.setattr(remote, "WHOLE_PUTS", frozenset())
    puts: list[str] = []
    real = memory.put_file

    def put_file(path: str, target: str, **settings: Any) -> None:
        puts.append(target)
        real(path, target, **settings)

    monkeypatch.setattr(memory, "put_file", put_file)
    assert run(Inverse(), [IN], OUT).done == 3
    assert len(puts) == 3 and all(name.startswith("/bucket/out/.restore/tmp/") for name in puts)
    assert not memory.find("/bucket/out/.restore/tmp")
    assert run(Inverse(), [IN], OUT).skipped == 3


def test_shards_of_a_url_share_its_output_and_keep_rival_names_together(tmp_path: Path, memory: MemoryFileSystem) -> None:
    source = folder(tmp_path / "in", 12)
    for name in ("a.png", "a.jpg", "deep/b.bmp", "deep/b.png"):
        picture(source / name, 5)
    upload(memory, source)
    options = {"format": "png"}
    run(Inverse(), [source], tmp_path / "whole", BatchOptions(**options))  # type: ignore[arg-type]  # one literal
    reports = [run(Inverse(), [IN], OUT, BatchOptions(shard=Shard(index, 3), format="png")) for index in (1, 2, 3)]
    assert sum(report.done for report in reports) == 16
    assert all(report.done == report.planned > 0 for report in reports)
    assert set(objects(memory)) == results(tmp_path / "whole")
    assert run(Inverse(), [IN], OUT, BatchOptions(format="png")).skipped == 16


def test_a_shard_does_not_number_a_result(tmp_path: Path, memory: MemoryFileSystem) -> None:
    for place, seed in (("first", 1), ("second", 2)):
        upload(memory, picture(tmp_path / place / "a.png", seed).parent, f"/bucket/{place}")
    report = run(Inverse(), ["memory://bucket/first", "memory://bucket/second"], OUT, BatchOptions(shard=Shard(1, 1)))
    assert (report.done, report.failed) == (1, 1)
    assert "shards cannot number" in report.records[1].error
    assert run(Inverse(), ["memory://bucket/first", "memory://bucket/second"], OUT).done == 1


@pytest.mark.parametrize("key", ["a//b.png", "a/../b.png", "./c.png", "a/./b.png"])
def test_a_key_that_is_no_path_fails_alone(tmp_path: Path, memory: MemoryFileSystem, key: str) -> None:
    upload(memory, folder(tmp_path / "in", 1))
    memory.store[f"/bucket/in/{key}"] = memory.store["/bucket/in/000.png"]

    def entries(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [{"name": name, "size": 1, "type": "file"} for name in ("/bucket/in/000.png", f"/bucket/in/{key}")]

    memory_ls = memory.ls
    try:
        memory.ls = entries  # type: ignore[method-assign]
        report = run(Inverse(), [IN], OUT)
    finally:
        memory.ls = memory_ls  # type: ignore[method-assign]
    bad = next(record for record in report.records if key in record.name)
    assert "is no path of a file" in bad.error


def test_a_folder_that_cannot_be_listed_is_one_failure(tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(memory, folder(tmp_path / "in", 5))
    real = memory.ls

    def ls(path: str, **settings: Any) -> Any:
        if path.endswith("deep"):
            raise PermissionError("forbidden")
        return real(path, **settings)

    monkeypatch.setattr(memory, "ls", ls)
    report = run(Inverse(), [IN], OUT)
    assert (report.done, report.failed) == (4, 1)
    assert report.records[-1].name == f"{IN}/deep"
    assert "cannot list the folder: access denied" in report.records[-1].error


def test_places_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path, memory: MemoryFileSystem) -> None:
    upload(memory, folder(tmp_path / "in", 1))
    before = dict(memory.store)
    refusals = [
        ([IN], f"{IN}/clean", {}, "lies inside the input"),
        ([IN], "memory://bucket", {}, "contains the input"),
        ([f"{IN}/000.png"], IN, {}, "contains the input"),
        ([IN], IN, {}, "contains the input"),
        ([IN], "https://example.org/out/", {}, "can only be read"),
        ([IN], "nostore://bucket/out", {}, "names no store"),
        ([IN], OUT, {"preview": tmp_path / "sheet.png"}, "--preview reads inputs and results of this machine"),
        ([IN], OUT, {"report": Path("memory://bucket/report.jsonl")}, "name a file of this machine"),
    ]
    for inputs, out, options, message in refusals:
        with pytest.raises(ValueError, match=message):
            run(Inverse(), inputs, out, BatchOptions(**options))  # type: ignore[arg-type]  # of several types
    assert memory.store == before


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: Any, **__: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", without)
    with pytest.raises(ValueError, match=r"s3://bucket needs a package for s3: pip install 'restore-suite\[s3\]'"):
        RemoteFolder.at("s3://bucket")


def test_an_output_that_takes_nothing_ends_the_run_before_the_first_picture(
    tmp_path: Path, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(memory, folder(tmp_path / "in", 1))

    def refuse(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("no such bucket")

    monkeypatch.setattr(memory, "pipe_file", refuse)
    with pytest.raises(ValueError, match=f"cannot write to {OUT}.*no such bucket.*check the bucket's name"):
        run(Inverse(), [IN], OUT)


def test_what_is_transient() -> None:
    class ClientResponseError(Exception):
        status = 404

    answers = {404: False, 403: False, 429: True, 503: True}
    for status, transient in answers.items():
        error = ClientResponseError()
        error.status = status
        assert retrying.is_transient(error) is transient
    assert not retrying.is_transient(FileNotFoundError())
    assert not retrying.is_transient(OSError(errno.ENOSPC, "no space left"))
    assert not retrying.is_transient(KeyboardInterrupt())
    assert not retrying.is_transient(NotImplementedError())
    assert retrying.is_transient(type("ServerDisconnectedError", (Exception,), {})())
    assert retrying.is_transient(type("HTTPClientError", (Exception,), {})()), "botocore's, about an answer that it cannot read"
    unreadable = ClientResponseError()
    unreadable.status = 400
    assert not retrying.is_transient(unreadable)
    unreadable.__cause__ = type("BadStatusLine", (Exception,), {})()
    assert retrying.is_transient(unreadable), "aiohttp's, about the same: the status is its own, and no server sent it"


def test_a_server_that_is_down_is_asked_again_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsspec's HTTP says of a broken line that there is no such file."""

    class ClientConnectorError(OSError):
        pass

    asked: list[int] = []

    def info(_: str) -> None:
        asked.append(1)
        raise FileNotFoundError("http://here/x.png") from ClientConnectorError("Cannot connect to host here:80")

    monkeypatch.setattr(retrying, "FIRST_PAUSE", 0.0)
    with pytest.raises(OSError, match="ClientConnectorError: Cannot connect") as caught:
        retrying.retried(info, "x")
    assert len(asked) == retrying.ATTEMPTS and not isinstance(caught.value, FileNotFoundError)
