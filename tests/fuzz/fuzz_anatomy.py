"""Where the fields and segments of a valid file lie, for each codec: what a structure-aware mutation turns over.

A dissection never fails: what it does not understand (a file mutated already) it leaves out.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from fuzz_fields import MOST, Anatomy, Field
from fuzz_formats import DISSECTORS

_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""TIFF field type -> bytes of one value."""


def dissect(kind: str, data: bytes) -> Anatomy:
    """The anatomy of a file of that kind (see `fuzz_samples.Sample`)."""
    found = Anatomy()
    with suppress(struct.error, IndexError, OverflowError, ValueError):  # noted as far as it could be read
        _DISSECTORS[kind.split(maxsplit=1)[0]](data, found)
    whole = [entry for entry in found.fields if entry.at >= 0 and entry.at + entry.size <= len(data)]
    found.fields = whole[:MOST]
    found.sides = [pair for pair in found.sides if all(side.at + side.size <= len(data) for side in pair)]
    found.segments = [(start, min(end, len(data))) for start, end in found.segments if 0 <= start < min(end, len(data))][:MOST]
    return found


def mend(kind: str, data: bytes) -> bytes:
    """The file with its checksums right again, where its codec has some: a wrong one would hide what lies behind it."""
    if kind != "png":
        return data
    out = bytearray(data)
    for start, end in _png_chunks(data):
        if end <= len(data):
            out[end - 4 : end] = struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
    return bytes(out)


def _png_chunks(data: bytes) -> Iterator[tuple[int, int]]:
    at = 8
    while at + 12 <= len(data):
        length = struct.unpack_from(">I", data, at)[0]
        yield at, at + 12 + length
        at += 12 + length


def _png(data: bytes, found: Anatomy) -> None:
    for start, end in _png_chunks(data):
        found.segments.append((start, end))
        name = data[start + 4 : start + 8]
        found.note(start, "4" + "1111", ">")
        if name == b"IHDR":
            found.note(start + 8, "4411111", ">")
            found.sides.append((Field(start + 12, 4, ">"), Field(start + 8, 4, ">")))
        else:
            found.note(start + 8, "1" * min(12, max(0, end - start - 12)), ">")


def _webp(data: bytes, found: Anatomy) -> None:
    found.note(4, "4", "<")
    at = 12
    while at + 8 <= len(data):
        length = struct.unpack_from("<I", data, at + 4)[0]
        end = at + 8 + length + length % 2
        found.segments.append((at, end))
        found.note(at, "1111" + "4" + "1" * min(12, length), "<")
        if data[at : at + 4] == b"VP8L":
            found.note(at + 9, "4", "<")
        elif data[at : at + 4] == b"VP8 ":
            found.note(at + 14, "22", "<")
            found.sides.append((Field(at + 16, 2), Field(at + 14, 2)))
        elif data[at : at + 4] == b"VP8X":
            found.note(at + 12, "33", "<")
            found.sides.append((Field(at + 15, 3), Field(at + 12, 3)))
        at = end


def _bmp(data: bytes, found: Anatomy) -> None:
    found.note(2, "4224" + "4" + "44" + "22" + "444444", "<")
    found.sides.append((Field(22, 4), Field(18, 4)))
    start = struct.unpack_from("<I", data, 10)[0]
    found.segments += [(0, 14), (14, 54), (54, start), (start, len(data))]
    found.note(54, "4444" * 4, "<")


def _pnm(data: bytes, found: Anatomy) -> None:
    head = re.match(rb"P\d(?:\s+|#[^\n]*\n)+", data)
    found.note(1, "1", "<")
    for number in re.finditer(rb"\b\d+\b", data[head.end() if head else 2 : 600]):
        at = (head.end() if head else 2) + number.start()
        found.fields.append(Field(at, number.end() - number.start(), "t"))
        found.segments.append((at, at + number.end() - number.start() + 1))
    if len(found.fields) > 2:
        found.sides.append((found.fields[2], found.fields[1]))


def _markers(data: bytes, found: Anatomy, start: int = 0) -> None:
    """JPEG, JPEG-LS and JPEG 2000 codestreams, whose headers are markers with lengths alike."""
    wide = data[start : start + 4] == b"\xff\x4f\xff\x51"
    found.note(start, "11", ">")
    at = start + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        end = at + 2 + length
        found.segments.append((at, end))
        found.note(at, "112" + "1" * min(24, max(0, length - 2)), ">")
        if wide and marker == 0x51:
            found.note(at + 6, "44444444" + "2" + "111" * 3, ">")
            found.sides.append((Field(at + 10, 4, ">"), Field(at + 6, 4, ">")))
        elif marker in (*range(0xC0, 0xC4), 0xC9, 0xF7):
            found.note(at + 5, "22", ">")
            found.sides.append((Field(at + 5, 2, ">"), Field(at + 7, 2, ">")))
        if marker == (0x93 if wide else 0xDA):
            found.segments.append((end, len(data)))
            found.note(end, "1" * 16, ">")
            return
        at = end


