"""A JPEG's segments: those before its first scan, read, brought in line with new pixels, and put before a new stream."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from restore.images import colour_profiles
from restore.images.codecs.jpeg import extended_xmp
from restore.images.errors import image_error
from restore.images.metadata import Metadata
from restore.images.orientation import rescaled_exif, rescaled_xmp

EXIF, XMP, ICC, JFIF = b"Exif\0\0", extended_xmp.XMP, b"ICC_PROFILE\0", b"JFIF\0"
LARGEST = extended_xmp.LARGEST
"""Bytes of an EXIF block, or of a part of other metadata, in one segment."""
APP0, APP1, APP2, APP14, COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_TABLES = 0xDB
_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
"""The natural position of each coded coefficient (ITU-T T.81, figure 5)."""
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # F7: JPEG-LS (ITU-T T.87, annex C)


@dataclass
class Segments:
    """The segments before the first scan."""

    kept: list[tuple[int, bytes]] = field(default_factory=list)
    """(marker, payload) of application and comment segments, in the file's order."""
    width: int = 0
    height: int = 0
    components: tuple[bytes, ...] = ()
    """(id, sampling, table) bytes of each component."""
    progressive: bool = False
    tables: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """The quantisation tables by number, 64 steps each in natural order."""

    def find(self, marker: int, start: bytes) -> bytes | None:
        """The payload behind `start` of the first such segment; None where there is none."""
        return next((p[len(start) :] for m, p in self.kept if m == marker and p.startswith(start)), None)


def read_segments(read: Callable[[int], bytes], path: Path) -> Segments:
    """Read up to the first scan; ImageError where the header is damaged or of a rare kind."""
    found = Segments()
    read(2)
    while True:
        byte = read(1)
        while byte and byte != b"\xff":
            byte = read(1)
        while byte == b"\xff":
            byte = read(1)
        if not byte:
            raise image_error(path, "truncated JPEG (it ends before its pixels); copy it again")
        marker = byte[0]
        if marker in (0x00, 0x01, *range(0xD0, 0xD9)):
            continue
        length = struct.unpack(">H", read(2).rjust(2, b"\0"))[0]
        payload = read(length - 2) if length >= 2 else b""
        if len(payload) < length - 2 or length < 2:
            raise image_error(path, "truncated JPEG (it ends inside its header); copy it again")
        if marker == 0xDA:
            break
        if marker in _FRAMES:
            _note_frame(found, marker, payload, path)
        elif marker == _TABLES:
            found.tables |= _read_tables(payload)
        elif 0xE0 <= marker <= 0xEF or marker == COMMENT:
            found.kept.append((marker, payload))
    if not found.components:
        raise image_error(path, "damaged JPEG (no frame header); export it again")
    return found


def _note_frame(found: Segments, marker: int, payload: bytes, path: Path) -> None:
    precision, found.height, found.width, count = struct.unpack_from(">BHHB", payload)
    if marker not in (0xC0, 0xC1, 0xC2) or precision != 8:
        kind = f"marker {marker:#x}, {precision} bits"
        raise image_error(path, f"a JPEG of a rare kind ({kind}); export it as ordinary JPEG or PNG")
    found.progressive = marker == 0xC2
    found.components = tuple(payload[6 + 3 * i : 9 + 3 * i] for i in range(count))


def _read_tables(payload: bytes) -> dict[int, tuple[int, ...]]:
    """The tables of a DQT segment (ITU-T T.81, B.2.4.1) by number; those that are cut off are left out."""
    tables, at = {}, 0
    while at < len(payload):
        wide, number = payload[at] >> 4, payload[at] & 15
        size = 128 if wide else 64
        if at + 1 + size > len(payload):
            break
        coded = struct.unpack_from(">64H" if wide else ">64B", payload, at + 1)
        steps = [0] * 64
        for position, step in zip(_ZIGZAG, coded, strict=True):
            steps[position] = step
        tables[number] = tuple(steps)
        at += 1 + size
    return tables


