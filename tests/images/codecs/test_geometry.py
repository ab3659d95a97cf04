"""Sizes, resolutions and places that a file names follow the pixels when they are turned or enlarged; nothing else changes."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_samples import passed
from PIL import Image

from restore.images import Picture, read

random = np.random.default_rng(9)
GRAY = random.integers(0, 256, (64, 96), dtype=np.uint8)
RGB = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)


def enlarge(picture: Picture, out: Path, scale: int, target: str | None = None) -> None:
    frames = (np.ascontiguousarray(picture.frame(i).stored.repeat(scale, 0).repeat(scale, 1)) for i in range(picture.frames))
    picture.save(out, frames, scale=float(scale), format=target)


GEO = [
    (33550, 12, 3, (10.0, 20.0, 0.5), True),
    (33922, 12, 12, (0.0, 0.0, 0.0, 5e5, 4.6e6, 0.0, 96.0, 64.0, 0.0, 500960.0, 4598720.0, 0.0), True),
]
AREA, POINT = (1, 1, 0, 1, 1025, 0, 1, 1), (1, 1, 0, 1, 1025, 0, 1, 2)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("palette", [False, True])
def test_geotiff(scale: int, palette: bool, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    options = {"photometric": "palette", "colormap": random.integers(0, 65535, (3, 256), dtype=np.uint16)} if palette else {}
    tifffile.imwrite(source, GRAY, metadata=None, extratags=[*GEO, (34735, 3, 8, AREA, True), (42113, 2, 2, b"0\0", True)], **options)
    enlarge(read(source), out, scale)
    with tifffile.TiffFile(out) as file:
        tags = file.pages[0].tags
        assert tags[33550].value == (10 / scale, 20 / scale, 0.5)
        ties = (0.0, 0.0, 0.0, 5e5, 4.6e6, 0.0, 96.0 * scale, 64.0 * scale, 0.0, 500960.0, 4598720.0, 0.0)
        assert tags[33922].value == ties
        assert tags[34735].value == AREA and tags[42113].value in ("0", b"0\0")


def test_geotiff_whose_pixels_are_points(tmp_path: Path) -> None:
    """The place of the picture's corner must not move: it is half a pixel before the first pixel's centre."""
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    tie = (33922, 12, 6, (0.0, 0.0, 0.0, 1000.0, 2000.0, 0.0), True)
    tifffile.imwrite(source, GRAY, metadata=None, extratags=[GEO[0], tie, (34735, 3, 8, POINT, True)])
    enlarge(read(source), out, 2)

    def corner(path: Path) -> tuple[float, float]:
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags
            (dx, dy, _), (i, j, _, x, y, _) = tags[33550].value, tags[33922].value
            return x + (-0.5 - i) * dx, y - (-0.5 - j) * dy

    assert corner(source) == corner(out)


@pytest.mark.parametrize("keys", [AREA, POINT])
def test_geotiff_with_a_matrix(keys: tuple[int, ...], tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    matrix = (3.0, 1.0, 0.0, 100.0, -0.5, -4.0, 0.0, 900.0, *[0.0] * 7, 1.0)
    tifffile.imwrite(source, GRAY, metadata=None, extratags=[(34264, 12, 16, matrix, True), (34735, 3, 8, keys, True)])
    enlarge(read(source), out, 2)
    with tifffile.TiffFile(out) as file:
        new = np.array(file.pages[0].tags[34264].value).reshape(4, 4)
    shift = 0.5 if keys == POINT else 0.0
    for row, column in ((0, 0), (63.5, 20), (12, 95)):
        place = np.array([column - shift, row - shift, 0, 1])
        finer = np.array([column * 2 - shift, row * 2 - shift, 0, 1])
        assert np.allclose(np.array(matrix).reshape(4, 4) @ place, new @ finer)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("unit", ["\u00b5m", "nm", None])
def test_ome(scale: int, unit: str | None, tmp_path: Path) -> None:
    source, out = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    more = {} if unit is None else {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    data = np.stack([GRAY, GRAY[::-1], GRAY])
    names = {"Channel": {"Name": ["a", "b", "c"]}}
    tifffile.imwrite(source, data, metadata={"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, **names, **more})
    enlarge(read(source), out, scale)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(out) as new:
        before, after = old.ome_metadata, new.ome_metadata
        assert before and after
        assert f'SizeX="{96 * scale}"' in after and f'SizeY="{64 * scale}"' in after
        assert float(re.findall(r'PhysicalSizeX="([^"]*)"', after)[0]) == 0.5 / scale
        assert float(re.findall(r'PhysicalSizeY="([^"]*)"', after)[0]) == 0.25 / scale
        assert ("\u00b5m" in after) == (unit == "\u00b5m")
        sizes = r'(Physical)?Size[XY]="[^"]*"'
        assert re.sub(sizes, "", before) == re.sub(sizes, "", after)
        assert new.series[0].shape == (3, 64 * scale, 96 * scale)
    passed(read(source), out, lambda seen: 1 - seen)
    with tifffile.TiffFile(source) as old, tifffile.TiffFile(out) as new:
        assert old.ome_metadata == new.ome_metadata


@pytest.mark.parametrize("shape", [(3, 64, 96), (2, 3, 64, 96), (64, 96, 3)])
def test_the_shape_that_tifffile_notes(shape: tuple[int, ...], tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    data = random.integers(0, 256, shape, dtype=np.uint8)
    kind = {"photometric": "rgb"} if shape[-1] == 3 else {"photometric": "minisblack"}
    tifffile.imwrite(source, data, metadata={"provenance": "kept"}, **kind)
    enlarge(read(source), out, 2)
    with tifffile.TiffFile(out) as file:
        wanted = [v * 2 if v in (64, 96) else v for v in shape]
        said = json.loads(file.pages[0].description)
        assert said["shape"] == wanted and said["provenance"] == "kept"
        assert list(file.series[0].shape) == wanted


def test_imagej(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    metadata = {"axes": "ZYX", "spacing": 3.0, "unit": "um", "xorigin": 10.0, "yorigin": 4.5}
    tifffile.imwrite(source, np.stack([GRAY] * 3), imagej=True, resolution=(5.0, 2.5), metadata=metadata)
    enlarge(read(source), out, 2)
    with tifffile.TiffFile(out) as file:
        for page in file.pages:
            assert page.shape == (128, 192)
        assert file.pages[0].resolution == (10.0, 5.0)
        said = file.imagej_metadata
        assert said and (said["spacing"], said["unit"], said["xorigin"], said["yorigin"]) == (3.0, "um", 20.0, 9.0)


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" exif:PixelXDimension="96" '
    b'exif:PixelYDimension="64" tiff:XResolution="300/1" tiff:YResolution="150/1"/>'
    b"<tiff:ImageWidth>96</tiff:ImageWidth><tiff:ImageLength>64</tiff:ImageLength></x:xmpmeta>"
)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "A maker", orientation
    block[0x0100], block[0x0101], block[0x011A], block[0x011B], block[0x0128] = 96, 64, 300, 150, 2
    below = block.get_ifd(0x8769)
    below[0xA002], below[0xA003], below[0x927C], below[0xA20E], below[0xA20F] = 96, 64, b"a maker provenance", 2000.0, 1000.0
    block.get_ifd(0x8825)[1] = "N"
    return block.tobytes()


def saved(path: Path, kind: str, orientation: int) -> None:
    if kind == "tiff":
        Image.fromarray(RGB).save(path, "TIFF", exif=exif(orientation))
        return
    xmp = XMP.replace(b'"6"', b'"%d"' % orientation)
    if kind == "png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
        Image.fromarray(RGB).save(path, "PNG", exif=exif(orientation), pnginfo=info, dpi=(300, 150))
        return
    Image.fromarray(RGB).save(path, kind, exif=exif(orientation), xmp=xmp, dpi=(300, 150), **({"lossless": True} if kind == "webp" else {}))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("target", [None, "png", "tiff", "jpeg", "webp"])
def test_exif_and_xmp(kind: str, orientation: int, scale: int, target: str | None, tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    saved(source, kind, orientation)
    picture = read(source)
    enlarge(picture, out, scale, target)
    turned = orientation in (6, 8)
    width, height = (64, 96) if turned else (96, 64)
    x, y = (150, 300) if turned else (300, 150)
    with Image.open(out) as image:
        assert image.size == (width * scale, height * scale)
        block = image.getexif()
        below = block.get_ifd(0x8769)
        assert block[0x010F] == "A maker" and below[0x927C] == b"a maker provenance" and block.get_ifd(0x8825)[1] == "N"
        assert block.get(0x0112, 1) == 1
        assert (below[0xA002], below[0xA003]) == image.size
        assert (block.get(0x0100, image.width), block.get(0x0101, image.height)) == image.size
        assert float(below[0xA20E]) / float(below[0xA20F]) in ((2.0, 0.5) if kind == "tiff" else (0.5,) if turned else (2.0,))
        if (target or kind) in ("jpeg", "tiff", "png"):
            dpi = tuple(float(v) for v in image.info["dpi"])
            assert np.allclose(dpi, (x * scale, y * scale), rtol=1e-3)
        packet = packet_of(image)
    if kind == "tiff":
        return
    said = {m[1]: m[2] for m in re.finditer(rb'(\w+:\w+)(?:="|>)([0-9/]+)', packet)}
    assert said[b"tiff:Orientation"] == b"1"
    assert (int(said[b"exif:PixelXDimension"]), int(said[b"exif:PixelYDimension"])) == (width * scale, height * scale)
    assert (int(said[b"tiff:ImageWidth"]), int(said[b"tiff:ImageLength"])) == (width * scale, height * scale)
    assert said[b"tiff:XResolution"] == b"%d/1" % (x * scale)


def packet_of(image: Image.Image) -> bytes:
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    return found.encode() if isinstance(found, str) else found


def test_wide_pictures_need_a_longer_number(tmp_path: Path) -> None:
    block = Image.Exif()
    below = block.get_ifd(0x8769)
    below[0xA002], below[0xA003] = 40000, 2
    stream = io.BytesIO()
    Image.fromarray(np.zeros((2, 40000), np.uint8)).save(stream, "PNG", exif=block.tobytes())
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    enlarge(read(tmp_path / "a.png"), tmp_path / "b.png", 2)
    with Image.open(tmp_path / "b.png") as image:
        below = image.getexif().get_ifd(0x8769)
        assert (below[0xA002], below[0xA003]) == (80000, 4)


def test_a_turned_geotiff_says_so(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY, metadata=None, extratags=[*GEO, (274, 3, 1, 6, True)])
    assert read(tmp_path / "a.tif").warnings == ["the picture is turned upright, but its geographic tags speak of it as it lay"]


def test_rational_polynomials(tmp_path: Path) -> None:
    values = [0.0, 0.0, 31.5, 47.5, *[1.0] * 3, 32.0, 48.0, *[1.0] * 83]
    tifffile.imwrite(tmp_path / "a.tif", GRAY, metadata=None, extratags=[(50844, 12, 92, tuple(values), True)])
    enlarge(read(tmp_path / "a.tif"), tmp_path / "b.tif", 2)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        new = file.pages[0].tags[50844].value
    assert new[2:4] == (63.5, 95.5) and new[7:9] == (64.0, 96.0) and new[9:] == tuple(values[9:])
    assert struct.calcsize("d") == 8
