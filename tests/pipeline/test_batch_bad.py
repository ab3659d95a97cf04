"""Trees as they are found on real disks: one bad file is one line in the report and never stops the rest."""

from __future__ import annotations

import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from batch_steps import Failing, Identity, Inverse, folder, picture, results, tree

from restore import images
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.step import Result


def _claims(path: Path, width: int, height: int) -> None:
    """A PNG whose header claims a size it does not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0" * 20)


def bad_tree(root: Path, good: int) -> tuple[set[str], set[str]]:
    """A tree of `good` good pictures and 25 bad things; returns the relative names that must be (written, failed)."""
    written = {f"good/{index % 7}/{index:03d}.png" for index in range(good)}
    for index, name in enumerate(sorted(written)):
        picture(root / name, index)
    strange = {
        "a.jpg/inside.png", "with space.png", "\N{SNOWMAN} \N{GRINNING FACE}.png", "x" * 196 + ".png", "two\nlines.png",
        "same.png", "UPPER.PNG", "case/Name.png", "case/name-2.PNG",
    }  # fmt: skip
    for index, name in enumerate(sorted(strange - {"case/name-2.PNG"})):  # what the result of case/name.PNG is called
        picture(root / name, 1000 + index)
    whole = picture(root / "whole.png", 5, (60, 60)).read_bytes()
    bad: dict[str, Any] = {f"cut/{share}.png": whole[: len(whole) * share // 100] for share in (1, 10, 30, 50, 70, 90, 97)}
    bad |= {f"empty{index}.{suffix}": b"" for index, suffix in enumerate(("png", "jpg", "tif", "dcm", "webp"))}
    bad |= {f"text.{suffix}": b"this is a letter\n" for suffix in ("png", "jpg", "bmp", "pgm")}
    for name, content in bad.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    _claims(root / "huge.png", 60000, 60000)
    _claims(root / "zero.png", 0, 10)
    links = {
        "dangling.png": "nowhere.png",
        "self.png": "self.png",
        "good/up": "..",
        "there.png": "back.png",
        "back.png": "there.png",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe.png")
    picture(root / "case/name.PNG", 3)
    failed = set(bad) | set(links) | {"huge.png", "zero.png", "pipe.png"}
    return written | strange | {"whole.png"}, failed


def _checked(root: Path, out: Path, good: int) -> None:
    written, failed = bad_tree(root, good)
    for index in range(3):
        (root / f"ignored{index}.txt").write_text("no picture")
    (root / ".hidden.png").write_text("no picture")
    (root / ".thumbs").mkdir()
    report = run(Identity(), [root], out)
    reasons = {record.input.relative_to(root).as_posix(): record.error for record in report.records if record.status == "failed"}
    assert set(reasons) == failed
    assert all(reason and "\n" not in reason for reason in reasons.values()), reasons
    assert results(out) == written
    assert report.done == len(written)
    assert report.ignored == 5
    assert not (out / ".restore/tmp").exists()
    again = run(Identity(), [root], out)
    assert (again.done, again.skipped, again.failed) == (0, len(written), len(failed))


def test_a_tree_with_every_kind_of_bad_file(tmp_path: Path) -> None:
    _checked(tmp_path / "in", tmp_path / "out", 20)


@pytest.mark.slow
def test_a_tree_of_five_hundred(tmp_path: Path) -> None:
    _checked(tmp_path / "in", tmp_path / "out", 467)


@pytest.mark.parametrize("error", [ValueError("the network is unwell"), MemoryError(), RuntimeError("CUDA error"), KeyError("x")], ids=repr)
def test_a_network_that_fails_fails_one_picture(tmp_path: Path, error: Exception) -> None:
    folder(tmp_path / "in", 3)
    report = run(Failing("001", error), [tmp_path / "in"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "failed", "done"]
    expected = "not enough memory" if isinstance(error, MemoryError) else str(error)
    assert expected in report.records[1].error
    assert results(tmp_path / "out") == {"000.png", "deep/002.png"}


@pytest.mark.parametrize("step", ["read", "frame", "normalized", "encode", "save"])
def test_an_error_at_any_step_fails_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    folder(tmp_path / "in", 3)

    def wrapped(owner: Any, name: str, path_of: Any) -> None:
        real = getattr(owner, name)

        def failing(*args: Any, **kwargs: Any) -> Any:
            if "001" in str(path_of(*args)):
                raise PermissionError(13, "Permission denied", "001.png")
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, failing)

    if step == "read":
        wrapped(images, "read", lambda path, **_: path)
    elif step in {"frame", "save"}:
        wrapped(images.Picture, step, lambda picture, *_: picture.path)
    else:
        marked = images.read(tmp_path / "in/001.png").frame(0).stored.tobytes()
        wrapped(images.Frame, step, lambda frame, *_: "001" if frame.stored.tobytes() == marked else "")
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "failed", "done"]
    assert "permission denied" in report.records[1].error
    assert set(tree(tmp_path / "out")) & {"001.png", ".restore/tmp"} == set()


def test_nan_results_are_not_written(tmp_path: Path) -> None:
    class Broken(Identity):
        def __call__(self, image: Any, analysis: Any = None, sidecars: Any = None) -> Any:
            return Result(image.pixels * float("nan"))

    report = run(Broken(), [picture(tmp_path / "a.png")], tmp_path / "out")
    assert "NaN or infinite" in report.records[0].error
    assert results(tmp_path / "out") == set()


def test_an_unreadable_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 3)
    real = Path.iterdir

    def iterdir(path: Path) -> Any:
        if path.name == "deep":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [(record.input.name, record.status) for record in report.records] == [
        ("000.png", "done"),
        ("001.png", "done"),
        ("deep", "failed"),
    ]
    assert "permission denied" in report.records[2].error


def test_what_is_named_and_not_there_is_one_line(tmp_path: Path) -> None:
    good = picture(tmp_path / "in/a.png")
    report = run(Identity(), [good, tmp_path / "missing.png"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "failed"]
    assert report.records[1].error == "no such file or folder"


def test_what_is_named_is_tried_whatever_it_is_called(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png").rename(tmp_path / "in/a.dat")
    (tmp_path / "in/b.dat").write_text("no picture")
    assert run(Identity(), [tmp_path / "in/a.dat"], tmp_path / "out").done == 1
    assert run(Identity(), [tmp_path / "in/b.dat"], tmp_path / "out").failed == 1
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out2")
    assert (report.done, report.ignored) == (1, 1)


def test_the_same_file_twice_is_once(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/x.png")
    report = run(Identity(), [source, tmp_path / "in", source.parent / "../in/x.png"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done"]


def test_a_link_in_the_output_cannot_lead_to_the_input(tmp_path: Path) -> None:
    """Neither a folder nor a file of the output that is a link makes a run write to where it leads."""
    folder(tmp_path / "in", 3)
    before = tree(tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/deep").symlink_to(tmp_path / "in/deep")
    (tmp_path / "out/000.png").symlink_to(tmp_path / "in/000.png")
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(overwrite=True))
    assert [record.status for record in report.records] == ["done", "done", "failed"]
    assert tree(tmp_path / "in") == before
    assert not (tmp_path / "out/000.png").is_symlink()


def test_an_input_inside_the_output_is_never_overwritten(tmp_path: Path) -> None:
    picture(tmp_path / "out/in/x.png", 1)
    picture(tmp_path / "out/in/in/x.png", 2)
    before = (tmp_path / "out/in/x.png").read_bytes()
    report = run(Inverse(), [tmp_path / "out/in"], tmp_path / "out", BatchOptions(overwrite=True))
    assert {record.input.relative_to(tmp_path).as_posix(): record.status for record in report.records} == {
        "out/in/in/x.png": "failed",
        "out/in/x.png": "done",
    }
    assert (tmp_path / "out/in/x.png").read_bytes() == before


def test_a_link_to_the_output_is_not_walked(tmp_path: Path) -> None:
    folder(tmp_path / "in", 1)
    picture(tmp_path / "out/old.png")
    (tmp_path / "in/results").symlink_to(tmp_path / "out")
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [(record.input.name, record.status) for record in report.records] == [("000.png", "done"), ("results", "failed")]


def test_frames_behind_one_that_cannot_be_written_are_given_up_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Misshapen(Identity):
        def __call__(self, image: Any, analysis: Any = None, sidecars: Any = None) -> Any:
            time.sleep(0.02)  # so that the picture fails while further frames are decoded
            return Result(image.pixels[:, :, [0, 0, 0]])

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 8, 9), np.uint8))
    with caplog.at_level("DEBUG", "restore"):
        report = run(Misshapen(), [tmp_path / "a.tif"], tmp_path / "out")
    assert "expected (8, 9, 1)" in report.records[0].error
    assert {type(record.exc_info[1]) for record in caplog.records if record.exc_info} == {ValueError}
