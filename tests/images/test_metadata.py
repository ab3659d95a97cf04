"""What stands around the pixels stays, also when the pixels change; an orientation is applied once and reset."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_samples import ALL, FLOAT, G8, G16, HEIGHT, RGB8, RGBA8, WIDTH, passed, stored
from PIL import Image, ImageCms, ImageOps

from restore.images import ImageError, read
from restore.images.codecs.png.chunks import chunk, layout

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def half(seen: np.ndarray) -> np.ndarray:
    return seen * np.float32(0.5)


def exif(orientation: int = 1) -> bytes:
    """EXIF with a maker, an orientation and a maker note."""
    block = Image.Exif()
    block[0x010F], block[0x0112] = "A maker", orientation
    block.get_ifd(0x8769)[0x927C] = b"a maker provenance whose offsets must not move"
    return block.tobytes()


def test_png_chunks_stay_in_place(tmp_path: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "out"
    ALL["gray16.png"](source)
    data = source.read_bytes()
    before = [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"iCCP", b"sRGB\0\0" + zlib.compress(PROFILE)),
        (b"sBIT", b"\x0c"),
        (b"pHYs", struct.pack(">IIB", 11811, 5905, 1)),
        (b"tEXt", b"Comment\0hello"),
        (b"prVt", b"private"),
    ]
    after = [(b"iTXt", b"Title\0\0\0\0\0\xc3\xa4"), (b"tIME", b"\x07\xe8\1\1\0\0\0"), (b"eXIf", exif()[6:])]
    pieces = [data[:33], *(chunk(*c) for c in before), data[33:-12], *(chunk(*c) for c in after), data[-12:]]
    source.write_bytes(b"".join(pieces))
    passed(read(source), out, half)
    new = layout(out)
    assert [(c.name, c.data) for c in new.before] == before
    assert [(c.name, c.data) for c in new.after] == after
    assert new.depth == 16 and new.colour == 0


def test_a_palette_whose_colours_change_becomes_true_colour(tmp_path: Path) -> None:
    source, out = tmp_path / "palette-alpha.png", tmp_path / "out"
    ALL["palette-alpha.png"](source)
    passed(read(source), out, half)
    with Image.open(out) as image:
        assert image.mode == "RGBA"


def test_a_gray_palette_stays_gray(tmp_path: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "out"
    Image.fromarray(G8).convert("P").save(source)
    assert read(source).frame(0).normalized().shape[-1] == 1
    passed(read(source), out, half)
    with Image.open(out) as image:
        assert image.mode == "L"


def test_jpeg_segments_tables_and_sampling_stay(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "out"
    Image.fromarray(RGB8).save(
        source,
        quality=63,
        subsampling="4:2:2",
        exif=exif(),
        icc_profile=PROFILE,
        dpi=(300, 200),
        comment=b"hello",
        xmp=b"<x/>",
    )
    passed(read(source), out, half)
    with Image.open(source) as old, Image.open(out) as new:
        assert new.quantization == old.quantization
        assert [c[1:] for c in new.layer] == [c[1:] for c in old.layer]
        for key in ("exif", "icc_profile", "dpi", "comment", "xmp"):
            assert new.info[key] == old.info[key], key
        assert np.abs(np.asarray(new).astype(int) - np.asarray(old).astype(int) // 2).mean() < 40


@pytest.mark.parametrize("name", ["gray.jpg", "rgb.jpg", "rgb444.jpg", "kept-rgb.jpg", "cmyk.jpg"])
def test_jpeg_kinds_stay(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out"
    ALL[name](source)
    given = passed(read(source), out, lambda seen: seen * np.float32(0.999) + np.float32(0.0005))
    with Image.open(source) as old, Image.open(out) as new:
        assert new.mode == old.mode
        assert new.quantization == old.quantization
        assert new.info.get("progressive") == old.info.get("progressive")
        assert [c[1:3] for c in new.layer] == [c[1:3] for c in old.layer]
    difference = np.abs(stored(out)[0].astype(int) - given[0].astype(int))
    assert difference.mean() < (25 if name in ("rgb.jpg", "gray.jpg") else 12)


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_orientation_is_applied_once(kind: str, tag: int, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    gradient = np.add.outer(np.arange(HEIGHT) * 4, np.arange(WIDTH) * 5).astype(np.uint8)
    image = Image.fromarray(np.stack([gradient, 255 - gradient, gradient], -1))
    options = {"lossless": True} if kind == "webp" else {"quality": 95, "subsampling": 0} if kind == "jpeg" else {}
    image.save(source, kind, exif=exif(tag), **options)
    picture = read(source)
    with Image.open(source) as first:
        turned = np.asarray(ImageOps.exif_transpose(first))
    assert picture.size == turned.shape[:2]
    assert np.array_equal(picture.frame(0).stored, turned)
    passed(picture, out)
    with Image.open(out) as again:
        assert again.getexif()[0x0112] == 1
        assert again.getexif()[0x010F] == "A maker"
        assert again.getexif().get_ifd(0x8769)[0x927C] == b"a maker provenance whose offsets must not move"
        assert np.abs(np.asarray(again).astype(int) - turned).max() <= (12 if kind == "jpeg" else 0)


@pytest.mark.parametrize("tag", range(2, 9))
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_orientation(tag: int, tile: tuple[int, int] | None, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "out"
    strips = {"tile": tile} if tile else {"rowsperstrip": 8}
    tifffile.imwrite(
        source,
        RGB8,
        photometric="rgb",
        compression="deflate",
        extratags=[(274, 3, 1, tag, True)],
        resolution=(300, 200),
        **strips,
    )
    picture = read(source)
    given = passed(picture, out, half)
    assert picture.size == ((WIDTH, HEIGHT) if tag >= 5 else (HEIGHT, WIDTH)) == given[0].shape[:2]
    with tifffile.TiffFile(out) as file:
        page = file.pages[0]
        assert page.tags[274].value == 1
        assert page.tags[282].value[0] / page.tags[282].value[1] == (200 if tag >= 5 else 300)
    assert np.array_equal(stored(out)[0], given[0])
    with Image.open(out) as image:  # and somebody else can read it
        assert np.array_equal(np.asarray(image), given[0])


def test_tiff_tags_stay(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "out"
    private = [(65000, 2, 0, "private", True), (700, 1, 4, b"<x/>", True), (33550, 12, 3, (1.0, 2.0, 0.0), True)]
    tifffile.imwrite(
        source, G16, compression="lzw", predictor=True, rowsperstrip=3, description="what it is", software="a camera",
        datetime="2001:02:03 04:05:06", resolution=(118.1, 118.1), resolutionunit=3, iccprofile=PROFILE, extratags=private, metadata=None,
    )  # fmt: skip
    given = passed(read(source), out, half)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(out) as new:
        for tag in old.pages[0].tags:
            if tag.code not in (273, 279):
                assert new.pages[0].tags[tag.code].value == tag.value, tag
    with Image.open(out) as image:
        assert np.array_equal(np.asarray(image), given[0])


def test_tiff_pages_keep_what_is_theirs(tmp_path: Path) -> None:
    source, out = tmp_path / "pages.tif", tmp_path / "out"
    ALL["pages.tif"](source)
    passed(read(source), out, half)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(out) as new:
        for one, other in zip(old.pages, new.pages, strict=True):
            assert (one.compression, one.predictor, one.dtype) == (other.compression, other.predictor, other.dtype)


@pytest.mark.parametrize("name", ["jpeg.tif", "jpeg-ycbcr.tif", "jpeg-rgb.tif", "group4.tif"])
def test_lossy_and_fax_tiff(name: str, tmp_path: Path) -> None:
    """JPEG stays JPEG at about its quality; fax coding becomes deflate, which keeps every pixel."""
    source, out = tmp_path / name, tmp_path / "out"
    ALL[name](source)
    given = passed(read(source), out, lambda seen: 1 - seen)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(out) as new:
        assert new.pages[0].compression == (8 if name == "group4.tif" else old.pages[0].compression)
        assert new.pages[0].photometric == old.pages[0].photometric
    again = stored(out)[0]
    if name == "group4.tif":
        assert np.array_equal(again, given[0])
    assert np.abs(again.astype(int) - given[0].astype(int)).mean() < 6
    with Image.open(out) as image:
        image.load()


def test_webp_metadata_and_kind(tmp_path: Path) -> None:
    for lossless in (True, False):
        source, out = tmp_path / "a.webp", tmp_path / "out"
        Image.fromarray(RGBA8).save(source, lossless=lossless, exact=True, icc_profile=PROFILE, exif=exif(), xmp=b"<x/>")
        passed(read(source), out, half)
        assert (b"VP8L" in out.read_bytes()) == lossless
        with Image.open(source) as old, Image.open(out) as new:
            for key in ("icc_profile", "exif", "xmp"):
                assert new.info[key] == old.info[key]


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB8), Image.fromarray(255 - RGB8)]
    for kind in ("webp", "png"):
        path = tmp_path / f"a.{kind}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        with pytest.raises(ImageError, match="animated"):
            read(path)


@pytest.mark.parametrize("target", ["png", "tiff"])
@pytest.mark.parametrize("name", ["gray8.png", "gray16.png", "rgba8.png", "rgb16-predictor.tif", "rgb.jpg", "p2.pgm", "white16.tif"])
def test_conversion_keeps_samples(name: str, target: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out"
    ALL[name](source)
    picture = read(source)
    frame = picture.frame(0)
    picture.save(out, [frame.stored], format=target)
    again = read(out)
    assert again.format == target
    if name not in ("p2.pgm", "white16.tif") and again.format != picture.format:
        assert np.array_equal(again.frame(0).stored, frame.stored)
    assert np.abs(again.frame(0).normalized() - frame.normalized()).max() <= 0.5 / 255 + 1e-6


def test_conversion_carries_profile_and_resolution(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "out"
    Image.fromarray(RGB8).save(source, icc_profile=PROFILE, dpi=(300, 200), exif=exif(6))
    picture = read(source)
    for target in ("png", "tiff", "webp", "bmp"):
        picture.save(out, [picture.frame(0).stored], format=target)
        with Image.open(out) as image:
            assert image.size == (HEIGHT, WIDTH)
            if target != "bmp":
                assert image.info["icc_profile"] == PROFILE
            if target != "webp":
                assert np.allclose([float(v) for v in image.info["dpi"]], (200, 300), atol=0.1)
            if target in ("png", "webp"):
                assert image.getexif()[0x010F] == "A maker"


@pytest.mark.parametrize(
    ("name", "target", "why"),
    [
        ("gray16.png", "jpeg", "8 bits"),
        ("rgba8.png", "jpeg", "transparency"),
        ("gray8.png", "webp", "gray must stay gray"),
        ("pages.tif", "png", "one frame"),
        ("gray8.png", "raw", "choose one of"),
    ],
)
def test_what_a_target_cannot_hold(name: str, target: str, why: str, tmp_path: Path) -> None:
    source = tmp_path / name
    ALL[name](source)
    picture = read(source)
    with pytest.raises(ImageError, match=why):
        picture.save(tmp_path / "out", (picture.frame(i).stored for i in range(picture.frames)), format=target)


def test_floats_become_sixteen_bits(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "out"
    tifffile.imwrite(source, FLOAT)
    picture = read(source)
    picture.save(out, [picture.frame(0).stored], format="png")
    with Image.open(io.BytesIO(out.read_bytes())) as image:
        assert image.mode.startswith("I;16")
