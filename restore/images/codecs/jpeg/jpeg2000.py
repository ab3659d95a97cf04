"""Whether a JPEG 2000 codestream is all there, by its tiles and the lengths of their parts (ITU-T T.800, A.4.2 and A.5.1)."""

from __future__ import annotations

import struct

_START, _TILE_PART, _END = b"\xff\x4f\xff\x51", 0xFF90, 0xFFD9

_FEWEST_ZEROS = 64
"""At the end of a codestream that stand for lost data; a picture without contrast has some too."""


def complaint(data: bytes) -> str:
    """What is wrong with a codestream, or that of a JP2 file; empty where nothing is, and where there is none.

    A missing end marker alone is no damage: many writers leave it out. With zeros instead of the last data it is: a copy that broke off
    into a file of the full length.
    """
    at = data.find(_START)
    if at < 0:
        return ""
    needed = _tiles(data[at + 8 : at + 40])
    held = data.rstrip(b"\0")
    if len(data) - len(held) >= max(_FEWEST_ZEROS, (len(data) - at) // 16) and not held.endswith(b"\xff\xd9"):
        return "they end in zeros"
    at += 2
    tiles: set[int] = set()
    while at + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _END:
            break
        if marker != _TILE_PART:
            if tiles or marker < 0xFF00:
                if tiles and not any(data[at:]):
                    break
                return "its tile-parts are not where they should be"
            at += 2 + length
            continue
        if at + 12 > len(data):
            return "they end early"
        tile, size = struct.unpack_from(">HI", data, at + 4)
        tiles.add(tile)
        if size == 0:  # up to the end of the codestream
            break
        if at + size > len(data):
            return "they end early"
        at += size
    return "" if len(tiles) >= needed else f"{needed - len(tiles):,} of its {needed:,} tiles are missing"


def _tiles(size: bytes) -> int:
    """The number of tiles by the SIZ segment, from the picture's width on; 1 where it is impossible."""
    if len(size) < 32:
        return 1
    width, height, left, top, across, down, tile_left, tile_top = struct.unpack(">8I", size)
    if not across or not down or width <= left or height <= top:
        return 1
    columns: int = -(-(width - tile_left) // across)
    rows: int = -(-(height - tile_top) // down)
    return columns * rows
