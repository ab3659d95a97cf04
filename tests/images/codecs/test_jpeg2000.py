"""JPEG 2000: what Pillow and imagecodecs read of results, boxes that stay, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import format_samples as samples
import imagecodecs
import numpy as np
import pytest
import tifffile
from picture_samples import passed, stored
from PIL import Image, ImageCms

from restore.images import ImageError, colour_profiles, read
from restore.images.codecs.jpeg2000 import read_stream, read_wrapping
from restore.images.iso_media import box

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def half(seen: np.ndarray) -> np.ndarray:
    return seen * np.float32(0.5)


def _exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "A maker", orientation
    return block.tobytes().removeprefix(b"Exif\0\0")


def _stream(data: bytes) -> bytes:
    return data[data.index(b"\xff\x4f\xff\x51") :]


@pytest.mark.parametrize("name", ["gray16.j2k", "gray12.jp2", "rgb8.jp2", "rgba16.jp2", "la8.jp2", "signed16.j2k"])
def test_openjpeg_reads_what_was_written(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    samples.LOSSLESS[name](source)
    given = passed(read(source), out, half)[0]
    assert np.array_equal(imagecodecs.jpeg2k_decode(out.read_bytes()), given)
    old, new = read_stream(_stream(source.read_bytes())), read_stream(_stream(out.read_bytes()))
    assert (new.bits, new.signed, new.count, new.reversible) == (old.bits, old.signed, old.count, True)
    assert 1 <= new.levels <= old.levels  # small pictures get fewer
    if name in ("rgb8.jp2", "la8.jp2"):
        with Image.open(out) as image:
            assert np.array_equal(np.asarray(image), given)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_samples_are_those_of_the_codestream_whatever_the_profile(count: int, tmp_path: Path) -> None:
    profile = colour_profiles.profile(colour_profiles.Colours(gamma=1.0), gray=count < 3)
    pixels = np.random.default_rng(3).integers(0, 65535, (40, 50, count), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels[..., 0] if count == 1 else pixels, photometric="rgb" if count >= 3 else "minisblack",
                     planarconfig="contig", extrasamples=["unassalpha"] * (count in (2, 4)), iccprofile=profile)  # fmt: skip
    picture = read(tmp_path / "a.tif")
    picture.save(tmp_path / "b.jp2", [picture.frame(0).stored], format="jpeg2000")
    assert read(tmp_path / "b.jp2")._source.header.metadata.icc == profile
    assert np.array_equal(stored(tmp_path / "b.jp2")[0], picture.frame(0).stored)


def test_irreversible_coding_stays_and_comes_back_about_right(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jp2", tmp_path / "b.jp2"
    samples.LOSSY["lossy.jp2"](source)
    given = passed(read(source), out, half)[0]
    assert not read_stream(_stream(out.read_bytes())).reversible
    error = stored(out)[0].astype(float) - given
    assert 0 < np.sqrt((error**2).mean()) < 255 / 10 ** (40 / 20)
    deep = samples.SMOOTH[..., 0].astype(np.uint16) * 250
    (tmp_path / "c.j2k").write_bytes(bytes(imagecodecs.jpeg2k_encode(deep, 60, codecformat="j2k", reversible=False)))
    given = passed(read(tmp_path / "c.j2k"), tmp_path / "d.j2k", half)[0]
    assert np.sqrt(((stored(tmp_path / "d.j2k")[0].astype(float) - given) ** 2).mean()) < 65535 / 10 ** (57 / 20)


def test_boxes_stay_and_follow_the_scale(tmp_path: Path) -> None:
    source = tmp_path / "a.jp2"
    Image.fromarray(samples.RGB8).save(tmp_path / "a.png", dpi=(300, 150), exif=_exif(), icc_profile=PROFILE)
    picture = read(tmp_path / "a.png")
    picture.save(source, [picture.frame(0).stored], format="jpeg2000")
    with Image.open(source) as image:
        assert image.info["icc_profile"] == PROFILE if "icc_profile" in image.info else True
        assert np.array_equal(np.asarray(image), samples.RGB8)
    source.write_bytes(source.read_bytes() + box(b"xml ", b"<note/>"))
    opened = read(source)
    metadata = opened._source.header.metadata
    assert metadata.icc == PROFILE and metadata.exif == _exif() and np.allclose(metadata.dpi, (300, 150), rtol=1e-3)
    opened.save(tmp_path / "b.jp2", [samples.RGB8.repeat(2, 0).repeat(2, 1)], scale=2)
    data = (tmp_path / "b.jp2").read_bytes()
    kinds = [one.kind for one in read_wrapping(data).outer]
    assert kinds == [b"jP  ", b"ftyp", b"jp2h", b"uuid", b"jp2c", b"xml "] and data.endswith(b"<note/>")
    new = read(tmp_path / "b.jp2")
    assert new.size == (38, 60) and np.allclose(new._source.header.metadata.dpi, (600, 300), rtol=1e-3)


@pytest.mark.parametrize("name", ["gray16.png", "la16.png", "rgba16.png", "rgb8.png"])
def test_other_formats_become_jpeg_2000_without_loss(name: str, tmp_path: Path) -> None:
    from picture_samples import ALL

    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    picture.save(tmp_path / "a.jp2", [picture.frame(0).stored], format="jpeg2000")
    assert np.array_equal(stored(tmp_path / "a.jp2")[0], picture.frame(0).stored)


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jp2"
    Image.fromarray(samples.RGB8).convert("YCbCr").save(path)
    data = path.read_bytes()
    at = data.index(b"colr") + 7
    for change, why in (
        (data[:at] + struct.pack(">I", 18) + data[at + 4 :], "the colour space 18"),
        (data[: data.index(b"jp2c") - 4], "no codestream"),
        (data + box(b"jp2c", _stream(data)), "several"),
        (data[:-300], "breaks off"),
    ):
        path.write_bytes(change)
        with pytest.raises(ImageError, match=why):
            read(path)
    stream = bytearray(_stream(data))
    (tmp_path / "a.j2k").write_bytes(stream[:-200])
    with pytest.raises(ImageError, match="they end early"):
        read(tmp_path / "a.j2k").frame(0)
    stream[43 + 1] = 2  # components that are subsampled
    (tmp_path / "b.j2k").write_bytes(stream)
    with pytest.raises(ImageError, match=r"unlike depths|subsampled"):
        read(tmp_path / "b.j2k")
    struct.pack_into(">II", stream, 8, 60000, 60000)
    stream[44] = 1
    (tmp_path / "c.j2k").write_bytes(stream)
    with pytest.raises(ImageError, match="over the limit"):
        read(tmp_path / "c.j2k")


@pytest.mark.parametrize("suffix", [".jp2", ".j2k"])
def test_zeros_for_the_second_half_are_damage(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = bytes(imagecodecs.jpeg2k_encode(noise, codecformat=suffix[1:]))
    path.write_bytes(data + bytes(200))
    assert np.array_equal(read(path).frame(0).stored, noise), "zeros behind the end mark are none"
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(ImageError, match="they end in zeros"):
        read(path).frame(0)
