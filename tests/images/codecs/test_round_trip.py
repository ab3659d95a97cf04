"""What goes through an identity restorer comes back bit for bit, and what a restorer changes comes back as changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from picture_samples import ALL, LOSSLESS, passed, stored

from restore.images import read


@pytest.mark.parametrize("name", ALL)
def test_an_unchanged_picture_is_the_same_file(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out"
    ALL[name](source)
    picture = read(source)
    for given, frame in zip(passed(picture, out), stored(source), strict=True):
        assert given.dtype == frame.dtype
        assert np.array_equal(given, frame, equal_nan=given.dtype.kind == "f")
    assert out.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("name", ALL)
def test_what_a_network_sees(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    ALL[name](source)
    picture = read(source)
    frame = picture.frame(0)
    seen = frame.normalized()
    assert seen.dtype == np.float32
    assert seen.shape[:2] == picture.size == frame.stored.shape[:2]
    assert seen.shape[2] in (1, 3)
    assert np.isfinite(seen).all()
    assert seen.min() >= -1 and seen.max() <= 2
    assert seen.std() > 0.05


@pytest.mark.parametrize("name", LOSSLESS)
def test_changed_pixels_are_written_exactly(name: str, tmp_path: Path) -> None:
    """One changed pixel makes the whole picture be coded anew; every other sample must stay."""
    source, out = tmp_path / name, tmp_path / "out"
    LOSSLESS[name](source)

    def change(seen: np.ndarray) -> np.ndarray:
        new = seen.copy()
        new[2, 3] = 1 - np.round(np.clip(new[2, 3], 0, 1))
        return new

    given = passed(read(source), out, change)
    again = stored(out)
    before = stored(source)
    for index, (a, b) in enumerate(zip(given, again, strict=True)):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), f"frame {index}"
        kept = np.ones(a.shape[:2], bool)
        kept[2, 3] = False
        assert np.array_equal(a[kept], before[index][kept], equal_nan=a.dtype.kind == "f")
    new, old = read(out), read(source)
    assert (new.format, new.frames, new.size) == (old.format, old.frames, old.size)
    if not name.startswith("palette"):
        assert new.bits == old.bits


@pytest.mark.parametrize("name", ALL)
def test_brighter_is_brighter(name: str, tmp_path: Path) -> None:
    """Also through MINISWHITE, PBM (1 is black), CMYK inks and palettes."""
    source, out = tmp_path / name, tmp_path / "out"
    ALL[name](source)
    step = 0.6 if read(source).bits <= 2 else 0.1
    passed(read(source), out, lambda seen: (np.clip(seen, 0, 1) * (1 - step) + step).astype(np.float32))
    old, new = read(source).frame(0), read(out).frame(0)
    mapped = type(old)(new.stored, old.mapping) if new.stored.dtype == old.stored.dtype else new
    assert mapped.normalized().mean() > old.normalized().mean() + step / 10


@pytest.mark.parametrize("name", ALL)
def test_the_same_inputs_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    ALL[name](source)
    for out in ("one", "two"):
        passed(read(source), tmp_path / out, lambda seen: seen * np.float32(0.5))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", ["rgba8.png", "la16.png", "rgba8.tif", "lossless-alpha.webp", "rgba8.bmp"])
def test_alpha_passes_by(name: str, tmp_path: Path) -> None:
    source, out = tmp_path / name, tmp_path / "out"
    ALL[name](source)
    before = read(source).frame(0).alpha
    passed(read(source), out, lambda seen: 1 - seen)
    after = read(out).frame(0).alpha
    assert before is not None and after is not None
    assert np.array_equal(before, after)


def test_a_transparent_colour_stays_and_nothing_else_becomes_it(tmp_path: Path) -> None:
    source, out = tmp_path / "key-gray.png", tmp_path / "out"
    ALL["key-gray.png"](source)
    passed(read(source), out, lambda seen: np.full_like(seen, 7 / 255))
    before, after = read(source).frame(0), read(out).frame(0)
    assert np.array_equal(before.stored == 7, after.stored == 7)
    assert before.alpha is not None and (before.alpha == 0).any()


def test_an_error_in_the_frames_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        raise RuntimeError("out of memory")
        yield

    for name in ("gray8.png", "gray8.tif", "gray.jpg"):
        ALL[name](tmp_path / name)
        with pytest.raises(RuntimeError, match="out of memory"):
            read(tmp_path / name).save(tmp_path / "out", failing())


def test_too_few_or_too_many_frames_are_an_error(tmp_path: Path) -> None:
    source = tmp_path / "pages.tif"
    ALL["pages.tif"](source)
    picture = read(source)
    one = picture.frame(0).stored
    for count in (0, 1, 4):
        with pytest.raises(ValueError, match="frame"):
            picture.save(tmp_path / "out", [one] * count)
    with pytest.raises(IndexError):
        picture.frame(3)
