"""The anatomy of the formats with simple headers, and of those made of boxes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from fuzz_fields import Anatomy, Field


def _tga(data: bytes, found: Anatomy) -> None:
    found.note(0, "111" + "221" + "2222" + "11", "<")
    found.sides.append((Field(14, 2), Field(12, 2)))
    start = 18 + data[0] + (struct.unpack_from("<H", data, 5)[0] * ((data[7] + 7) // 8) if data[1] else 0)
    found.segments += [(0, 18), (18, start), (start, start + 40), (start, len(data) - 26), (len(data) - 26, len(data))]
    found.note(start, "1" * 30, "<")


def _digits(data: bytes, found: Anatomy, start: int, end: int) -> list[Field]:
    """The decimal numbers of a header made of text."""
    numbers = [Field(start + one.start(), len(one[0]), "t") for one in re.finditer(rb"\d+", data[start:end])]
    found.fields += numbers
    found.segments += [(number.at, number.at + number.size + 1) for number in numbers]
    return numbers


def _pfm(data: bytes, found: Anatomy) -> None:
    end = re.match(rb"P[Ff]\s+\S+\s+\S+\s+\S+\s", data)
    found.note(1, "1", "<")
    numbers = _digits(data, found, 2, end.end() if end else 20)
    found.sides.append((numbers[1], numbers[0]))
    found.note(end.end() if end else 20, "4" * 20, "<")


def _pam(data: bytes, found: Anatomy) -> None:
    end = data.find(b"ENDHDR\n") + 7
    found.note(1, "1", "<")
    numbers = _digits(data, found, 2, end)
    found.segments += [(line.start(), line.end()) for line in re.finditer(rb"[^\n]*\n", data[:end])]
    found.sides.append((numbers[1], numbers[0]))


def _npy(data: bytes, found: Anatomy) -> None:
    found.note(6, "112", "<")
    length = struct.unpack_from("<H", data, 8)[0]
    at = data.find(b"shape")
    numbers = _digits(data, found, at, 10 + length)
    found.segments += [(10, 10 + length), (10 + length, len(data))]
    found.note(12, "1" * 40, "<")
    found.sides.append((numbers[0], numbers[1]))


def _gif(data: bytes, found: Anatomy) -> None:
    found.note(6, "22111", "<")
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    found.segments.append((13, at))
    found.note(13, "1" * 20, "<")
    while at < len(data) and data[at] in (0x21, 0x2C):
        start = at
        if data[at] == 0x2C:
            found.note(at + 1, "22221", "<")
            found.sides.append((Field(at + 7, 2), Field(at + 5, 2)))
            at += 10 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0) - 1
        at += 2
        while data[at]:
            found.note(at, "1" * 10, "<")
            at += 1 + data[at]
        at += 1
        found.segments.append((start, at))
    found.sides.append((Field(8, 2), Field(6, 2)))


def _exr(data: bytes, found: Anatomy) -> None:
    found.note(4, "4", "<")
    at = 8
    while data[at]:
        start, end = at, data.index(b"\0", at)
        at = data.index(b"\0", end + 1) + 1
        size = struct.unpack_from("<i", data, at)[0]
        found.note(at, "4" + "4" * min(8, size // 4) + "1" * (size % 4), "<")
        if data[start:end] == b"dataWindow":
            found.sides.append((Field(at + 16, 4), Field(at + 12, 4)))
        at += 4 + size
        found.segments.append((start, at))
    found.note(at + 1, "8888" + "4" * 20, "<")
    found.segments.append((at + 1, len(data)))


def _nifti(data: bytes, found: Anatomy) -> None:
    """The header; of a compressed file the bytes of the first block, which hold it."""
    if data[:2] == b"\x1f\x8b":
        found.note(0, "1" * 40, "<")
        found.segments += [(0, 10), (10, 60), (60, len(data))]
        found.sides.append((Field(20, 2), Field(22, 2)))
        return
    order = "<" if data[:4] in (b"\x5c\1\0\0", b"\x1c\2\0\0") else ">"
    if data[4:8] == b"n+2\0":
        found.note(0, "4", order)
        found.note(12, "22" + "8" * 19, order)
        found.sides.append((Field(32, 8, order), Field(24, 8, order)))
    else:
        found.note(0, "4", order)
        found.note(40, "2" * 8 + "444" + "2222" + "4" * 12, order)
        found.note(252, "22" + "4" * 18, order)
        found.sides.append((Field(44, 2, order), Field(42, 2, order)))
    found.segments += [(0, 348), (348, 400), (400, len(data))]


INSIDE = (b"meta", b"iprp", b"ipco", b"iinf", b"iref", b"jp2h", b"res ", b"ipma")
"""Boxes that hold boxes, where they are not full ones."""


def _boxes(data: bytes, found: Anatomy, at: int = 0, end: int | None = None) -> None:
    """The boxes of ISO base media files, and sizes in `ispe` (HEIF) and `ihdr` (JPEG 2000)."""
    end = len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        size = min(size, end - at) if size >= 8 else end - at
        found.segments.append((at, at + size))
        found.note(at, "4" + "1111" + "1" * min(24, size - 8), ">")
        if kind == b"ispe":
            found.sides.append((Field(at + 16, 4, ">"), Field(at + 12, 4, ">")))
        elif kind == b"ihdr":
            found.sides.append((Field(at + 8, 4, ">"), Field(at + 12, 4, ">")))
        elif kind in INSIDE:
            full = {b"meta": 4, b"iref": 4, b"iinf": 6}.get(kind, 0)
            _boxes(data, found, at + 8 + full, at + size)
        elif kind in (b"mdat", b"jxlc", b"jp2c"):
            found.note(at + 8, "1" * 80, ">")
            if data[at + 8 : at + 12] == b"\xff\x4f\xff\x51":
                found.sides.append((Field(at + 20, 4, ">"), Field(at + 16, 4, ">")))
        at += size


def _jpeg2000(data: bytes, found: Anatomy) -> None:
    """A JP2 file's boxes, and the markers of its codestream."""
    at = max(0, data.find(b"\xff\x4f\xff\x51"))
    if at:
        _boxes(data, found)
    found.note(at + 6, "44444444" + "2" + "111", ">")
    found.sides.append((Field(at + 12, 4, ">"), Field(at + 8, 4, ">")))
    at += 2
    while data[at] == 0xFF and data[at + 1] != 0x93:
        size = struct.unpack_from(">H", data, at + 2)[0]
        found.segments.append((at, at + 2 + size))
        found.note(at, "112" + "1" * min(size - 2, 20), ">")
        at += 2 + size
    found.note(at + 2, "1" * 60, ">")


def _jpegxl(data: bytes, found: Anatomy) -> None:
    """The boxes, and the first bytes of the codestream: its header is made of bits."""
    at = max(0, data.find(b"\xff\x0a"))
    if at:
        _boxes(data, found)
    found.note(at + 2, "1" * 60, "<")
    found.segments += [(at + 2, at + 12), (at + 12, len(data))]
    found.sides.append((Field(at + 2, 2), Field(at + 4, 2)))


DISSECTORS: dict[str, Callable[[bytes, Anatomy], None]] = {
    "tga": _tga, "pfm": _pfm, "pam": _pam, "npy": _npy, "gif": _gif, "exr": _exr, "nifti": _nifti,
    "heif": _boxes, "jpegxl": _jpegxl, "avif": _boxes, "jpeg2000": _jpeg2000,
}  # fmt: skip
