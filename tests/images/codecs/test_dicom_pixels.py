"""All bits of a stored word come back: those above and below the sample, encoded or not; and padding never changes."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, decoded, save, unchanged, wrap
from picture_samples import passed
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from restore.images import read

_random = np.random.default_rng(17)
HEIGHT, WIDTH = 40, 52


def _rle(words: np.ndarray) -> Dataset:
    ds = dataset(words)
    ds.compress(RLELossless, generate_instance_uid=False)
    return ds


def encoded(words: np.ndarray, syntax: str) -> Dataset:
    """An object of 16-bit words; its header says 16 bits, to be corrected by the caller."""
    if syntax == ExplicitVRLittleEndian:
        return dataset(words)
    if syntax == RLELossless:
        return _rle(words)
    coders = {
        JPEGLossless: imagecodecs.ljpeg_encode,
        JPEGLSLossless: imagecodecs.jpegls_encode,
        JPEG2000Lossless: lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    }
    return wrap(dataset(words), [bytes(coders[syntax](words))], syntax)


SYNTAXES = (ExplicitVRLittleEndian, RLELossless, JPEGLossless, JPEGLSLossless, JPEG2000Lossless)


def words_of(out: Path, dtype: type = np.uint16) -> np.ndarray:
    ds = pydicom.dcmread(out)
    return np.frombuffer(ds.PixelData, dtype)[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("bits", "high"), [(12, 15), (10, 13), (12, 11), (14, 13), (10, 9)])
def test_bits_outside_the_sample_come_back(bits: int, high: int, syntax: str, tmp_path: Path) -> None:
    words = _random.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    ds = encoded(words, syntax)
    ds.BitsStored, ds.HighBit = bits, high
    save(ds, source)
    picture, new = unchanged(source, out)
    assert np.array_equal(words_of(out), words)
    assert (new.BitsStored, new.HighBit) == (bits, high)
    low = np.uint16((1 << bits) - 1)  # of JPEG-LS and JPEG 2000 pydicom gives whole words, of the others what it takes for the sample
    assert np.array_equal(decoded(out) & low, decoded(source) & low)
    mask = ((1 << bits) - 1) << (high - bits + 1)
    passed(picture, out, lambda seen: (seen * 0.8 + 0.1).astype(np.float32))
    after = words_of(out)
    assert np.array_equal(after & ~np.uint16(mask), words & ~np.uint16(mask)), "outside the sample"
    assert (after & mask != words & mask).mean() > 0.5, "the sample itself is restored"
    shown = read(source).frame(0).normalized()[..., 0]
    sample = ((words & mask) >> (high - bits + 1)).astype(float)
    assert np.corrcoef(shown.ravel(), sample.ravel())[0, 1] > 0.999, "a network sees the sample and nothing else"


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize(("bits", "high"), [(12, 15), (10, 15)])
def test_a_narrow_codestream_lies_in_the_low_bits(bits: int, high: int, syntax: str, tmp_path: Path) -> None:
    """HighBit speaks of words that such a codestream doesn't hold; the output says where its samples are."""
    sample = _random.integers(0, 1 << bits, (HEIGHT, WIDTH), dtype=np.uint16)
    if syntax == JPEGLSLossless:
        ds = dataset(sample, bits=bits)
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
    else:
        data = imagecodecs.jpeg2k_encode(sample, codecformat="j2k", reversible=True, level=0, bitspersample=bits)
        ds = wrap(dataset(sample, bits=bits), [bytes(data)], syntax)
    ds.HighBit = high
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(ds, source)
    _, new = unchanged(source, out)
    assert np.array_equal(words_of(out), sample) and new.HighBit == bits - 1
    assert np.array_equal(decoded(out), decoded(source))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLossless])
def test_signed_samples_of_encoded_words(syntax: str, tmp_path: Path) -> None:
    values = _random.integers(-2048, 2048, (HEIGHT, WIDTH), dtype=np.int16)
    ds = encoded(values.view(np.uint16), syntax)
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 1
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(ds, source)
    unchanged(source, out)
    assert np.array_equal(words_of(out, np.int16), values) and np.array_equal(decoded(out), values)


def test_palette_indices_keep_their_upper_bits(tmp_path: Path) -> None:
    words = _random.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    ramp = np.arange(256, dtype=np.uint16) * 257
    tables = {}
    for colour, entries in (("Red", ramp), ("Green", ramp[::-1]), ("Blue", ramp)):
        tables[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tables[f"{colour}PaletteColorLookupTableData"] = entries.astype("<u2").tobytes()
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(dataset(words, bits=8, PhotometricInterpretation="PALETTE COLOR", **tables), source)
    picture, _ = unchanged(source, out)
    assert np.array_equal(words_of(out), words)
    assert np.abs(picture.frame(0).normalized()[..., 0] - (words & 255) / 255).max() < 1e-3
    passed(picture, out, lambda seen: np.clip(seen + np.float32([0.1, -0.1, 0.1]), 0, 1))
    after = words_of(out)
    assert np.array_equal(after & 0xFF00, words & 0xFF00) and (after & 255 > words & 255).mean() > 0.8


@pytest.mark.parametrize(("padding", "limit"), [(0, None), (4_000_000_000, 4_000_000_100), (77_000, None)])
def test_padding_of_32_bits_never_changes(padding: int, limit: int | None, tmp_path: Path) -> None:
    pixels = _random.integers(100_000, 90_000_000, (HEIGHT, WIDTH), dtype=np.uint32)
    pixels[:8] = padding
    pixels[8:10] = limit or padding
    tags = {"PixelPaddingValue": padding} | ({"PixelPaddingRangeLimit": limit} if limit else {})
    ds = dataset(pixels)
    for keyword, value in tags.items():
        ds.add_new(pydicom.datadict.tag_for_keyword(keyword), "US" if value < 65536 else "UL", value)
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(ds, source)
    picture = read(source)
    given = passed(picture, out, lambda seen: (seen * 0.5 + 0.2).astype(np.float32))[0]
    assert np.array_equal(given[:10], pixels[:10])
    assert (given[10:] != pixels[10:]).mean() > 0.9
    low, high = sorted((padding, limit or padding))
    assert not ((given[10:] >= low) & (given[10:] <= high)).any(), "nothing becomes padding"
    assert np.array_equal(decoded(out), given)


def test_encapsulated_pixels_of_one_fragment_and_no_table(tmp_path: Path) -> None:
    words = _random.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)
    ds = dataset(words)
    ds.PixelData = encapsulate([bytes(imagecodecs.jpegls_encode(words))], fragments_per_frame=3, has_bot=False)
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGLSLossless
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(ds, source)
    picture, _ = unchanged(source, out)
    assert picture.frames == 1 and np.array_equal(words_of(out), words)