def _tiff(data: bytes, found: Anatomy) -> None:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    found.note(2, "2228" if big else "24", order)
    at = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
    for _ in range(4):
        if not at:
            return
        count = struct.unpack_from(order + ("Q" if big else "H"), data, at)[0]
        found.note(at, "8" if big else "2", order)
        at += 8 if big else 2
        size = 20 if big else 12
        places = {}
        for index in range(min(count, 40)):
            tag, kind = struct.unpack_from(order + "HH", data, at + index * size)
            places[tag] = Field(at + index * size + (12 if big else 8), 2 if kind == 3 else 4, order)
            _entry(data, found, at + index * size, order, big)
        pairs = ((257, 256), (278, 256), (323, 322))  # of the picture, its strips, its tiles
        found.sides += [(places[tall], places[wide]) for tall, wide in pairs if {tall, wide} <= places.keys()]
        at += count * size
        found.note(at, "8" if big else "4", order)
        at = struct.unpack_from(order + ("Q" if big else "I"), data, at)[0]


def _entry(data: bytes, found: Anatomy, at: int, order: str, big: bool) -> None:
    """One entry of a TIFF's directory, the values that it points to, and the segments that these point to."""
    wide = 8 if big else 4
    tag, kind = struct.unpack_from(order + "HH", data, at)
    count = struct.unpack_from(order + ("Q" if big else "I"), data, at + 4)[0]
    found.segments.append((at, at + 4 + 2 * wide))
    found.note(at, f"22{wide}", order)
    size = _SIZES.get(kind, 1)
    inline = size * count <= wide
    place = at + 4 + wide if inline else struct.unpack_from(order + ("Q" if big else "I"), data, at + 4 + wide)[0]
    if not inline:
        found.note(at + 4 + wide, str(wide), order)
    found.note(place, str(size) * min(count, 12), order)
    if tag in (273, 324) and size in (2, 4, 8):
        for index in range(min(count, 6)):
            code = {2: "H", 4: "I", 8: "Q"}[size]
            strip = struct.unpack_from(order + code, data, place + index * size)[0]
            found.segments.append((strip, strip + 64))
            found.note(strip, "1" * 6, order)
            if data[strip : strip + 2] == b"\xff\xd8":
                _markers(data, found, strip)


def _dicom(data: bytes, found: Anatomy) -> None:
    """The data elements, the items of encapsulated pixels, and the codestreams in them."""
    at = 132 if data[128:132] == b"DICM" else 0
    syntax = re.search(rb"1\.2\.840\.10008\.1\.2[.0-9]*", data[:400])
    name = syntax[0].decode() if syntax else ""
    while at + 8 <= len(data):
        group = struct.unpack_from("<H", data, at)[0]
        if group != 2:
            break
        at = _element(data, found, at, "<", True)
    explicit, order = name != "1.2.840.10008.1.2", ">" if name.endswith("1.2.2") else "<"
    if name.endswith("1.2.1.99"):
        return
    while at + 8 <= len(data):
        at = _element(data, found, at, order, explicit)


def _element(data: bytes, found: Anatomy, at: int, order: str, explicit: bool) -> int:
    tag, kind = struct.unpack_from(order + "HH", data, at), data[at + 4 : at + 6]
    start = at + (12 if explicit and kind in _LONG else 8)
    shape = ("22" + "11" + ("24" if kind in _LONG else "2")) if explicit else "224"
    code = ("I" if kind in _LONG else "H") if explicit else "I"
    length = struct.unpack_from(order + code, data, start - struct.calcsize(code))[0]
    found.note(at, shape, order)
    if tag == (0x7FE0, 0x0010):
        found.segments.append((at, len(data)))
        if length == 0xFFFFFFFF:
            _items(data, found, start)
        return len(data)
    found.segments.append((at, start + length))
    if tag == (0x0028, 0x0010):
        found.sides.append((Field(start, 2, order), Field(start + length + start - at, 2, order)))
    text = data[start : start + length]
    if length in (2, 4, 8) and not re.fullmatch(rb"[-0-9 .]+\0?", text):
        found.note(start, str(length), order)
    elif re.fullmatch(rb"-?[0-9]+ ?", text):
        found.fields.append(Field(start, len(text.rstrip()), "t"))
    return start + length if length < len(data) else start


def _items(data: bytes, found: Anatomy, at: int) -> None:
    first = True
    while at + 8 <= len(data):
        length = struct.unpack_from("<I", data, at + 4)[0]
        found.note(at, "224", "<")
        found.segments.append((at, at + 8 + length))
        if first:
            found.note(at + 8, "4" * min(8, length // 4), "<")
        elif data[at + 8 : at + 9] == b"\xff":
            _markers(data, found, at + 8)
        else:
            found.note(at + 8, "4" * 5, "<")
        first, at = False, at + 8 + length


_DISSECTORS: dict[str, Callable[[bytes, Anatomy], None]] = {
    "png": _png, "jpeg": _markers, "tiff": _tiff, "raw": _tiff, "webp": _webp, "bmp": _bmp, "pnm": _pnm, "dicom": _dicom,
    **DISSECTORS,
}  # fmt: skip
