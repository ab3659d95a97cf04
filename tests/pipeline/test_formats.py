"""Steps over every kind of file: results twice as large keep format, frames and place; what cannot be written is refused first."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from restore.images import read
from restore.pipeline import batch
from restore.pipeline.batch import BatchOptions
from restore.pipeline.step import Image, Result, Sidecars, Step

sys.path.append(str(Path(__file__).resolve().parents[1] / "images"))
import format_samples as samples

KINDS = {**samples.LOSSLESS, **samples.LOSSY}


class Double(Step[None]):
    """Repeats each pixel, and darkens them a little."""

    name = "double"
    scale = 2.0

    def __init__(self) -> None:
        self.calls = 0

    def settings(self) -> dict[str, object]:
        return {}

    def __call__(self, image: Image, analysis: None, sidecars: Sidecars) -> Result:
        self.calls += 1
        return Result((image.pixels * np.float32(0.9)).repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("name", KINDS)
def test_enlarged_pictures_keep_their_format(name: str, tmp_path: Path) -> None:
    source = tmp_path / "in" / name
    source.parent.mkdir()
    KINDS[name](source)
    (record,) = batch.run(Double(), [source.parent], tmp_path / "out").records
    assert record.status == "done", record.error
    old, new = read(source), read(record.output)
    assert record.output.name == name and (new.format, new.frames, new.bits) == (old.format, old.frames, old.bits)
    assert new.size == (2 * old.size[0], 2 * old.size[1])
    for index in range(old.frames):
        before, after = old.frame(index), new.frame(index)
        assert after.stored.dtype == before.stored.dtype and after.mapping.channels == before.mapping.channels
        darker = after.on_scale_of(before).displayed()[::2, ::2] - before.displayed()
        assert np.median(darker) <= 0.01 and np.median(np.abs(darker)) < 0.15
        assert (after.alpha is None) == (before.alpha is None)


def test_what_a_target_cannot_hold_is_refused_before_the_step_runs(tmp_path: Path) -> None:
    samples.LOSSLESS["volume-int16.nii"](tmp_path / "a.nii")
    step = Double()
    (record,) = batch.run(step, [tmp_path / "a.nii"], tmp_path / "out", BatchOptions(format="png")).records
    assert record.error == "png holds one frame, this picture has 3; choose tiff" and step.calls == 0
    (record,) = batch.run(step, [tmp_path / "a.nii"], tmp_path / "out", BatchOptions(format="tiff")).records
    assert record.status == "done" and record.output.name == "a.tif" and read(record.output).frames == 3
