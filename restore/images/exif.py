"""EXIF as a tree of directories with raw values, read from and written to TIFF files without interpreting the values.

A stand-alone block (JPEG, PNG, WebP) starts at its own TIFF header. In a TIFF file the page's tags 34665 (Exif) and 34853 (GPS) point
to the same directories. Values keep their bytes and their byte order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
POINTERS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_LARGEST = 1 << 20
"""Bytes of one value; larger ones do not describe a picture."""
DESCRIPTIVE = frozenset({269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096), 50827, 50971})
"""Tags of a page that describe the picture, whatever its format."""
OF_THE_PIXELS = frozenset({
    *range(254, 270), *range(273, 285), *range(288, 294), 296, 297, 301,
    *range(317, 331), 330, 332, 333, 334,
    336, 338, 339, 340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 559, 700, 34377, 34675, 33723,
    37724,
    50838, 50839, 33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113,
})  # fmt: skip
"""Tags of a page that say how or where its samples are stored, or hold a block of their own. None of them is EXIF."""


@dataclass(frozen=True)
class Entry:
    """One tag: its TIFF type, how many values, and their bytes."""

    code: int
    kind: int
    count: int
    data: bytes


@dataclass
class Directory:
    """One directory, and the directories below it by the tag that points there."""

    entries: list[Entry] = field(default_factory=list)
    below: dict[int, Directory] = field(default_factory=dict)


def parse(read: Callable[[int, int], bytes], at: int, order: str, *, big: bool = False, depth: int = 0) -> Directory:
    """The directory at offset `at`, without broken entries and those that point outside. `read(offset, count)` may return fewer bytes.

    Args:
        order: "<" or ">".
        big: whether the file is a BigTIFF.
    """
    head, width, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    found = Directory()
    start = read(at, struct.calcsize(head))
    if len(start) < struct.calcsize(head) or depth > 3:
        return found
    (count,) = struct.unpack(order + head, start)
    table = read(at + len(start), min(count, 4096) * width)
    room = struct.calcsize(pointer)
    for position in range(0, len(table) - width + 1, width):
        code, kind = struct.unpack_from(order + "HH", table, position)
        (number,) = struct.unpack_from(order + pointer, table, position + 4)
        size = _SIZES.get(kind, 0) * number
        value = table[position + width - room : position + width]
        (offset,) = struct.unpack(order + pointer, value)
        if code in POINTERS:
            if number == 1:
                found.below[code] = parse(read, offset, order, big=big, depth=depth + 1)
            continue
        data = value[:size] if size <= room else read(offset, size) if size <= _LARGEST else b""
        if size and len(data) == size:
            found.entries.append(Entry(code, kind, number, data))
    return found


def block(directory: Directory, order: str) -> bytes:
    """A stand-alone block; it begins with the TIFF header."""
    return struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8) + dumped(directory, order, 8)


def dumped(directory: Directory, order: str, at: int, *, big: bool = False) -> bytes:
    """The directory and those below it as bytes for offset `at`."""
    head, width, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    room = struct.calcsize(pointer)
    rows: list[Entry | tuple[int, Directory]] = [*directory.entries, *directory.below.items()]
    rows.sort(key=lambda row: row.code if isinstance(row, Entry) else row[0])
    table = bytearray(struct.pack(order + head, len(rows)))
    free = at + len(table) + width * len(rows) + room
    tail = bytearray()
    for row in rows:
        tail += bytes((free + len(tail)) % 2)  # values begin at even offsets
        if isinstance(row, Entry):
            entry, data = row, row.data
        else:
            entry, data = Entry(row[0], 4, 1, b""), dumped(row[1], order, free + len(tail), big=big)
        table += struct.pack(order + "HH" + pointer, entry.code, 18 if big and not isinstance(row, Entry) else entry.kind, entry.count)
        if isinstance(row, Entry) and len(data) <= room:
            table += data.ljust(room, b"\0")
        else:
            table += struct.pack(order + pointer, free + len(tail))
            tail += data
    return bytes(table) + bytes(room) + bytes(tail)


def from_block(exif: bytes) -> tuple[Directory, str] | None:
    """IFD0 of a stand-alone block and its byte order; None where the bytes are no such block."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return None
    (at,) = struct.unpack_from(order + "I", exif, 4)
    return parse(lambda offset, count: exif[offset : offset + count], at, order), order
