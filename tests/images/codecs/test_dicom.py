"""DICOM: real files and made ones of every kind go in and come out as valid, derived DICOM."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, item, items, save, wrap
from picture_samples import passed, stored
from PIL import Image as PillowImage
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from restore.images import ImageError, read
from restore.images.errors import quiet

_random = np.random.default_rng(3)
ROWS, COLUMNS = 33, 41


def make(path: Path, *, bits: int = 12, signed: bool = False, syntax: Any = ExplicitVRLittleEndian, **tags: Any) -> np.ndarray:
    """Write a small gray object; its (ROWS, COLUMNS) samples."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    dtype = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    pixels = _random.integers(low, high, (ROWS, COLUMNS), dtype=dtype, endpoint=True)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3.4"
    ds.PatientName, ds.PatientID, ds.Modality = "Röntgen^Wilhelm", "1845", "DX"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (
        dtype.itemsize * 8,
        bits,
        bits - 1,
        int(signed),
    )
    block = ds.private_block(0x0009, "RESTORE TEST", create=True)
    block.add_new(1, "LO", "private")
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    ds.PixelData = pixels.astype(dtype.newbyteorder(">") if syntax == ExplicitVRBigEndian else dtype).tobytes()
    ds["PixelData"].VR = "OW" if dtype.itemsize > 1 else "OB"
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        ds.compress(syntax, generate_instance_uid=False)
    else:
        ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)
    return pixels


