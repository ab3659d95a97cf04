"""Whether a file without DICOM's mark is a DICOM data set all the same (PS3.5, chapter 7): archives of the nineties hold such.

This test is stricter than `objects.sniff`, because a folder walk applies it to every file and must not claim other programs' data.
"""

from __future__ import annotations

import struct

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT = frozenset(
    kind.encode()
    for kind in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
)


def is_headerless(start: bytes) -> bool:
    """Whether bytes are the first elements of a DICOM data set without preamble: two or more in order, of group 0008 and of its kinds."""
    return any(_elements(start, order, explicit) for order, explicit in (("<", False), ("<", True), (">", True)))


def _elements(start: bytes, order: str, explicit: bool) -> bool:
    at, before, plausible = 0, -1, 0
    while at + 8 <= len(start):
        group, element = struct.unpack_from(order + "HH", start, at)
        tag = group << 16 | element
        if tag <= before or (before < 0 and group not in (2, 8)) or (group % 2 and plausible < 2):
            return False
        size, head = _length(start, at, order, explicit)
        if size < 0 or (group in (2, 8) and size > 1 << 16 and element < 0x1000):
            return False
        value = start[at + head : at + head + size]
        if group == 8 and 0x0005 <= element <= 0x1090:
            if not (explicit or _is_words(value)):
                return False
            plausible += 1
        elif group == 8:
            plausible += 1
        if plausible >= 3 and group >= 8:
            return True
        before, at = tag, at + head + size
    return plausible >= 2 and at > len(start)


def _length(start: bytes, at: int, order: str, explicit: bool) -> tuple[int, int]:
    """The length of an element's value (-1 where it is impossible) and the length of what precedes the value."""
    if not explicit:
        return int(struct.unpack_from(order + "I", start, at + 4)[0]), 8
    kind = start[at + 4 : at + 6]
    if kind in _SHORT:
        return int(struct.unpack_from(order + "H", start, at + 6)[0]), 8
    if kind in _LONG and at + 12 <= len(start) and start[at + 6 : at + 8] == b"\0\0":
        size = int(struct.unpack_from(order + "I", start, at + 8)[0])
        return (1 << 16 if size == 0xFFFFFFFF else size), 12
    return -1, 8


def _is_words(value: bytes) -> bool:
    """Whether a value is text as it stands in group 0008, or the items of a sequence."""
    return value.startswith(b"\xfe\xff\x00\xe0") or all(byte >= 32 or byte in b"\t\n\r\x1b\0" for byte in value)
