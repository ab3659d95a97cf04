"""Every frame that the pixels hold is restored, whatever NumberOfFrames says."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, decoded, save, unchanged, wrap
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    XRayAngiographicImageStorage,
)

from restore.images import ImageError, read

_random = np.random.default_rng(6)


def film(frames: int, height: int = 37, width: int = 45, *channels: int, bits: int = 12) -> np.ndarray:
    dtype = np.uint16 if bits > 8 else np.uint8
    return _random.integers(0, 1 << bits, (frames, height, width, *channels), dtype=dtype)


def tell(ds: Dataset, said: int | None) -> Dataset:
    if said is None:
        del ds.NumberOfFrames
    else:
        ds.NumberOfFrames = said
    return ds


def check(source: Path, out: Path, pixels: np.ndarray, said: int | None) -> None:
    picture, new = unchanged(source, out)
    assert picture.frames == len(pixels)
    assert new.NumberOfFrames == len(pixels) and np.array_equal(decoded(out), pixels)
    was = "is missing" if said is None else f"says {said}"
    assert [w for w in picture.warnings if was in w and f"{len(pixels)} frames" in w], picture.warnings


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize(("frames", "said"), [(3, None), (3, 2), (7, 1), (5, 0)])
def test_uncompressed(frames: int, said: int | None, syntax: str, tmp_path: Path) -> None:
    pixels = film(frames)
    ds = tell(dataset(pixels, bits=12, sop_class=XRayAngiographicImageStorage), said)
    ds.file_meta.TransferSyntaxUID = syntax
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, said or None)


def test_big_endian(tmp_path: Path) -> None:
    pixels = film(4)
    ds = tell(dataset(pixels, bits=12, PixelData=pixels.astype(">u2").tobytes()), 3)
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, 3)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_of_odd_size(planar: int, tmp_path: Path) -> None:
    pixels = film(3, 5, 7, 3, bits=8)
    stored = np.moveaxis(pixels, -1, 1) if planar else pixels
    ds = tell(dataset(pixels, PlanarConfiguration=planar, PixelData=stored.tobytes() + b"\0"), None)
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, None)


CODERS = {
    RLELossless: None,
    JPEGLSLossless: imagecodecs.jpegls_encode,
    JPEG2000Lossless: lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
}


def frames_of(pixels: np.ndarray, syntax: str) -> list[bytes]:
    if syntax == RLELossless:
        whole = dataset(pixels)
        whole.compress(RLELossless, generate_instance_uid=False)
        return list(pydicom.encaps.generate_frames(whole.PixelData, number_of_frames=len(pixels)))
    return [bytes(CODERS[syntax](frame)) for frame in pixels]


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("syntax", CODERS)
@pytest.mark.parametrize(("frames", "said"), [(3, None), (4, 2), (2, 1)])
def test_encapsulated(frames: int, said: int | None, syntax: str, table: bool, tmp_path: Path) -> None:
    pixels = film(frames)
    ds = tell(wrap(dataset(pixels, bits=16), frames_of(pixels, syntax), syntax, table=table), said)
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, said)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_frames_of_several_fragments_without_table(syntax: str, tmp_path: Path) -> None:
    pixels = film(3)
    ds = tell(wrap(dataset(pixels), [b"\0\0"], syntax), None)
    ds.PixelData = encapsulate(frames_of(pixels, syntax), fragments_per_frame=3, has_bot=False)
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, None)


@pytest.mark.parametrize("padding", [b"\0", b" ", b"\xff", b"\0" * 9, b"\xff\0"])
@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_frames_that_are_padded(syntax: str, padding: bytes, tmp_path: Path) -> None:
    pixels = film(2)
    ds = tell(wrap(dataset(pixels), [frame + padding for frame in frames_of(pixels, syntax)], syntax), None)
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, None)


def test_extended_offset_table(tmp_path: Path) -> None:
    pixels = film(3)
    ds = tell(wrap(dataset(pixels), [b"\0\0"], JPEGLSLossless), 1)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames_of(pixels, JPEGLSLossless))
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, 1)


def test_lossy_colour_film(tmp_path: Path) -> None:
    pixels = film(3, 48, 64, 3, bits=8) // 8 + np.arange(64, dtype=np.uint8)[:, None] * 3
    data = [bytes(imagecodecs.jpeg8_encode(frame, level=95)) for frame in pixels]
    right = save(wrap(dataset(pixels), data, JPEGBaseline8Bit), tmp_path / "right.dcm")
    source, out = tmp_path / "a.dcm", tmp_path / "out"
    save(tell(wrap(dataset(pixels), data, JPEGBaseline8Bit, table=False), None), source)
    check(source, out, decoded(right), None)


@pytest.mark.parametrize(("frames", "said"), [(1, 1), (1, None), (3, 3)])
def test_what_fits_is_not_warned_of(frames: int, said: int | None, tmp_path: Path) -> None:
    pixels = film(frames)
    ds = dataset(pixels if frames > 1 else pixels[0], bits=12)
    if said is not None:
        ds.NumberOfFrames = said
    picture = read(save(ds, tmp_path / "a.dcm"))
    assert picture.frames == frames and not picture.warnings


@pytest.mark.parametrize("extra", [2, 100, 37 * 45 * 2 - 2])
def test_padding_behind_the_pixels_is_no_frame(extra: int, tmp_path: Path) -> None:
    pixels = film(1)[0]
    ds = dataset(pixels, bits=12)
    ds.PixelData += bytes(extra)
    picture, _ = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert picture.frames == 1 and not picture.warnings and np.array_equal(decoded(tmp_path / "out"), pixels)


@pytest.mark.parametrize(("frames", "said"), [(2, 3), (1, 2)])
@pytest.mark.parametrize("rle", [False, True])
def test_too_few_pixels_are_refused(frames: int, said: int, rle: bool, tmp_path: Path) -> None:
    pixels = film(frames)
    ds = dataset(pixels)
    if rle:
        ds = wrap(ds, frames_of(pixels, RLELossless), RLELossless)
    path = save(tell(ds, said), tmp_path / "a.dcm")
    with pytest.raises(ImageError, match=r"a\.dcm"):
        picture = read(path)
        for index in range(picture.frames):
            picture.frame(index)


def _refusal(ds: Dataset, path: Path) -> str:
    """The message of the first frame that is refused."""
    with pytest.raises(ImageError) as refused:  # opening may refuse it, or any of its frames
        picture = read(save(ds, path))
        for index in range(picture.frames):
            picture.frame(index)
    return str(refused.value)


@pytest.mark.parametrize("table", ["basic", "extended", "none"])
@pytest.mark.parametrize("syntax", CODERS)
@pytest.mark.parametrize(("frames", "said"), [(2, 3), (1, 3), (5, 9)])
def test_missing_encapsulated_frames_are_counted(frames: int, said: int, syntax: str, table: str, tmp_path: Path) -> None:
    pixels = film(frames)
    streams = frames_of(pixels, syntax)
    ds = tell(wrap(dataset(pixels), streams, syntax, table=table == "basic"), said)
    if table == "extended":
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    assert _refusal(ds, tmp_path / "a.dcm") == f"a.dcm: truncated DICOM ({frames} of its {said} frames are there); copy it again"


def test_missing_frames_of_several_fragments_are_counted(tmp_path: Path) -> None:
    pixels = film(2)
    ds = tell(wrap(dataset(pixels), [b"\0\0"], JPEGLSLossless), 3)
    ds.PixelData = encapsulate(frames_of(pixels, JPEGLSLossless), fragments_per_frame=3, has_bot=True)
    assert "truncated DICOM (2 of its 3 frames are there)" in _refusal(ds, tmp_path / "a.dcm")


def test_a_table_that_lacks_frames_which_are_there_is_not_a_truncated_file(tmp_path: Path) -> None:
    pixels = film(3)
    streams = frames_of(pixels, JPEGLSLossless)
    ds = wrap(dataset(pixels), streams, JPEGLSLossless, table=False)
    ds.PixelData = b"\xfe\xff\0\xe0\x04\0\0\0" + bytes(4) + ds.PixelData[8:]
    assert "truncated" not in _refusal(ds, tmp_path / "a.dcm")


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize(("frames", "words"), [(3, "2 of its 3 frames are there"), (1, "pixels are missing at its end")])
def test_missing_uncompressed_pixels_are_said_the_same_way(frames: int, words: str, colour: bool, tmp_path: Path) -> None:
    pixels = film(frames, 20, 30, *((3,) if colour else ()), bits=8)
    ds = dataset(pixels if frames > 1 else pixels[0])
    ds.PixelData = ds.PixelData[: -pixels[0].size // 2 // 2 * 2]
    assert _refusal(ds, tmp_path / "a.dcm") == f"a.dcm: truncated DICOM ({words}); copy it again"


@pytest.mark.parametrize("left", ["ExtendedOffsetTable", "ExtendedOffsetTableLengths"])
def test_half_an_extended_offset_table_is_ignored(left: str, tmp_path: Path) -> None:
    pixels = film(3)
    ds = wrap(dataset(pixels), [b"\0\0"], JPEGLSLossless)
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames_of(pixels, JPEGLSLossless))
    lacks = ({"ExtendedOffsetTable", "ExtendedOffsetTableLengths"} - {left}).pop()
    delattr(ds, lacks)
    picture, _ = unchanged(save(ds, tmp_path / "a.dcm"), tmp_path / "out")
    assert np.array_equal(decoded(tmp_path / "out"), pixels)
    assert picture.warnings == [f"{lacks} is missing; {left} is of no use without it, and is ignored."]


def test_chroma_that_is_not_halved_is_no_further_frame(tmp_path: Path) -> None:
    """YBR_FULL_422 over full-size chroma: half as many bytes again as expected, which for two frames is a third."""
    pixels = film(2, 32, 32, 3, bits=8)
    path = save(dataset(pixels, PhotometricInterpretation="YBR_FULL_422"), tmp_path / "a.dcm")
    picture = read(path)
    assert picture.frames == 2
    with pytest.raises(ImageError, match="RGB"):
        picture.frame(0)


def test_an_enhanced_object_of_frames_without_groups(tmp_path: Path) -> None:
    """Positions exist for the frames that the header knew; the others are restored all the same."""
    pixels = film(3)
    position = Dataset()
    position.ImagePositionPatient = [1, 2, 3]
    group = Dataset()
    group.PlanePositionSequence = [position]
    ds = tell(dataset(pixels, bits=12, PerFrameFunctionalGroupsSequence=[group]), 1)
    check(save(ds, tmp_path / "a.dcm"), tmp_path / "out", pixels, 1)
