"""The web page of a run: what it shows, and that it never fails a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from batch_steps import Failing, Identity, Inverse, folder, picture

from restore.pipeline import run_page
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.records import Record, Report

FULL = Path("/dev/full")


def test_the_page_shows_results_failures_and_stats(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    picture(tmp_path / "in/<b>bad.png")
    page = tmp_path / "new/page.html"
    report = run(Failing("bad", ValueError("no such thing")), [tmp_path / "in"], tmp_path / "out", BatchOptions(html=page))
    assert (report.done, report.failed, report.unwritten, report.remarks) == (3, 1, [], [])
    content = page.read_text(encoding="utf-8")
    assert content.count('class="stage"') == 3
    assert "&lt;b&gt;bad.png" in content and "<b>bad" not in content and "no such thing" in content
    for text in ("000.png", "noise level", "Restored pictures", "<h2>Failed (1)</h2>", "Settings"):
        assert text in content, text


def test_a_second_run_names_what_was_skipped_once(tmp_path: Path) -> None:
    folder(tmp_path / "in", 2)
    for _ in range(2):
        report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(html=tmp_path / "page.html"))
    assert report.skipped == 2
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert content.count('class="stage"') == 2 and "already done" in content
    assert "<h2>Skipped" not in content, "the table of pictures and the figures have them"


@pytest.mark.skipif(not FULL.exists(), reason="no device that is always full here")
def test_a_page_on_a_full_disk_ends_no_run(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    report = run(Identity(), [source], tmp_path / "out", BatchOptions(html=FULL))
    assert report.done == 1 and "/dev/full" in report.unwritten[0]
    assert FULL.is_char_device()


def test_a_page_under_a_file_ends_no_run(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    (tmp_path / "file").write_text("in the way")
    report = run(Identity(), [source], tmp_path / "out", BatchOptions(html=tmp_path / "file/page.html"))
    assert report.done == 1 and str(tmp_path / "file/page.html") in report.unwritten[0]


def test_a_fault_of_the_page_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(run_page, "page_of", broken)
    report = run(Identity(), [picture(tmp_path / "in/a.png")], tmp_path / "out", BatchOptions(html=tmp_path / "page.html"))
    assert report.done == 1 and "a fault" in report.unwritten[0]


def test_a_page_over_a_picture_is_refused(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")
    with pytest.raises(ValueError, match="one of the pictures"):
        run(Identity(), [source], tmp_path / "out", BatchOptions(html=source))


def test_a_run_without_pictures_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    run(Identity(), [tmp_path / "in"], tmp_path / "out", BatchOptions(html=tmp_path / "page.html"))
    assert "no picture to show" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("pictures", "shown"), [(5, 8), (100, 12), (10_000, 48)])
def test_one_picture_in_eight_is_shown(pictures: int, shown: int) -> None:
    records = [Record(Path(f"in/{index}.png"), Path(f"out/{index}.png"), "done", size=(8, 8)) for index in range(pictures)]
    page = run_page.page_of(Report(records, pictures), "identity", {})
    assert page.most_figures == shown and len(page.pictures.rows) == pictures


def test_stats_of_several_steps_and_of_frames() -> None:
    records = [
        Record(Path("/a/x.png"), Path("out/x.png"), "done", size=(8, 9), stats={"denoise": {"noise_level": [3.0, 12.5], "weights": "w"}}),
        Record(Path("/a/deep/y.png"), Path("out/y.png"), "done", size=(8, 9), stats={"noise_level": None}, warnings=["look at it"]),
    ]
    page = run_page.page_of(Report(records, 2), "chain", {})
    first, second = page.pictures.rows
    assert [cell.text for cell in first.cells[:4]] == ["x.png", "9 x 8", "3 ... 12.5", "w"]
    assert first.cells[2].value == 12.5
    assert second.cells[0].text == str(Path("deep/y.png")) and second.cells[-1].text == "look at it"
    assert page.charts[0].series["noise"] == [3.0, 12.5]
