"""Which format a file has, by its content, and the call that opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from restore.images import bmp, dicom, jpeg, png, pnm, tiff, webp
from restore.images.errors import MAX_PIXELS, Limits, damaged
from restore.images.picture import Picture, Source, refuse


class Format(NamedTuple):
    """One row of FORMATS."""

    sniff: Callable[[bytes], bool]
    open: Callable[[Path, Limits], Source]
    suffixes: tuple[str, ...]


FORMATS: dict[str, Format] = {
    # first, because DICOM's preamble may pretend to be another format (TIFF, in whole-slide files)
    "dicom": Format(
        dicom.sniff,
        lambda path, limits: dicom.open_source(path, limits.max_pixels),
        (".dcm", ".dicom", ".dic", ".ima"),
    ),
    "png": Format(png.sniff, png.open_source, (".png",)),
    "jpeg": Format(jpeg.sniff, jpeg.open_source, (".jpg", ".jpeg", ".jpe", ".jfif")),
    "tiff": Format(tiff.sniff, tiff.open_source, (".tif", ".tiff", ".btf")),
    "webp": Format(webp.sniff, webp.open_source, (".webp",)),
    "bmp": Format(bmp.sniff, bmp.open_source, (".bmp", ".dib")),
    "pgm": Format(pnm.sniff, pnm.open_source, (".pgm", ".ppm", ".pbm", ".pnm")),
}
"""Every format, in the order in which a file's first bytes are asked."""

SUFFIXES: frozenset[str] = frozenset(suffix for row in FORMATS.values() for suffix in row.suffixes)
"""Lower-case suffixes of the files that a folder walk should offer to `read`. DICOM files often have none: see `sniff`."""

_FOREIGN = {
    b"GIF8": "a GIF animation or picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or office document",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop document",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a JPEG 2000 stream",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML text",
    b"<!DOC": "a web page",
    b"<html": "a web page",
    b"PF": "a PFM picture",
    b"P7": "a PAM picture",
}


def sniff(path: Path) -> str | None:
    """The name of the format that the file's first bytes announce, or None; None as well if it can't be read."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return None
    return _format(start)


def by_name(path: Path) -> bool | None:
    """Whether a file's name says that it is a picture: yes by its suffix, no, or None where only the content can tell.

    DICOM files often have no suffix, or a UID for a name, which ends in a number.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    return False if (suffix and not suffix[1:].isdigit()) or path.name.upper() == "DICOMDIR" else None


def is_dicom(path: Path) -> bool:
    """Whether a file carries DICOM's mark after the preamble.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _format(start: bytes) -> str | None:
    return next((name for name, row in FORMATS.items() if row.sniff(start)), None)


def read(path: Path, *, max_pixels: int = MAX_PIXELS, salvage: bool = False) -> Picture:
    """Open a picture of any supported format, decided by its content, not its suffix. Pixels aren't decoded yet.

    ImageError, naming the file and the reason: no such file, a directory, no permission, empty, no picture at all, a
    header that is damaged or claims more than `max_pixels` pixels a frame, a kind of picture that isn't supported.
    A picture of which pixels are missing is refused too, unless `salvage`: then what is there is read, and its warnings say what isn't.
    """
    path = Path(path)
    with damaged(path, "file"):
        if path.is_dir():
            raise refuse(path, "a directory, not a picture")
        if path.exists() and not path.is_file():
            raise refuse(path, "not an ordinary file")
        with path.open("rb") as file:
            start = file.read(512)
        if not start:
            raise refuse(path, "an empty file; copy it again")
        name = _format(start)
        if name is None:
            raise refuse(path, f"not a picture that restore reads ({_what(start)}); it reads {', '.join(FORMATS)}")
        return Picture(path, FORMATS[name].open(path, Limits(max_pixels, salvage)))


def _what(start: bytes) -> str:
    """A guess at what a file is instead."""
    for magic, what in _FOREIGN.items():
        if start.startswith(magic):
            return f"it is {what}"
    if start[4:12] in (b"ftypheic", b"ftypmif1", b"ftypavif", b"ftypheix"):
        return "it is a HEIF or AVIF picture"
    if not any(start):
        return "its first bytes are all zero"
    text = sum(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start)
    return "it is text" if text > 0.95 * len(start) else "its first bytes belong to no known format"
