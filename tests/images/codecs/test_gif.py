"""GIF: what is kept when pixels change, how colours beyond 256 are written, and what is refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import format_samples as samples
import numpy as np
import pytest
from picture_samples import ALL, passed, stored
from PIL import Image, PngImagePlugin

from restore.images import ImageError, read
from restore.images.colouring import in_colour


def _made(name: str, folder: Path) -> Path:
    samples.LOSSLESS[name](folder / name)
    return folder / name


def test_a_gray_gif_keeps_all_values(tmp_path: Path) -> None:
    source, out = _made("gray.gif", tmp_path), tmp_path / "out.gif"
    assert read(source).warnings == []
    given = passed(read(source), out, lambda seen: 1 - seen)[0]
    with Image.open(out) as image:
        assert np.array_equal(np.asarray(image.convert("L")), given)
        assert given.ndim == 2 and len(np.unique(given)) > 200


def test_transparency_comment_and_interlacing_stay(tmp_path: Path) -> None:
    for name in ("gray-alpha.gif", "palette-alpha.gif", "palette.gif"):
        source, out = _made(name, tmp_path), tmp_path / "out.gif"
        passed(read(source), out, lambda seen: seen * np.float32(0.5))
        with Image.open(source) as old, Image.open(out) as new:
            for key in ("comment", "interlace"):
                assert old.info.get(key) == new.info.get(key)
            assert np.array_equal(np.asarray(old.convert("RGBA"))[..., 3], np.asarray(new.convert("RGBA"))[..., 3])


def test_many_colours_become_the_nearest_of_256(tmp_path: Path) -> None:
    source, out = tmp_path / "a.gif", tmp_path / "b.gif"
    Image.fromarray(samples.SMOOTH).quantize(256).save(source)
    picture = read(source)
    assert "256 colours" in picture.warnings[0]
    gradient = np.linspace(0, 0.2, samples.WIDTH, dtype=np.float32)[None, :, None]
    given = passed(picture, out, lambda seen: np.clip(seen * np.float32(0.7) + gradient * seen[..., ::-1], 0, 1))[0]
    assert len(np.unique(given.reshape(-1, 3), axis=0)) > 256
    error = np.abs(stored(out)[0].astype(int) - given)
    assert 0 < error.mean() < 4


def test_colours_of_a_gray_picture_become_the_nearest_of_256(tmp_path: Path) -> None:
    source, out = _made("gray.gif", tmp_path), tmp_path / "b.gif"
    picture = read(source)
    coloured = in_colour(picture.frame(0)).stored.copy()
    coloured[..., 0] = 255 - np.arange(samples.WIDTH) % 200
    picture.save(out, [coloured], coloured=True)
    (warning,) = picture.warnings
    assert "256 colours" in warning
    picture = read(source)
    picture.save(tmp_path / "b.png", [coloured], coloured=True, format="png")
    assert picture.warnings == []


def test_a_single_gray_pixel_becomes_a_png(tmp_path: Path) -> None:
    Image.new("L", (1, 1), 77).save(tmp_path / "a.gif")
    picture = read(tmp_path / "a.gif")
    picture.save(tmp_path / "b.png", [picture.frame(0).stored], format="png")
    assert stored(tmp_path / "b.png")[0].tolist() == [[77]]


def test_animations_and_broken_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(samples.noise()) for _ in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match=r"animated GIF \(3 pictures\); save its frames as PNG"):
        read(path)
    whole = _made("gray.gif", tmp_path).read_bytes()
    for change, why in (((6, 0xFF), "outside its screen|its picture"), ((len(whole) // 2, None), "GIF")):
        at, value = change
        path.write_bytes(whole[:at] if value is None else whole[:at] + b"\1\0" + whole[at + 2 :])
        with pytest.raises(ImageError, match=why):
            read(path).frame(0)


def test_a_bomb_is_refused_before_decoding(tmp_path: Path) -> None:
    whole = bytearray(_made("gray.gif", tmp_path).read_bytes())
    at = whole.index(b"\x2c", 13 + 768)
    for place in (6, at + 5):
        whole[place : place + 4] = b"\x20\x4e\x20\x4e"
    (tmp_path / "b.gif").write_bytes(whole)
    with pytest.raises(ImageError, match="LZW can hold"):
        read(tmp_path / "b.gif")


@pytest.mark.parametrize("name", ["gray8.png", "palette.png", "gray1.png", "key-gray.png"])
def test_few_colours_become_a_gif_unchanged(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    picture.save(tmp_path / "a.gif", [picture.frame(0).stored], format="gif")
    with Image.open(tmp_path / name) as old, Image.open(tmp_path / "a.gif") as new:
        shown = [np.asarray(image.convert("RGBA")) for image in (old, new)]
    assert np.array_equal(shown[0][..., 3], shown[1][..., 3])
    opaque = shown[0][..., 3] > 0
    assert np.array_equal(shown[0][opaque], shown[1][opaque])


def test_as_many_colours_as_fit(tmp_path: Path) -> None:
    indices = np.arange(16 * 32) % 256
    colours = np.stack([indices, 255 - indices, indices // 2], -1).astype(np.uint8).reshape(16, 32, 3)
    Image.fromarray(colours).save(tmp_path / "a.png")
    read(tmp_path / "a.png").save(tmp_path / "a.gif", [colours], format="gif")
    assert np.array_equal(stored(tmp_path / "a.gif")[0], colours)
    more = colours.copy()
    more[0, 0] = 1, 1, 1
    with pytest.raises(ImageError, match="gif holds 256 colours here, this picture has 257; choose png"):
        read(tmp_path / "a.png").save(tmp_path / "b.gif", [more], format="gif")
    clear = np.dstack([colours, np.full((16, 32), 255, np.uint8)])
    clear[0, 0, 3] = 0
    Image.fromarray(clear).save(tmp_path / "c.png")
    with pytest.raises(ImageError, match="gif holds 255 colours here, this picture has 256; choose png"):
        read(tmp_path / "c.png").save(tmp_path / "c.gif", [clear], format="gif")
    clear[0, 1, 3] = 100
    with pytest.raises(ImageError, match="half transparent pixels, this picture has some; choose png"):
        read(tmp_path / "c.png").save(tmp_path / "c.gif", [clear], format="gif")
    assert not (tmp_path / "c.gif").exists()


def test_more_bits_are_refused_before_the_run_and_texts_become_comments(tmp_path: Path) -> None:
    ALL["gray16.png"](tmp_path / "a.png")
    with pytest.raises(ImageError, match="gif holds 8 bits a sample"):
        read(tmp_path / "a.png").check_target("gif")
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "two words")
    Image.fromarray(samples.G8).save(tmp_path / "b.png", pnginfo=text)
    read(tmp_path / "b.png").save(tmp_path / "b.gif", [samples.G8], format="gif")
    with Image.open(tmp_path / "b.gif") as image:
        assert image.info["comment"] == b"two words"


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("transparent", [None, 7])
def test_the_screen_around_a_smaller_picture_is_transparent(gray: bool, transparent: int | None, tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8)
    palette = np.repeat(ramp[:, None], 3, 1) if gray else np.stack([ramp[::-1], ramp, ramp // 2], 1)
    stream = io.BytesIO()
    image = Image.fromarray(np.arange(30 * 40, dtype=np.uint32).reshape(30, 40).astype(np.uint8) // 2 + 60, "P")
    image.putpalette(palette.tobytes())
    image.save(stream, "GIF", **({} if transparent is None else {"transparency": transparent}))
    data = bytearray(stream.getvalue())
    data[6:10] = struct.pack("<HH", 50, 44)  # the screen
    at = data.index(b"\x2c\0\0\0\0\x28\0\x1e\0")
    data[at + 1 : at + 5] = struct.pack("<HH", 5, 3)
    (tmp_path / "a.gif").write_bytes(data)
    picture = read(tmp_path / "a.gif")
    frame = picture.frame(0)
    assert frame.alpha is not None and picture.size == (44, 50)
    assert (frame.alpha[3:33, 5:45] == 255).all() and int((frame.alpha > 0).sum()) == 30 * 40
    stored = frame.stored.copy()
    stored[10, 10, 0] ^= 1
    picture.save(tmp_path / "b.gif", [stored])
    with Image.open(tmp_path / "b.gif") as made:
        assert np.array_equal(np.asarray(made.convert("RGBA"))[..., 3], frame.alpha)


XMP, ICC = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', bytes(range(200)) + bytes(100)


def test_blocks_of_applications_and_the_shape_of_a_pixel_stay(tmp_path: Path) -> None:
    source, out = _made("gray.gif", tmp_path), tmp_path / "out.gif"
    data = source.read_bytes()
    start = 13 + (3 << (data[10] & 7) + 1)
    blocks = b"\x21\xff\x0bXMP DataXMP" + XMP + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    blocks += b"\x21\xff\x0bICCRGBG1012\xff" + ICC[:255] + b"\x2d" + ICC[255:] + b"\0"
    source.write_bytes(data[:12] + b"\x31" + data[13:start] + blocks + data[start:])
    given = passed(read(source), out, lambda seen: 1 - seen)[0]
    assert blocks in out.read_bytes() and out.read_bytes()[12] == 0x31 and np.array_equal(stored(out)[0], given)
    with Image.open(out) as image:
        assert np.array_equal(np.asarray(image.convert("L")), given)
    metadata = read(source)._source.header.metadata
    assert (metadata.xmp, metadata.icc) == (XMP, ICC)
