"""Files that no codec reads: what they are, by their first bytes and suffix, and what would help the user.

Magic numbers come from the formats' specifications. Rasters of samples count as pictures; drawings (SVG), documents, videos and icons do
not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import NamedTuple

from restore.images import iso_media


class Kind(NamedTuple):
    """What a file is ("a QOI picture"), what its owner can do, and whether it is a picture."""

    what: str
    mend: str
    picture: bool = True


class Marks(NamedTuple):
    """What tells that a file is of a kind.

    Attributes:
        start: bytes at the file's start, any of these.
        at: (offset, bytes), any of these.
        suffixes: of this kind only: they name a broken file too.
    """

    start: tuple[bytes, ...] = ()
    at: tuple[tuple[int, bytes], ...] = ()
    suffixes: tuple[str, ...] = ()


PNG, TIFF, FLOAT, FRAMES = (
    "convert it to PNG or TIFF first",
    "convert it to a 16-bit TIFF first",
    "convert it to a TIFF of 32-bit floats first",
    "save its frames as PNG or TIFF first",
)
CANON_RAW = b"crx "
"""The brand of CR3 files."""
VIDEO = Kind("a video", "extract its frames as PNG or TIFF first", False)

KINDS: Mapping[Kind, Marks] = {
    Kind("a JPEG XR picture", PNG): Marks((b"II\xbc\x01",), suffixes=(".jxr", ".wdp", ".hdp")),
    Kind("an MNG animation", FRAMES): Marks((b"\x8aMNG\r\n\x1a\n",)),
    Kind("a JNG picture", PNG): Marks((b"\x8bJNG\r\n\x1a\n",)),
    Kind("a Photoshop document (PSD)", "export it as TIFF or PNG first"): Marks((b"8BPS",), suffixes=(".psd", ".psb")),
    Kind("a GIMP document (XCF)", "export it as TIFF or PNG first"): Marks((b"gimp xcf",)),
    Kind("a Radiance HDR picture", FLOAT): Marks((b"#?RADIANCE", b"#?RGBE")),
    Kind("a FITS picture", FLOAT): Marks((b"SIMPLE  =",), suffixes=(".fits", ".fts")),
    Kind("a NIfTI pair of .hdr and .img", "save it as one file (.nii)"): Marks(at=((344, b"ni1\0"), (4, b"ni2\0"))),
    Kind("an NRRD volume", FLOAT): Marks((b"NRRD000",)),
    Kind("a MetaImage volume", FLOAT): Marks((b"ObjectType = Image",)),
    Kind("a Zeiss CZI picture", "export it as OME-TIFF first"): Marks((b"ZISRAWFILE",)),
    Kind("a DPX frame", TIFF): Marks((b"SDPX", b"XPDS")),
    Kind("a QOI picture", PNG): Marks((b"qoif",)),
    Kind("a FLIF picture", PNG): Marks((b"FLIF",)),
    Kind("a BPG picture", PNG): Marks((b"BPG\xfb",)),
    Kind("a DDS texture", PNG): Marks((b"DDS \x7c\0\0\0",)),
    Kind("a Sun raster picture", PNG): Marks((b"\x59\xa6\x6a\x95",)),
    Kind("an XPM icon", PNG, False): Marks((b"/* XPM */",)),
    Kind("an icon", PNG, False): Marks((b"\0\0\1\0", b"icns")),
    Kind("a mouse pointer", PNG, False): Marks((b"\0\0\2\0",)),
    Kind("a PDF document", "extract its pictures as PNG or TIFF first", False): Marks((b"%PDF",)),
    Kind("a ZIP archive or office document", "unpack it first", False): Marks((b"PK\x03\x04",)),
    Kind("a 7z archive", "unpack it first", False): Marks((b"7z\xbc\xaf\x27\x1c",)),
    Kind("a RAR archive", "unpack it first", False): Marks((b"Rar!\x1a\x07",)),
    Kind("a tar archive", "unpack it first", False): Marks(at=((257, b"ustar"),)),
    Kind("a gzip archive", "unpack it first", False): Marks((b"\x1f\x8b",)),
    Kind("an office document or a cache of thumbnails", "name the pictures themselves", False): Marks(
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
    ),
    VIDEO: Marks((b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3"), ((8, b"AVI "),)),
    Kind("a pointer of Git LFS", "fetch the picture with `git lfs pull`", False): Marks((b"version https://git-lfs",)),
    Kind("an SVG drawing", "render it as PNG first", False): Marks((b"<svg",)),
    Kind("an XML text", "name the picture itself", False): Marks((b"<?xml",)),
    Kind("a web page", "download the picture itself", False): Marks((b"<!DOC", b"<!doc", b"<html")),
}
"""Kind -> its marks; the first kind whose bytes match counts."""
SUFFIXES: Mapping[str, Kind] = {suffix: kind for kind, marks in KINDS.items() for suffix in marks.suffixes}
VIDEO_SUFFIXES = frozenset((".mjpg", ".mjpeg"))
"""A video that begins like a JPEG picture."""


def foreign(start: bytes, name: str) -> Kind | None:
    """The kind of a file that no codec reads, by its first bytes (512 are enough) and its name; None for other files.

    The suffix decides for broken pictures.
    """
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    last = suffixes[-1] if suffixes else ""
    if start[4:8] == b"ftyp":
        return None if iso_media.codec_brand(start) or start[8:12] == CANON_RAW else VIDEO
    for test, kind in _TESTS:
        if test(start, last):
            return kind
    for kind, marks in KINDS.items():
        if start.startswith(marks.start) or any(start.startswith(magic, offset) for offset, magic in marks.at):
            return kind
    if last in VIDEO_SUFFIXES:
        return VIDEO
    return SUFFIXES.get(last) if _may_go_by_suffix(start) else None


def described(start: bytes) -> Kind:
    """A guess at a file whose first bytes (at least one) belong to no known format."""
    if not any(start):
        return Kind("empty of data: its first bytes are all zero", "copy it again", False)
    if is_text(start):
        return Kind("text", "name the picture itself", False)
    return Kind("of an unknown kind: its first bytes belong to no known format", "convert it to PNG or TIFF first", False)


def is_text(start: bytes) -> bool:
    """Whether bytes are ASCII text, or nearly so."""
    return sum(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start) > 0.95 * len(start)


def _may_go_by_suffix(start: bytes) -> bool:
    ours = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*")
    return not start.startswith(ours) and not (start and is_text(start))


def _pcx(start: bytes, suffix: str) -> bool:
    return suffix in (".pcx", ".pcc") and len(start) >= 4 and start[0] == 10 and start[1] <= 5 and start[2] <= 1


def _analyze(start: bytes, suffix: str) -> bool:
    """The header of an Analyze 7.5 pair. The samples lie in the .img file next to it, which has no mark. That of a NIfTI pair has one."""
    is_nifti = start[344:348] == b"ni1\0"
    return suffix == ".hdr" and len(start) >= 348 and start[:4] in (b"\x5c\1\0\0", b"\0\0\1\x5c") and not is_nifti


_TESTS: tuple[tuple[Callable[[bytes, str], bool], Kind], ...] = (
    (_pcx, Kind("a PCX picture", PNG)),
    (_analyze, Kind("an Analyze volume", FLOAT)),
)
