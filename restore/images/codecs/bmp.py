"""BMP: 1 to 32 bits a pixel, palettes and alpha included.

An unchanged picture is the same file. Kept when the pixels change: channels, depth (1 bit, 8-bit gray, 24 and 32 bits), alpha,
resolution, an embedded ICC profile. Not kept then: run-length coding, 16- and 32-bit packing without alpha and a coloured
palette (written with 24 bits), and the version of the header.
Missing rows of a picture without run-length coding are refused, or 0 with a warning if `salvage`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import BmpImagePlugin, Image

from restore.images import colour_profiles
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.errors import SALVAGE, Limits, as_image_error, check_size, image_error, missing_share, quiet
from restore.images.frame import Frame
from restore.images.mappings import plain, with_maximum
from restore.images.metadata import ImageHeader, Metadata, Provenance

_V5 = 124
"""Bytes of the header's fifth version."""
_EMBEDDED = b"DEBM"
_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)


def _with_alpha(stored: np.ndarray, dpi: tuple[float, float]) -> bytes:
    """A BMP with a version 4 header, whose masks define alpha. (Pillow writes no such header and loses alpha.)"""
    height, width = stored.shape[:2]
    pixels = np.ascontiguousarray(stored[::-1, :, [2, 1, 0, 3]]).tobytes()
    x, y = (min(int(v / 0.0254 + 0.5), 0x7FFFFFFF) for v in dpi)  # what a damaged header says may not fit
    head = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(pixels), x, y, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + head + masks + pixels


def _row(bits: int, width: int) -> int:
    return (width * bits + 31) // 32 * 4


def _layout(start: bytes) -> tuple[int, int, int]:
    """The offset of the rows, bits a pixel, and the kind of compression."""
    (pixels,) = struct.unpack_from("<I", start, 10)
    if struct.unpack_from("<I", start, 14)[0] == 12:
        return pixels, struct.unpack_from("<H", start, 24)[0], 0
    bits, compression = struct.unpack_from("<HI", start, 28)
    return pixels, bits, compression


