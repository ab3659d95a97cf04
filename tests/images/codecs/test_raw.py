"""Camera raw: developed upright to sRGB of 16 bits; no result is raw, which is said before anything is restored."""

from __future__ import annotations

from pathlib import Path

import format_samples as samples
import numpy as np
import pytest
import tifffile

from restore.images import ImageError, read
from restore.pipeline import batch
from restore.pipeline.step import Image, Result, Sidecars, Step


class Same(Step[None]):
    """Returns what it gets."""

    name = "same"
    calls = 0

    def settings(self) -> dict[str, object]:
        return {}

    def __call__(self, image: Image, analysis: None, sidecars: Sidecars) -> Result:
        Same.calls += 1
        return Result(image.pixels)


def test_a_mosaic_becomes_the_colours_of_the_light(tmp_path: Path) -> None:
    samples.dng(tmp_path / "a.dng")
    picture = read(tmp_path / "a.dng")
    assert (picture.format, picture.bits, picture.size) == ("raw", 16, samples.MOSAIC)
    stored = picture.frame(0).stored
    y, x = np.mgrid[: samples.MOSAIC[0], : samples.MOSAIC[1]]
    light = np.stack([8000 + 300 * y + 0 * x, 20000 + 100 * x + 0 * y, 40000 - 200 * y + 0 * x], -1) / 65535
    expected = 1.055 * light ** (1 / 2.4) - 0.055
    assert np.abs(stored / 65535 - expected)[4:-4, 4:-4].max() < 0.02


def test_it_is_upright_and_its_exif_says_so(tmp_path: Path) -> None:
    samples.dng(tmp_path / "a.dng", orientation=6)
    picture = read(tmp_path / "a.dng")
    assert picture.size == samples.MOSAIC[::-1]
    picture.save(tmp_path / "a.tif", [picture.frame(0).stored], format="tiff")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        assert tags[271].value == "A maker" and 274 not in tags and 50706 not in tags
        assert np.array_equal(file.asarray(), picture.frame(0).stored)


def test_a_run_writes_tiff_and_refuses_raw_before_it_restores(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    samples.dng(tmp_path / "in" / "a.dng")
    Same.calls = 0
    (row,) = batch.run(Same(), [tmp_path / "in"], tmp_path / "out").records
    assert row.error == "a result can't be camera raw; choose --format tiff" and Same.calls == 0
    (row,) = batch.run(Same(), [tmp_path / "in"], tmp_path / "out", batch.BatchOptions(format="tiff")).records
    assert row.status == "done" and row.output == tmp_path / "out" / "a.tif"
    assert read(row.output).frame(0).stored.dtype == np.uint16


def test_broken_files(tmp_path: Path) -> None:
    samples.dng(tmp_path / "a.dng")
    whole = (tmp_path / "a.dng").read_bytes()
    for length in (100, len(whole) // 2):
        (tmp_path / "a.dng").write_bytes(whole[:length])
        with pytest.raises(ImageError, match="camera raw"):
            read(tmp_path / "a.dng").frame(0)
