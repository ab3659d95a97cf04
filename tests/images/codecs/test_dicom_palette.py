"""PALETTE COLOR: the nearest colour of the palette, exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import dataset, save
from picture_samples import passed
from pydicom.dataset import Dataset

from restore.images import read

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
