"""Properties: encode(normalized()) is the identity for every dtype and mapping, and a restorer can't break a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom.dataset import Dataset

from restore.images.codecs.dicom.colour import PaletteIndices, YbrFull
from restore.images.codecs.dicom.values import Field, build
from restore.images.frame import Frame
from restore.images.mappings import Cmyk, Linear, plain, ranged
from restore.images.orientation import orientation, upright, upright_exif

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
INTEGERS = st.sampled_from([np.uint8, np.uint16, np.int8, np.int16, np.uint32, np.int32])
FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == np.ascontiguousarray(b).tobytes()


def _holds(frame: Frame) -> None:
    """Identity is exact; no restored values, not even broken ones, leave the dtype or raise."""
    seen = frame.normalized()
    assert np.isfinite(seen).all() and seen.dtype == np.float32
    assert _same(frame.encode(seen), frame.stored)
    for value in (0.0, 1.0, -5.0, 1e9, np.nan, np.inf):
        changed = frame.encode(np.full_like(seen, value))
        assert changed.dtype == frame.stored.dtype and changed.shape == frame.stored.shape
        if not np.isfinite(value):
            assert _same(changed, frame.stored)


@FEW
@given(st.data(), INTEGERS, st.integers(0, 4))
def test_integers(data: st.DataObject, dtype: type, channels: int) -> None:
    shape = data.draw(SHAPES) + ((channels,) if channels else ())
    samples = data.draw(arrays.arrays(dtype, shape))
    if samples.dtype in (np.uint8, np.uint16):
        _holds(Frame(samples, plain(samples)))
    else:
        _holds(Frame(samples, ranged(samples, 3 if channels >= 3 else 1, inverted=bool(channels % 2), alpha_channel=None)))


@FEW
@given(st.data(), FLOATS)
def test_floats_with_nan_and_infinity(data: st.DataObject, dtype: type) -> None:
    samples = data.draw(arrays.arrays(dtype, data.draw(SHAPES)))
    _holds(Frame(samples, ranged(samples, 1, inverted=False, alpha_channel=None)))


@FEW
@given(st.data())
def test_inks_and_chroma(data: st.DataObject) -> None:
    height, width = data.draw(SHAPES)
    _holds(Frame(data.draw(arrays.arrays(np.uint8, (height, width, 4))), Cmyk(255)))
    _holds(Frame(data.draw(arrays.arrays(np.uint16, (height, width, 3))), YbrFull(65535)))
    table = np.linspace(0, 1, 48, dtype=np.float32).reshape(16, 3)
    indices = data.draw(arrays.arrays(np.uint8, (height, width), elements=st.integers(0, 15)))
    _holds(Frame(indices, PaletteIndices(table, Field(4, 0, signed=False))))


@FEW
@given(st.data(), st.integers(2, 16), st.booleans(), st.booleans(), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
def test_dicom_tables(data: st.DataObject, bits: int, signed: bool, first: bool, function: str) -> None:
    ds = Dataset()
    ds.PhotometricInterpretation = "MONOCHROME1" if first else "MONOCHROME2"
    ds.WindowCenter, ds.WindowWidth = data.draw(st.integers(-5000, 5000)), data.draw(st.integers(2, 9000))
    ds.VOILUTFunction = function
    ds.RescaleSlope, ds.RescaleIntercept = data.draw(st.sampled_from([1, 0.5, -2])), data.draw(st.integers(-1024, 1024))
    field = Field(bits, 0, signed)
    # any words, bits outside the field included
    words = data.draw(arrays.arrays(np.int16 if signed else np.uint16, data.draw(SHAPES)))
    frame = Frame(words, build(field, ds, 0, (0, 100)))
    _holds(frame)
    new = frame.encode((frame.normalized() + 0.01).astype(np.float32))
    assert np.all(frame.mapping.decode(new) >= frame.mapping.decode(words) - 1e-6)
    outside = ~((1 << bits) - 1) & 0xFFFF
    if not signed:
        assert np.array_equal(new & outside, words & outside)


def test_sixteen_bits_arrive_where_they_were_sent() -> None:
    samples = np.zeros((256, 256), np.uint16)
    wanted = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    back = Frame(samples, plain(samples)).encode(wanted.astype(np.float32)[..., None] / np.float32(65535))
    assert np.array_equal(back, wanted)


def test_hot_pixels_do_not_darken_a_float_picture() -> None:
    samples = np.random.default_rng(0).normal(500, 100, (100, 100)).astype(np.float32)
    samples[3, 3] = 1e30
    mapping = ranged(samples, 1, inverted=False, alpha_channel=None)
    frame = Frame(samples, mapping)
    assert 0.4 < frame.normalized().mean() < 0.6
    assert frame.encode(frame.normalized() * np.float32(0.9))[3, 3] == samples[3, 3]


def test_full_black_hides_its_inks() -> None:
    inks = np.array([[[10, 20, 30, 255], [0, 0, 0, 255]]], np.uint8)
    frame = Frame(inks, Cmyk(255))
    assert frame.normalized().max() == 0
    brighter = frame.encode(np.full((1, 2, 3), 0.5, np.float32))
    assert np.allclose(Frame(brighter, Cmyk(255)).normalized(), 0.5, atol=0.005)


@pytest.mark.parametrize("tag", range(2, 9))
def test_orientations_agree_with_pillow(tag: int) -> None:
    from PIL import Image, ImageOps

    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    exif = Image.Exif()
    exif[0x0112] = tag
    image = Image.fromarray(pixels)
    image.info["exif"] = exif.tobytes()
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    assert orientation(block) == tag
    assert orientation(upright_exif(block)) == 1
    assert np.array_equal(upright(pixels, tag), np.asarray(ImageOps.exif_transpose(image)))


def test_a_broken_exif_is_upright() -> None:
    for block in (None, b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"garbage garbage"):
        assert orientation(block) == 1
    assert Linear(0, 0).span == 1


@pytest.mark.parametrize("key", [(100,), (100, 101, 102), (0, 0, 0)])
def test_a_transparent_colour_that_becomes_opaque_gets_the_restored_colour(key: tuple[int, ...]) -> None:
    channels = len(key)
    stored = np.full((3, 4, channels) if channels > 1 else (3, 4), 50, np.uint8)
    stored[1, 1] = key if channels > 1 else key[0]
    frame = Frame(stored, replace(plain(stored), key=key))
    restored, opaque = frame.normalized(), np.zeros((3, 4, 1), np.float32)
    restored[1, 1], opaque[1, 1] = 200 / 255, 1
    new = frame.encode(np.concatenate([restored, opaque], -1))
    assert np.all(new[1, 1] == 200)
    restored[1, 1] = np.asarray(key, np.float32) / 255
    new = frame.encode(np.concatenate([restored, opaque], -1))
    assert np.abs(new[1, 1].astype(int) - key).sum() == 1, "the nearest colour that is not the transparent one"
    new[1, 1] = stored[1, 1]
    assert np.array_equal(new, stored)
