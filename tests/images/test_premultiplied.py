"""Colours multiplied by their alpha: a network sees them straight, no result exceeds its alpha, PNG gets straight colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from picture_samples import passed
from PIL import Image

from restore.images import Frame, read
from restore.images.premultiplied import Premultiplied

STRAIGHT = np.array([0.9, 0.25, 0.12])


def alpha() -> np.ndarray:
    a = np.zeros((48, 64))
    a[6:40, 10:50] = 1
    a[15:25, 20:30] = 0.5
    a[26:30, 20:30] = 3 / 255
    return a


def premultiplied(dtype: type, colours: int = 3) -> np.ndarray:
    a = alpha()
    colour = np.clip(STRAIGHT[:colours] + np.random.default_rng(3).normal(0, 0.03, (48, 64, colours)), 0, 1)
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    whole = np.rint(a * full) if full > 1 else a
    made = colour * whole[..., None]
    return np.concatenate([np.floor(made) if full > 1 else made, whole[..., None]], -1).astype(dtype)


def save(path: Path, stored: np.ndarray, **more: object) -> None:
    kind = "rgb" if stored.shape[-1] == 4 else "minisblack"
    tifffile.imwrite(path, stored, photometric=kind, planarconfig="contig", extrasamples=["assocalpha"], **more)


KINDS = [(np.uint8, 3), (np.uint16, 3), (np.float32, 3), (np.uint8, 1), (np.uint16, 1), (np.float64, 1)]


@pytest.mark.parametrize(("dtype", "colours"), KINDS)
def test_a_network_sees_straight_colours(dtype: type, colours: int, tmp_path: Path) -> None:
    save(tmp_path / "a.tif", premultiplied(dtype, colours))
    frame = read(tmp_path / "a.tif").frame(0)
    half = alpha() == 0.5
    assert np.abs(frame.normalized()[half].mean(0) - STRAIGHT[:colours]).max() < 0.02
    mapping = frame.mapping
    assert not mapping.decode(frame.stored)[alpha() == 0].any()
    # what a network sees there is continued from what lies about, so that no edge stands at the end of the picture
    assert np.abs(frame.normalized()[alpha() == 0].mean(0) - STRAIGHT[:colours]).max() < 0.02
    assert isinstance(mapping, Premultiplied)
    valid = mapping.valid(frame.stored)
    assert valid is not None and np.array_equal(valid, alpha() > 0)
    assert 0 <= mapping.displayed(frame.stored).min() <= mapping.displayed(frame.stored).max() <= 1


@pytest.mark.parametrize(("dtype", "colours"), KINDS)
@pytest.mark.parametrize("task", ["brighter", "noisier", "inverted", "one pixel"])
def test_no_result_exceeds_its_alpha(dtype: type, colours: int, task: str, tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    save(source, premultiplied(dtype, colours), compression="deflate")
    before = read(source).frame(0).stored

    def change(seen: np.ndarray) -> np.ndarray:
        if task == "one pixel":
            new = seen.copy()
            new[20, 25] = 0.5
            return new
        made = {"brighter": seen + 0.4, "inverted": 1 - seen}.get(task)
        return seen + np.random.default_rng(0).normal(0, 0.3, seen.shape).astype(np.float32) if made is None else made

    passed(read(source), out, change)
    after = tifffile.imread(out)
    a = after[..., -1:].astype(np.float64)
    assert (after[..., :-1] <= a).all()
    assert np.array_equal(after[..., -1], before[..., -1])
    assert (after[alpha() == 0] == 0).all()
    if task == "one pixel":
        same = np.ones(alpha().shape, bool)
        same[20, 25] = False
        assert np.array_equal(after[same], before[same])
        assert np.allclose(after[20, 25, :-1] / a[20, 25], 0.5, atol=0.01)


def test_an_unchanged_file_is_the_same(tmp_path: Path) -> None:
    source, out = tmp_path / "a.tif", tmp_path / "b.tif"
    strange = premultiplied(np.uint8)
    strange[0, 0] = (9, 8, 7, 0)  # light without cover, and a colour over its alpha, stay as they are
    strange[12, 12] = (200, 8, 7, 100)
    save(source, strange)
    passed(read(source), out)
    assert out.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(("dtype", "colours"), KINDS)
@pytest.mark.parametrize("size", [(96, 128), (24, 32), (61, 100)])
def test_another_size_keeps_colours_within_alpha(dtype: type, colours: int, size: tuple[int, int], tmp_path: Path) -> None:
    save(tmp_path / "a.tif", premultiplied(dtype, colours))
    frame = read(tmp_path / "a.tif").frame(0)
    larger = frame.resized(*size)
    assert (larger.stored[..., :-1] <= larger.stored[..., -1:]).all()
    for restored in (larger.normalized(), larger.normalized() + 0.3, np.full((*size, colours), 0.7, np.float32)):
        made = larger.encode(restored)
        assert (made[..., :-1] <= made[..., -1:]).all()
    inside = made[..., -1] == made[..., -1].max()
    assert np.allclose(made[inside][:, :-1] / made[..., -1].max(), 0.7, atol=0.01)


def test_what_becomes_opaque_gets_its_colour() -> None:
    stored = premultiplied(np.uint8)
    frame = Frame(stored, Premultiplied(255, 3, 3, 0, 255))
    wanted = np.dstack([np.full((48, 64, 3), 0.5, np.float32), alpha() < 0.5])
    made = frame.encode(wanted)
    assert (made[alpha() < 0.5] == (128, 128, 128, 255)).all()
    assert (made[..., :3] <= made[..., 3:]).all()


@pytest.mark.parametrize("target", ["png", "webp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_other_formats_get_straight_colours(target: str, dtype: type, tmp_path: Path) -> None:
    save(tmp_path / "a.tif", premultiplied(dtype))
    picture = read(tmp_path / "a.tif")
    frame = picture.frame(0)
    if target == "webp" and dtype != np.uint8:
        return
    picture.save(tmp_path / "b", [frame.stored], format=target)
    with Image.open(tmp_path / "b") as image:
        made = np.asarray(image.convert("RGBA"))
    half = np.abs(made[..., 3].astype(int) - 128) <= 1
    assert np.abs(made[half][:, :3].mean(0) / 255 - STRAIGHT).max() < 0.02
    picture = read(tmp_path / "b")
    picture.save(tmp_path / "c.tif", [picture.frame(0).stored], format="tiff")
    with tifffile.TiffFile(tmp_path / "c.tif") as file:
        assert file.pages[0].extrasamples == (2,)


def test_bright_light_in_floats_stays(tmp_path: Path) -> None:
    stored = premultiplied(np.float32)
    stored[10, 12, 0] = 7.5
    save(tmp_path / "a.tif", stored)
    frame = read(tmp_path / "a.tif").frame(0)
    made = frame.encode(frame.normalized() * np.float32(0.9))
    assert np.isfinite(made).all() and (made[alpha() == 0] == 0).all()
    assert made[20, 25, 0] == pytest.approx(stored[20, 25, 0] * 0.9, abs=0.02)
