"""A run over good pictures: what lands where, what is skipped, what is reported."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_steps import Identity, Inverse, folder, picture, results, tree
from PIL import Image

from restore.pipeline import batch, threaded
from restore.pipeline.batch import BatchOptions, Event, run
from restore.pipeline.records import Report, merged


def _gray(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).copy()


def test_results_keep_the_tree_and_the_names(tmp_path: Path) -> None:
    folder(tmp_path / "in", 4)
    picture(tmp_path / "lone.png", 9)
    report = run(Inverse(), [tmp_path / "in", tmp_path / "lone.png"], tmp_path / "out")
    assert results(tmp_path / "out") == {"000.png", "001.png", "deep/002.png", "003.png", "lone.png"}
    assert (report.done, report.skipped, report.failed, report.ignored) == (5, 0, 0, 0)
    before, after = _gray(tmp_path / "in/deep/002.png"), _gray(tmp_path / "out/deep/002.png")
    np.testing.assert_array_equal(after, 255 - before)


def test_inputs_stay_untouched(tmp_path: Path) -> None:
    before = tree(folder(tmp_path / "in", 4))
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert tree(tmp_path / "in") == before


def test_every_frame_goes_through(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((5, 7), 40 * index, np.uint8)) for index in range(5)]
    source = tmp_path / "pages.tif"
    frames[0].save(source, save_all=True, append_images=frames[1:])
    report = run(Inverse(), [source], tmp_path / "out")
    assert report.records[0].error == ""
    assert report.records[0].frames == 5
    with Image.open(tmp_path / "out/pages.tif") as image:
        assert image.n_frames == 5
        for index in range(5):
            image.seek(index)
            assert np.unique(np.asarray(image)).tolist() == [255 - 40 * index]


def test_a_rerun_does_nothing_and_loads_nothing(tmp_path: Path) -> None:
    folder(tmp_path / "in", 4)
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    before, work = tree(tmp_path / "out"), Inverse()
    report = run(work, [tmp_path / "in"], tmp_path / "out")
    assert (report.done, report.skipped) == (0, 4)
    assert work.processed == []
    assert tree(tmp_path / "out") == before


def test_a_rerun_redoes_what_changed(tmp_path: Path) -> None:
    folder(tmp_path / "in", 6)
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    expected = tree(tmp_path / "out")
    picture(tmp_path / "in/000.png", 77)  # other content
    (tmp_path / "out/001.png").unlink()
    whole = (tmp_path / "out/003.png").read_bytes()
    (tmp_path / "out/003.png").write_bytes(whole[:-1] + b"!")  # same size, other content
    os.utime(tmp_path / "in/004.png", (0, 0))  # another date only
    work = Inverse()
    report = run(work, [tmp_path / "in"], tmp_path / "out")
    assert sorted(work.processed) == ["000.png", "001.png", "003.png"]
    assert (report.done, report.skipped) == (3, 3)
    assert (tmp_path / "out/003.png").read_bytes() == expected["003.png"]


def test_a_result_that_was_edited_is_kept(tmp_path: Path) -> None:
    folder(tmp_path / "in/sub", 2)
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    edited = tmp_path / "out/sub/000.png"
    whole, kept = edited.read_bytes(), tmp_path / "out/.restore/replaced/sub"
    for number, (content, name) in enumerate(((b"my work", "000.png.edited"), (b"more work", "000.png.edited-2")), 1):
        edited.write_bytes(content)
        report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
        assert (report.done, report.skipped) == (1, 1)
        (warning,) = next(record.warnings for record in report.records if record.status == "done")
        assert warning.startswith("000.png had been changed") and warning.endswith(str(kept / name))
        assert (kept / name).read_bytes() == content and edited.read_bytes() == whole
        assert len(list(kept.iterdir())) == number
    # neither other settings, nor a run that was killed before the rename, nor an overwrite of one's own make a result an edited one
    assert run(Identity(strength=1), [tmp_path / "in"], tmp_path / "out").warned == 0
    previous = edited.read_bytes()
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out").warned == 0
    edited.write_bytes(previous)
    os.utime(edited, (1, 1))  # older than its record
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out").warned == 0
    edited.write_bytes(b"not wanted")
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(overwrite=True)).warned == 0
    assert len(list(kept.iterdir())) == 2 and edited.read_bytes() == whole


def test_an_edited_result_of_a_long_name_is_kept(tmp_path: Path) -> None:
    picture(tmp_path / f"in/{'n' * 250}.png")
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    (edited,) = (tmp_path / "out").glob("n*.png")
    edited.write_bytes(b"my work")
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out").warned == 1
    (kept,) = (tmp_path / "out/.restore/replaced").iterdir()
    assert kept.read_bytes() == b"my work"


def test_other_settings_redo_everything(tmp_path: Path) -> None:
    folder(tmp_path / "in", 2)
    run(Identity(strength=1), [tmp_path / "in"], tmp_path / "out")
    assert run(Identity(strength=1), [tmp_path / "in"], tmp_path / "out").skipped == 2
    assert run(Identity(strength=0.5), [tmp_path / "in"], tmp_path / "out").done == 2
    assert run(Identity(strength=0.5), [tmp_path / "in"], tmp_path / "out", BatchOptions(overwrite=True)).done == 2


def test_a_foreign_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").write_text("precious")
    report = run(Inverse(), [source], tmp_path / "out")
    assert "--overwrite" in report.records[0].error
    assert (tmp_path / "out/a.png").read_text() == "precious"
    assert run(Inverse(), [source], tmp_path / "out", BatchOptions(overwrite=True)).done == 1


def test_format_changes_suffix_and_content(tmp_path: Path) -> None:
    folder(tmp_path / "in", 2)
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", BatchOptions(format="TIF"))
    assert [record.error for record in report.records] == ["", ""]
    assert results(tmp_path / "out") == {"000.tif", "001.tif"}
    with Image.open(tmp_path / "out/000.tif") as image:
        assert image.format == "TIFF"


@pytest.mark.parametrize("place", ["in", "in/deep", "in/new/deeper", "link", "in/../in"])
def test_out_in_the_input_is_refused(tmp_path: Path, place: str) -> None:
    folder(tmp_path / "in", 3)
    (tmp_path / "link").symlink_to(tmp_path / "in/deep")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match="output folder"):
        run(Inverse(), [tmp_path / "in"], tmp_path / place)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("place", ["in/deep/side", "in/side", "link/side"])
def test_side_files_in_the_input_are_refused(tmp_path: Path, place: str) -> None:
    folder(tmp_path / "in", 3)
    (tmp_path / "link").symlink_to(tmp_path / "in/deep")
    before = tree(tmp_path)
    step = Inverse()
    step.side_folders = (("--keep", tmp_path / place),)
    with pytest.raises(ValueError, match="outside the inputs for --keep"):
        run(step, [tmp_path / "in"], tmp_path / "out")
    assert tree(tmp_path) == before


def test_out_next_to_a_named_file_is_refused(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    with pytest.raises(ValueError, match="overwrite"):
        run(Inverse(), [source], tmp_path)


@pytest.mark.parametrize("options", [BatchOptions(format="exe"), BatchOptions(report=Path("in/a.png"))])
def test_senseless_options_stop_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: BatchOptions) -> None:
    monkeypatch.chdir(tmp_path)
    picture(Path("in/a.png"))
    with pytest.raises(ValueError, match=r"unknown format|one of the pictures"):
        run(Inverse(), [Path("in")], Path("out"), options)
    assert not Path("out").exists()


def test_two_runs_into_one_folder_at_a_time_are_refused(tmp_path: Path) -> None:
    source = picture(tmp_path / "in/a.png")

    def again(event: Event) -> None:
        if event.kind == "plan":
            with pytest.raises(ValueError, match="another run"):
                run(Inverse(), [source], tmp_path / "out")

    assert run(Inverse(), [source], tmp_path / "out", on_event=again).done == 1


def test_report_rows_and_events(tmp_path: Path) -> None:
    folder(tmp_path / "in", 3)
    (tmp_path / "in/notes.txt").write_text("no picture")
    (tmp_path / "in/bad.png").write_text("no picture either")
    events: list[Event] = []
    options = BatchOptions(report=tmp_path / "logs/report.jsonl")
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out", options, events.append)
    lines = [json.loads(line) for line in (tmp_path / "logs/report.jsonl").read_text().splitlines()]
    assert lines == [record.as_dict() for record in report.records]
    assert [line["status"] for line in lines] == ["done", "done", "failed", "done"]
    assert lines[0] | {"seconds": None} == {
        "input": str(tmp_path / "in/000.png"), "output": str(tmp_path / "out/000.png"), "status": "done", "error": None,
        "seconds": None, "size": [12, 17], "frames": 1, "bits": 8, "format": "png", "weights": "none", "noise": 0.0,
        "precision": "fp32", "tile": 0, "warnings": [],
    }  # fmt: skip
    assert set(lines[0]["seconds"]) == {"decode", "network", "encode"}
    assert lines[2]["output"] is None
    assert lines[2]["error"].startswith("not a picture that restore reads")
    assert report.ignored == 1
    assert [(event.kind, event.index, event.total) for event in events] == [
        ("plan", 0, 4), ("record", 1, 4), ("record", 2, 4), ("record", 3, 4), ("record", 4, 4),
    ]  # fmt: skip


def test_a_step_that_learns_first_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "in", 2)
    monkeypatch.setattr(Inverse, "learns_from_inputs", True)
    kinds: list[str] = []
    run(Inverse(), [tmp_path / "in"], tmp_path / "out", on_event=lambda event: kinds.append(event.kind))
    assert kinds == ["learn", "plan", "record", "record"]


def test_an_empty_folder_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    report = run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    assert (report.planned, report.done, report.images_per_second) == (0, 0, 0.0)


@pytest.mark.parametrize("workers", [1, 4])
def test_pictures_in_flight_stay_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """With a limit of two pictures no more than two are between opening and writing, a larger one is alone."""
    folder(tmp_path / "in", 8, (12, 17))
    picture(tmp_path / "in/005x.png", 50, (40, 40))
    monkeypatch.setattr("restore.pipeline.threaded.SMALLEST", 1)
    monkeypatch.setattr(threaded, "SAMPLES_IN_FLIGHT", 2 * 12 * 17)
    inside: list[int] = []
    real = threaded.MemoryLimiter

    class Watched(real):  # type: ignore[misc, valid-type]
        def _admit(self) -> None:
            super()._admit()
            inside.append(self._inside)

    monkeypatch.setattr(threaded, "MemoryLimiter", Watched)
    report = run(Inverse(0.002), [tmp_path / "in"], tmp_path / "out", BatchOptions(workers=workers))
    assert report.done == 9
    assert set(inside) <= {0, 12 * 17, 2 * 12 * 17, 40 * 40}
    assert inside[-1] == 0


def test_results_do_not_depend_on_the_executor_or_the_number_of_helpers(tmp_path: Path) -> None:
    folder(tmp_path / "in", 12)
    (tmp_path / "in/bad.png").write_bytes(b"no picture")
    reports = []
    for name, workers in (("threads", 1), ("threads", 5), ("serial", 1)):
        out = tmp_path / f"{name}{workers}"
        reports.append(run(Inverse(), [tmp_path / "in"], out, BatchOptions(workers=workers, executor=name)))
    assert tree(tmp_path / "threads1") == tree(tmp_path / "threads5") == tree(tmp_path / "serial1")
    assert len({tuple((record.input, record.status, record.error) for record in report.records) for report in reports}) == 1


def test_an_unknown_executor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="threads"):
        run(Inverse(), [folder(tmp_path / "in", 1)], tmp_path / "out", BatchOptions(executor="cluster"))
    assert not (tmp_path / "out").exists()


def test_sums() -> None:
    report = Report(wall=2.0)
    report.records = [batch.Record(Path("a"), Path("b"), "done", {"decode": 1.0, "network": 1.5, "encode": 0.5})] * 2
    assert report.images_per_second == 1.0
    assert report.seconds_per_megapixel == 0.0, "the sizes are not known"
    assert report.busy_fraction == 1.0
    assert report.seconds == {"decode": 2.0, "network": 3.0, "encode": 1.0}


def test_the_time_per_megapixel_is_of_what_was_restored() -> None:
    report = Report()
    seconds = {"decode": 9.0, "network": 1.5, "encode": 9.0}
    report.records = [
        batch.Record(Path("a"), Path("a"), "done", seconds, size=(1000, 500), frames=2),
        batch.Record(Path("b"), Path("b"), "done", seconds, size=(1000, 2000), frames=1),
        batch.Record(Path("c"), Path("c"), "skipped", size=(1000, 500), frames=1),
        batch.Record(Path("d"), None, "failed", seconds, size=(1000, 500), frames=1),
    ]
    assert report.seconds_per_megapixel == pytest.approx(1.0)
    assert report.summary()["seconds_per_megapixel"] == 1.0


def test_stats_of_frames_merge() -> None:
    stats: list[dict[str, Any]] = [{"tile": 64, "noise": 1.0}, {"tile": 64, "noise": 2.0}]
    assert merged(stats) == {"tile": 64, "noise": [1.0, 2.0]}
    assert merged([{"tile": 64}]) == {"tile": 64}


def test_the_time_of_a_step_without_a_network_is_not_called_so(tmp_path: Path) -> None:
    class Working(Identity):
        name, work = "working", "simulation"

    report = run(Working(), [picture(tmp_path / "a.png")], tmp_path / "out", BatchOptions(html=tmp_path / "page.html"))
    assert report.records[0].seconds.keys() == report.seconds.keys() == {"decode", "simulation", "encode"}
    assert report.seconds["simulation"] > 0 and "network" not in json.dumps(report.summary())
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "simulation time" in page and "network" not in page.partition("<body")[2].partition("<script")[0]


def test_a_failure_names_its_picture_once(tmp_path: Path) -> None:
    bad = tmp_path / "in/broken.png"
    picture(bad).write_bytes(b"\x89PNG\r\n\x1a\n")
    (record,) = run(Identity(), [tmp_path / "in"], tmp_path / "out").records
    assert record.status == "failed" and record.error and "broken.png" not in record.error


def test_ray_is_named_with_its_extra_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'restore-suite\[cluster\]'"):
        run(Inverse(), [folder(tmp_path / "in", 1)], tmp_path / "out", BatchOptions(executor="ray"))
    assert not (tmp_path / "out").exists()


def test_an_edited_result_of_an_older_date_is_kept(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    edited = tmp_path / "out/a.png"
    for number in (1, 2):
        edited.write_bytes(b"my work %d" % number)
        os.utime(edited, (1, 1))  # as mv, cp -p and rsync -t leave it
        report = run(Inverse() if number == 1 else Identity(), [tmp_path / "in"], tmp_path / "out")
        assert report.warned == 1
    kept = sorted((tmp_path / "out/.restore/replaced").iterdir())
    assert [path.read_bytes() for path in kept] == [b"my work 1", b"my work 2"]


def test_records_that_do_not_say_what_they_replace_go_by_the_date(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png")
    run(Inverse(), [tmp_path / "in"], tmp_path / "out")
    (path,) = (tmp_path / "out/.restore/done").iterdir()
    record = json.loads(path.read_text())
    path.write_text(json.dumps({name: record[name] for name in ("input", "name", "output", "settings")}))
    (tmp_path / "out/a.png").write_bytes(b"an earlier result")
    os.utime(tmp_path / "out/a.png", (1, 1))
    assert run(Inverse(), [tmp_path / "in"], tmp_path / "out").warned == 0
