"""PALETTE COLOR: the nearest colour of the palette, exactly; indices of every type; tables that are missing or written in unusual ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import dataset, save, unchanged
from picture_samples import passed
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, RLELossless

from restore.images import ImageError, read

_random = np.random.default_rng(23)
HEIGHT, WIDTH = 40, 52
RAMP = np.arange(256, dtype=np.uint16) * 257
COLOURS = np.stack([RAMP, RAMP[::-1], np.roll(RAMP, 100)], -1)


def palette(pixels: np.ndarray, entries: np.ndarray, *, first: int = 0, bits: int | None = None) -> Dataset:
    """An object of indices (H, W) with the (N, 3) uint8 or uint16 `entries`, whose first is the colour of the index `first`."""
    ds = dataset(pixels, bits=bits, PhotometricInterpretation="PALETTE COLOR")
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        keyword = f"{colour}PaletteColorLookupTable"
        setattr(ds, f"{keyword}Descriptor", [len(entries) % 65536, first, 8 * entries.dtype.itemsize])
        ds[f"{keyword}Descriptor"].VR = "SS" if pixels.dtype.kind == "i" else "US"
        setattr(ds, f"{keyword}Data", entries[:, channel].astype(entries.dtype.newbyteorder("<")).tobytes())
        ds[f"{keyword}Data"].VR = "OW"
    return ds


def indices(dtype: type = np.uint8, low: int = 0, high: int = 256) -> np.ndarray:
    return _random.integers(low, high, (HEIGHT, WIDTH)).astype(dtype)


def nearest(restored: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The distance of each restored colour (H, W, 3) to the nearest of (N, 3) colours, all in [0, 1]."""
    return np.sqrt(((restored[:, :, None].astype(np.float64) - colours) ** 2).sum(-1)).min(-1)


GRAY = np.repeat(RAMP[:, None], 3, 1)
FINE = np.sort(_random.choice(4096, 256, replace=False).astype(np.uint16))[:, None].repeat(3, 1) + np.uint16([30000, 30000, 30000])
CLOUD = _random.integers(0, 65536, (256, 3)).astype(np.uint16)


@pytest.mark.parametrize("entries", [GRAY, COLOURS, FINE, CLOUD], ids=["gray", "colours", "fine", "cloud"])
def test_a_restored_colour_becomes_the_nearest_of_the_palette(entries: np.ndarray, tmp_path: Path) -> None:
    source, out = save(palette(indices(), entries), tmp_path / "a.dcm"), tmp_path / "out"
    picture = read(source)
    before = picture.frame(0).normalized()
    spread = float(before.std())
    target = np.clip(before + _random.normal(0, 0.05 * spread, before.shape), 0, 1).astype(np.float32)
    frame = picture.frame(0)
    after = frame.mapping.decode(frame.encode(target))
    distance = np.sqrt(((after.astype(np.float64) - target) ** 2).sum(-1))
    assert np.abs(distance - nearest(target, entries / 65535)).max() < 1e-6
    assert np.abs(frame.mapping.decode(passed(picture, out, lambda _: target)[0]) - after).max() == 0


def test_an_index_stays_where_no_colour_is_nearer(tmp_path: Path) -> None:
    """Also where others have the same colour, and where the change is large but leads to no other colour."""
    entries = np.uint8([[0, 0, 0], [200, 0, 0], [200, 0, 0], [0, 0, 0]])
    source = save(palette(indices(high=4), entries), tmp_path / "a.dcm")
    frame = read(source).frame(0)
    assert np.array_equal(frame.encode(frame.normalized() * np.float32(0.9)), frame.stored)
    assert np.array_equal(frame.encode(np.zeros_like(frame.normalized())), np.where(frame.stored == 3, 3, 0))


