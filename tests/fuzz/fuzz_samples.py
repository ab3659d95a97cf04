"""Small valid files of every codec and DICOM transfer syntax, made on the fly: what the fuzz suite mutates."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_extended
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from restore.images.errors import quiet

_IMAGES = Path(__file__).resolve().parents[1] / "images"
if str(_IMAGES) not in sys.path:
    sys.path.insert(0, str(_IMAGES))

import dicom_samples  # noqa: E402
import format_samples  # noqa: E402
import picture_samples  # noqa: E402

SUFFIXES = {
    ".png": "png", ".jpg": "jpeg", ".tif": "tiff", ".webp": "webp", ".bmp": "bmp", ".pgm": "pnm", ".pbm": "pnm", ".ppm": "pnm",
    ".tga": "tga", ".pfm": "pfm", ".pam": "pam", ".npy": "npy", ".gif": "gif", ".exr": "exr",
    ".heic": "heif",
    ".jxl": "jpegxl", ".avif": "avif", ".jp2": "jpeg2000", ".j2k": "jpeg2000", ".dng": "raw", ".nii": "nifti", ".gz": "nifti",
}  # fmt: skip
KINDS = frozenset(SUFFIXES.values())
"""The kinds of pictures other than DICOM."""
BUNDLED = ("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm")
"""Files that come with pydicom, small ones of real scanners."""


@dataclass(frozen=True)
class Sample:
    """A valid file. `kind` is its codec, and with DICOM the transfer syntax: "tiff", "dicom JPEG-LS"."""

    name: str
    kind: str
    data: bytes


@cache
def samples() -> tuple[Sample, ...]:
    """Every sample, in an order that never changes."""
    with tempfile.TemporaryDirectory() as scratch:
        return (*_pictures(Path(scratch)), *_dicoms(Path(scratch)))


@cache
def kinds() -> dict[str, list[Sample]]:
    """The samples by kind."""
    found: dict[str, list[Sample]] = {}
    for sample in samples():
        found.setdefault(sample.kind, []).append(sample)
    return found


def _pictures(scratch: Path) -> Iterator[Sample]:
    more: dict[str, Callable[[Path], None]] = {
        "group3.tif": picture_samples.pillow(picture_samples.G8 > 127, compression="group3"),
        "ccitt-rle.tif": picture_samples.pillow(picture_samples.G8 > 127, compression="tiff_ccitt"),
        "big-tiled.tif": picture_samples.tiff(picture_samples.G16, bigtiff=True, tile=(16, 16), compression="lzw", byteorder=">"),
        "exif.jpg": picture_samples.pillow(picture_samples.RGB8, exif=_exif(), dpi=(300, 300)),
        "restart.jpg": picture_samples.pillow(picture_samples.RGB8, restart_marker_rows=1),
        "exif.png": picture_samples.pillow(picture_samples.RGB8, exif=_exif()),
        "exif.webp": picture_samples.pillow(picture_samples.RGB8, exif=_exif(), lossless=True),
    }
    for name, make in {**picture_samples.ALL, **format_samples.READ_ONLY, **more}.items():
        path = scratch / name
        make(path)
        yield Sample(name, SUFFIXES[path.suffix], path.read_bytes())


def _exif() -> bytes:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture made in a test"
    return exif.tobytes()


def _dicoms(scratch: Path) -> Iterator[Sample]:
    gray, wide, colour = picture_samples.G8, picture_samples.G16, picture_samples.RGB8
    frames = np.stack([wide, wide[::-1]])

    def saved(name: str, kind: str, made: Dataset) -> Sample:
        path = scratch / f"{name}.dcm"
        dicom_samples.save(made, path)
        with quiet:  # again, and with the preamble that most files have
            made.save_as(path, enforce_file_format=True)
        return Sample(path.name, f"dicom {kind}", path.read_bytes())

    plain = {
        "implicit": ImplicitVRLittleEndian, "explicit": ExplicitVRLittleEndian, "big-endian": ExplicitVRBigEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
    }  # fmt: skip
    for name, syntax in plain.items():
        for what, pixels in (("gray", gray), ("frames", frames)):
            made = dicom_samples.dataset(pixels, WindowCenter=100, WindowWidth=400, RescaleSlope=2, RescaleIntercept=-5)
            if syntax == ExplicitVRBigEndian:
                made = _swapped(pixels)
            made.file_meta.TransferSyntaxUID = syntax
            yield saved(f"{name}-{what}", name, made)
    for kind, syntax, encode in _CODINGS:
        for what, pixels in (("gray", gray), ("wide", wide), ("colour", colour)):
            if (pixels.dtype.itemsize > 1 and syntax == JPEGBaseline8Bit) or (pixels.ndim == 3 and kind in _GRAY_ONLY):
                continue
            stream = bytes(encode(pixels))
            yield saved(f"{kind}-{what}", kind, dicom_samples.wrap(dicom_samples.dataset(pixels), [stream], syntax))
    for what, pixels in (("gray", gray), ("wide", wide), ("colour", colour), ("frames", frames)):
        packed = dicom_samples.dataset(pixels)
        packed.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        yield saved(f"rle-{what}", "RLE", packed)
    both = [bytes(imagecodecs.jpegls_encode(frame)) for frame in frames]
    yield saved("jpegls-frames", "JPEG-LS", dicom_samples.wrap(dicom_samples.dataset(frames), both, JPEGLSLossless))
    extended = dicom_samples.wrap(dicom_samples.dataset(frames), both, JPEGLSLossless)
    extended.PixelData, extended.ExtendedOffsetTable, extended.ExtendedOffsetTableLengths = encapsulate_extended(both)
    yield saved("jpegls-extended", "JPEG-LS", extended)
    for name in BUNDLED:
        yield Sample(name, "dicom bundled", Path(str(get_testdata_file(name))).read_bytes())


def _swapped(pixels: np.ndarray) -> Dataset:
    """An object whose pixels are in big-endian words."""
    made = dicom_samples.dataset(pixels)
    made.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    return made


_GRAY_ONLY = ("JPEG lossless",)
_CODINGS: tuple[tuple[str, UID, Callable[[np.ndarray], bytes]], ...] = (
    ("JPEG baseline", JPEGBaseline8Bit, lambda a: imagecodecs.jpeg8_encode(a, level=85)),
    ("JPEG lossless", JPEGLosslessSV1, imagecodecs.ljpeg_encode),
    ("JPEG-LS", JPEGLSLossless, imagecodecs.jpegls_encode),
    ("JPEG-LS near", JPEGLSNearLossless, lambda a: imagecodecs.jpegls_encode(a, level=2)),
    ("JPEG 2000", JPEG2000Lossless, lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0)),
    ("JPEG 2000 lossy", JPEG2000, lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=False, level=40)),
    ("HTJ2K", HTJ2KLossless, lambda a: imagecodecs.htj2k_encode(a, reversible=True)),
    ("HTJ2K lossy", HTJ2K, lambda a: imagecodecs.htj2k_encode(a, reversible=False)),
)
