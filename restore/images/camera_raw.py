"""Camera raw in a TIFF container (DNG, NEF, CR2, ARW, PEF, ...), so that its thumbnail is not taken for the picture."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from restore.images.exif import Entry, parse

_DNG_VERSION, _MAKE, _PHOTOMETRIC, _SUBFILE, _SUBIFDS = 50706, 271, 262, 254, 330
_CFA_PATTERN = (33422, 33421)
_CFA, _LINEAR_RAW = 32803, 34892
_MAKERS = {
    "nikon": "NEF", "sony": "ARW", "pentax": "PEF", "ricoh": "PEF", "canon": "CR2", "samsung": "SRW", "olympus": "ORF",
    "hasselblad": "3FR", "epson": "ERF", "mamiya": "MEF", "kodak": "DCR", "eastman": "DCR", "leaf": "MOS", "phase one": "IIQ",
    "panasonic": "RW2", "leica": "RWL",
}  # fmt: skip


def camera_raw(path: Path) -> str | None:
    """What kind of camera raw a TIFF file is ("DNG", "NEF", ...), or None for a picture."""
    with path.open("rb") as file:
        start = file.read(16).ljust(16, b"\0")
        if start[8:10] == b"CR" and start[:4] == b"II*\0":
            return "CR2"
        if start[8:16] in (b"IIIITwaR", b"MMMMRawT"):
            return "IIQ"
        first, others = _directories(file, start)
    if _DNG_VERSION in first.tags:
        return "DNG"
    raw = any(d.number(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW) or any(code in d.tags for code in _CFA_PATTERN) for d in (first, *others))
    maker = first.tags[_MAKE].data.rstrip(b"\0 ").decode("latin-1") if _MAKE in first.tags else ""
    thumbnail = first.number(_SUBFILE) & 1 and any(not d.number(_SUBFILE) & 1 and d.area > first.area for d in others)
    if not raw and not (maker and thumbnail):
        return None
    return next((kind for name, kind in _MAKERS.items() if maker.lower().startswith(name)), f"of {maker}" if maker else "a sensor's own")


@dataclass(frozen=True)
class _Tags:
    """One directory."""

    tags: dict[int, Entry]
    order: str

    def numbers(self, code: int) -> list[int]:
        """The integers of a tag; none where it is missing or of another type."""
        entry = self.tags.get(code)
        letter = {1: "B", 3: "H", 4: "I", 13: "I"}.get(entry.kind) if entry else None
        return list(struct.unpack(f"{self.order}{entry.count}{letter}", entry.data)) if entry and letter else []

    def number(self, code: int) -> int:
        """The first integer of a tag, or 0."""
        return next(iter(self.numbers(code)), 0)

    @property
    def area(self) -> int:
        """Pixels."""
        return self.number(256) * self.number(257)


def _directories(file: BinaryIO, start: bytes) -> tuple[_Tags, list[_Tags]]:
    """The first page, and all other pages (the first few) and sub-images."""
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in (b"+\0", b"\0+")

    def read(offset: int, count: int) -> bytes:
        file.seek(offset)
        return file.read(count)

    def tags(at: int) -> _Tags:
        return _Tags({entry.code: entry for entry in parse(read, at, order, big=big).entries}, order)

    (at,) = struct.unpack_from(order + ("Q" if big else "I"), start, 8 if big else 4)
    pages: list[_Tags] = []
    visited: set[int] = set()
    while at and at not in visited and len(pages) < 8:
        visited.add(at)
        pages.append(tags(at))
        at = _next(read, at, order, big=big)
    below = [tags(sub) for page in pages for sub in page.numbers(_SUBIFDS)[:8]]
    return (pages[0] if pages else _Tags({}, order)), [*pages[1:], *below]


def _next(read: Callable[[int, int], bytes], at: int, order: str, *, big: bool) -> int:
    """The offset of the directory after that at `at`; 0 where there is none."""
    head, width, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    size = struct.calcsize(head)
    try:
        (count,) = struct.unpack(order + head, read(at, size))
        (found,) = struct.unpack(order + pointer, read(at + size + width * count, struct.calcsize(pointer)))
    except struct.error:
        return 0
    return int(found)
