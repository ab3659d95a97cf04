"""JPEGs of rare sampling, and with more than one picture in the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from picture_samples import passed
from PIL import Image

from restore.images import read
from restore.images.codecs.jpeg import component_scans

TABLES = {0: [min(255, 3 + i // 2) for i in range(64)], 1: [min(255, 5 + i) for i in range(64)]}
SAMPLINGS = {
    "4:4:0": (0x12, 0x11, 0x11),
    "4:1:1": (0x41, 0x11, 0x11),
    "4:1:0": (0x42, 0x11, 0x11),
    "one chroma finer": (0x22, 0x21, 0x11),
    "4:2:0": (0x22, 0x11, 0x11),
    "4:2:2": (0x21, 0x11, 0x11),
    "4:4:4": (0x11, 0x11, 0x11),
    "4:2:2 as four": (0x22, 0x12, 0x12),
}


def scene(height: int = 83, width: int = 101) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 2, y * 2, 255 - x - y], -1).clip(0, 255).astype(np.uint8)


def sampled(kind: str, *, progressive: bool = False, size: tuple[int, int] = (83, 101)) -> bytes:
    parts = tuple(bytes([i + 1, hv, min(i, 1)]) for i, hv in enumerate(SAMPLINGS[kind]))
    return component_scans.coded(scene(*size), parts, TABLES, progressive=progressive)


def layers(path: Path) -> list[tuple[int, int]]:
    with Image.open(path) as image:
        return [(c[1], c[2]) for c in image.layer]


@pytest.mark.parametrize("kind", SAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(83, 101), (8, 8), (1, 3), (64, 200)])
def test_sampling_stays(kind: str, progressive: bool, size: tuple[int, int], tmp_path: Path) -> None:
    import imagecodecs

    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(sampled(kind, progressive=progressive, size=size))
    for decoded in (np.asarray(Image.open(source)), imagecodecs.jpeg8_decode(source.read_bytes())):
        assert np.abs(decoded.astype(int) - scene(*size)).mean() < 10
    picture = read(source)
    passed(picture, out)
    assert out.read_bytes() == source.read_bytes()
    given = passed(picture, out, lambda seen: seen * np.float32(0.5))
    old, new = layers(source), layers(out)
    assert [(old[0][0] / h, old[0][1] / v) for h, v in old] == [(new[0][0] / h, new[0][1] / v) for h, v in new]
    with Image.open(source) as before, Image.open(out) as after:
        assert before.quantization == after.quantization
        assert before.info.get("progressive") == after.info.get("progressive")
        assert np.abs(np.asarray(after).astype(int) - given[0]).mean() < 6
    other = imagecodecs.jpeg8_decode(out.read_bytes())
    assert np.abs(other.astype(int) - given[0]).mean() < 6


def test_a_rare_sampling_costs_no_more_than_a_common_one(tmp_path: Path) -> None:
    """Our way of coding planes agrees with Pillow's own where both can."""
    stream = io.BytesIO()
    Image.fromarray(scene()).save(stream, "JPEG", qtables=[TABLES[0], TABLES[1]], subsampling="4:2:0")
    theirs = np.asarray(Image.open(stream)).astype(int)
    ours = np.asarray(Image.open(io.BytesIO(sampled("4:2:0")))).astype(int)
    assert np.abs(theirs - ours).max() <= 12 and np.abs(theirs - ours).mean() < 1.5


@pytest.mark.parametrize("kind", ["4:2:2", "4:4:0", "4:1:1"])
@pytest.mark.parametrize("tag", [3, 6, 8])
def test_sampling_turns_with_the_picture(kind: str, tag: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    block = Image.Exif()
    block[0x0112] = tag
    data, segment = sampled(kind), b"Exif\0\0" + block.tobytes().removeprefix(b"Exif\0\0")
    source.write_bytes(data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(segment) + 2) + segment + data[2:])
    passed(read(source), out)
    h, v = layers(source)[0]
    assert layers(out)[0] == ((v, h) if tag != 3 else (h, v))


