"""Boxes of ISO base media files (ISO/IEC 14496-12), which JPEG 2000, JPEG XL, HEIF and AVIF are made of, and the brands of the last two."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"))
AVIF_BRANDS = frozenset((b"avif", b"avis", b"miaf", b"MA1A", b"MA1B"))
_GENERIC = (b"mif1", b"mif2", b"msf1")


class Box(NamedTuple):
    """One box: its type, and where its content lies in the bytes that it was found in."""

    kind: bytes
    start: int
    end: int

    def content(self, data: bytes) -> bytes:
        """The bytes inside."""
        return data[self.start : self.end]


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that follow each other in `data`.

    Raises:
        ValueError: one of them breaks off.
    """
    end = len(data) if end is None else end
    while start < end:
        if start + 8 > end:
            raise ValueError("a box breaks off")
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            (size,), head = struct.unpack_from(">Q", data, start + 8), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise ValueError(f"the box {kind.decode('latin-1')!r} breaks off")
        yield Box(kind, start + head, start + size)
        start += size


def box(kind: bytes, *contents: bytes) -> bytes:
    """A box of these contents."""
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *contents)


def codec_brand(head: bytes) -> str:
    """ "heif" or "avif" for a file that begins with `head`; "" for other files."""
    if head[4:8] != b"ftyp":
        return ""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    major, others = head[8:12], {head[at : at + 4] for at in range(16, size - 3, 4)}
    if major in AVIF_BRANDS or (major in _GENERIC and others & {b"avif", b"avis"}):
        return "avif"
    return "heif" if major in HEIF_BRANDS else ""
