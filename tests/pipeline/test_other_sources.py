"""The result of one picture is not replaced by that of another, but for `--overwrite`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from batch_steps import Identity, Inverse, folder, picture

from restore.pipeline.batch import BatchOptions, run


def test_the_result_of_another_picture_stays(tmp_path: Path) -> None:
    first, second = picture(tmp_path / "d1/x.png", 1), picture(tmp_path / "d2/x.png", 2)
    out = tmp_path / "out"
    assert run(Inverse(), [first], out).done == 1
    before = (out / "x.png").read_bytes()
    for _ in range(2):
        (record,) = run(Inverse(), [second], out).records
        assert record.error == f"{out / 'x.png'} is the result of {first}: choose another --out, or use --overwrite"
        assert (out / "x.png").read_bytes() == before
    assert run(Inverse(), [first], out).skipped == 1
    assert run(Inverse(), [second], out, BatchOptions(overwrite=True)).done == 1
    (record,) = run(Inverse(), [first], out).records
    assert str(second) in record.error


def test_the_same_picture_is_known_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 2)
    (tmp_path / "link").symlink_to("in")
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    for number, (where, name) in enumerate(((tmp_path, "in"), (tmp_path / "in", "../in"), (tmp_path, "link"), (tmp_path, "in"))):
        monkeypatch.chdir(where)
        report = run(Identity(strength=number), [Path(name)], tmp_path / "out")
        assert (report.done, report.failed) == (2, 0), report.records[0].error


def test_a_link_that_leads_elsewhere_now_is_the_same_picture(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        picture(tmp_path / version / "x.png", len(version) + int(version[1]))
        (tmp_path / "current").unlink(missing_ok=True)
        (tmp_path / "current").symlink_to(version)
        report = run(Inverse(), [tmp_path / "current"], tmp_path / "out")
        assert report.done == 1, report.records[0].error


def test_a_folder_that_moved_and_a_result_that_is_gone_are_no_hindrance(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/x.png")
    run(Inverse(), [source], tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "moved")
    assert run(Identity(), [tmp_path / "moved/x.png"], tmp_path / "out").done == 1
    copied = tmp_path / "copied/x.png"
    copied.parent.mkdir()
    shutil.copyfile(tmp_path / "moved/x.png", copied)
    assert run(Identity(), [copied], tmp_path / "out").skipped == 1  # the same content gives the same result
    (tmp_path / "out/x.png").unlink()
    assert run(Inverse(), [copied], tmp_path / "out").done == 1


def test_pictures_that_join_a_run_take_names_as_ever(tmp_path: Path) -> None:
    """The result of a picture of the same run may be replaced: that picture has another name now."""
    picture(tmp_path / "in/a.jpg", 1)
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format="png")).done == 1
    picture(tmp_path / "in/a.png", 2)
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format="png"))
    assert (report.done, report.failed) == (2, 0), [record.error for record in report.records]
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format="png")).skipped == 2
    first, second = tmp_path / "one", tmp_path / "two"
    picture(first / "x.png", 3)
    picture(second / "x.png", 4)
    assert run(Inverse(), [second], tmp_path / "both").done == 1
    report = run(Inverse(), [first, second], tmp_path / "both")
    assert report.failed == 0, [record.error for record in report.records]


def test_a_rival_that_cannot_be_looked_at_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = picture(tmp_path / "d1/x.png", 1), picture(tmp_path / "d2/x.png", 2)
    run(Inverse(), [first], tmp_path / "out")
    stat = Path.stat

    def locked(self: Path, **options: bool) -> object:
        if self == first:
            raise PermissionError(13, "Permission denied", str(self))
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", locked)
    (record,) = run(Inverse(), [second], tmp_path / "out").records
    assert "is the result of" in record.error
