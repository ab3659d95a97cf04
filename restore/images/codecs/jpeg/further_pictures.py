"""Further pictures (MPO), gain maps and videos behind a JPEG's first picture, which are kept."""

from __future__ import annotations

import struct

MPF = b"MPF\0"
_GAIN = (b"hdrgm:Version", b"HDRGainMap", b"urn:iso:std:iso:ts:21496:-1")
_VIDEO = (b"MicroVideo", b"MotionPhoto")


def pictures(mpf: bytes | None) -> int:
    """How many pictures an MPF segment (after its name) lists; 1 without one."""
    position = _entries(mpf) if mpf else None
    return position[2] if position else 1


def _entries(mpf: bytes) -> tuple[str, int, int] | None:
    """Byte order, offset of the first entry and number of entries of an MPF segment after its name."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(mpf[:4])
    try:
        if order is None:
            return None
        (at,) = struct.unpack_from(order + "I", mpf, 4)
        (count,) = struct.unpack_from(order + "H", mpf, at)
        for position in range(at + 2, at + 2 + 12 * count, 12):
            tag, _, size, offset = struct.unpack_from(order + "HHII", mpf, position)
            if tag == 0xB002 and offset + size <= len(mpf):
                return order, offset, size // 16
    except struct.error:
        pass
    return None


def is_gain_map(segments: list[bytes]) -> bool:
    """Whether the segments say that a gain map belongs to the picture."""
    return any(name in data for data in segments for name in _GAIN)


def warning(segments: list[bytes], mpf: bytes | None, trailer: bytes, *, swapped: bool) -> str | None:
    """A warning of what follows the first picture; None where nothing does."""
    count = pictures(mpf)
    lost = "in another format it is lost"
    if is_gain_map(segments) and (trailer or count > 1):
        if swapped:
            return "its HDR gain map is not kept where pixels change, because the picture is turned upright"
        return f"its HDR gain map is kept as it was where pixels change; {lost}"
    if any(name in data for data in segments for name in _VIDEO) or b"SEFT" in trailer[-64:] or trailer[4:8] == b"ftyp":
        return f"a motion photo: only its still picture is restored, its video is kept as it was; {lost}"
    if count > 1:
        many = f"it holds {count} pictures (MPO)"
        return f"{many}: only the first is restored, the others are kept as they were; in another format they are lost"
    if trailer.strip(b"\0\r\n"):
        return f"data after the end of its picture ({len(trailer):,} bytes) are kept as they were; {lost}"
    return None


def moved(data: bytes, old: bytes) -> bytes:
    """The first picture as written, with the offsets of the further pictures behind it updated.

    Args:
        old: the first picture as it was read.
    """
    was, now = (_place(file) for file in (old, data))
    if was is None or now is None:
        return data
    found = _entries(data[now : now + 65536])
    if found is None:
        return data
    result, (order, first, count) = bytearray(data), found
    shift = (len(data) - len(old)) - (now - was)
    for index in range(count):
        at = now + first + 16 * index
        size, offset = struct.unpack_from(order + "II", data, at + 4)
        if index == 0:
            struct.pack_into(order + "I", result, at + 4, len(data))
        elif offset:
            struct.pack_into(order + "II", result, at + 4, size, offset + shift)
    return bytes(result)


def _place(data: bytes) -> int | None:
    """The position of the MPF segment's own TIFF header; offsets count from there."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        if data[at + 1] == 0xE2 and data[at + 4 : at + 8] == MPF:
            return at + 8
        at += 2 + length
    return None
