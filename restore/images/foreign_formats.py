"""Files that no codec reads: what they are, by their first bytes and suffix, and what would help the user.

Magic numbers come from the formats' specifications. Rasters of samples count as pictures; drawings (SVG), documents, videos and icons do
not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import PurePath
from typing import NamedTuple


class Kind(NamedTuple):
    """What a file is ("a GIF picture"), what its owner can do, and whether it is a picture."""

    what: str
    mend: str
    picture: bool = True


PNG, TIFF, FLOAT, FRAMES = (
    "convert it to PNG or TIFF first",
    "convert it to TIFF first",
    "convert it to a TIFF of 32-bit floats first",
    "save its frames as PNG or TIFF first",
)
RAW = Kind("a camera raw file", "develop it to a 16-bit TIFF first")
HEIF = Kind("a HEIC or HEIF picture", PNG)
AVIF = Kind("an AVIF picture", PNG)
JPEG2000 = Kind("a JPEG 2000 picture", PNG)
TGA = Kind("a TGA picture", PNG)
VIDEO = Kind("a video", "extract its frames as PNG or TIFF first", False)
ANALYZE = Kind("an Analyze volume", FLOAT)
NIFTI = Kind("a NIfTI volume", FLOAT)

MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"IIU\0", RAW),  # Panasonic RW2
    *((0, mark, RAW) for mark in (b"IIRO", b"IIRS", b"MMOR")),  # Olympus ORF
    (0, b"FOVb", RAW),
    (0, b"\0MRM", RAW),
    (6, b"HEAPCCDR", RAW),
    (8, b"CR\x02", RAW),
    (0, b"\xff\x0a", Kind("a JPEG XL picture", PNG)),
    (0, b"\0\0\0\x0cJXL ", Kind("a JPEG XL picture", PNG)),
    (0, b"\0\0\0\x0cjP  ", JPEG2000),
    (0, b"\xff\x4f\xff\x51", JPEG2000),
    (0, b"II\xbc\x01", Kind("a JPEG XR picture", PNG)),
    (0, b"GIF8", Kind("a GIF picture", FRAMES)),
    (0, b"\x8aMNG\r\n\x1a\n", Kind("an MNG animation", FRAMES)),
    (0, b"\x8bJNG\r\n\x1a\n", Kind("a JNG picture", PNG)),
    (0, b"8BPS", Kind("a Photoshop document (PSD)", "export it as TIFF or PNG first")),
    (0, b"gimp xcf", Kind("a GIMP document (XCF)", "export it as TIFF or PNG first")),
    (0, b"\x76\x2f\x31\x01", Kind("an OpenEXR picture", FLOAT)),
    (0, b"#?RADIANCE", Kind("a Radiance HDR picture", FLOAT)),
    (0, b"#?RGBE", Kind("a Radiance HDR picture", FLOAT)),
    (0, b"SIMPLE  =", Kind("a FITS picture", FLOAT)),
    (344, b"n+1\0", NIFTI),
    (344, b"ni1\0", NIFTI),
    (4, b"n+2\0", NIFTI),
    (4, b"ni2\0", NIFTI),
    (0, b"NRRD000", Kind("an NRRD volume", FLOAT)),
    (0, b"ObjectType = Image", Kind("a MetaImage volume", FLOAT)),
    (0, b"ZISRAWFILE", Kind("a Zeiss CZI picture", "export it as OME-TIFF first")),
    (0, b"SDPX", Kind("a DPX frame", "convert it to a 16-bit TIFF first")),
    (0, b"XPDS", Kind("a DPX frame", "convert it to a 16-bit TIFF first")),
    (0, b"qoif", Kind("a QOI picture", PNG)),
    (0, b"FLIF", Kind("a FLIF picture", PNG)),
    (0, b"BPG\xfb", Kind("a BPG picture", PNG)),
    (0, b"DDS \x7c\0\0\0", Kind("a DDS texture", PNG)),
    (0, b"\x59\xa6\x6a\x95", Kind("a Sun raster picture", PNG)),
    (0, b"/* XPM */", Kind("an XPM icon", PNG, False)),
    (0, b"\0\0\1\0", Kind("an icon", PNG, False)),
    (0, b"\0\0\2\0", Kind("a mouse pointer", PNG, False)),
    (0, b"icns", Kind("an icon", PNG, False)),
    (0, b"%PDF", Kind("a PDF document", "extract its pictures as PNG or TIFF first", False)),
    (0, b"PK\x03\x04", Kind("a ZIP archive or office document", "unpack it first", False)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", "unpack it first", False)),
    (0, b"Rar!\x1a\x07", Kind("a RAR archive", "unpack it first", False)),
    (257, b"ustar", Kind("a tar archive", "unpack it first", False)),
    (0, b"\x1f\x8b", Kind("a gzip archive", "unpack it first", False)),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("an office document or a cache of thumbnails", "name the pictures themselves", False)),
    (0, b"\x1aE\xdf\xa3", VIDEO),
    (8, b"AVI ", VIDEO),
    (0, b"\0\0\1\xba", VIDEO),
    (0, b"\0\0\1\xb3", VIDEO),
    (0, b"version https://git-lfs", Kind("a pointer of Git LFS", "fetch the picture with `git lfs pull`", False)),
    (0, b"<svg", Kind("an SVG drawing", "render it as PNG first", False)),
    (0, b"<?xml", Kind("an XML text", "name the picture itself", False)),
    (0, b"<!DOC", Kind("a web page", "download the picture itself", False)),
    (0, b"<!doc", Kind("a web page", "download the picture itself", False)),
    (0, b"<html", Kind("a web page", "download the picture itself", False)),
)
"""(offset, bytes, kind); the first match counts."""

BRANDS: dict[bytes, Kind] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"), HEIF),
    **dict.fromkeys((b"avif", b"avis", b"miaf", b"MA1A", b"MA1B"), AVIF),
    b"crx ": RAW,
}
"""What an ISO base media file (ISO/IEC 14496-12) holds, by its brand."""

RAW_SUFFIXES = frozenset(
    (
        ".3fr",
        ".arw",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".iiq",
        ".k25",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    )
)
"""Camera raw. Most of these are TIFF files whose first picture is a thumbnail."""

SUFFIXES: dict[str, Kind] = {
    **dict.fromkeys(RAW_SUFFIXES, RAW),
    **dict.fromkeys((".heic", ".heif", ".hif"), HEIF),
    ".avif": AVIF,
    ".jxl": Kind("a JPEG XL picture", PNG),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf"), JPEG2000),
    **dict.fromkeys((".jxr", ".wdp", ".hdp"), Kind("a JPEG XR picture", PNG)),
    ".gif": Kind("a GIF picture", FRAMES),
    **dict.fromkeys((".psd", ".psb"), Kind("a Photoshop document (PSD)", "export it as TIFF or PNG first")),
    ".exr": Kind("an OpenEXR picture", FLOAT),
    **dict.fromkeys((".fits", ".fts"), Kind("a FITS picture", FLOAT)),
    ".nii": NIFTI,
}
"""Suffixes of one kind of file only: they name a broken file too."""

VIDEO_SUFFIXES = frozenset((".mjpg", ".mjpeg"))
"""A video that begins like a JPEG picture."""


def foreign(start: bytes, name: str) -> Kind | None:
    """The kind of a file that no codec reads, by its first bytes (512 are enough) and its name; None for other files.

    The suffix decides for TIFF files with a camera's raw suffix, for TGA (which has no magic number), and for broken pictures.
    """
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes]
    last = suffixes[-1] if suffixes else ""
    if start.startswith(b"\x1f\x8b") and suffixes[-2:] == [".nii", ".gz"]:
        return NIFTI
    media = _ftyp(start)
    if media is not None:
        return media
    for test, kind in _TESTS:  # before the icons: a TGA file may begin with their mark
        if test(start, last):
            return kind
    for offset, magic, kind in MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return kind
    if last in VIDEO_SUFFIXES:
        return VIDEO
    return SUFFIXES.get(last) if _may_go_by_suffix(start, last) else None


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


def _may_go_by_suffix(start: bytes, suffix: str) -> bool:
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return suffix in RAW_SUFFIXES
    ours = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"BM")
    return not start.startswith(ours) and not (start and is_text(start))


def _ftyp(start: bytes) -> Kind | None:
    """What an ISO base media file is: a picture by its major brand, else a video."""
    if start[4:8] != b"ftyp":
        return None
    size = min(int.from_bytes(start[:4], "big"), len(start))
    brands = [start[8:12], *(start[at : at + 4] for at in range(16, size - 3, 4))]
    kind = BRANDS.get(brands[0], VIDEO)
    return AVIF if kind is HEIF and brands[0] in (b"mif1", b"msf1") and {b"avif", b"avis"} & set(brands) else kind


def _pfm(start: bytes, _suffix: str) -> bool:
    return re.match(rb"P[Ff]\s+[0-9]+\s+[0-9]+\s+[-+.0-9eE]+\s", start) is not None


def _pam(start: bytes, _suffix: str) -> bool:
    return re.match(rb"P7\s(\s*#[^\n]*\n)*\s*(WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE)\s", start) is not None


def _pcx(start: bytes, suffix: str) -> bool:
    return suffix in (".pcx", ".pcc") and len(start) >= 4 and start[0] == 10 and start[1] <= 5 and start[2] <= 1


def _tga(start: bytes, suffix: str) -> bool:
    if suffix not in (".tga", ".targa", ".icb", ".vda", ".vst") or len(start) < 18:
        return False
    width, height, depth = struct.unpack_from("<HHB", start, 12)
    kind = start[2] in (1, 2, 3, 9, 10, 11) and start[1] <= 1
    return bool(kind and width and height and depth in (8, 15, 16, 24, 32))


def _analyze(start: bytes, suffix: str) -> bool:
    """The header of an Analyze 7.5 pair. The samples lie in the .img file beside it, which has no mark."""
    return suffix == ".hdr" and len(start) >= 348 and start[:4] in (b"\x5c\1\0\0", b"\0\0\1\x5c")


_TESTS: tuple[tuple[Callable[[bytes, str], bool], Kind], ...] = (
    (_pfm, Kind("a PFM picture", FLOAT)),
    (_pam, Kind("a PAM picture", "convert it to PPM, PNG or TIFF first")),
    (_pcx, Kind("a PCX picture", PNG)),
    (_tga, TGA),
    (_analyze, ANALYZE),
)
