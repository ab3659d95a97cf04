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


def test_salvage_is_part_of_what_was_done_only_where_it_is_asked_for(tree: Path, tmp_path: Path) -> None:
    for name in ("cut.png", "cut.jpg", "cut.tif"):
        (tree / name).unlink()
    assert run(Identity(), [tree], tmp_path / "out").count("done") == 3
    again = run(Identity(), [tree], tmp_path / "out", BatchOptions(salvage=False))
    assert again.count("skipped") == 3
    asked = run(Identity(), [tree], tmp_path / "out", BatchOptions(salvage=True))
    assert asked.count("done") == 3
