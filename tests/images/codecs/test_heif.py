"""HEIC: depth, chroma, profiles and EXIF as pillow-heif reads them; rotation; what is lost is said."""

from __future__ import annotations

from pathlib import Path

import format_samples as samples
import numpy as np
import pillow_heif
import pytest
from picture_samples import ALL, passed, stored
from PIL import Image, ImageCms

from restore.images import ImageError, read
from restore.images.codecs.heif.codec import HeifCodec
from restore.images.packages import Package
from restore.pipeline.discovery import plan

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def half(seen: np.ndarray) -> np.ndarray:
    return seen * np.float32(0.5)


def _opened(path: Path) -> pillow_heif.HeifFile:
    return pillow_heif.open_heif(path, convert_hdr_to_8bit=False)


def _exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x010F], block[0x0112] = "A maker", orientation
    return block.tobytes()


@pytest.mark.parametrize("name", ["rgb8.heic", "rgba8.heic", "rgb10.heic"])
def test_lossless_pictures_stay_lossless(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out.heic"
    samples.LOSSLESS[name](source)
    given = passed(read(source), out, half)[0]
    old, new = _opened(source), _opened(out)
    for key in ("bit_depth", "chroma", "nclx_profile"):
        assert old.info[key] == new.info[key], key
    shift = 16 - new.info["bit_depth"] if given.dtype == np.uint16 else 0
    assert np.array_equal(np.asarray(new) >> shift, given)


def test_lossy_pictures_keep_their_chroma_and_come_back_about_right(tmp_path: Path) -> None:
    for name, chroma in (("rgb8-420.heic", 420), ("gray8.heic", None)):
        source, out = tmp_path / name, tmp_path / "out.heic"
        samples.LOSSY[name](source)
        given = passed(read(source), out, half)[0]
        assert _opened(out).info.get("chroma") == chroma
        assert given.shape == stored(out)[0].shape and np.abs(stored(out)[0].astype(int) - given).mean() < 2


def test_metadata_stay_and_the_rotation_is_applied_once(tmp_path: Path) -> None:
    source, out = tmp_path / "a.heic", tmp_path / "b.heic"
    picture = pillow_heif.from_bytes("RGB", (samples.WIDTH, samples.HEIGHT), samples.SMOOTH.tobytes())
    picture.info["icc_profile"], picture.info["icc_profile_type"] = PROFILE, "prof"
    picture.save(source, quality=95, exif=_exif(6), xmp=b"<x/>", chroma=422)
    opened = read(source)
    turned = np.rot90(samples.SMOOTH, -1)
    assert opened.size == turned.shape[:2]
    assert np.abs(opened.frame(0).stored.astype(int) - turned).mean() < 4
    passed(opened, out, half)
    new = _opened(out)
    assert new.info["icc_profile"] == PROFILE and new.info["xmp"] == b"<x/>" and new.info["chroma"] == 422
    exif = Image.Exif()
    exif.load(new.info["exif"])
    assert exif[0x010F] == "A maker" and exif.get(0x0112, 1) == 1 and read(out).size == opened.size
    opened.save(tmp_path / "c.png", [opened.frame(0).stored], format="png")
    with Image.open(tmp_path / "c.png") as image:
        assert image.info["icc_profile"] == PROFILE and image.getexif()[0x0112] == 1


def test_colour_codes_become_a_profile_elsewhere(tmp_path: Path) -> None:
    for primaries, transfer in ((12, 13), (9, 16)):
        samples.heif("RGB", samples.SMOOTH, color_primaries=primaries, transfer_characteristics=transfer)(tmp_path / "a.heic")
        picture = read(tmp_path / "a.heic")
        if transfer == 16:
            with pytest.raises(ImageError, match="HDR, PQ"):
                picture.check_target("png")
            continue
        picture.save(tmp_path / "a.png", [picture.frame(0).stored], format="png")
        with Image.open(tmp_path / "a.png") as image:
            assert "icc_profile" in image.info
    passed(picture, tmp_path / "b.heic", half)
    assert _opened(tmp_path / "b.heic").info["nclx_profile"]["transfer_characteristics"] == 16


def test_further_pictures_are_told(tmp_path: Path) -> None:
    first = pillow_heif.from_bytes("RGB", (samples.WIDTH, samples.HEIGHT), samples.SMOOTH.tobytes())
    second = pillow_heif.from_bytes("RGB", (samples.WIDTH, samples.HEIGHT), samples.RGB8.tobytes())
    first.save(tmp_path / "a.heic", append_images=[second[0]], primary_index=0)
    assert read(tmp_path / "a.heic").warnings == ["its further pictures are not kept where pixels change"]


def test_twelve_bits_stay(tmp_path: Path) -> None:
    old = pillow_heif.options.SAVE_HDR_TO_12_BIT
    pillow_heif.options.SAVE_HDR_TO_12_BIT = True
    try:
        samples.LOSSLESS["rgb10.heic"](tmp_path / "a.heic")
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = old
    picture = read(tmp_path / "a.heic")
    assert picture.bits == 12 and np.array_equal(picture.frame(0).stored, samples.RGB16 >> 4)
    given = passed(picture, tmp_path / "b.heic", half)[0]
    assert read(tmp_path / "b.heic").bits == 12 and np.array_equal(stored(tmp_path / "b.heic")[0], given)
    picture.save(tmp_path / "c.png", [picture.frame(0).stored], format="png")
    assert np.array_equal(stored(tmp_path / "c.png")[0] >> 4, picture.frame(0).stored)


def test_what_is_refused(tmp_path: Path) -> None:
    samples.LOSSLESS["rgb8.heic"](tmp_path / "a.heic")
    whole = (tmp_path / "a.heic").read_bytes()
    with pytest.raises(ImageError, match="RESTORE_MAX_PIXELS="):
        read(tmp_path / "a.heic", max_pixels=100)
    (tmp_path / "a.heic").write_bytes(whole[:-200])
    with pytest.raises(ImageError, match=r"a.heic: damaged or unsupported HEIF"):
        read(tmp_path / "a.heic").frame(0)
    Image.fromarray(samples.G16).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match="heif holds 8 bits a sample"):
        read(tmp_path / "b.png").save(tmp_path / "c.heic", [samples.G16], format="heif")


@pytest.mark.parametrize("name", ["gray8.png", "rgb8.png"])
def test_lossless_pictures_become_heic_without_loss(name: str, tmp_path: Path) -> None:
    ALL[name](tmp_path / name)
    picture = read(tmp_path / name)
    picture.save(tmp_path / "a.heic", [picture.frame(0).stored], format="heif")
    assert np.array_equal(stored(tmp_path / "a.heic")[0], picture.frame(0).stored)


def test_a_missing_package_is_named_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.LOSSLESS["rgb8.pam"](tmp_path / "a.pam")
    monkeypatch.setattr(HeifCodec, "needs", Package("no_such_module_of_heif", "heic"))
    with pytest.raises(ValueError, match=r"heif can't be written: install no_such_module_of_heif \(pip install 'restore-suite\[heic\]'\)"):
        plan([tmp_path / "a.pam"], tmp_path / "out", "heic")
