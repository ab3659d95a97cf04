"""Camera raw as input (DNG, NEF, CR2, CR3, ARW, RAF, ORF, RW2, ...), developed by LibRaw to RGB of 16 bits.

The camera's white balance, sRGB primaries and curve, no automatic brightness; upright. No result can be raw: choose `--format tiff`.
Kept: EXIF and GPS of files in a TIFF container, without what describes the sensor's own samples. A TIFF is camera raw by its tags, not
by its suffix alone; a suffix of camera raw counts for any TIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore.images import decoding, exif
from restore.images.camera_raw import camera_raw
from restore.images.codecs.base import Codec
from restore.images.errors import ImageError, Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import plain
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.packages import Package

_RAWPY = Package("rawpy", "raw")
_STARTS = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM")
"""Fujifilm, Panasonic, Olympus (three), Foveon, Minolta."""
_AT = ((6, b"HEAPCCDR"), (8, b"CR\x02"), (4, b"ftypcrx "))
"""Canon: CRW, CR2, CR3."""
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_READ_ONLY = "a result can't be camera raw; choose --format tiff"
_ORIENTATION = 274


class RawSource:
    """One camera raw file."""

    copies = False

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path = path
        self.header = ImageHeader("raw", size, 16, metadata=Metadata(exif=_exif(path)), read_only=_READ_ONLY)

    def frame(self, index: int) -> Frame:
        """Develop the picture; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "camera raw"):
            height, width = self.header.size
            stored = decoding.call(develop, self.path, samples=12 * height * width, coded=self.path.stat().st_size)
            if stored.shape != (height, width, 3):
                what = f"{stored.shape[1]} x {stored.shape[0]} pixels instead of {width} x {height}"
                raise image_error(self.path, f"its sensor's layout is not supported ({what}); develop it to a 16-bit TIFF first")
            return Frame(stored, plain(stored))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Raise ImageError: nothing writes camera raw."""
        raise ImageError(f"{self.path.name}: {_READ_ONLY}")


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of the developed picture, for a decoding process. Raises what rawpy raises."""
    with _RAWPY.load().imread(str(path)) as raw:
        sizes = raw.sizes
        if raw.raw_image_visible is None or sizes.pixel_aspect != 1:
            raise ValueError("no sensor of square pixels")
        return (sizes.iwidth, sizes.iheight) if sizes.flip in (5, 6) else (sizes.iheight, sizes.iwidth)


def develop(path: Path) -> np.ndarray:
    """(H, W, 3) uint16 in sRGB, upright, for a decoding process. Raises what rawpy raises."""
    rawpy = _RAWPY.load()
    with rawpy.imread(str(path)) as raw:
        developed = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, output_bps=16, output_color=rawpy.ColorSpace.sRGB, gamma=(2.4, 12.92)
        )  # fmt: skip
    return np.ascontiguousarray(developed)


def _exif(path: Path) -> bytes | None:
    """The descriptive tags, EXIF and GPS of a file in a TIFF container, upright; None where it has none."""
    with path.open("rb") as file:
        start = file.read(8)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 8 or start[6:8] == b"HE":
            return None

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count)

        found = exif.parse(read, struct.unpack_from(order + "I", start, 4)[0], order)
    kept = [entry for entry in found.entries if entry.code in exif.DESCRIPTIVE]
    return exif.block(replace(found, entries=kept), order) if kept or found.below else None


class RawCodec(Codec):
    """Camera raw."""

    name = "raw"
    suffixes = (
        ".dng", ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".iiq", ".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef",
        ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    )  # fmt: skip
    needs = _RAWPY

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as a format of cameras does that is no TIFF."""
        return head.startswith(_STARTS) or any(head.startswith(magic, offset) for offset, magic in _AT)

    def recognizes(self, path: Path, head: bytes) -> bool:
        """The same, or a TIFF that is camera raw by its suffix or its tags."""
        if self.sniff(head):
            return True
        if not head.startswith(_TIFFS):
            return False
        try:
            return path.suffix.lower() in self.suffixes or camera_raw(path) is not None
        except struct.error:  # a damaged TIFF
            return False

    def open(self, path: Path, limits: Limits) -> RawSource:
        """Read the header; ImageError as `read` says."""
        with as_image_error(path, "camera raw"):
            height, width = decoding.call(read_size, path, samples=1 << 26, coded=path.stat().st_size)
        check_size(path, height, width, limits.max_pixels)
        return RawSource(path, (height, width))
