"""TIFF files whose pixels are replaced: other readers find them whole, and nothing of the old picture stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.images import Picture, read

_RANDOM = np.random.default_rng(3)
ROWS, ROWS_PER_STRIP, ORIENTATION = 72, 278, 274
COLOUR = _RANDOM.integers(0, 255, (ROWS, 100, 3), np.uint8)
SMOOTH = np.stack([np.add.outer(np.arange(ROWS), np.arange(100)), np.full((ROWS, 100), 40), np.full((ROWS, 100), 200)], 2).astype(np.uint8)


def enlarge(picture: Picture, out: Path, scale: int) -> np.ndarray:
    """Save a picture `scale` times as large; returns the pixels of its first frame."""
    frames = [np.ascontiguousarray(picture.frame(i).stored.repeat(scale, 0).repeat(scale, 1)) for i in range(picture.frames)]
    picture.save(out, iter(frames), scale=float(scale))
    return frames[0]


def _one_strip(path: Path) -> None:
    """One strip however high the page is: the default of RowsPerStrip."""
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags[ROWS_PER_STRIP].overwrite(2**32 - 1, dtype=4)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "jpeg"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("change", [None, _one_strip])
def test_one_strip_stays_readable(
    change: Callable[[Path], None] | None, scale: int, orientation: int, compression: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    Image.fromarray(SMOOTH).save(source, compression=compression, tiffinfo={ORIENTATION: orientation})
    if change:
        change(source)
    given = enlarge(read(source), out, scale)
    with Image.open(out) as image:
        image.load()  # libtiff refuses strips that do not fit
        stored = np.asarray(image)
    assert stored.shape == given.shape
    assert np.abs(stored.astype(int) - given).max() <= (12 if compression == "jpeg" else 0)
    with tifffile.TiffFile(out) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        rows = page.tags.valueof(ROWS_PER_STRIP, default=2**32 - 1)
        assert len(page.dataoffsets) == -(-page.imagelength // min(rows, page.imagelength))


def test_an_orientation_that_does_not_exist_is_none(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR, extratags=[(ORIENTATION, "H", 1, 9, True)], metadata=None)
    picture = read(tmp_path / "a.tif")
    assert np.array_equal(picture.frame(0).stored, COLOUR)
    enlarge(picture, tmp_path / "b.tif", 2)
    assert np.asarray(Image.open(tmp_path / "b.tif")).shape == (2 * ROWS, 200, 3)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
@pytest.mark.parametrize("scale", [1, 2])
def test_nothing_of_the_old_pixels_stays(compression: str, scale: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    Image.fromarray(COLOUR).save(source, compression=compression)
    picture = read(source)
    with tifffile.TiffFile(source) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        start, count = page.dataoffsets[0], page.databytecounts[0]
    old = source.read_bytes()[start : start + count]
    changed = np.zeros_like(picture.frame(0).stored).repeat(scale, 0).repeat(scale, 1)
    picture.save(out, iter([changed]), scale=float(scale))
    assert old[: count // 2] not in out.read_bytes() and old[count // 2 :] not in out.read_bytes()
    assert np.array_equal(np.asarray(Image.open(out)), changed)
    if scale == 1:
        assert out.stat().st_size <= source.stat().st_size


@pytest.mark.parametrize(
    "options", [{"imagej": True, "metadata": {"axes": "ZYX", "unit": "um"}}, {"ome": True}, {"photometric": "minisblack"}]
)
@pytest.mark.parametrize("planes", [3, 40])
def test_a_resolution_that_pages_share_is_scaled_once(options: dict[str, object], planes: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    pages = _RANDOM.integers(0, 255, (planes, 24, 24), np.uint8)
    tifffile.imwrite(source, pages, resolution=(1 / 0.3, 1 / 0.3), **options)
    enlarge(read(source), out, 2)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(out) as after:
        assert len(after.pages) == len(before.pages)
        for index in range(len(after.pages)):
            for name in ("XResolution", "YResolution"):
                old, new = (file.pages[index].aspage().tags[name].value for file in (before, after))
                assert new[0] / new[1] == pytest.approx(2 * old[0] / old[1], rel=1e-6)


def test_a_resolution_beyond_32_bits_is_as_near_as_they_allow(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(source, COLOUR, metadata=None)
    with tifffile.TiffFile(source, mode="r+") as file:
        file.pages[0].tags["XResolution"].overwrite((4_000_000_001, 7))
        file.pages[0].tags["YResolution"].overwrite((4_000_000_001, 1))
    enlarge(read(source), out, 2)
    with tifffile.TiffFile(out) as file:
        tags = file.pages[0].aspage().tags
        across, down = tags["XResolution"].value, tags["YResolution"].value
    assert across[0] / across[1] == pytest.approx(8_000_000_002 / 7, rel=1e-3)
    assert down == (2**32 - 1, 1)


@pytest.mark.parametrize(
    ("dtype", "missing", "declared"),
    [
        ("float32", -3.4028234663852886e38, "-3.4028234663852886e+38"),
        ("float32", -3.4028234663852886e38, None),
        ("float32", -9999, "-9999"),
        ("int16", -32768, "-32768"),
        ("uint16", 65535, "65535 "),
    ],
)
@pytest.mark.parametrize("share", [0.01, 0.2])
def test_missing_pixels_stay_and_do_not_stretch_the_range(
    dtype: str, missing: float, declared: str | None, share: float, tmp_path: Path
) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    heights = (np.add.outer(np.arange(60), np.arange(80)) + 100).astype(dtype)
    gone = _RANDOM.random(heights.shape) < share
    heights[gone] = missing
    tags = [(42113, "s", 0, declared, True)] if declared else []
    tifffile.imwrite(source, heights, extratags=tags, metadata=None)
    picture = read(source)
    frame = picture.frame(0)
    valid = frame.valid()
    assert valid is not None and np.array_equal(valid, ~gone)
    if dtype != "uint16":
        assert 0.3 < np.ptp(frame.normalized()[~gone]) < 2
    changed = frame.normalized() + np.float32(0.01) * ~gone[..., None]
    picture.save(out, iter([frame.encode(changed)]))
    result = tifffile.imread(out)
    assert np.array_equal(result[gone], heights[gone])
    assert (result[~gone] >= heights[~gone]).all() and (result[~gone] != np.array(missing, dtype)).all()
    assert np.abs(result[~gone].astype(float) - heights[~gone]).max() < 700


def test_a_colour_with_the_missing_value_in_one_channel_is_a_picture(tmp_path: Path) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 200
    tifffile.imwrite(tmp_path / "a.tif", red, extratags=[(42113, "s", 0, "0", True)], metadata=None)
    assert read(tmp_path / "a.tif").frame(0).valid() is None
