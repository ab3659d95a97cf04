"""Whatever is wrong with a file: an ImageError that names it, never a half gray picture, never another exception."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_samples import ALL, stored

from restore.images import ImageError, read
from restore.images.codecs.png.chunks import SIGNATURE, chunk


def _giant_png() -> bytes:
    return SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", b"")


def _giant_bmp() -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHH", 60, 0, 0, 54, 40, 60000, 60000, 1, 24) + bytes(24)


def _giant_jpeg() -> bytes:
    return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, 60000, 60000, 1) + b"\1\x11\0\xff\xda\0\x02"


def _giant_tiff() -> bytes:
    tags = [(256, 4, 60000), (257, 4, 60000), (258, 3, 8), (262, 3, 1), (273, 4, 8), (278, 4, 60000), (279, 4, 100)]
    body = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4)


GIANTS = {
    "a.png": _giant_png(),
    "a.bmp": _giant_bmp(),
    "a.jpg": _giant_jpeg(),
    "a.tif": _giant_tiff(),
    "a.pgm": b"P5 60000 60000 255\n",
}


@pytest.mark.parametrize("name", GIANTS)
def test_a_giant_header_is_refused_before_decoding(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(GIANTS[name])
    with pytest.raises(ImageError, match=r"60000 x 60000 pixels, over the limit of 500,000,000"):
        read(path)


def test_the_limit_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gray8.png"
    ALL["gray8.png"](path)
    pixels = read(path).frame(0).stored.size
    monkeypatch.setenv("RESTORE_MAX_PIXELS", str(pixels - 1))
    with pytest.raises(ImageError, match=rf"over the limit of {pixels - 1:,}.*RESTORE_MAX_PIXELS={pixels}$"):
        read(path)
    monkeypatch.setenv("RESTORE_MAX_PIXELS", str(pixels))
    assert read(path).frame(0).stored.size == pixels
    for text in ("many", "-5", "0"):
        monkeypatch.setenv("RESTORE_MAX_PIXELS", text)
        with pytest.raises(ImageError, match="must be a whole number of pixels"):
            read(path)


def test_the_limit_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "gray8.png"
    ALL["gray8.png"](path)
    with pytest.raises(ImageError, match="RESTORE_MAX_PIXELS="):
        read(path, max_pixels=100)


BAD = {
    "empty.png": (b"", "empty"),
    "text.png": (b"Dear diary, this is no picture at all.\n", "it is text"),
    "page.jpg": (b"<!DOCTYPE html><html></html>", "a web page"),
    "zeros.tif": (bytes(4000), "all zero"),
    "random.dcm": (bytes(np.random.default_rng(0).integers(128, 256, 999, dtype=np.uint8)), "no known format"),
    "anim.gif": (b"GIF89a" + bytes(50), "damaged GIF"),
    "head.png": (SIGNATURE, "truncated PNG"),
    "head.jpg": (b"\xff\xd8\xff", "truncated JPEG"),
    "head.tif": (b"II*\0", "truncated TIFF"),
    "head.webp": (b"RIFF\x20\0\0\0WEBP", "truncated WebP"),
    "head.bmp": (b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + struct.pack("<I", 40), "truncated BMP"),
    "head.pgm": (b"P5 12 ", "header breaks off"),
    "mark.dcm": (bytes(128) + b"DICM", "without pixels"),
    "loop.tif": (b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 256, 4, 1, 5, 8), "circle"),
    "maxval.pgm": (b"P5 2 2 70000\n" + bytes(8), "maxval"),
    "over.pgm": (b"P2 2 1 10\n3 11\n", "exceeds maxval"),
    "two.pgm": (b"P5 1 1 255\n\x07P5 1 1 255\n\x07", "several pictures"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_name_their_reason(name: str, tmp_path: Path) -> None:
    data, why = BAD[name]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ImageError, match=why) as caught:
        read(path).frame(0)
    assert name in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for name, why in (
        ("a.jpg", "directory"),
        ("dangling.png", "no such file"),
        ("loop.png", "loop"),
        ("b.png", "no such"),
    ):
        with pytest.raises(ImageError, match=why):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ALL)
def test_a_truncated_file_is_an_error(name: str, tmp_path: Path) -> None:
    source, path = tmp_path / f"whole-{name}", tmp_path / name
    ALL[name](source)
    whole = source.read_bytes()
    for length in sorted({1, 10, len(whole) // 10, len(whole) // 3, len(whole) // 2, len(whole) * 9 // 10}):
        path.write_bytes(whole[:length])
        try:
            picture = read(path)
            frames = [picture.frame(index) for index in range(picture.frames)]
        except ImageError:
            continue
        assert picture.warnings  # only its end is missing: every pixel is there
        for one, other in zip(frames, stored(source), strict=True):
            assert np.array_equal(one.stored, other)


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "gray8.png"
    ALL["gray8.png"](path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(ImageError, match="checksum"):
        read(path)


def test_a_bomb_in_a_profile_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "gray8.png"
    ALL["gray8.png"](path)
    data = path.read_bytes()
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 25), 9))
    path.write_bytes(data[:33] + bomb + data[33:])
    picture = read(path)
    assert picture._source.header.metadata.icc is None
    assert picture.warnings == ["its colour profile is damaged and is not used"]
