"""Headers that claim what cannot be: more rows than the file has bytes, keys wider than the samples, resolutions that no field holds."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_samples import ALL, RGB8, normalized, passed, stored

from restore.images import ImageError, read
from restore.images.codecs.png.chunks import chunk

CLAIMS = {
    "bits.pbm": b"P1\n20000 20000\n" + b"1 0 1 " * 99, "digits.pgm": b"P2\n20000 20000\n255\n" + b"17 " * 99,
    "raw.pbm": b"P4\n20000 20000\n" + bytes(3000), "raw.pgm": b"P5\n20000 20000\n4095\n" + bytes(99),
    "raw.ppm": b"P6\n9000 9000\n255\n" + bytes(99),
}  # fmt: skip


@pytest.mark.parametrize("salvage", [False, True])
@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_compared_with_the_file_before_it_is_given_memory(tmp_path: Path, name: str, salvage: bool) -> None:
    path = tmp_path / name
    path.write_bytes(CLAIMS[name])
    picture = read(path, salvage=salvage)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="rows are missing"):
            picture.frame(0)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_picture_that_lacks_some_rows_is_salvaged_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5\n3000 3000\n255\n" + bytes([9]) * 3000 * 100)
    samples = read(path, salvage=True).frame(0).stored
    assert (samples[:100] == 9).all() and not samples[100:].any()


def test_a_transparent_colour_wider_than_the_samples_counts_by_its_low_bits(tmp_path: Path) -> None:
    path, out = tmp_path / "a.png", tmp_path / "b.png"
    ALL["key-rgb.png"](path)
    data = path.read_bytes()
    at = data.find(b"tRNS")
    key = struct.pack(">3H", *(0x0B00 | int(value) for value in RGB8[0, 0]))
    path.write_bytes(data[: at - 4] + chunk(b"tRNS", key) + data[at + 14 :])
    frame = read(path).frame(0)
    alpha = frame.alpha
    assert alpha is not None and alpha[0, 0] == 0 and alpha.any()
    passed(read(path), out, lambda values: values * np.float32(0.5))
    assert stored(out)[0].shape == RGB8.shape


def test_a_resolution_that_no_field_holds_stops_no_result(tmp_path: Path) -> None:
    path, out = tmp_path / "a.bmp", tmp_path / "b.bmp"
    ALL["rgba8.bmp"](path)
    data = bytearray(path.read_bytes())
    data[38:46] = struct.pack("<II", 0xF0000000, 0xF0000000)
    path.write_bytes(data)
    passed(read(path), out, lambda values: values * np.float32(0.5))
    assert normalized(out)[0].shape == normalized(path)[0].shape


@pytest.mark.parametrize("kind", [1, 2])
def test_a_tiff_that_lists_an_alpha_for_which_there_is_no_sample(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    colours = np.random.default_rng(0).integers(0, 255, (9, 11, 3), dtype=np.uint8)
    tifffile.imwrite(path, colours, photometric="rgb", metadata=None, extratags=[(338, 3, 1, kind, True)])
    frame = read(path).frame(0)
    assert frame.alpha is None
    np.testing.assert_array_equal(frame.encode(frame.normalized()), colours)