def _missing(path: Path, size: tuple[int, int]) -> str:
    """Which rows are missing; empty where none are, and for run-length coding, where they cannot be counted."""
    with path.open("rb") as file:
        pixels, bits, compression = _layout(file.read(34).ljust(34, b"\0"))
    if compression not in (0, 3, 6):
        return ""
    rows, row, used = abs(size[0]), _row(bits, size[1]), (size[1] * bits + 7) // 8
    left = path.stat().st_size - pixels
    there = max(0, min(rows, (left + row - used) // row))  # the padding of the last row may be missing
    if there == rows:
        return ""
    first = there if size[0] < 0 else 0  # ordinary BMPs begin with the lowest row
    return missing_share(first, rows, rows - there)


class BmpSource:
    """One BMP file."""

    def __init__(self, path: Path, size: tuple[int, int], mode: str, dpi: tuple[float, float] | None) -> None:
        self.path, self._mode, self._dpi = path, mode, dpi
        self.copies = True
        """False for a picture with missing rows: what is written is complete."""
        self.header = ImageHeader("bmp", size, 1 if mode == "1" else 8, metadata=Metadata(icc=_profile(path), dpi=dpi))

    def broken(self, warning: str) -> None:
        """Rows are missing, and are read as 0."""
        self.copies = False
        self.header = replace(self.header, warnings=(warning,))

    def _whole(self) -> io.BytesIO:
        """The file with zeros for the bytes that are missing at its end: less than a row's padding, unless it is `broken`."""
        data = self.path.read_bytes()
        pixels, bits, compression = _layout(data.ljust(34, b"\0"))
        row = _row(bits, self.header.size[1])
        size = pixels + row * self.header.size[0]
        if compression in (0, 3, 6) and len(data) < size:
            there = (len(data) - pixels) // row * row if not self.copies else len(data) - pixels
            data = data[: pixels + max(0, there)].ljust(size, b"\0")
        return io.BytesIO(data)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "BMP"), quiet, BmpImagePlugin.BmpImageFile(self._whole()) as image:
            image.load()
            picture: Image.Image = image.convert("RGB") if image.mode == "P" else image
            stored = np.asarray(picture)
            if image.mode == "1":
                return Frame(stored.astype(np.uint8), with_maximum(1))
            return Frame(stored.copy(), plain(stored))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        metadata = self.header.metadata.rescaled(provenance.scale, provenance.size_of(self.header))
        icc, bilevel = metadata.icc, self._mode == "1"
        if provenance.coloured and icc is not None:
            icc = colour_profiles.in_colour(icc)
        write_bmp(path, only_frame(frames, self.path), bilevel=bilevel and not provenance.coloured, dpi=metadata.dpi, icc=icc)


def _profile(path: Path) -> bytes | None:
    """The ICC profile that a version 5 header embeds."""
    with path.open("rb") as file:
        start = file.read(14 + _V5)
        if len(start) < 14 + _V5 or struct.unpack_from("<I", start, 14)[0] < _V5 or start[70:74] != _EMBEDDED:
            return None
        offset, size = struct.unpack_from("<II", start, 126)
        file.seek(14 + offset)
        found = file.read(min(size, 1 << 24))
    return found if found and len(found) == size else None


def write_bmp(
    path: Path,
    stored: np.ndarray,
    *,
    bilevel: bool = False,
    dpi: tuple[float, float] | None = None,
    icc: bytes | None = None,
) -> None:
    """Write (H, W), (H, W, 3) or (H, W, 4) uint8 (or 0/1 if `bilevel`) as a BMP."""
    if stored.ndim == 3 and stored.shape[-1] == 4:
        data = _with_alpha(stored, dpi or (0, 0))
    else:
        image = Image.fromarray(stored.astype(bool) if bilevel else np.ascontiguousarray(stored))
        extra: dict[str, object] = {"dpi": dpi} if dpi else {}
        buffer = io.BytesIO()
        image.save(buffer, "BMP", **extra)
        data = buffer.getvalue()
    path.write_bytes(_with_profile(data, icc) if icc else data)


def _with_profile(data: bytes, icc: bytes) -> bytes:
    """The same BMP with a version 5 header and an ICC profile at its end."""
    (old,) = struct.unpack_from("<I", data, 14)
    (pixels,) = struct.unpack_from("<I", data, 10)
    header = bytearray(data[14 : 14 + old].ljust(_V5, b"\0"))
    struct.pack_into("<I", header, 0, _V5)
    header[56:60] = _EMBEDDED
    struct.pack_into("<IIII", header, 108, 4, _V5 + len(data) - 14 - old, len(icc), 0)
    size = 14 + _V5 + len(data) - 14 - old + len(icc)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, pixels + _V5 - old) + bytes(header) + data[14 + old :] + icc


class BmpCodec(Codec):
    """BMP."""

    name = "bmp"
    suffixes = (".bmp", ".dib")
    capabilities = Capabilities(bits=8, gray_alpha=False)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as BMP does, with a header of a known size."""
        return head.startswith(b"BM") and len(head) >= 18 and 12 <= struct.unpack_from("<I", head, 14)[0] <= 256

    def is_certain(self, head: bytes) -> bool:
        """Whether `head` leaves no doubt."""
        return self.sniff(head) and struct.unpack_from("<I", head, 14)[0] in _HEADER_SIZES

    def open(self, path: Path, limits: Limits) -> BmpSource:
        """Read the header; ImageError as `read` says."""
        with path.open("rb") as file:
            start = file.read(30)
        (header,) = struct.unpack_from("<I", start, 14)
        if len(start) < 30:
            raise image_error(path, "truncated BMP (its header breaks off); copy it again")
        if header == 12:
            width, height = struct.unpack_from("<HH", start, 18)
        else:
            width, height = struct.unpack_from("<ii", start, 18)
        check_size(path, abs(height), width, limits.max_pixels)
        with as_image_error(path, "BMP"), quiet, BmpImagePlugin.BmpImageFile(path) as image:
            source = BmpSource(path, (abs(height), width), image.mode, image.info.get("dpi"))
        found = _missing(path, (height, width))
        if found:
            if not limits.salvage:
                raise image_error(path, f"truncated BMP ({found}); copy it again{SALVAGE}")
            source.broken(f"{found}: they are 0, the rest was restored")
        return source

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        write_bmp(path, only_frame(frames, path), dpi=header.metadata.dpi, icc=header.metadata.icc)
