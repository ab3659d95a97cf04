"""Headers that lack something, contradict themselves or hold no numbers: completed with a warning, or refused with the mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_samples import dataset, decoded, item, items, save, unchanged, wrap
from pydicom.data import get_testdata_file
from pydicom.uid import JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from restore.images import ImageError, read

_random = np.random.default_rng(21)
GRAY = _random.integers(0, 4096, (30, 44), dtype=np.uint16)
RGB = _random.integers(0, 256, (30, 44, 3), dtype=np.uint8)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(ImageError) as found:
        read(path).frame(0)
    message = str(found.value)
    assert message.startswith(f"{path.name}: ")
    for word in words:
        assert word in message, message
    for jargon in ("object has no attribute", "Python integer", "invalid literal", "NoneType"):
        assert jargon not in message


@pytest.mark.parametrize("shape", [(30, 44), (7, 9), (64, 64)])
def test_packed_samples_are_refused_with_the_mend(shape: tuple[int, int], tmp_path: Path) -> None:
    values = np.resize(GRAY, shape).ravel().astype(np.uint32)
    values = np.append(values, np.zeros(len(values) % 2, np.uint32)).reshape(-1, 2)
    packed = np.stack([values[:, 0] & 255, values[:, 0] >> 8 | (values[:, 1] & 15) << 4, values[:, 1] >> 4], -1).astype(np.uint8)
    ds = dataset(np.resize(GRAY, shape), bits=12, BitsAllocated=12, PixelData=packed.tobytes() + b"\0" * (packed.size % 2))
    refused(save(ds, tmp_path / "a.dcm"), "12-bit", "packed", "BitsAllocated 12", "unpack", "gdcmconv --raw")


@pytest.mark.parametrize(
    ("allocated", "word"),
    [
        (1, "one bit"),
        (4, "BitsAllocated 4"),
        (24, "BitsAllocated 24"),
        (0, "BitsAllocated 0"),
        (None, "BitsAllocated (0028,0100)"),
    ],
)
def test_other_allocations(allocated: int | None, word: str, tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12)
    ds.BitsAllocated = allocated
    refused(save(ds, tmp_path / "a.dcm"), word)


@pytest.mark.parametrize(("high", "word"), [(11, "to 12"), (9, "to 10"), (None, "16 or less")])
@pytest.mark.parametrize("empty", [True, False])
def test_missing_bits_stored(high: int | None, word: str, empty: bool, tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12)
    ds.HighBit = high
    if empty:
        ds.BitsStored = None
    else:
        del ds.BitsStored
    refused(save(ds, tmp_path / "a.dcm"), "BitsStored (0028,0101)", word, "dcmodify")


@pytest.mark.parametrize("stored", [0, 17, 200])
def test_impossible_bits_stored(stored: int, tmp_path: Path) -> None:
    refused(
        save(dataset(GRAY, BitsStored=stored), tmp_path / "a.dcm"),
        f"BitsStored is {stored}",
        "BitsAllocated is 16",
        "dcmodify",
    )


@pytest.mark.parametrize("rle", [False, True])
@pytest.mark.parametrize(
    ("missing", "colour"),
    [
        ("SamplesPerPixel", False),
        ("SamplesPerPixel", True),
        ("PixelRepresentation", False),
        ("PixelRepresentation", True),
        ("HighBit", False),
        ("HighBit", True),
        ("PlanarConfiguration", True),
    ],
)
def test_what_follows_is_completed_with_a_warning(missing: str, colour: bool, rle: bool, tmp_path: Path) -> None:
    pixels = RGB if colour else GRAY
    ds = dataset(pixels, bits=8 if colour else 12)
    if rle:
        ds.compress(RLELossless, generate_instance_uid=False)
    value = 0 if missing == "PlanarConfiguration" else ds[missing].value
    delattr(ds, missing)
    picture, new = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert [w for w in picture.warnings if missing in w and "is missing" in w]
    assert new[missing].value == value and np.array_equal(decoded(tmp_path / "out"), pixels)


@pytest.mark.parametrize("high", [3, 10, 16, 31])
def test_a_high_bit_that_cannot_be(high: int, tmp_path: Path) -> None:
    picture, new = unchanged(save(dataset(GRAY, bits=12, HighBit=high), tmp_path / "a.dcm"), tmp_path / "out")
    assert [w for w in picture.warnings if f"HighBit is {high}" in w]
    assert new.HighBit == 11 and np.array_equal(decoded(tmp_path / "out"), GRAY)


def planted(path: Path, ds: Any, keyword: str, good: bytes, bad: bytes) -> Path:
    """A file in which the text of one element is another one of the same length, which pydicom would not write."""
    save(ds, path)
    data = path.read_bytes()
    assert data.count(good) == 1, keyword
    path.write_bytes(data.replace(good, bad))
    return path


@pytest.mark.parametrize("bad", ["1A      ", "1.5     ", "1\\1     ", "one     "])
def test_numbers_of_frames_that_are_none(bad: str, tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12, NumberOfFrames="12345678")
    path = planted(tmp_path / "a.dcm", ds, "NumberOfFrames", b"12345678", bad.encode())
    refused(path, "NumberOfFrames", f"'{bad.strip()}'", "whole number", "dcmodify")


@pytest.mark.parametrize("good", ["1.000000", "+1      ", "00000001"])
def test_odd_ways_to_write_a_whole_number(good: str, tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12, NumberOfFrames="12345678")
    picture = read(planted(tmp_path / "a.dcm", ds, "NumberOfFrames", b"12345678", good.encode()))
    assert picture.frames == 1 and not picture.warnings and picture.frame(0).stored.shape == GRAY.shape


@pytest.mark.parametrize(
    ("keyword", "good", "bad"),
    [
        ("RescaleSlope", "1.234567", "1,234567"), ("RescaleIntercept", "-1024.12", "minus 1k"), ("WindowCenter", "40.12345", "forty   "),
        ("WindowWidth", "400.1234", "wide\\400"), ("WindowWidth", "400.1234", "4OO     "),
    ],
)  # fmt: skip
def test_values_that_are_no_numbers_are_ignored_and_kept(keyword: str, good: str, bad: str, tmp_path: Path) -> None:
    """Samples are restored as stored: they need neither window nor slope."""
    ds = dataset(GRAY, bits=12, WindowCenter=40, WindowWidth=400)
    setattr(ds, keyword, good)
    path = planted(tmp_path / "a.dcm", ds, keyword, good.encode(), bad.encode())
    picture, _ = unchanged(path, tmp_path / "out")
    assert [w for w in picture.warnings if keyword in w and f"'{bad.strip()}'" in w and "ignored" in w], picture.warnings
    assert np.array_equal(decoded(tmp_path / "out"), GRAY)
    assert bad.encode() in (tmp_path / "out").read_bytes()


@pytest.mark.parametrize(("keyword", "value"), [("Rows", b"\x1e\0\x1e\0"), ("Columns", b"\x2c\0\x2c\0"), ("BitsStored", b"\x0c\0\x0c\0")])
def test_several_values_where_one_belongs(keyword: str, value: bytes, tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12)
    ds[keyword].value = [int.from_bytes(value[:2], "little")] * 2
    refused(save(ds, tmp_path / "a.dcm"), keyword, "whole number", "dcmodify")


def test_garbage_that_no_pixel_depends_on_is_kept(tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12, PatientWeight="71.25000", PixelSpacing=["0.125000", "0.125000"], ExposureTime="12345678")
    path = planted(tmp_path / "a.dcm", ds, "PatientWeight", b"71.25000", b"heavy   ")
    path.write_bytes(path.read_bytes().replace(b"0.125000\\0.125000", b"0,125000\\0,125000").replace(b"12345678", b"1.5     "))
    _, _ = unchanged(path, tmp_path / "out")
    data = (tmp_path / "out").read_bytes()
    assert b"heavy   " in data and b"0,125000\\0,125000" in data
    assert np.array_equal(decoded(tmp_path / "out"), GRAY)


def test_pydicoms_own_bad_value() -> None:
    found = get_testdata_file("badVR.dcm", download=False)
    if found is None:
        pytest.skip("this pydicom doesn't bring the file along")
    refused(Path(str(found)), "NumberOfFrames", "'1A'", "dcmodify")


@pytest.mark.parametrize("model", ["YBR_PARTIAL_422", "HSV", "CMYK", "MONOCHROME"])
def test_other_colour_models(model: str, tmp_path: Path) -> None:
    refused(
        save(dataset(GRAY, PhotometricInterpretation=model), tmp_path / "a.dcm"),
        model,
        "export it as RGB or MONOCHROME2",
    )


def test_float_pixels(tmp_path: Path) -> None:
    ds = dataset(np.zeros((8, 8), np.uint32), FloatPixelData=np.zeros(64, np.float32).tobytes())
    del ds.PixelData
    refused(save(ds, tmp_path / "a.dcm"), "float pixel data", "16 bits")


@pytest.mark.parametrize("missing", ["Rows", "Columns"])
def test_a_missing_size(missing: str, tmp_path: Path) -> None:
    ds = dataset(GRAY)
    delattr(ds, missing)
    refused(save(ds, tmp_path / "a.dcm"), missing, "missing", "dcmodify")


@pytest.mark.parametrize("shape", [(24, 32), (30, 45), (31, 44)])
def test_an_encoded_picture_of_another_size(shape: tuple[int, int], tmp_path: Path) -> None:
    other = _random.integers(0, 4096, shape, dtype=np.uint16)
    ds = wrap(dataset(GRAY, bits=12), [bytes(imagecodecs.jpegls_encode(other))], JPEGLSLossless)
    refused(save(ds, tmp_path / "a.dcm"), f"{shape[1]} x {shape[0]} with 1 sample", "44 x 30 with 1")


def test_an_encoded_picture_of_other_samples(tmp_path: Path) -> None:
    ds = wrap(dataset(GRAY.astype(np.uint8)), [bytes(imagecodecs.jpeg8_encode(RGB))], JPEGBaseline8Bit)
    refused(save(ds, tmp_path / "a.dcm"), "with 3 sample", "the header says 44 x 30 with 1")


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bytes_are_refused_or_read(seed: int, tmp_path: Path) -> None:
    """Nothing but an ImageError comes of a damaged header, and no other value than the file's own of a harmless one."""
    random = np.random.default_rng(seed)
    ds = dataset(GRAY, bits=12, NumberOfFrames=1, WindowCenter=40, WindowWidth=400, PixelSpacing=[0.5, 0.5])
    path = save(ds, tmp_path / "a.dcm")
    data = bytearray(path.read_bytes())
    header = len(data) - GRAY.nbytes
    for at in random.integers(128, header, 3):
        data[at] = random.integers(0, 256)
    path.write_bytes(data)
    try:
        picture = read(path, max_pixels=1_000_000)
        frames = [picture.frame(index).stored for index in range(picture.frames)]
        picture.save(tmp_path / "out", frames)
    except ImageError as error:
        assert str(error).startswith("a.dcm: ")