@pytest.mark.parametrize(("dtype", "bits"), [(np.int8, 8), (np.int8, 7), (np.int16, 16), (np.int16, 10), (np.uint16, 12), (np.uint8, 6)])
@pytest.mark.parametrize("unsigned_type", [False, True])
def test_indices_of_every_type(dtype: type, bits: int, unsigned_type: bool, tmp_path: Path) -> None:
    signed = np.dtype(dtype).kind == "i"
    low = -(1 << bits - 1) if signed else 0
    first = low // 2 if signed else 5
    count = (1 << bits) - 9
    entries = _random.integers(0, 65536, (count, 3)).astype(np.uint16)
    pixels = indices(dtype, low, low + (1 << bits))
    ds = palette(pixels, entries, bits=bits, first=first)
    if unsigned_type and signed:  # the type that the standard does not allow for signed samples
        for colour in ("Red", "Green", "Blue"):
            descriptor = ds[f"{colour}PaletteColorLookupTableDescriptor"]
            descriptor.VR, descriptor.value = "US", [count % 65536, first % 65536, 16]
    source, out = save(ds, tmp_path / "a.dcm"), tmp_path / "out"
    picture, written = unchanged(source, out)
    stored = picture.frame(0).stored
    assert stored.dtype == dtype and np.array_equal(stored, pixels) and written.PixelRepresentation == int(signed)
    expected = entries[np.clip(pixels.astype(int) - first, 0, count - 1)] / 65535
    assert np.abs(picture.frame(0).normalized() - expected).max() < 1e-6
    reached = entries[np.clip(indices(dtype, low, low + (1 << bits)).astype(int) - first, 0, count - 1)]
    target = reached / 65535
    passed(picture, out, lambda _: target.astype(np.float32))
    again = read(out).frame(0)
    assert again.stored.dtype == dtype and np.abs(again.normalized() - target).max() < 1e-6


@pytest.mark.parametrize("count", [256, 255, 1024])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("wide", [False, True])
def test_tables_of_either_width_and_byte_order(count: int, big: bool, wide: bool, tmp_path: Path) -> None:
    """Entries of 8 bits in bytes and in words of 16, an odd number of them, more of them than 8 bits can count."""
    entries = _random.integers(0, 256, (count, 3)).astype(np.uint8)
    entries[0] = 255
    pixels = indices(np.uint16, 0, count)
    ds = palette(pixels, entries, bits=10)
    for channel, colour in enumerate(("Red", "Green", "Blue")):
        words = entries[:, channel]
        data = words.astype(">u2" if big else "<u2").tobytes() if wide else words.tobytes() + b"\0" * (count % 2)
        ds[f"{colour}PaletteColorLookupTableData"].value = np.frombuffer(data, "<u2").byteswap().tobytes() if big and not wide else data
    if big:
        ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        ds.PixelData = pixels.astype(">u2").tobytes()
    source = save(ds, tmp_path / "a.dcm")
    assert np.abs(read(source).frame(0).normalized() - entries[pixels] / 255).max() < 1e-6


def test_encoded_indices(tmp_path: Path) -> None:
    pixels = indices(np.int8, -128, 128)
    ds = palette(pixels, COLOURS, first=-128)
    ds.PixelRepresentation = 0  # pydicom refuses to encode signed indices
    ds.compress(RLELossless, generate_instance_uid=False)
    ds.PixelRepresentation = 1
    picture, _ = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert np.array_equal(picture.frame(0).stored, pixels)
    assert np.abs(picture.frame(0).normalized() - COLOURS[pixels.astype(int) + 128] / 65535).max() < 1e-6


def test_a_table_in_segments(tmp_path: Path) -> None:
    ds = palette(indices(), GRAY)
    for colour in ("Red", "Green", "Blue"):
        delattr(ds, f"{colour}PaletteColorLookupTableData")
        segments = np.uint16([0, 1, 0, 1, 255, 65535])
        setattr(ds, f"Segmented{colour}PaletteColorLookupTableData", segments.astype("<u2").tobytes())
    frame = read(save(ds, tmp_path / "a.dcm")).frame(0)
    assert np.abs(frame.normalized()[..., 0] - frame.stored / 255).max() < 1e-4


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("BluePaletteColorLookupTableData", "0028,1203"),
        ("RedPaletteColorLookupTableData", "0028,1201"),
        ("GreenPaletteColorLookupTableDescriptor", "0028,1102"),
        ("RedPaletteColorLookupTableDescriptor", "0028,1101"),
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_table_is_named(keyword: str, tag: str, empty: bool, tmp_path: Path) -> None:
    ds = palette(indices(), COLOURS)
    if empty:
        ds[keyword].value = None if keyword.endswith("Descriptor") else b""
    else:
        delattr(ds, keyword)
    picture = read(save(ds, tmp_path / "a.dcm"))
    with pytest.raises(ImageError, match=rf"a.dcm: PALETTE COLOR without {keyword} \({tag}\)"):
        picture.frame(0)


def test_a_table_that_is_too_short_is_named(tmp_path: Path) -> None:
    ds = palette(indices(), COLOURS)
    ds.GreenPaletteColorLookupTableData = ds.GreenPaletteColorLookupTableData[:100]
    picture = read(save(ds, tmp_path / "a.dcm"))
    with pytest.raises(ImageError, match=r"GreenPaletteColorLookupTableData \(0028,1202\) has 100 of its 256 entries"):
        picture.frame(0)
