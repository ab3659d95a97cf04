"""AVIF: depth, chroma and metadata as Pillow and imagecodecs read them; rotation; colour codes; what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import format_samples as samples
import imagecodecs
import numpy as np
import pytest
from picture_samples import ALL, passed, stored
from PIL import Image, ImageCms, ImageOps

from restore.images import ImageError, read
from restore.images.codecs.avif import av1, container
from restore.images.iso_media import box

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def half(seen: np.ndarray) -> np.ndarray:
    return seen * np.float32(0.5)


def _exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "A maker", orientation
    return block.tobytes()


@pytest.mark.parametrize("name", ["gray8.avif", "gray12.avif", "rgb8.avif", "rgba10.avif"])
def test_lossless_pictures_stay_lossless(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out.avif"
    samples.LOSSLESS[name](source)
    picture = read(source)
    given = passed(picture, out, half)[0]
    assert np.array_equal(imagecodecs.avif_decode(out.read_bytes()), given)
    assert read(out)._source._coding == picture._source._coding and read(out).bits == int(name[-7:-5].strip("yb"))


def test_lossy_pictures_keep_their_chroma_and_come_back_about_right(tmp_path: Path) -> None:
    for name, chroma in (("lossy-420.avif", "420"), ("lossy-alpha.avif", "444")):
        source, out = tmp_path / name, tmp_path / "out.avif"
        samples.LOSSY[name](source)
        given = passed(read(source), out, half)[0]
        new = read(out)
        assert new._source._coding.chroma == chroma and new._source.header.lossy
        assert np.abs(stored(out)[0].astype(int) - given).mean() < 3


@pytest.mark.parametrize("quality", [30, 60, 85, 95])
def test_the_quality_stays(quality: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.avif", tmp_path / "b.avif"
    Image.fromarray(samples.SMOOTH).save(source, quality=quality)

    def index(path: Path) -> int | None:
        found = container.read(path.read_bytes())
        return av1.quantiser(found.content(found.primary))

    picture = read(source)
    assert abs(picture._source._coding.quality - quality) <= 2
    passed(picture, out, half)
    before, after = index(source), index(out)
    assert before is not None and after is not None and abs(before - after) <= 4
    picture.save(out, [picture.frame(0).stored // 2], finer=True)
    assert read(out)._source._coding.quality >= 94


@pytest.mark.parametrize("tag", range(1, 9))
def test_metadata_stay_and_rotation_is_applied_once(tag: int, tmp_path: Path) -> None:
    source, out = tmp_path / "a.avif", tmp_path / "b.avif"
    Image.fromarray(samples.SMOOTH).save(source, quality=95, exif=_exif(tag), icc_profile=PROFILE, xmp=b"<x/>")
    with Image.open(source) as image:
        shown = np.asarray(ImageOps.exif_transpose(image))
    picture = read(source)
    assert np.array_equal(picture.frame(0).stored, shown)
    passed(picture, out, half)
    with Image.open(out) as image:
        assert image.info["icc_profile"] == PROFILE and image.info["xmp"] == b"<x/>"
        assert image.getexif()[0x010F] == "A maker" and image.getexif().get(0x0112, 1) == 1
        assert np.abs(np.asarray(image).astype(int) - shown // 2).mean() < 4


def test_ten_bits_get_their_metadata_too(tmp_path: Path) -> None:
    encoded = bytes(imagecodecs.avif_encode(samples.RGBA16 >> 6, 100, bitspersample=10))
    source, out = tmp_path / "a.avif", tmp_path / "b.avif"
    source.write_bytes(container.with_metadata(encoded, PROFILE, _exif(1).removeprefix(b"Exif\0\0"), b"<x/>"))
    with Image.open(source) as image:
        assert image.info["icc_profile"] == PROFILE and image.getexif()[0x010F] == "A maker"
    given = passed(read(source), out, half)[0]
    assert np.array_equal(imagecodecs.avif_decode(out.read_bytes()), given)
    metadata = read(out)._source.header.metadata
    assert metadata.icc == PROFILE and metadata.xmp == b"<x/>" and metadata.exif == _exif(1).removeprefix(b"Exif\0\0")


def test_colour_codes_stay_and_become_a_profile_elsewhere(tmp_path: Path) -> None:
    source, out = tmp_path / "a.avif", tmp_path / "b.avif"
    samples.stream(imagecodecs.avif_encode, samples.SMOOTH, 90, primaries=12, transfer=13, matrix=6, pixelformat="420")(source)
    picture = read(source)
    passed(picture, out, half)
    assert read(out)._source._coding == picture._source._coding
    picture.save(tmp_path / "c.png", [picture.frame(0).stored], format="png")
    with Image.open(tmp_path / "c.png") as image:
        name = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
        assert np.allclose(name.red_primary[1][:2], (0.68, 0.32), atol=0.01)
    samples.stream(imagecodecs.avif_encode, samples.SMOOTH, 90, primaries=9, transfer=16, matrix=9)(source)
    with pytest.raises(ImageError, match="HDR, PQ"):
        read(source).check_target("png")


@pytest.mark.parametrize("name", ["gray8.png", "la8.png", "rgb8.png", "rgba8.png"])
def test_other_formats_become_avif_without_loss(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    picture.save(tmp_path / "a.avif", [picture.frame(0).stored], format="avif")
    assert np.array_equal(stored(tmp_path / "a.avif")[0], picture.frame(0).stored)


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    samples.LOSSLESS["rgb8.avif"](path)
    whole = path.read_bytes()
    at = whole.index(b"ispe") + 8
    for data, why in (
        (whole[:-100], "breaks off"),
        (whole[:200], "breaks off"),
        (whole[:at] + (60000).to_bytes(4, "big") * 2 + whole[at + 8 :], "over the limit"),
        (whole[:at] + (31).to_bytes(4, "big") + whole[at + 4 :], "AVIF"),
        (whole[:8] + b"avis" + whole[12:], "sequence"),
        (whole[:24] + box(b"free", b"1234"), r"no meta|breaks off"),
    ):
        path.write_bytes(data)
        with pytest.raises(ImageError, match=why):
            read(path).frame(0)