@pytest.mark.parametrize("kind", ["4:1:1", "4:4:0", "4:2:2"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("tag", [1, 6])
def test_steps_above_255_stay(kind: str, progressive: bool, tag: int, tmp_path: Path) -> None:
    """Tables of 16 bits, which Pillow writes for steps above 255."""
    import imagecodecs

    coarse = [60 + 6 * number for number in range(64)]
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    block = Image.Exif()
    block[0x0112] = tag
    across, down = {"4:1:1": (4, 1), "4:4:0": (1, 2), "4:2:2": (2, 1)}[kind]
    parts = (bytes([1, across << 4 | down, 0]), bytes([2, 0x11, 1]), bytes([3, 0x11, 1]))
    data = component_scans.coded(scene(), parts, {0: coarse, 1: coarse}, progressive=progressive)
    segment = b"Exif\0\0" + block.tobytes().removeprefix(b"Exif\0\0")
    source.write_bytes(data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(segment) + 2) + segment + data[2:])
    picture = read(source)
    given = passed(picture, out, lambda seen: seen * np.float32(0.9))[0]
    with Image.open(source) as before, Image.open(out) as after:
        assert before.quantization == after.quantization == {0: coarse, 1: coarse}
        assert np.abs(np.asarray(after).astype(int) - given).mean() < 12
    assert np.abs(imagecodecs.jpeg8_decode(out.read_bytes()).astype(int) - given).mean() < 12


def test_inks_keep_a_table_each(tmp_path: Path) -> None:
    tables = [[steps] * 64 for steps in (2, 3, 5, 7)]
    Image.fromarray(np.dstack([255 - scene(), scene()[..., 0] // 6]), "CMYK").save(tmp_path / "a.jpg", qtables=tables)
    passed(read(tmp_path / "a.jpg"), tmp_path / "b.jpg", lambda seen: seen * np.float32(0.8))
    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.jpg") as after:
        assert before.quantization == after.quantization and before.layer == after.layer


@pytest.mark.parametrize("level", [50, 90])
def test_ycck_stays_ycck(level: int, tmp_path: Path) -> None:
    import imagecodecs

    inks = np.dstack([255 - scene(160, 208), scene(160, 208)[..., 0] // 6])
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(imagecodecs.jpeg8_encode(inks, level=level, colorspace="CMYK", outcolorspace="YCCK"))
    picture = read(source)
    stored = picture.frame(0).stored.copy()
    stored[0, 0] ^= 255
    picture.save(out, [stored])
    with Image.open(source) as before, Image.open(out) as after:
        assert before.quantization == after.quantization
        assert [part[1:] for part in before.layer] == [part[1:] for part in after.layer]
        assert before.info["adobe_transform"] == after.info["adobe_transform"] == 2
        change = np.asarray(before)[16:, 16:].astype(float) - np.asarray(after)[16:, 16:]
    assert max((change**2).mean((0, 1))) < 4
    assert out.stat().st_size < 1.1 * source.stat().st_size


def jpeg(picture: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def mpo(path: Path, count: int = 2) -> list[np.ndarray]:
    pictures = [np.roll(scene(), 7 * i, 1) for i in range(count)]
    images = [Image.fromarray(p) for p in pictures]
    images[0].save(path, "MPO", save_all=True, append_images=images[1:], quality=92)
    return pictures


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("size", [1, 2])
def test_mpo_keeps_its_other_pictures(count: int, size: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.mpo", tmp_path / "b.jpg"
    mpo(source, count)
    picture = read(source)
    assert len(picture.warnings) == 1 and f"it holds {count} pictures (MPO)" in picture.warnings[0]
    passed(picture, out)
    assert out.read_bytes() == source.read_bytes()
    stored = picture.frame(0).stored.repeat(size, 0).repeat(size, 1)
    picture.save(out, [255 - stored], scale=float(size))
    with Image.open(source) as old, Image.open(out) as new:
        assert new.format == "MPO" and new.n_frames == count
        assert np.abs(np.asarray(new).astype(int) - (255 - stored)).mean() < 4
        for index in range(1, count):
            old.seek(index)
            new.seek(index)
            assert np.array_equal(np.asarray(old), np.asarray(new))
    assert read(out).warnings == picture.warnings


VIDEO = b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MOTION = {
    "google": (b'<x GCamera:MicroVideo="1" GCamera:MicroVideoOffset="%d"/>' % len(VIDEO), VIDEO),
    "google 2": (b'<x GCamera:MotionPhoto="1"><Item Item:Semantic="MotionPhoto" Item:Length="%d"/></x>' % len(VIDEO), VIDEO),
    "samsung": (b"", b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + VIDEO + b"SEFH" + bytes(20) + b"SEFT"),
    "bare": (b"", VIDEO),
}


@pytest.mark.parametrize("kind", MOTION)
def test_motion_photos_keep_their_video(kind: str, tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    xmp, trailer = MOTION[kind]
    source.write_bytes(jpeg(scene(), **({"xmp": xmp} if xmp else {})) + trailer)
    picture = read(source)
    assert len(picture.warnings) == 1 and "motion photo" in picture.warnings[0] and "video" in picture.warnings[0]
    passed(picture, out)
    assert out.read_bytes() == source.read_bytes()
    passed(picture, out, lambda seen: 1 - seen)
    assert out.read_bytes().endswith(b"\xff\xd9" + trailer)
    assert out.read_bytes()[-len(VIDEO) :] == VIDEO or kind == "samsung"
    assert np.abs(np.asarray(Image.open(out)).astype(int) - 255 + picture.frame(0).stored).mean() < 4


def test_gain_maps(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    gain = jpeg(scene()[::2, ::2, 0])
    xmp = b'<x xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    source.write_bytes(jpeg(scene(), xmp=xmp) + gain)
    picture = read(source)
    assert len(picture.warnings) == 1 and "gain map" in picture.warnings[0]
    passed(picture, out, lambda seen: 1 - seen)
    assert out.read_bytes().endswith(gain)
    block = Image.Exif()
    block[0x0112] = 6
    source.write_bytes(jpeg(scene(), xmp=xmp, exif=block.tobytes()) + gain)
    picture = read(source)
    assert "not kept" in picture.warnings[0]
    passed(picture, out)
    assert not out.read_bytes().endswith(gain)


def test_other_data_behind_a_picture(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(jpeg(scene()) + b"a camera's notes")
    assert "data after the end" in read(source).warnings[0]
    passed(read(source), out, lambda seen: 1 - seen)
    assert out.read_bytes().endswith(b"\xff\xd9a camera's notes")
    source.write_bytes(jpeg(scene()) + bytes(8))
    assert read(source).warnings == []
