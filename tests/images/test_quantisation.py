"""Quantisation: libjpeg's tables, orientations, and what a JPEG file tells."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore import images
from restore.images import quantisation
from restore.images.orientation import upright
from restore.images.quantisation import Quantisation


@pytest.mark.parametrize("quality", [1, 10, 37, 50, 75, 95, 100])
def test_the_tables_are_those_of_libjpeg(quality: int) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 90)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        for number, chroma in ((0, False), (1, True)):
            np.testing.assert_array_equal(image.quantization[number], quantisation.table(quality, chroma=chroma).flatten())


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_file_tells_the_blocks_of_its_upright_picture(tmp_path: Path, tag: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    height, width = 45, 70
    Image.effect_noise((width, height), 50).convert(mode).save(tmp_path / "a.jpg", quality=40, exif=exif)
    found = images.read(tmp_path / "a.jpg").quantisation
    assert found is not None
    np.testing.assert_array_equal(found.steps, quantisation.table(40).T if tag >= 5 else quantisation.table(40))
    block = upright(np.arange(height)[:, None] // 8 * 100 + np.arange(width)[None] // 8, tag)
    rows, columns = block[:, 20] != np.roll(block[:, 20], 1), block[20] != np.roll(block[20], 1)
    assert {*np.flatnonzero(rows[1:]) + 1} == {*range(found.top or 8, block.shape[0], 8)}
    assert {*np.flatnonzero(columns[1:]) + 1} == {*range(found.left or 8, block.shape[1], 8)}


def test_a_tile_sees_the_blocks_of_the_whole_picture() -> None:
    found = Quantisation.of_quality(30, 3, 6)
    whole = found.condition(slice(0, 40), slice(0, 50))
    assert whole[3, 6, 0] == pytest.approx(quantisation.table(30)[0, 0] / (255 * np.sqrt(12)))
    np.testing.assert_array_equal(found.condition(slice(5, 21), slice(9, 30)), whole[5:21, 9:30])


def test_the_quality_is_the_nearest() -> None:
    assert [Quantisation(quantisation.table(quality)).quality for quality in (10, 50, 90)] == [10, 50, 90]


def test_other_formats_and_broken_tables_tell_nothing(tmp_path: Path) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").quantisation is None
    assert quantisation.from_file([1] * 63, 16, 16, 1) is None
    assert quantisation.from_file([0] * 64, 16, 16, 1) is None
