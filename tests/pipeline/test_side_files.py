"""What a run writes next to the pictures, on a disk that is full or forbidden: the run goes on, and says which file it could not write."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pydicom
import pytest
from batch_steps import Identity, folder, picture, results
from pydicom.data import get_testdata_file

from restore import images
from restore.pipeline.batch import BatchOptions, run

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no device that is always full here")


@needs_full
def test_a_report_on_a_full_disk_ends_no_run(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(report=FULL))
    assert (report.done, report.failed) == (3, 0)
    assert len(results(tmp_path / "out")) == 3
    assert len(report.unwritten) == 1
    assert "/dev/full" in report.unwritten[0] and "o space left" in report.unwritten[0]
    assert report.summary()["unwritten"] == report.unwritten


@needs_full
def test_a_preview_on_a_full_disk_ends_no_run_and_replaces_no_device(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    report = run(Identity(), [source], tmp_path / "out", BatchOptions(preview=FULL))
    assert report.done == 1
    assert "/dev/full" in report.unwritten[0]
    assert FULL.is_char_device()


def test_a_report_under_a_file_ends_no_run(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    (tmp_path / "file").write_text("in the way")
    report = run(Identity(), [source], tmp_path / "out", BatchOptions(report=tmp_path / "file/report.jsonl"))
    assert report.done == 1
    assert str(tmp_path / "file/report.jsonl") in report.unwritten[0]


def test_a_preview_under_a_file_ends_no_run(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    (tmp_path / "file").write_text("in the way")
    report = run(Identity(), [source], tmp_path / "out", BatchOptions(preview=tmp_path / "file/sheet.png"))
    assert report.done == 1
    assert str(tmp_path / "file/sheet.png") in report.unwritten[0]


def test_a_result_that_cannot_be_written_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 2)
    real = images.Picture.save

    def full(self: images.Picture, path: Path, *args: Any, **kwargs: Any) -> None:
        if self.path.name == "001.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(self, path, *args, **kwargs)

    monkeypatch.setattr(images.Picture, "save", full)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [record.status for record in report.records] == ["done", "failed"]
    assert report.records[1].error == f"no space left on device: {tmp_path / 'out/001.png'}"


def test_a_studys_objects_without_pictures_are_counted_by_kind(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    for name in ("CT_small.dcm", "reportsi.dcm", "test-SR.dcm", "rtplan.dcm", "rtstruct.dcm", "DICOMDIR"):
        (tmp_path / "study" / name).write_bytes(Path(str(get_testdata_file(name))).read_bytes())
    (tmp_path / "study/VERSION").write_text("a text")
    report = run(Identity(), [tmp_path / "study"], tmp_path / "out")
    assert (report.done, report.failed, report.ignored) == (1, 0, 1)
    assert report.objects == {"DICOMDIR": 1, "RTPLAN": 1, "RTSTRUCT": 1, "SR": 2}
    assert report.objects_in_words == "5 DICOM objects without pictures (2 SR, 1 DICOMDIR, 1 RTPLAN, 1 RTSTRUCT)"
    assert report.summary()["ignored_dicom"] == report.objects
    named = run(Identity(), [tmp_path / "study/reportsi.dcm"], tmp_path / "named")
    assert (named.failed, named.objects) == (1, {})


def test_dicom_files_of_odd_names_are_restored_under_them(tmp_path: Path) -> None:
    ds = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    names = ("IMG.dc3", "i0007.acr", "x.img", "2024.01.05_PA view", "CR.1.2.3.abc")
    for name in names:
        (tmp_path / "in").mkdir(exist_ok=True)
        ds.save_as(tmp_path / "in" / name)
    del ds.file_meta
    pydicom.dcmwrite(tmp_path / "in/IM000010", ds, implicit_vr=True, little_endian=True, enforce_file_format=False)
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    assert [record.error for record in report.records] == [""] * 6
    assert results(tmp_path / "out") == {*names, "IM000010"}
    assert report.ignored == 0


def test_pictures_of_other_formats_get_their_line(tmp_path: Path) -> None:
    picture(tmp_path / "in/photo.jpg")
    picture(tmp_path / "in/scan.gif")
    picture(tmp_path / "in/odd.png").rename(tmp_path / "in/odd")
    (tmp_path / "in/IMG_1.QOI").write_bytes(b"qoif" + bytes(300))
    (tmp_path / "in/IMG_2.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(300))
    (tmp_path / "in/DSC_1.NEF").write_bytes(b"MM\0*" + bytes(300))
    (tmp_path / "in/notes.txt").write_text("no picture")
    report = run(Identity(), [tmp_path / "in"], tmp_path / "out")
    outcomes = {record.input.name: (record.status, record.error) for record in report.records}
    assert {name: status for name, (status, _) in outcomes.items()} == {
        "DSC_1.NEF": "failed", "IMG_1.QOI": "failed", "IMG_2.HEIC": "failed", "odd": "done", "scan.gif": "done", "photo.jpg": "done",
    }  # fmt: skip
    assert "camera raw" in outcomes["DSC_1.NEF"][1] and "convert it" in outcomes["IMG_1.QOI"][1] and "HEIF" in outcomes["IMG_2.HEIC"][1]
    assert report.ignored == 1


@pytest.mark.parametrize("name", ["sheet.png", "deep/sheet.png", "link/sheet.png"])
def test_a_preview_among_the_inputs_is_refused_at_once(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "in/deep/a.png")
    (tmp_path / "in/link").symlink_to("deep")
    sheet = tmp_path / "in" / name
    with pytest.raises(ValueError, match=r"sheet\.png lies inside the input folder .*in.*--preview"):
        run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(preview=sheet))
    assert not sheet.exists() and not (tmp_path / "out").exists()
    # a single picture's folder is no input, and reports are no pictures
    options = BatchOptions(preview=tmp_path / "in/sheet.png", report=tmp_path / "in/report.jsonl", html=tmp_path / "in/page.html")
    assert run(Identity(), [tmp_path / "in/deep/a.png"], tmp_path / "out", options).done == 1
