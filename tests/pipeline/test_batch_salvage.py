"""Pictures that break off, in a run: refused by default, restored as far as they are there with `salvage`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from batch_steps import Identity, Inverse, results
from PIL import Image

from restore import images
from restore.pipeline.batch import BatchOptions, run
from restore.pipeline.manifest_records import settings_digest
from restore.pipeline.records import Report


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A whole picture, one that lacks only its end, and three that break off."""
    root = tmp_path / "in"
    root.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    for name in ("whole.png", "end.png", "cut.png", "cut.jpg", "end.jpg"):
        Image.fromarray(picture).save(root / name)
    tifffile.imwrite(root / "cut.tif", picture, photometric="rgb", rowsperstrip=8)
    for name, keep in (("end.png", -12), ("end.jpg", -2), ("cut.png", 0.5), ("cut.jpg", 0.5), ("cut.tif", 0.5)):
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    return root


def test_what_breaks_off_fails_by_default(tree: Path, tmp_path: Path) -> None:
    report = run(Inverse(), [tree], tmp_path / "out")
    failed = {record.input.name: record.error or "" for record in report.records if record.status == "failed"}
    assert failed.keys() == {"cut.png", "cut.jpg", "cut.tif"}
    assert all("--salvage" in error and "% of its rows are missing" in error for error in failed.values())
    warned = {record.input.name: record.warnings for record in report.records if record.status == "done" and record.warnings}
    assert warned.keys() == {"end.png", "end.jpg"}


@pytest.mark.parametrize("work", [Inverse, Identity])
@pytest.mark.parametrize("target", [None, "png"])
def test_what_breaks_off_is_salvaged(tree: Path, tmp_path: Path, work: type[Identity], target: str | None) -> None:
    lines, preview = tmp_path / "r.jsonl", tmp_path / "p.png"
    if target:
        for name in ("end.jpg", "cut.jpg", "cut.tif"):
            (tree / name).rename(tree / f"{name[:3]}-{name[4:]}{name[3:]}")
    options = BatchOptions(salvage=True, report=lines, preview=preview, format=target)
    report = run(work(), [tree], tmp_path / "out", options)
    assert not report.failed and len(results(tmp_path / "out")) == 6
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert sum("rows are missing" in text for record in rows for text in record["warnings"]) == 3
    for record in rows:
        again = images.read(Path(record["output"]))
        again.frame(0)
        assert again.warnings == [] and again.size == (64, 48)
        with Image.open(record["output"]) as image:
            image.load()
    assert preview.is_file()


CUT = {"cut.png", "cut.jpg", "cut.tif"}


def _by_status(report: Report) -> dict[str, set[str]]:
    return {status: {r.input.name for r in report.records if r.status == status} for status in ("done", "skipped", "failed")}


def test_salvage_does_not_restore_whole_pictures_again(tree: Path, tmp_path: Path) -> None:
    """It only affects pictures that break off. A warning alone (a missing end) does not make a result a part."""
    out = tmp_path / "out"
    assert _by_status(run(Identity(), [tree], out)) == {"done": {"whole.png", "end.png", "end.jpg"}, "skipped": set(), "failed": CUT}
    asked = run(Identity(), [tree], out, BatchOptions(salvage=True))
    assert _by_status(asked) == {"done": CUT, "skipped": {"whole.png", "end.png", "end.jpg"}, "failed": set()}
    assert {record.input.name for record in asked.records if record.as_dict().get("salvaged")} == CUT


def test_whole_pictures_of_a_run_with_salvage_are_done_without_it(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(Identity(), [tree], out, BatchOptions(salvage=True)).done == 6
    assert run(Identity(), [tree], out, BatchOptions(salvage=True)).skipped == 6
    assert _by_status(run(Identity(), [tree], out)) == {"done": set(), "skipped": {"whole.png", "end.png", "end.jpg"}, "failed": CUT}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_salvaged_result_is_never_taken_for_a_whole_one(tree: Path, tmp_path: Path, overwrite: bool) -> None:
    out = tmp_path / "out"
    run(Identity(), [tree], out, BatchOptions(salvage=True))
    again = run(Identity(), [tree], out, BatchOptions(salvage=True))
    said = {record.input.name: record.warnings for record in again.records if record.warnings}
    assert said.keys() == CUT and all("with --salvage" in text for (text,) in said.values())
    without = run(Identity(), [tree], out, BatchOptions(overwrite=overwrite))
    failed = {record.input.name: record for record in without.records if record.status == "failed"}
    assert failed.keys() == CUT
    for name, record in failed.items():
        assert "--salvage" in record.error and any("an earlier run with --salvage" in text for text in record.warnings)
        assert (out / name).is_file()


def test_the_whole_picture_replaces_what_was_salvaged(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(Identity(), [tree], out, BatchOptions(salvage=True))
    (tree / "cut.png").write_bytes((tree / "whole.png").read_bytes())
    report = run(Identity(), [tree], out)
    assert _by_status(report)["done"] == {"cut.png"}
    assert not next(record for record in report.records if record.status == "done").warnings
    assert (out / "cut.png").read_bytes() == (out / "whole.png").read_bytes()


def test_results_of_versions_that_recorded_salvage_for_every_picture_are_kept(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(Identity(), [tree], out, BatchOptions(salvage=True))
    digest = settings_digest({"task": "identity", "format": None, "salvage": True})
    for path in (out / ".restore" / "done").iterdir():
        record = json.loads(path.read_text()) | {"settings": digest}
        record.pop("salvaged", None)
        path.write_text(json.dumps(record))
    assert run(Identity(), [tree], out, BatchOptions(salvage=True)).skipped == 6
