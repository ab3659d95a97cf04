"""The formats: one file (or package) and one row of `CODECS` each.

Reading, writing, `--format`, folder walking and the lists of suffixes all come from this table.
"""

from __future__ import annotations

from pathlib import Path

from restore.images.codecs.avif.codec import AvifCodec
from restore.images.codecs.base import Codec
from restore.images.codecs.bmp import BmpCodec
from restore.images.codecs.dicom.codec import DicomCodec
from restore.images.codecs.exr.codec import ExrCodec
from restore.images.codecs.gif import GifCodec
from restore.images.codecs.heif.codec import HeifCodec
from restore.images.codecs.jpeg.codec import JpegCodec
from restore.images.codecs.jpeg2000 import Jpeg2000Codec
from restore.images.codecs.jpegxl.codec import JpegXlCodec
from restore.images.codecs.nifti.codec import NiftiCodec
from restore.images.codecs.npy import NpyCodec
from restore.images.codecs.pam import PamCodec
from restore.images.codecs.pfm import PfmCodec
from restore.images.codecs.png.codec import PngCodec
from restore.images.codecs.pnm import PnmCodec
from restore.images.codecs.raw import RawCodec
from restore.images.codecs.tga import TgaCodec
from restore.images.codecs.tiff.codec import TiffCodec
from restore.images.codecs.webp.codec import WebpCodec
from restore.images.errors import ImageError

CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        DicomCodec(),  # first, because DICOM's preamble may pretend to be another format (TIFF, in whole-slide files)
        PngCodec(),
        JpegCodec(),
        RawCodec(),  # before TIFF, which most of its files are
        TiffCodec(),
        WebpCodec(),
        BmpCodec(),
        PnmCodec(),
        PamCodec(),
        PfmCodec(),
        NpyCodec(),
        GifCodec(),
        Jpeg2000Codec(),
        JpegXlCodec(),
        AvifCodec(),
        HeifCodec(),
        ExrCodec(),
        NiftiCodec(),
        TgaCodec(),  # last, because its first bytes are no mark
    )
}
"""Every format by its name, in the order in which a file's first bytes are asked."""

TARGETS: dict[str, Codec] = {name: codec for name, codec in CODECS.items() if codec.capabilities is not None}
"""The formats that a picture can be converted to."""

SUFFIXES: frozenset[str] = frozenset(suffix for codec in CODECS.values() for suffix in codec.suffixes)
"""Lower-case suffixes of the formats. What a folder walk offers to `read` is decided by content: see `discovery.look`."""

COLOUR_SUFFIXES: dict[str, str] = {gray: colour for codec in CODECS.values() for gray, colour in codec.colour_suffixes.items()}
"""Suffixes that mean gray -> those that the results of a step in colour get."""


def recognized(path: Path, head: bytes) -> Codec | None:
    """The codec that opens the file `path` with these first bytes (512 are enough), or None."""
    return next((codec for codec in CODECS.values() if codec.recognizes(path, head)), None)


def suffix_of(name: str) -> str:
    """The suffix of a picture format at the end of a file's name, as the name spells it (".nii.gz"); else its last suffix."""
    found = max((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), key=len, default="")
    return name[len(name) - len(found) :] if 0 < len(found) < len(name) else Path(name).suffix


def target(name: str) -> Codec:
    """The format to convert to.

    Raises:
        ImageError: there is none of that name.
    """
    if name not in TARGETS:
        raise ImageError(f"can't write the format {name!r}; choose one of {', '.join(TARGETS)}")
    return TARGETS[name]


def format_name(text: str) -> str:
    """The name in `TARGETS` of what a user calls a format, by name or suffix: "png", "JPG", ".tif".

    Raises:
        ValueError: there is no such format, or its package is missing.
    """
    asked = text.lower().lstrip(".")
    for name, codec in TARGETS.items():
        if asked == name or f".{asked}" in codec.suffixes:
            if codec.needs is not None and codec.needs.missing:
                raise ValueError(f"{name} can't be written: {codec.needs.missing}")
            return name
    raise ValueError(f"unknown format {text!r}: use one of {', '.join(TARGETS)}")
