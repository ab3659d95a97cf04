"""Disks that are full, read-only or failing, under every kind of output: whole files or none, and errors that name what was not written."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from batch_steps import Identity, Inverse, folder, picture, results, tree
from faulty_disk import FaultyDisk

from restore.api import step
from restore.inference.loading import InferenceOptions
from restore.metrics import comparison as comparing
from restore.metrics.comparison import page
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.step import Step
from restore.writing import atomic_write, is_environment_error, replace_durably

NUMBERS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "forbidden": errno.EACCES, "failing": errno.EIO}


def test_the_disk_fails_only_at_the_specified_calls(tmp_path: Path, disk: FaultyDisk) -> None:
    rule = disk.fail("write", "*/a.txt", errno.ENOSPC, after=3)
    with pytest.raises(OSError, match="No space left"), (tmp_path / "a.txt").open("w") as file:
        file.write("words")
    assert (tmp_path / "a.txt").read_bytes() == b"wor"
    assert rule.failed > 0
    (tmp_path / "b.txt").write_text("words")
    shutil.copyfile(tmp_path / "b.txt", tmp_path / "c.txt")
    disk.mend()
    (tmp_path / "a.txt").write_text("words")
    assert {path.read_text() for path in tmp_path.iterdir()} == {"words"}


@pytest.mark.parametrize("call", ["open", "fsync", "rename"])
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_what_cannot_be_settled_leaves_what_was_there(tmp_path: Path, disk: FaultyDisk, call: str, number: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    disk.fail(call, "*.a.txt.*", number)
    forgiven = call == "fsync" and number == errno.EACCES  # of file systems that know no flushing
    try:
        with atomic_write(path) as draft:
            draft.write_text("after")
    except OSError as error:
        assert not forgiven
        assert (error.errno, error.filename) == (number, str(path))
    assert path.read_text() == ("after" if forgiven else "before")
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_its_name(tmp_path: Path, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(disk, "_check", lambda call, *paths: order.append(f"{call} {Path(str(paths[0])).name}"))
    (tmp_path / "draft").write_text("words")
    order.clear()
    replace_durably(tmp_path / "draft", tmp_path / "a")
    assert [entry for entry in order if not entry.startswith("stat")] == ["fsync draft", "rename draft", f"fsync {tmp_path.name}"]


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "webp", "pgm"])
@pytest.mark.parametrize(("call", "place"), [("open", "draft"), ("write", "draft"), ("fsync", "draft"), ("fsync", "record")])
def test_a_result_or_record_that_cannot_be_written_is_one_line_that_names_it(
    tmp_path: Path, disk: FaultyDisk, suffix: str, call: str, place: str
) -> None:
    for index in range(3):
        picture(tmp_path / f"in/{index:03d}.{suffix}", index)
    before = tree(tmp_path / "in")
    only_second = f"*/.restore/tmp/{_name(f'001.{suffix}')}*" + (".json" if place == "record" else suffix)
    rule = disk.fail(call, only_second, errno.ENOSPC, after=20 if call == "write" else 0)
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert rule.failed >= 1
    assert [record.status for record in report.records] == ["done", "failed", "done"]
    what = f"{tmp_path}/out/.restore/done/{_name(f'001.{suffix}')}.json" if place == "record" else f"{tmp_path}/out/001.{suffix}"
    assert report.records[1].error == f"no space left on device: {what}"
    assert results(tmp_path / "out") == {f"000.{suffix}", f"002.{suffix}"}
    assert tree(tmp_path / "in") == before
    disk.mend()
    again = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert [record.status for record in again.records] == ["skipped", "done", "skipped"]


def _name(target: str) -> str:
    from restore.pipeline.manifest_records import digest

    return digest(target.encode())[:32]


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("call", ["mkdir", "open", "fsync", "rename", "unlink"])
def test_a_disk_that_fails_at_any_call_ends_no_run(tmp_path: Path, disk: FaultyDisk, call: str, number: int) -> None:
    """After some calls of the kind all further ones fail: each picture is done and whole, or a line."""
    folder(tmp_path / "in", 5)
    run(Inverse(), [tmp_path / "in"], tmp_path / "whole")
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    for made in (tmp_path / "out").glob("*.png"):
        made.unlink()
    for after in (0, 2, 5, 9):
        disk.fail(call, f"{tmp_path}/out/*", number, after=after)
        report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(overwrite=True))
        assert len(report.records) == 5
        errors = [record.error for record in report.records if record.status != "done"]
        assert all("/out/" in error for error in errors), errors
        disk.mend()
        expected = tree(tmp_path / "whole")
        assert {name: expected[name] for name in results(tmp_path / "out")} == {
            name: (tmp_path / "out" / name).read_bytes() for name in results(tmp_path / "out")
        }
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_finished_run_on_a_read_only_disk_is_all_skipped(tmp_path: Path, disk: FaultyDisk) -> None:
    folder(tmp_path / "in", 4)
    picture(tmp_path / "more/new.png")
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    real = tree(tmp_path / "out")
    for call in ("open", "rename", "unlink"):
        disk.fail(call, f"{tmp_path}/*", errno.EROFS)
    disk.fail("mkdir", f"{tmp_path}/out/.restore/tmp", errno.EROFS)  # of a folder that is there mkdir says that first
    options = BatchOptions(report=tmp_path / "r.jsonl", preview=tmp_path / "sheet.png")
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", options)
    assert (report.skipped, report.failed) == (4, 0)
    assert len(report.unwritten) == 2
    assert tree(tmp_path / "out") == real
    report = run(Inverse(), [tmp_path / "in", tmp_path / "more"], tmp_path / "out")
    assert (report.skipped, report.failed) == (4, 1)
    assert f"{tmp_path}/out/new.png" in report.records[-1].error and "read-only" in report.records[-1].error


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize(("call", "after"), [("open", 0), ("write", 0), ("write", 60)])
def test_a_report_that_cannot_be_written_is_reported(tmp_path: Path, disk: FaultyDisk, call: str, after: int, number: int) -> None:
    folder(tmp_path / "in", 3)
    disk.fail(call, "*.jsonl", number, after=after)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(report=tmp_path / "sub/r.jsonl"))
    assert (report.done, len(report.unwritten)) == (3, 1)
    assert f"cannot write the report {tmp_path}/sub/r.jsonl" in report.unwritten[0]


@pytest.mark.parametrize(("call", "after"), [("open", 0), ("write", 500), ("fsync", 0), ("rename", 0), ("mkdir", 0)])
def test_a_preview_that_cannot_be_written_is_reported_and_leaves_no_partial_file(
    tmp_path: Path, disk: FaultyDisk, call: str, after: int
) -> None:
    folder(tmp_path / "in", 3)
    disk.fail(call, f"{tmp_path}/sub*", errno.ENOSPC, after=after)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(preview=tmp_path / "sub/sheet.png"))
    assert (report.done, len(report.unwritten)) == (3, 1)
    assert f"cannot write the preview {tmp_path}/sub/sheet.png: No space left" in report.unwritten[0]
    assert not list(tmp_path.rglob("*sheet*"))


def test_a_preview_that_fails_otherwise_is_reported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from restore.pipeline import contact_sheet

    def broken(*_: Any) -> Any:
        raise AttributeError("no font")

    monkeypatch.setattr(contact_sheet, "_draw", broken)
    folder(tmp_path / "in", 2)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(preview=tmp_path / "sheet.png"))
    assert report.done == 2
    assert "no font" in report.unwritten[0]


def _masked(root: Path) -> Step[Any]:
    from PIL import Image

    from restore import runtime

    hole = np.zeros((12, 17), np.uint8)
    hole[3:6, 4:8] = 255
    for index in range(3):
        picture(root / f"in/{index:03d}.png", index)
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(hole).save(root / f"masks/{index:03d}.png")
    options = {"masks": root / "masks", "method": "telea", "save_masks": root / "saved"}
    return step("inpaint", options=options, inference=InferenceOptions(runtime.choose("cpu", "fp32")))


@pytest.mark.parametrize(("call", "after"), [("open", 0), ("write", 10), ("fsync", 0), ("rename", 0), ("mkdir", 0)])
def test_masks_that_cannot_be_saved_are_reported(tmp_path: Path, disk: FaultyDisk, call: str, after: int) -> None:
    work = _masked(tmp_path)
    disk.fail(call, f"{tmp_path}/saved*", errno.ENOSPC, after=after)
    report = run(work, [tmp_path / "in"], tmp_path / "out")
    assert [record.error for record in report.records] == ["", "", ""]
    assert len(report.unwritten) == 1
    assert report.unwritten == [f"cannot write the mask {tmp_path}/saved/000.png: no space left on device (and 2 more masks)"]
    assert results(tmp_path / "out") == {"000.png", "001.png", "002.png"}


@pytest.mark.parametrize(("call", "after"), [("open", 0), ("write", 100), ("fsync", 0), ("rename", 0)])
def test_an_evaluations_page_appears_whole_or_not_at_all(tmp_path: Path, disk: FaultyDisk, call: str, after: int) -> None:
    picture(tmp_path / "a/x.png", 1)
    picture(tmp_path / "b/x.png", 2)
    found = comparing.compare(tmp_path / "a", tmp_path / "b", setting=comparing.Setting({}))
    disk.fail(call, "*page.html*", errno.ENOSPC, after=after)
    with pytest.raises(OSError) as caught:
        page.write(tmp_path / "page.html", found, "a against b")
    assert caught.value.filename == str(tmp_path / "page.html")
    assert not list(tmp_path.rglob("*page.html*"))


@pytest.mark.parametrize("damage", ["empty", "half", "another", "numbers", "deep", "folder"])
def test_an_unreadable_record_is_stale(tmp_path: Path, damage: str) -> None:
    """After a power cut or worse the picture is restored again, not refused as an unmanaged file."""
    folder(tmp_path / "in", 2)
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    expected = tree(tmp_path / "out")
    (record,) = [path for path in (tmp_path / "out/.restore/done").iterdir() if json.loads(path.read_text())["name"] == "000.png"]
    text = record.read_text()
    record.unlink()
    if damage == "folder":
        record.mkdir()
    else:
        numbers = text.replace('"input": "', '"input": 1, "x": "')
        bad = {"empty": "", "half": text[:40], "another": "[1]", "numbers": numbers, "deep": "[" * 60000}
        record.write_text(bad[damage])
    (tmp_path / "out/000.png").write_bytes(b"")
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    if damage == "folder":  # nothing can take its place, and the line says what is in the way
        assert str(record) in report.records[0].error
        return
    assert [record.status for record in report.records] == ["done", "skipped"]
    assert tree(tmp_path / "out") == expected


@pytest.mark.parametrize("name", [".restore", ".restore/done", ".restore/tmp"])
def test_a_planted_link_is_refused(tmp_path: Path, name: str) -> None:
    folder(tmp_path / "in", 1)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious.txt").write_text("keep me")
    link = tmp_path / "out" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="is a link"):
        run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert {path.name for path in (tmp_path / "elsewhere").rglob("*")} == {"precious.txt"}


def test_errors_are_classified() -> None:
    machines = [OSError(number, "") for number in (errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.EDQUOT)]
    assert all(map(is_environment_error, [*machines, KeyboardInterrupt(), SystemExit()]))
    files = [OSError(errno.EIO, ""), OSError(errno.EACCES, ""), OSError("decoder"), MemoryError(), KeyError(), RecursionError()]
    assert not any(map(is_environment_error, files))


def test_a_full_disk_names_the_result_also_where_the_input_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TIFF is written into a copy of its file; the copy's error has the name of the input."""
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", np.zeros((20, 30), np.uint16))

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    (record,) = run(Inverse(), [tmp_path / "in"], tmp_path / "out").records
    assert record.error == f"no space left on device: {tmp_path / 'out/a.tif'}"
