"""Files that break off: all pixels there is a warning, missing ones are refused, `salvage` keeps what is there and says what isn't."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_samples import passed
from PIL import Image

from restore.images import ImageError, read
from restore.images.codecs.png.chunks import chunk, payloads

HEIGHT, WIDTH = 96, 128


def scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(1).integers(0, 40, (height, width, 3))
    return (np.stack([x * 200 // width, y * 200 // height, (x + y) // 2], -1) + noise).clip(0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **{"quality": 90, **options})
    return stream.getvalue()


def png(picture: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", **options)
    return stream.getvalue()


def decoded(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        image.load()
        return np.asarray(image)


JPEGS = {
    "plain": {},
    "444": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 4},
    "optimised": {"optimize": True, "quality": 50},
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("gray", [False, True])
def test_a_jpeg_without_its_end_mark(kind: str, gray: bool, tmp_path: Path) -> None:
    picture = scene()[..., 0] if gray else scene()
    whole = jpeg(picture, **JPEGS[kind])
    path, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    for data in (whole[:-2], whole[:-1]):
        path.write_bytes(data)
        opened = read(path)
        assert opened.warnings == ["it has no end marker, but all its pixels"]
        assert np.array_equal(opened.frame(0).stored, decoded_bytes(whole))
        passed(opened, out)
        assert np.array_equal(decoded(out), decoded_bytes(whole))
        passed(opened, out, lambda seen: seen * np.float32(0.5))
        assert out.read_bytes().endswith(b"\xff\xd9")
        decoded(out)


def decoded_bytes(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("kind", ["plain", "444", "restarts", "optimised"])
@pytest.mark.parametrize("part", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9", bytes(500)])
def test_a_jpeg_that_breaks_off(kind: str, part: float, end: bytes, tmp_path: Path) -> None:
    whole = jpeg(scene(), **JPEGS[kind])
    path, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    path.write_bytes(whole[: int(len(whole) * part)] + end)
    with pytest.raises(ImageError, match=r"% of its rows are missing, from row \d+ of 96 on.*--salvage"):
        read(path).frame(0)
    opened = read(path, salvage=True)
    frame = opened.frame(0)
    (warning,) = opened.warnings
    first = int(warning.split("from row ")[1].split()[0]) - 1
    unit = 8 if kind == "444" else 16
    assert first % unit == 0
    full = decoded_bytes(whole)
    assert np.array_equal(frame.stored[: first - 1], full[: first - 1])
    missing = frame.stored[first : first + unit]
    assert not np.array_equal(missing, full[first : first + unit])
    if kind != "restarts":
        assert np.abs(frame.stored[first + unit + 1 :].astype(int) - 128).max(initial=0) <= 1
    passed(opened, out)
    assert np.abs(decoded(out).astype(int) - frame.stored).mean() < 12  # coded anew: a whole file
    assert out.read_bytes().endswith(b"\xff\xd9")
    assert read(out).warnings == []


def test_a_progressive_jpeg_without_its_last_scans(tmp_path: Path) -> None:
    whole = jpeg(scene(), progressive=True)
    path = tmp_path / "a.jpg"
    scans = [i for i in range(len(whole) - 1) if whole[i : i + 2] == b"\xff\xda"]
    path.write_bytes(whole[: scans[-2]])
    with pytest.raises(ImageError, match=r"every row lacks detail.*--salvage"):
        read(path)
    opened = read(path, salvage=True)
    assert opened.warnings == ["its last scans are missing: every row lacks detail"]
    assert np.abs(opened.frame(0).stored.astype(int) - scene()).mean() < 25


def test_a_whole_gray_corner_is_no_damage(tmp_path: Path) -> None:
    picture = scene()
    picture[40:] = 128
    (tmp_path / "a.jpg").write_bytes(jpeg(picture))
    opened = read(tmp_path / "a.jpg")
    opened.frame(0)
    assert opened.warnings == []


def sixteen(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.uint16) * 257 - np.arange(picture.shape[1], dtype=np.uint16)[:, None]


def encoded(kind: str) -> tuple[bytes, np.ndarray]:
    import imagecodecs

    if kind == "rgb16":
        return bytes(imagecodecs.png_encode(sixteen(scene()))), sixteen(scene())
    if kind == "palette":
        indices = scene()[..., 0] // 16
        image = Image.fromarray(indices)
        image.putpalette(bytes(range(48)))
        stream = io.BytesIO()
        image.save(stream, "PNG", bits=4)
        return stream.getvalue(), np.asarray(image.convert("RGB"))
    picture = {"gray8": scene()[..., 0], "rgb8": scene(), "rgba8": np.dstack([scene(), scene()[..., 0]])}[kind]
    return png(picture), picture


@pytest.mark.parametrize("kind", ["gray8", "rgb8", "rgba8", "rgb16", "palette"])
@pytest.mark.parametrize("cut", [1, 4, 12, 14, 16])
def test_a_png_without_its_end(kind: str, cut: int, tmp_path: Path) -> None:
    """Also where the cut goes into the checksum of the last IDAT chunk, or into that of its stream."""
    data, picture = encoded(kind)
    path, out = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(data[:-cut])
    opened = read(path)
    assert opened.warnings == ["it has no end (IEND chunk), but all its pixels"]
    expected = picture if kind != "palette" else picture[..., 0]
    assert np.array_equal(opened.frame(0).stored.reshape(expected.shape) if kind != "palette" else opened.frame(0).stored[..., 0], expected)
    passed(opened, out)
    assert out.read_bytes().endswith(b"IEND\xaeB`\x82")
    assert read(out).warnings == [] and np.array_equal(read(out).frame(0).stored, opened.frame(0).stored)
    decoded(out)


@pytest.mark.parametrize("kind", ["gray8", "rgb8", "rgba8", "rgb16", "palette"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("closed", [False, True])
def test_a_png_that_breaks_off(kind: str, part: float, closed: bool, tmp_path: Path) -> None:
    data, picture = encoded(kind)
    path, out = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(data)
    stream = b"".join(payloads(path))
    cut, start = stream[: int(len(stream) * part)], data[: data.index(b"IDAT") - 4]
    whole = start + chunk(b"IDAT", cut[:99]) + chunk(b"IDAT", cut[99:]) + chunk(b"IEND", b"")
    path.write_bytes(whole if closed else whole[:-20])
    cut = cut if closed else cut[:-4]
    with pytest.raises(ImageError, match=r"% of its rows are missing, from row \d+ of 96 on.*--salvage"):
        read(path).frame(0)
    opened = read(path, salvage=True)
    frame = opened.frame(0)
    (warning,) = opened.warnings
    first = int(warning.split("from row ")[1].split()[0]) - 1
    rows = len(zlib.decompressobj().decompress(cut)) * HEIGHT // len(zlib.decompress(stream))
    assert first == rows
    if kind != "palette":
        assert np.array_equal(frame.stored[:first], picture[:first])
        assert (frame.stored[first:] == 0).all()
    passed(opened, out)
    assert np.array_equal(read(out).frame(0).stored, frame.stored)
    assert read(out).warnings == []


def adam7(picture: np.ndarray) -> tuple[bytes, list[int]]:
    """The stream of an interlaced picture, unfiltered, and the bytes of each pass."""
    count = 1 if picture.ndim == 2 else picture.shape[2]
    wide = picture.astype(f">u{picture.dtype.itemsize}").reshape(*picture.shape[:2], count)
    parts = []
    for left, top, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        some = wide[top::dy, left::dx]
        if some.size:
            parts.append(b"".join(b"\0" + row.tobytes() for row in some))
    return b"".join(parts), [len(p) for p in parts]


def interlaced(picture: np.ndarray, keep: float = 1.0) -> bytes:
    stream = adam7(picture)[0]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[1 if picture.ndim == 2 else picture.shape[2]]
    head = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8 * picture.dtype.itemsize, colour, 0, 0, 1)
    packed = zlib.compress(stream)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed[: int(len(packed) * keep)]) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(96, 128), (19, 30), (3, 2), (1, 1)])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_interlaced_pngs_read_without_a_word(
    size: tuple[int, int], bits: int, channels: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = scene(*size) if channels == 3 else scene(*size)[..., 0] if not channels else np.dstack([scene(*size), scene(*size)[..., :1]])
    picture = picture if bits == 8 else picture.astype(np.uint16) * 251
    (tmp_path / "a.png").write_bytes(interlaced(picture))
    opened = read(tmp_path / "a.png")
    assert np.array_equal(opened.frame(0).stored, picture)
    passed(opened, tmp_path / "b.png", lambda seen: 1 - seen)
    assert capfd.readouterr() == ("", "")
    assert opened.warnings == []


def test_an_interlaced_png_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(interlaced(scene(), 0.8))
    with pytest.raises(ImageError, match=r"from row 2 of 96 on.*--salvage|rows are missing.*--salvage"):
        read(path).frame(0)
    opened = read(path, salvage=True)
    stored = opened.frame(0).stored
    assert np.array_equal(stored[::2], scene()[::2])  # the last pass holds every second row
    assert (stored[-1] == 0).all() and np.array_equal(stored[1], scene()[1])
    assert "rows are missing" in opened.warnings[0]


def test_broken_chunks_of_a_png(tmp_path: Path) -> None:
    whole, path, out = png(scene()), tmp_path / "a.png", tmp_path / "b.png"
    broken = {
        "profile": (chunk(b"iCCP", b"broken\0\0notzlib!!"), "its colour profile is damaged and is not used"),
        "profile2": (
            chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile" * 40)),
            "its colour profile is damaged and is not used",
        ),
        "sum": (
            chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?",
            "its tEXt chunk is damaged (wrong checksum) and is not kept where pixels change",
        ),
    }
    for data, warning in broken.values():
        path.write_bytes(whole[:33] + data + whole[33:])
        opened = read(path)
        assert opened.warnings == [warning]
        passed(opened, out)
        assert out.read_bytes() == path.read_bytes()
        passed(opened, out, lambda seen: 1 - seen)
        assert np.array_equal(read(out).frame(0).stored, 255 - scene())
        for target in ("jpeg", "tiff"):
            opened.save(out, [opened.frame(0).stored], format=target)
            assert read(out).frame(0).stored.shape == scene().shape


def test_a_wrong_checksum_of_pixels(tmp_path: Path) -> None:
    whole, path = bytearray(png(scene())), tmp_path / "a.png"
    whole[-13] ^= 1  # only the chunk's checksum: the stream's own says that the pixels are right
    path.write_bytes(whole)
    assert read(path).warnings == ["the checksum of an IDAT chunk is wrong, but the pixels are what was compressed"]
    assert np.array_equal(read(path).frame(0).stored, scene())
    whole = bytearray(png(scene(), compress_level=0))
    whole[len(whole) // 2] ^= 16
    path.write_bytes(whole)
    with pytest.raises(ImageError, match=r"checksum.*--salvage"):
        read(path)
    opened = read(path, salvage=True)
    assert "checksum" in opened.warnings[0]
    assert (opened.frame(0).stored != scene()).sum() <= 2 * WIDTH * 3


def bmp(picture: np.ndarray, *, upside_down: bool) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "BMP")
    data = bytearray(stream.getvalue())
    if upside_down:
        row = (picture.shape[1] * 24 + 31) // 32 * 4
        rows = [bytes(data[at : at + row]) for at in range(54, len(data), row)]
        data[22:26] = struct.pack("<i", -picture.shape[0])
        data[54:] = b"".join(reversed(rows))
    return bytes(data)


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("part", [0.25, 0.8])
def test_a_bmp_that_breaks_off(upside_down: bool, part: float, tmp_path: Path) -> None:
    picture = scene(40, 33)
    data = bmp(picture, upside_down=upside_down)
    path, out = tmp_path / "a.bmp", tmp_path / "b.bmp"
    path.write_bytes(data)
    assert np.array_equal(read(path).frame(0).stored, picture)
    path.write_bytes(data[: 54 + int((len(data) - 54) * part) + 50])
    with pytest.raises(ImageError, match=r"% of its rows are missing, from row \d+ of 40 on.*--salvage"):
        read(path)
    opened = read(path, salvage=True)
    stored = opened.frame(0).stored
    there = int(40 * part)
    seen, known = (stored[::-1], picture[::-1]) if not upside_down else (stored, picture)
    assert np.array_equal(seen[:there], known[:there]) and not seen[there:].any()
    assert len(opened.warnings) == 1
    passed(opened, out)
    assert np.array_equal(decoded(out), stored) and read(out).warnings == []


def test_a_bmp_without_its_last_padding(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(bmp(scene(40, 33), upside_down=True)[:-1])
    assert np.array_equal(read(path).frame(0).stored, scene(40, 33)) and read(path).warnings == []


PNMS = {
    "p5": lambda p: b"P5\n30 20\n255\n" + p[..., 0].tobytes(),
    "p6": lambda p: b"P6\n30 20\n255\n" + p.tobytes(),
    "p2": lambda p: b"P2\n30 20\n255\n" + b"\n".join(b" ".join(b"%d" % v for v in row) for row in p[..., 0].tolist()),
    "p4": lambda p: b"P4\n30 20\n" + np.packbits(p[..., 0] > 100, axis=1).tobytes(),
    "p1": lambda p: b"P1\n30 20\n" + b"\n".join(b"".join(b"%d" % v for v in row) for row in (p[..., 0] > 100).tolist()),
}


@pytest.mark.parametrize("kind", PNMS)
@pytest.mark.parametrize("part", [0.4, 0.83])
def test_a_pnm_that_breaks_off(kind: str, part: float, tmp_path: Path) -> None:
    whole = PNMS[kind](scene(20, 30))
    path, out = tmp_path / "a.pgm", tmp_path / "b.pgm"
    path.write_bytes(whole)
    full = read(path).frame(0).stored
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ImageError, match=r"% of its rows are missing, from row \d+ of 20 on.*--salvage"):
        read(path).frame(0)
    opened = read(path, salvage=True)
    stored = opened.frame(0).stored
    first = int(opened.warnings[0].split("from row ")[1].split()[0]) - 1
    assert 20 * part - 3 < first <= 20 * part
    assert np.array_equal(stored[:first], full[:first]) and not stored[first:].any()
    passed(opened, out)
    assert np.array_equal(read(out).frame(0).stored, stored) and read(out).warnings == []
    decoded(out)


def test_a_webp_that_breaks_off_says_that_nothing_helps(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.webp", lossless=True)
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: len(data) * 3 // 4])
    for salvage in (False, True):
        with pytest.raises(ImageError, match=r"2\d\.\d % of its bytes are missing.*--salvage can't help"):
            read(tmp_path / "a.webp", salvage=salvage)
