"""Kinds of TIFF that hide something: planes without a directory, camera raw, sub-images, missing strips and planes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_samples import passed

from restore.images import ImageError, read

random = np.random.default_rng(5)
GRAY = random.integers(0, 4096, (6, 48, 64), dtype=np.uint16)
RGB = random.integers(0, 256, (5, 40, 30, 3), dtype=np.uint8)
FLOATS = random.random((7, 24, 20)).astype(np.float32)


def one_directory(path: Path, kind: str) -> np.ndarray:
    """A stack of planes under a single directory."""
    planes = {"imagej rgb": RGB, "shaped rgb": RGB, "shaped float": FLOATS, "planar": np.moveaxis(RGB, -1, 1)}.get(kind, GRAY)
    options: dict[str, object] = {
        "imagej": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.0, "unit": "um"}, "resolution": (4, 4)},
        "imagej channels": {"imagej": True, "metadata": {"axes": "TZCYX"}},
        "imagej rgb": {"imagej": True},
        "planar": {"photometric": "rgb", "planarconfig": "separate"},
        "shaped rgb": {"photometric": "rgb"},
        "shaped strips": {"rowsperstrip": 7},
        "big endian": {"byteorder": ">"},
        "bigtiff": {"bigtiff": True},
    }.get(kind, {})
    data = planes.reshape(1, 2, 3, *planes.shape[1:]) if kind == "imagej channels" else planes
    tifffile.imwrite(path, data, truncate=True, **options)
    return np.moveaxis(planes, 1, -1) if kind == "planar" else planes


KINDS = [
    *("imagej", "imagej channels", "imagej rgb", "shaped", "shaped rgb"),
    *("shaped float", "shaped strips", "planar", "big endian", "bigtiff"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_planes_under_one_directory_are_frames(kind: str, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    planes = one_directory(source, kind)
    picture = read(source)
    assert picture.frames == len(planes)
    for index, plane in enumerate(planes):
        assert np.array_equal(picture.frame(index).stored, plane)
    passed(picture, out)
    assert out.read_bytes() == source.read_bytes()
    given = passed(picture, out, lambda seen: 1 - seen)
    again = tifffile.imread(out)
    again = np.moveaxis(again, 1, -1) if kind == "planar" else again
    assert np.array_equal(again.reshape(planes.shape), np.stack(given))
    assert out.stat().st_size == source.stat().st_size
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(out) as new:
        assert len(new.pages) == 1 and new.pages[0].description == old.pages[0].description
        assert new.series[0].shape == old.series[0].shape


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [b"", b"something that follows"])
def test_planes_under_one_directory_grow(kind: str, tail: bytes, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    planes = one_directory(source, kind)
    source.write_bytes(source.read_bytes() + tail)
    picture = read(source)
    larger = [np.ascontiguousarray(p.repeat(2, 0).repeat(2, 1)) for p in planes]
    picture.save(out, iter(larger), scale=2.0)
    again = tifffile.imread(out)
    again = np.moveaxis(again, -3, -1) if kind == "planar" else again
    assert np.array_equal(again.reshape(len(planes), *larger[0].shape), np.stack(larger))
    opened = read(out)
    assert opened.frames == len(planes) and opened.size == larger[0].shape[:2]
    if kind == "imagej":
        with tifffile.TiffFile(out) as file:
            assert file.pages[0].resolution == (8, 8)
            assert file.imagej_metadata and file.imagej_metadata["spacing"] == 2.0


def test_planes_that_are_missing(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    one_directory(source, "imagej")
    size = GRAY[0].nbytes
    source.write_bytes(source.read_bytes()[: -size - size // 3])
    with pytest.raises(ImageError, match=r"2 of 6 planes are missing, from plane 5 on.*--salvage"):
        read(source)
    picture = read(source, salvage=True)
    assert picture.frames == 6 and "2 of 6 planes" in picture.warnings[0]
    assert np.array_equal(picture.frame(3).stored, GRAY[3]) and not picture.frame(5).stored.any()
    passed(picture, out)
    assert read(out).frames == 6 and read(out).warnings == []
    assert np.array_equal(tifffile.imread(out)[:4], GRAY[:4])


def test_a_description_that_outlived_its_stack(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY[0], description="ImageJ=1.53t\nimages=6\nslices=6\n", metadata=None)
    assert read(tmp_path / "a.tif").frames == 1


@pytest.mark.parametrize("axes", ["ZYX", "CYX"])
def test_stacks_with_a_directory_for_each_plane_stay(axes: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY, imagej=True, metadata={"axes": axes})
    assert read(tmp_path / "a.tif").frames == 6
    tifffile.imwrite(tmp_path / "b.tif", GRAY, metadata={"axes": axes})
    assert read(tmp_path / "b.tif").frames == 6


def test_volumes_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 32, 32), np.uint8), volumetric=True, tile=(16, 16, 16))
    with pytest.raises(ImageError, match="volume"):
        read(tmp_path / "a.tif")


def raw_file(path: Path, kind: str) -> None:
    preview, sensor = np.zeros((24, 32, 3), np.uint8), np.zeros((96, 128), np.uint16)
    make = {"NEF": "NIKON CORPORATION", "ARW": "SONY", "PEF": "PENTAX", "of Fake": "Fake", "SRW": "SAMSUNG"}.get(kind, "Fake")
    version = [(50706, 1, 4, (1, 4, 0, 0), True)] if kind == "DNG" else []
    with tifffile.TiffWriter(path, byteorder=">" if kind == "NEF" else "<") as file:
        if kind == "PEF":  # the sensor comes first
            file.write(sensor, photometric=32803, metadata=None, extratags=[(271, 2, 0, make, True)])
            return
        file.write(preview, photometric="rgb", subfiletype=1, subifds=1, metadata=None, extratags=[*version, (271, 2, 0, make, True)])
        if kind == "SRW":  # a sensor that doesn't say so
            file.write(sensor, photometric="minisblack", subfiletype=0, metadata=None)
        else:
            linear = np.zeros((96, 128, 3), np.uint16)
            file.write(linear if kind == "ARW" else sensor, photometric=34892 if kind == "ARW" else 32803, subfiletype=0, metadata=None)


@pytest.mark.parametrize("kind", ["DNG", "NEF", "ARW", "PEF", "SRW", "of Fake"])
@pytest.mark.parametrize("name", ["a.tif", "a.dng"])
def test_a_thumbnail_of_camera_raw_is_not_taken_for_the_picture(kind: str, name: str, tmp_path: Path) -> None:
    raw_file(tmp_path / name, kind)
    try:
        picture = read(tmp_path / name)
    except ImageError as error:
        assert "camera raw" in str(error)
    else:
        assert picture.format == "raw" and picture.size == (96, 128)


def test_cr2_is_refused_and_pyramids_are_not(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY[0], metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (tmp_path / "a.cr2").write_bytes(data[:8] + b"CR\2\0" + data[12:])
    with pytest.raises(ImageError, match="camera raw"):
        read(tmp_path / "a.cr2")
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(GRAY[0], subifds=1, metadata=None, extratags=[(271, 2, 0, "Scanner", True)])
        file.write(GRAY[0][::2, ::2], subfiletype=1, metadata=None)
    (told,) = read(tmp_path / "pyramid.tif").warnings
    assert told == "its sub-images (a pyramid or thumbnails) show the picture as it was where pixels change"


STRIPS = [
    ("plain", {"rowsperstrip": 8}),
    ("plain one", {}),
    ("deflate", {"rowsperstrip": 8, "compression": "deflate", "predictor": True}),
    ("lzw", {"rowsperstrip": 16, "compression": "lzw"}),
    ("tiles", {"tile": (16, 16), "compression": "deflate"}),
    ("big endian", {"rowsperstrip": 5, "byteorder": ">"}),
]


@pytest.mark.parametrize(("kind", "options"), STRIPS)
@pytest.mark.parametrize("channels", [0, 3])
def test_a_tiff_that_breaks_off(kind: str, options: dict[str, object], channels: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    picture = random.integers(0, 65535, (48, 64, 3) if channels else (48, 64), dtype=np.uint16)
    tifffile.imwrite(source, picture, photometric="rgb" if channels else "minisblack", metadata=None, **options)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.7)])
    with pytest.raises(ImageError, match=r"% of its rows are missing, from row \d+ of 48 on.*--salvage"):
        read(source)
    opened = read(source, salvage=True)
    first = int(opened.warnings[0].split("from row ")[1].split()[0]) - 1
    assert first >= 16
    stored = opened.frame(0).stored
    assert np.array_equal(stored[:first], picture[:first])
    if kind != "tiles":
        assert not stored[first:].any()
    given = passed(opened, out)
    again = read(out)
    assert again.warnings == [] and np.array_equal(again.frame(0).stored, given[0])
    assert np.array_equal(tifffile.imread(out), given[0])
    passed(opened, out, lambda seen: 1 - seen)
    assert np.array_equal(tifffile.imread(out)[:first], 65535 - picture[:first])


def test_a_tiff_that_lists_too_few_strips(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    picture = random.integers(0, 255, (50, 40), dtype=np.uint8)
    tifffile.imwrite(source, picture, rowsperstrip=10, metadata=None, compression="packbits")
    with tifffile.TiffFile(source, mode="r+") as file:
        for code in (273, 279):
            tag = file.pages[0].tags[code]
            tag.overwrite(tag.value[:3], dtype=tag.dtype)
    with pytest.raises(ImageError, match="40 % of its rows are missing, from row 31 of 50 on"):
        read(source)
    opened = read(source, salvage=True)
    assert np.array_equal(opened.frame(0).stored[:30], picture[:30]) and not opened.frame(0).stored[30:].any()
    passed(opened, out)
    assert np.array_equal(tifffile.imread(out)[:30], picture[:30]) and read(out).warnings == []


def test_a_page_that_is_missing(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    with tifffile.TiffWriter(source) as file:
        for plane in GRAY[:3]:
            file.write(plane, contiguous=False, metadata=None)
    with tifffile.TiffFile(source) as file:
        last = file.pages[2].offset
    source.write_bytes(source.read_bytes()[: last + 5])
    with pytest.raises(ImageError, match=r"truncated TIFF.*--salvage"):
        read(source)
    opened = read(source, salvage=True)
    assert opened.frames == 2 and opened.warnings == ["all pages but the first 2 are missing"]
    passed(opened, out)
    assert np.array_equal(tifffile.imread(out), GRAY[:2])
    assert read(out).frames == 2 and read(out).warnings == []


def test_sparse_strips_are_background(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, GRAY[0], rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(source, mode="r+") as file:
        tags = file.pages[0].tags
        for code in (273, 279):
            tags[code].overwrite((*tags[code].value[:2], 0), dtype=tags[code].dtype)
    stored = read(source).frame(0).stored
    assert np.array_equal(stored[:32], GRAY[0][:32]) and not stored[32:].any()


def test_too_short_for_a_directory(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY[0], metadata=None)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[:4] + struct.pack("<I", len(data) - 4) + data[8:])
    for salvage in (False, True):
        with pytest.raises(ImageError, match="truncated TIFF"):
            read(tmp_path / "a.tif", salvage=salvage)


def test_pixels_that_pages_share_are_not_overwritten(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    with tifffile.TiffWriter(source) as file:
        for plane in GRAY[:3]:
            file.write(plane, contiguous=False, metadata=None)
    with tifffile.TiffFile(source, mode="r+") as file:
        file.pages[2].tags[273].overwrite(file.pages[0].tags[273].value)
    picture = read(source)
    frames = [picture.frame(i).stored for i in range(3)]
    assert np.array_equal(frames[2], GRAY[0])
    given = [4095 - frames[0], frames[1], frames[2]]
    picture.save(out, given)
    assert np.array_equal(tifffile.imread(out), np.stack(given))


@pytest.mark.parametrize("compression", [None, "packbits"])
@pytest.mark.parametrize("offset", [0, 4, 8, 20])
def test_pixels_that_lie_over_the_header_or_a_directory_are_refused(offset: int, compression: str | None, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, GRAY[0], metadata=None, compression=compression)
    with tifffile.TiffFile(source, mode="r+") as file:
        file.pages[0].tags[273].overwrite(offset)
    with pytest.raises(ImageError, match=r"a\.tif: damaged TIFF .*header"):
        read(source)


def test_odd_tags_say_nothing_on_standard_error(tmp_path: Path) -> None:
    import subprocess
    import sys

    tifffile.imwrite(tmp_path / "a.tif", GRAY[0], rowsperstrip=8, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        tag = file.pages[0].tags[279]
        tag.overwrite(tag.value[:3], dtype=tag.dtype)
    code = f"from restore.images import read; read({str(tmp_path / 'a.tif')!r}, salvage=True).frame(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "" and done.stdout == ""


PLANE = np.random.default_rng(5).integers(0, 256, (19, 30), dtype=np.uint8)


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(3):
            file.write(PLANE, compression="lzw", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        at, size = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at : at + size] = b"\xff" * size
    (tmp_path / "a.tif").write_bytes(data)
    picture = read(tmp_path / "a.tif")
    assert np.array_equal(picture.frame(2).stored, PLANE)
    with pytest.raises(ImageError, match="TIFF, page 2"):
        picture.frame(1)


def test_a_directory_that_is_none_ends_the_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for _ in range(3):
            file.write(PLANE, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        at = file.pages[2].offset
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[at + 2 : at + 14] = b"\x07" * 12  # the entry that holds the width
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match=r"or is none.*--salvage"):
        read(tmp_path / "a.tif")
    picture = read(tmp_path / "a.tif", salvage=True)
    assert picture.frames == 2 and picture.warnings == ["all pages but the first 2 are missing"]
    picture.save(tmp_path / "b.tif", [picture.frame(index).stored for index in range(2)])
    assert read(tmp_path / "b.tif").frames == 2


def test_a_transparency_mask_is_named(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.stack([PLANE] * 3, 2), metadata=None)
        file.write(PLANE > 99, photometric="mask", subfiletype=4, metadata=None)
    with pytest.raises(ImageError, match="page 2 is a transparency mask"):
        read(tmp_path / "a.tif")
