"""JPEG XL: what libjxl reads of results; boxes; colours other than sRGB; orientation; what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import format_samples as samples
import imagecodecs
import numpy as np
import pytest
from picture_samples import ALL, passed, stored
from PIL import Image, ImageCms

from restore.images import ImageError, read
from restore.images.codecs.jpegxl import header as headers
from restore.images.codecs.jpegxl.codec import unwrapped
from restore.images.iso_media import box, boxes

EXIF = Image.Exif()
EXIF[0x010F], EXIF[0x0112] = "A maker", 6
EXIF = EXIF.tobytes().removeprefix(b"Exif\0\0")
P3 = ((0, 1), (0, 1), (0, 2), (1, 2), (2, 2), (9, 4), (0, 1), (2, 2), (11, 4), (1, 2))
"""The description of Display P3 as (value, bits): no default, no ICC, RGB, D65, primaries 11, no gamma, transfer 13, relative."""


def half(seen: np.ndarray) -> np.ndarray:
    return seen * np.float32(0.5)


def _with_bits(encoded: bytes, fields: tuple[tuple[int, int], ...]) -> bytes:
    """A codestream with another description of its colours."""
    header, number = headers.read(encoded), int.from_bytes(encoded[2:4096], "little")
    start, end = header.colours_at
    made, length = number & (1 << start) - 1, start
    for value, bits in fields:
        made, length = made | value << length, length + bits
    made, length = made | (number >> end & (1 << (header.end - end)) - 1) << length, length + header.end - end
    return encoded[:2] + made.to_bytes(-(-length // 8), "little") + encoded[2 - (-header.end // 8) :]


@pytest.mark.parametrize("name", [name for name in samples.LOSSLESS if name.endswith(".jxl")])
def test_lossless_pictures_stay_lossless(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out.jxl"
    samples.LOSSLESS[name](source)
    picture = read(source)
    given = passed(picture, out, half)[0]
    assert np.array_equal(imagecodecs.jpegxl_decode(out.read_bytes()), given)
    old, new = picture._source._header, read(out)._source._header
    assert (new.bits, new.floats, new.extra, new.xyb, new.colours) == (old.bits, old.floats, old.extra, False, old.colours)


@pytest.mark.parametrize("name", ["lossy.jxl", "lossy-alpha.jxl", "jpeg.jxl"])
def test_lossy_pictures_come_back_about_right(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out.jxl"
    samples.LOSSY[name](source)
    given = passed(read(source), out, half)[0]
    new = read(out)
    assert new._source._header.xyb and np.abs(stored(out)[0].astype(int) - given).mean() < 4
    assert b"jbrd" not in out.read_bytes()


@pytest.mark.parametrize("size", [(8, 8), (64, 96), (19, 30), (300, 400), (1, 700), (513, 9000)])
def test_sizes_are_read(size: tuple[int, int]) -> None:
    encoded = bytes(imagecodecs.jpegxl_encode(np.zeros(size, np.uint8), lossless=True, effort=1))
    assert headers.read(encoded[encoded.index(headers.START) :]).size == size


def test_boxes_stay(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jxl", tmp_path / "b.jxl"
    samples.LOSSLESS["rgba8.jxl"](source)
    packed = imagecodecs.brotli_encode(b"<x/>")
    more = box(b"Exif", bytes(4), EXIF) + box(b"brob", b"xml ", bytes(packed)) + box(b"jumb", b"a claim")
    source.write_bytes(source.read_bytes() + more)
    picture = read(source)
    metadata = picture._source.header.metadata
    assert metadata.xmp == b"<x/>" and metadata.exif is not None and Image.Exif() is not None
    passed(picture, out, half)
    kinds = [one.kind for one in boxes(out.read_bytes())]
    assert kinds == [b"JXL ", b"ftyp", b"jxlc", b"Exif", b"xml ", b"jumb"]
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + (read(out)._source.header.metadata.exif or b""))
    assert exif[0x010F] == "A maker" and exif[0x0112] == 1


def test_other_colours_stay_and_become_a_profile_elsewhere(tmp_path: Path) -> None:
    path, out = tmp_path / "a.jxl", tmp_path / "b.jxl"
    path.write_bytes(_with_bits(bytes(imagecodecs.jpegxl_encode(samples.RGB8, lossless=True)), P3))
    picture = read(path)
    assert picture._source._header.colours == headers.Colours(primaries=11)
    given = passed(picture, out, half)[0]
    assert np.array_equal(imagecodecs.jpegxl_decode(out.read_bytes()), given)
    assert read(out)._source._header.colours == headers.Colours(primaries=11)
    picture.save(tmp_path / "c.png", [picture.frame(0).stored], format="png")
    with Image.open(tmp_path / "c.png") as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
    assert np.allclose(profile.red_primary[1][:2], (0.68, 0.32), atol=0.01)


@pytest.mark.parametrize("name", ["gray16.png", "la16.png", "rgb8.png", "rgba16.png"])
def test_other_formats_become_jpeg_xl_without_loss(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    picture.save(tmp_path / "a.jxl", [picture.frame(0).stored], format="jpegxl")
    assert np.array_equal(stored(tmp_path / "a.jxl")[0], picture.frame(0).stored)


@pytest.mark.parametrize("name", ["gray16.png", "la16.png", "rgb8.png", "rgba16.png"])
def test_new_files_are_srgb_as_the_pictures_are(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    picture.save(tmp_path / "a.jxl", [picture.frame(0).stored], format="jpegxl")
    assert read(tmp_path / "a.jxl")._source._header.colours.is_srgb


def _srgb(encoded: bytes) -> bytes:
    """A codestream of 16 bits described as sRGB, as cjxl makes it of a PNG."""
    encoded, _ = unwrapped(encoded)
    gray = headers.read(encoded).colours.space == headers.GRAY
    return _with_bits(encoded, ((0, 1), (0, 1), (1, 2), (1, 2), (0, 1), (2, 2), (11, 4), (1, 2)) if gray else ((1, 1),))


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("gray", [False, True])
def test_changed_pictures_of_many_bits_stay_srgb(gray: bool, alpha: bool, bits: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.jxl", tmp_path / "b.jxl"
    plane = np.ascontiguousarray(np.tile(np.linspace(0.1, 0.9, 96) ** 2.2 * (2**bits - 1), (64, 1)), np.uint16)
    count = (1 if gray else 3) + alpha
    pixels = plane if count == 1 else np.stack([plane] * count, -1)
    for distance in (1.0, None):
        lossless = distance is None
        source.write_bytes(_srgb(bytes(imagecodecs.jpegxl_encode(pixels, distance=distance, lossless=lossless, bitspersample=bits))))
        picture = read(source)
        assert picture._source._header.colours.is_srgb
        given = passed(picture, out, half)[0]
        new = read(out)
        assert new._source._header.colours.is_srgb and new.bits == bits
        change = np.abs(stored(out)[0].astype(float) - given)
        assert change.mean() <= (0 if lossless else 0.01 * 2**bits)
        assert lossless or bits < 16 or out.stat().st_size < 1.3 * source.stat().st_size


def test_lossy_linear_light_of_16_bits_keeps_its_quality(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jxl", tmp_path / "b.jxl"
    noise = np.random.default_rng(1).integers(10000, 50000, (64, 96, 3), dtype=np.uint16)
    source.write_bytes(bytes(imagecodecs.jpegxl_encode(noise, distance=3)))
    assert read(source)._source._header.colours == headers.Colours(transfer=headers.LINEAR)
    passed(read(source), out, lambda seen: seen + np.float32(0.01))
    assert read(out)._source._header.colours == headers.Colours(transfer=headers.LINEAR)
    assert out.stat().st_size < 1.2 * source.stat().st_size


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jxl"
    plain = bytes(imagecodecs.jpegxl_encode(samples.RGB8, lossless=True))
    wide = bytes(imagecodecs.jpegxl_encode(np.zeros((20000, 1), np.uint8), lossless=True, effort=1))
    for data, why in (
        (_with_bits(plain, ((0, 1), (1, 1), (0, 2))), "ICC profile"),
        (_with_bits(plain, ((0, 1), (0, 1), (2, 2), (1, 4))), "neither gray nor RGB"),
        (plain[:4], "breaks off"),
        (plain[: len(plain) // 2], "JPEG XL"),
        (box(b"JXL ", b"\r\n\x87\n") + box(b"jxlc", plain)[:-20], "breaks off"),
    ):
        path.write_bytes(data)
        with pytest.raises(ImageError, match=why):
            read(path).frame(0)
    path.write_bytes(wide)
    with pytest.raises(ImageError, match="over the limit"):
        read(path, max_pixels=10000)
    stack = np.stack([samples.RGB8, samples.RGB8[::-1]])
    path.write_bytes(bytes(imagecodecs.jpegxl_encode(stack, lossless=True)))
    with pytest.raises(ImageError, match="animation"):
        read(path)