def test_a_length_that_no_number_has(tmp_path: Path) -> None:
    path = save(dataset(GRAY, bits=12, PixelPaddingValue=7), tmp_path / "a.dcm")
    data = path.read_bytes()
    element = b"\x28\0\x20\x01US\2\0\7\0"
    assert data.count(element) == 1
    path.write_bytes(data.replace(element, b"\x28\0\x20\x01US\3\0\7\0\0"))
    refused(path, "damaged DICOM header", "copy it again")


@pytest.mark.parametrize(
    ("colour", "keyword", "value", "expected"),
    [
        (False, "SamplesPerPixel", 3, "not 1, as MONOCHROME2 needs"),
        (False, "SamplesPerPixel", 2, "not 1, as MONOCHROME2 needs"),
        (True, "SamplesPerPixel", 4, "not 1 or 3, as RGB needs"),
        (False, "PixelRepresentation", 3, "not 0 or 1"),
        (True, "PlanarConfiguration", 7, "not 0 or 1"),
    ],
)
def test_values_that_mean_nothing(colour: bool, keyword: str, value: int, expected: str, tmp_path: Path) -> None:
    ds = dataset(RGB if colour else GRAY, bits=8 if colour else 12)
    setattr(ds, keyword, value)
    refused(save(ds, tmp_path / "a.dcm"), f"{keyword} (0028,", f"is '{value}', {expected}", "dcmodify")


def test_a_missing_colour_model(tmp_path: Path) -> None:
    ds = dataset(GRAY, bits=12)
    del ds.PhotometricInterpretation
    refused(save(ds, tmp_path / "a.dcm"), "without PhotometricInterpretation (0028,0004)", "MONOCHROME2 or RGB")


def test_empty_pixels(tmp_path: Path) -> None:
    refused(save(dataset(GRAY, bits=12, PixelData=b""), tmp_path / "a.dcm"), "pixels are missing", "copy it again")


@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize(("lacks", "tag"), [("LUTDescriptor", "0028,3002"), ("LUTData", "0028,3006")])
def test_a_lookup_table_without_its_parts(sequence: str, lacks: str, tag: str, tmp_path: Path) -> None:
    table = item(LUTDescriptor=[4096, 0, 16], LUTData=np.arange(4096, dtype="<u2").tobytes())
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    delattr(table, lacks)
    refused(save(dataset(GRAY, bits=12, **{sequence: items(table)}), tmp_path / "a.dcm"), f"a lookup table without {lacks} ({tag})")
