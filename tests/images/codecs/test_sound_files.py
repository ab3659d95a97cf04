"""Sound files that look like damaged ones: they are restored, whole."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from dicom_samples import dataset, save, wrap
from PIL import Image, TiffImagePlugin
from pydicom.uid import JPEGLSLossless

from restore.images import read

_random = np.random.default_rng(3)


def _tiff(picture: Image.Image, path: Path, compression: str, tags: dict[int, int] | None = None) -> Path:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in (tags or {}).items():
        info[tag] = value
    picture.save(path, compression=compression, tiffinfo=info)
    return path


@pytest.mark.parametrize("compression", ["packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "group3", "group4", "tiff_ccitt"])
def test_blank_page_of_one_bit(compression: str, tmp_path: Path) -> None:
    path = _tiff(Image.new("1", (3000, 2500), 1), tmp_path / "blank.tif", compression)
    shown = read(path).frame(0).normalized()
    assert shown.shape[:2] == (2500, 3000)
    assert (shown == 1).all()


def test_wide_blank_page_of_two_dimensional_group_3(tmp_path: Path) -> None:
    path = _tiff(Image.new("1", (30000, 400), 1), tmp_path / "plan.tif", "group3", {292: 1, 278: 400})
    assert path.stat().st_size * 1720 < 30000 * 400
    assert read(path).frame(0).stored.all()


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_strips_whose_last_code_ends_with_zeros(compression: str, tmp_path: Path) -> None:
    """A black run of 18 ends with three zeros, which may be all that is in the last byte."""
    for width in range(19, 36):
        picture = np.ones((6, width), bool)
        picture[:, -18:] = False
        for order in (1, 2):
            path = _tiff(Image.fromarray(picture), tmp_path / "fax.tif", compression, {266: order, 278: 2})
            assert np.array_equal(read(path).frame(0).stored.astype(bool).squeeze(), picture), (width, order)


@pytest.mark.slow
def test_small_frames_in_a_large_file(tmp_path: Path) -> None:
    pixels = _random.integers(0, 256, (2, 8, 8)).astype(np.uint8)
    streams = [bytes(imagecodecs.jpegls_encode(frame)) for frame in pixels]
    path = save(wrap(dataset(pixels), [streams[0], streams[1] + bytes(300 << 20)], JPEGLSLossless), tmp_path / "cine.dcm")
    picture = read(path)
    for index in range(2):
        assert np.array_equal(picture.frame(index).stored, pixels[index])
