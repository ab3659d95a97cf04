"""Whether a JPEG 2000 codestream is all there, by the lengths of its tile-parts (ITU-T T.800, A.4.2)."""

from __future__ import annotations

import struct

_START, _TILE_PART, _END = b"\xff\x4f\xff\x51", 0xFF90, 0xFFD9


def complaint(data: bytes) -> str:
    """What is wrong with a codestream, or a JP2 file's; "" where nothing is, and where none is found.

    A missing end marker alone is no damage: many writers leave it out.
    """
    at = data.find(_START)
    if at < 0:
        return ""
    at += 2
    tiles = 0
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _END:
            return "" if tiles else "they hold no tile"
        if marker != _TILE_PART:
            if tiles or marker < 0xFF00:
                return "" if tiles and not any(data[at:]) else "its tile-parts are not where they should be"
            at += 2 + length
            continue
        if at + 12 > len(data):
            return "they end early"
        (size,) = struct.unpack_from(">I", data, at + 6)
        tiles += 1
        if size == 0:  # up to the end of the codestream
            return ""
        if at + size > len(data):
            return "they end early"
        at += size
    return "" if tiles else "they end early"