def check_derived(source: Path, out: Path, given: list[np.ndarray]) -> Dataset:
    """`out` is valid DICOM with the samples given, the geometry of the source and an identity of its own."""
    with quiet:
        old, new = pydicom.dcmread(source, force=True), pydicom.dcmread(out)
        pixels = pixel_array(new, raw=True)
        for dataset in (old, new):  # decodes every element here, where the oddities of real files do not warn
            list(dataset.iterall())
    for keyword in (
        "Rows",
        "Columns",
        "BitsStored",
        "BitsAllocated",
        "HighBit",
        "PixelRepresentation",
        "NumberOfFrames",
    ):
        assert new.get(keyword) == old.get(keyword), keyword
    assert np.array_equal(pixels.reshape(np.stack(given).shape), np.stack(given))
    assert new.SOPInstanceUID != old.get("SOPInstanceUID") and new.SOPInstanceUID.is_valid
    assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
    assert list(new.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    assert list(new.ImageType)[2:] == list(old.get("ImageType") or [])[2:]
    assert "made in a test" in new.DerivationDescription and "strength=1" in new.DerivationDescription
    if old.get("SOPInstanceUID") and old.get("SOPClassUID"):
        assert new.SourceImageSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    told = {
        "SOPInstanceUID",
        "ImageType",
        "DerivationDescription",
        "SourceImageSequence",
        "PixelData",
        "PlanarConfiguration",
    }
    told |= {"PhotometricInterpretation", "LossyImageCompression", "SmallestImagePixelValue", "LargestImagePixelValue"}
    with quiet:
        for element in old:
            if element.keyword not in told:
                assert element.tag in new, element
    return new


KINDS: dict[str, dict[str, Any]] = {
    **{f"{bits} bits": {"bits": bits} for bits in (8, 10, 12, 14, 15, 16)},
    **{f"{bits} bits signed": {"bits": bits, "signed": True} for bits in (8, 12, 16)},
    "MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2000, "WindowWidth": 3000},
    "implicit": {"syntax": ImplicitVRLittleEndian},
    "big endian": {"syntax": ExplicitVRBigEndian},
    "deflated": {"syntax": DeflatedExplicitVRLittleEndian},
    "RLE": {"syntax": RLELossless},
    "JPEG-LS": {"syntax": JPEGLSLossless},
    "JPEG 2000": {"syntax": JPEG2000Lossless},
    "padding": {"PixelPaddingValue": 0, "SmallestImagePixelValue": 0, "LargestImagePixelValue": 4095},
    "CT": {"signed": True, "bits": 16, "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": [40, 400], "WindowWidth": [400, 1500]},
    "sigmoid": {"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": "SIGMOID"},
    "high bits": {"bits": 12, "HighBit": 11},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_made_files(kind: str, tmp_path: Path) -> None:
    source, out = tmp_path / "source.dcm", tmp_path / "out"
    pixels = make(source, **KINDS[kind])
    picture = read(source)
    assert (picture.format, picture.size, picture.modality, picture.radiograph) == (
        "dicom",
        (ROWS, COLUMNS),
        "DX",
        True,
    )
    assert picture.bits == KINDS[kind].get("bits", 12)
    given = passed(picture, out)
    assert np.array_equal(given[0], pixels) and given[0].dtype == pixels.dtype
    new = check_derived(source, out, given)
    assert new.PhotometricInterpretation == KINDS[kind].get("PhotometricInterpretation", "MONOCHROME2")
    assert new.PatientName == "Röntgen^Wilhelm" and new[0x0009, 0x1001].value in ("private", b"private ")
    # brighter stays inside the stored range, and is brighter for the eye
    brighter = passed(read(source), out, lambda seen: (seen + 0.1).astype(np.float32))
    check_derived(source, out, brighter)
    before, after = picture.frame(0), read(out).frame(0)
    gain = before.mapping.decode(after.stored) - before.normalized()
    assert gain.min() >= -1e-5 and np.median(gain) >= 0


def test_a_network_sees_what_a_viewer_shows(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    pixels = make(path, bits=12, RescaleSlope=2, RescaleIntercept=-100, WindowCenter=4000, WindowWidth=9000)
    ds = pydicom.dcmread(path)
    viewer = apply_voi_lut(apply_modality_lut(pixels, ds), ds)
    low, high = -100, 2 * 4095 - 100
    seen = read(path).frame(0).normalized()[..., 0]
    assert np.allclose(seen, (viewer - low) / (high - low), atol=1e-3)


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_of_big_endian_files_are_read_in_their_order(keyword: str, tmp_path: Path) -> None:
    pixels, seen = np.arange(4096, dtype=np.uint16).reshape(64, 64), []
    for syntax, order in ((ExplicitVRLittleEndian, "<"), (ExplicitVRBigEndian, ">")):
        table = item(LUTDescriptor=[4096, 0, 16])
        table.add_new(0x00283006, "OW", (np.arange(4096) ** 2 // 256).astype(f"{order}u2").tobytes())
        ds = dataset(pixels, bits=12, **{keyword: items(table)})
        ds.PixelData = pixels.astype(f"{order}u2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
        seen.append(read(save(ds, tmp_path / f"{order == '<'}.dcm")).frame(0).normalized())
    assert np.array_equal(*seen) and np.ptp(seen[0]) > 0.9


def test_a_compressed_icon_is_left_out(tmp_path: Path) -> None:
    """Pixels in a file whose syntax is not compressed must not be so (PS3.5, A.4)."""
    stream = io.BytesIO()
    PillowImage.fromarray(np.zeros((64, 64), np.uint8)).save(stream, "JPEG")
    icon = item(Rows=64, Columns=64, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, SamplesPerPixel=1,
                PhotometricInterpretation="MONOCHROME2", PixelData=encapsulate([stream.getvalue()]))  # fmt: skip
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    ds = wrap(dataset(np.zeros((64, 64), np.uint8), IconImageSequence=items(icon)), [stream.getvalue()], JPEGBaseline8Bit)
    picture = read(save(ds, tmp_path / "a.dcm"))
    assert any("icon" in text for text in picture.warnings)
    passed(picture, tmp_path / "b.dcm")
    assert "IconImageSequence" not in pydicom.dcmread(tmp_path / "b.dcm")
    icon.PixelData = bytes(64 * 64)
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", False
    picture = read(save(dataset(np.zeros((64, 64), np.uint8), IconImageSequence=items(icon)), tmp_path / "c.dcm"))
    passed(picture, tmp_path / "d.dcm")
    assert not picture.warnings and "IconImageSequence" in pydicom.dcmread(tmp_path / "d.dcm")


def test_monochrome1_is_seen_inverted_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1.dcm", tmp_path / "2.dcm"
    pixels = make(one, PhotometricInterpretation="MONOCHROME1", WindowCenter=2048, WindowWidth=4096)
    seen = read(one).frame(0).normalized()[..., 0]
    assert np.corrcoef(seen.ravel(), pixels.ravel().astype(float))[0, 1] < -0.99
    given = passed(read(one), two, lambda s: np.clip(s + 0.1, 0, 1).astype(np.float32))
    assert (given[0] <= pixels).all() and given[0].mean() < pixels.mean() - 100


def test_padding_stays_and_nothing_becomes_padding(tmp_path: Path) -> None:
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    pixels = make(source, bits=8, PixelPaddingValue=10, PixelPaddingRangeLimit=12, WindowCenter=128, WindowWidth=256)
    given = passed(read(source), out, lambda seen: np.full_like(seen, 11 / 255))
    was, now = (pixels >= 10) & (pixels <= 12), (given[0] >= 10) & (given[0] <= 12)
    assert np.array_equal(was, now) and np.array_equal(pixels[was], given[0][was])


def test_bits_outside_the_sample_are_not_looked_at(tmp_path: Path) -> None:
    """Old files keep overlays in the bits above the sample; they must neither show nor get lost."""
    clean, marked, out = tmp_path / "a.dcm", tmp_path / "b.dcm", tmp_path / "out"
    make(clean, bits=12, WindowCenter=2048, WindowWidth=4096)
    ds = pydicom.dcmread(clean)
    words = np.frombuffer(ds.PixelData, np.uint16).copy()
    words[::3] |= 0x8000
    ds.PixelData = words.tobytes()
    ds.save_as(marked)
    assert np.array_equal(read(clean).frame(0).normalized(), read(marked).frame(0).normalized())
    passed(read(marked), out, lambda seen: (seen * 0.5).astype(np.float32))
    after = np.frombuffer(pydicom.dcmread(out).PixelData, np.uint16)
    assert np.array_equal(after & 0xF000, words & 0xF000) and (after != words).any()
    (warning,) = read_all(marked)
    assert warning.startswith("33 % of its samples have bits outside BitsStored (12)")
    ds.add_new((0x6000, 0x0010), "US", ds.Rows)  # an overlay that lies in these bits
    ds.save_as(marked)
    assert not read_all(marked)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_an_extended_sign_is_part_of_the_sample(syntax: str, tmp_path: Path) -> None:
    pixels = make(tmp_path / "a.dcm", bits=12, signed=True, syntax=syntax)
    assert pixels.min() < 0 and not read_all(tmp_path / "a.dcm")


def read_all(path: Path) -> list[str]:
    """The warnings of a picture after its first frame was decoded."""
    picture = read(path)
    picture.frame(0)
    return picture.warnings


def test_the_same_settings_give_the_same_object(tmp_path: Path) -> None:
    source = tmp_path / "a.dcm"
    make(source)
    picture = read(source)
    for name, settings in (("1", "x"), ("2", "x"), ("3", "y")):
        picture.save(tmp_path / name, [picture.frame(0).stored], settings=settings)
    one, two, three = (tmp_path / name for name in "123")
    assert one.read_bytes() == two.read_bytes()
    assert pydicom.dcmread(one).SOPInstanceUID != pydicom.dcmread(three).SOPInstanceUID


def test_missing_values_are_tolerated(tmp_path: Path) -> None:
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    make(source)
    ds = pydicom.dcmread(source)
    for keyword in ("Modality", "ImageType", "SOPInstanceUID", "PatientName"):
        delattr(ds, keyword)
    ds.WindowCenter, ds.WindowWidth = "", ""
    ds.save_as(source)
    picture = read(source)
    assert picture.modality is None and picture.radiograph is False
    check_derived(source, out, passed(picture, out))


def test_a_file_without_preamble(tmp_path: Path) -> None:
    source, out = tmp_path / "a", tmp_path / "out"
    make(source, syntax=ImplicitVRLittleEndian)
    ds = pydicom.dcmread(source)
    ds.file_meta, ds.preamble = FileMetaDataset(), None
    ds.save_as(source, implicit_vr=True, little_endian=True)
    assert source.read_bytes()[:2] == b"\x08\x00"
    check_derived(source, out, passed(read(source), out))


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["12 bits", "implicit", "deflated", "RLE", "JPEG-LS", "JPEG 2000"])
def test_truncated_files(kind: str, cut: float, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    make(path, **KINDS[kind])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(ImageError):
        read(path).frame(0)


BUNDLED = {
    "MR_small_RLE.dcm": "MONOCHROME2",
    "MR_small_bigendian.dcm": "MONOCHROME2",
    "JPGExtended.dcm": "MONOCHROME2",
    "SC_rgb_jpeg_gdcm.dcm": "RGB",
    "SC_rgb_rle_16bit_2frame.dcm": "RGB",
    "SC_rgb_small_odd.dcm": "RGB",
    "SC_rgb_small_odd_big_endian.dcm": "RGB",
    "SC_rgb_jpeg.dcm": "RGB",
    "SC_rgb_jpeg_lossy_gdcm.dcm": "YBR_FULL",
    "SC_ybr_full_422_uncompressed.dcm": "YBR_FULL_422",
    "GDCMJ2K_TextGBR.dcm": "RGB",
    "image_dfl.dcm": "MONOCHROME2",
    "examples_palette.dcm": "PALETTE COLOR",
}
"""pydicom's own test files -> the colour model they come out with."""


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_files(name: str, tmp_path: Path) -> None:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip("this pydicom doesn't bring the file along")
    source, out = Path(str(found)), tmp_path / "out"
    picture = read(source)
    given = passed(picture, out)
    for one, other in zip(given, stored(source), strict=True):
        assert np.array_equal(one, other)
    assert check_derived(source, out, given).PhotometricInterpretation == BUNDLED[name]
    changed = passed(picture, out, lambda seen: np.clip(seen * 0.9 + 0.05, 0, 1).astype(np.float32))
    for one, other in zip(changed, stored(out), strict=True):
        if BUNDLED[name] != "YBR_FULL_422":  # whose chroma is shared by two pixels
            assert np.array_equal(one, other)


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "rtplan.dcm", "liver_1frame.dcm", "test-SR.dcm", "badVR.dcm", "rtdose.dcm"])
def test_bundled_files_that_are_refused(name: str) -> None:
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.skip("this pydicom doesn't bring the file along")
    with pytest.raises(ImageError, match=name):
        read(Path(str(found))).frame(0)


@pytest.mark.parametrize("syntax", [MPEG2MPML, "1.2.840.10008.1.2.4.92", "1.2.826.0.1.3680043.9.9999"])
def test_what_no_decoder_is_known_for_is_refused_with_the_mend(syntax: str, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    make(path)
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([bytes(64)])
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path, implicit_vr=False, little_endian=True)
    before = path.read_bytes()
    with pytest.raises(ImageError, match=r"film\.dcm.*transfer syntax.*can't be decoded; convert it first"):
        read(path)
    assert path.read_bytes() == before


SMALL = (
    "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm",
    "XA1_JLSN.dcm",
    "XA1_JPLY.dcm",
    "RI6XDosiGap.dcm",
)
LARGE = (
    "CR-ModalitySequenceLUT.dcm", "HasFragmentSequence.dcm", "RG2_J2KI.dcm", "RG2_JLSL.dcm", "RG3_J2KI.dcm",
    "RG3_JLSL.dcm", "RG3_JPLL.dcm", "RG3_RLE.dcm", "XA1_J2KR.dcm",
)  # fmt: skip


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE)])
def test_real_files(name: str, dicoms: Path, tmp_path: Path) -> None:
    source, out = dicoms / name, tmp_path / "out"
    picture = read(source)
    given = passed(picture, out)
    new = check_derived(source, out, given)
    with quiet:
        assert new.PhotometricInterpretation == pydicom.dcmread(source).PhotometricInterpretation
    assert picture.radiograph is True