def rescaled(marker: int, payload: bytes, scale: float, size: tuple[int, int]) -> tuple[int, bytes]:
    """The segment for (height, width) pixels, `scale` times as fine."""
    if scale != 1 and marker == APP1 and payload.startswith(EXIF):
        return marker, EXIF + rescaled_exif(payload[len(EXIF) :], scale, size)
    if scale != 1 and marker == APP1 and payload.startswith(XMP):
        longer = XMP + rescaled_xmp(payload[len(XMP) :], scale, size)
        return marker, longer if len(longer) <= 65533 else payload
    if scale != 1 and marker == APP0 and payload.startswith(JFIF) and len(payload) >= 12 and payload[7]:
        densities = (max(1, min(65535, round(v * scale))) for v in struct.unpack_from(">HH", payload, 8))
        return marker, payload[:8] + struct.pack(">HH", *densities) + payload[12:]
    return marker, payload


def comments(segments: Segments) -> tuple[tuple[str, str], ...]:
    """The comment segments as texts."""
    found = []
    for marker, payload in segments.kept:
        if marker == COMMENT and payload.strip(b"\0 "):
            try:
                text = payload.rstrip(b"\0").decode("utf-8")
            except UnicodeDecodeError:
                text = payload.rstrip(b"\0").decode("latin-1")
            found.append(("Comment", text))
    return tuple(found)


def icc(segments: Segments) -> bytes | None:
    """The ICC profile, put together from its segments; None where there is none."""
    parts = sorted(p[len(ICC) :] for m, p in segments.kept if m == APP2 and p.startswith(ICC))
    return b"".join(p[2:] for p in parts) or None


def in_colour(kept: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The segments of a gray picture for one in colour: its ICC profile keeps its curve (`colour_profiles.in_colour`)."""
    profile = icc(Segments(kept))
    if profile is None:
        return kept
    made = colour_profiles.in_colour(profile)
    first = next(at for at, (marker, payload) in enumerate(kept) if marker == APP2 and payload.startswith(ICC))
    rest = [one for one in kept if one[0] != APP2 or not one[1].startswith(ICC)]
    return rest[:first] + (icc_segments(made) if made else []) + rest[first:]


def segments_of(metadata: Metadata) -> list[tuple[int, bytes]]:
    """The segments that hold a picture's metadata, as far as JPEG has room for them."""
    kept: list[tuple[int, bytes]] = []
    if metadata.dpi:
        x, y = (max(1, min(65535, round(v))) for v in metadata.dpi)
        kept.append((APP0, JFIF + struct.pack(">BBBHHBB", 1, 1, 1, x, y, 0, 0)))
    if metadata.exif and len(metadata.exif) <= LARGEST:
        kept.append((APP1, EXIF + metadata.exif))
    if metadata.xmp:
        kept += [(APP1, payload) for payload in extended_xmp.payloads(metadata.xmp)]
    if metadata.icc:
        kept += icc_segments(metadata.icc)
    for keyword, text in metadata.texts:
        kept += [(COMMENT, part) for part in _parts((text if keyword == "Comment" else f"{keyword}: {text}").encode())]
    return kept


def _parts(text: bytes) -> list[bytes]:
    """UTF-8 text in pieces that a segment holds; no character is cut."""
    parts = []
    while text:
        end = min(LARGEST, len(text))
        while end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(text[:end])
        text = text[end:]
    return parts


def icc_segments(profile: bytes) -> list[tuple[int, bytes]]:
    """The segments that hold an ICC profile."""
    parts = [profile[at : at + LARGEST] for at in range(0, len(profile), LARGEST)]
    return [(APP2, ICC + bytes([number, len(parts)]) + part) for number, part in enumerate(parts, 1)]


def spliced(coded: bytes, kept: list[tuple[int, bytes]]) -> bytes:
    """The coded stream with its own application segments replaced by the kept ones, but for Adobe's (it codes colour)."""
    at, own_adobe = 2, b""
    rest: list[bytes] = []
    while coded[at + 1] != 0xDA:
        marker, length = coded[at + 1], struct.unpack_from(">H", coded, at + 2)[0]
        segment = coded[at : at + 2 + length]
        if marker == APP14:
            own_adobe = segment
        elif not 0xE0 <= marker <= 0xEF:
            rest.append(segment)
        at += 2 + length
    out = [coded[:2]]
    for marker, payload in kept:
        if marker == APP14 and payload.startswith(b"Adobe"):
            continue
        out.append(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload)
    return b"".join([*out, own_adobe, *rest, coded[at:]])
