"""The size that an AV1 sequence header says (AV1 Bitstream & Decoding Process Specification, 5.3 and 5.5).

libavif scales a picture whose own size differs from the file's `ispe` property, so a lying header would pass unnoticed.
"""

from __future__ import annotations

from restore.images.bits import HighBits

_SEQUENCE_HEADER = 1
_LONGEST = 256
"""Bytes of a sequence header that are looked at."""


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) by the sequence header among the units of a picture; None where there is none, or it times its frames.

    Raises:
        ValueError: the header breaks off.
    """
    at = 0
    while at < len(data):
        head = data[at]
        start = at + (2 if head & 4 else 1)
        size, start = _leb128(data, start) if head & 2 else (len(data) - start, start)
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            return _size(HighBits(data[start : start + min(size, _LONGEST)]))
        at = start + size
    return None


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for index in range(8):
        if at + index >= len(data):
            break
        value |= (data[at + index] & 127) << (7 * index)
        if not data[at + index] & 128:
            return value, at + index + 1
    raise ValueError("its units break off")


def _size(bits: HighBits) -> tuple[int, int] | None:
    bits.take(4)
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        if bits.take(1):  # timing_info_present_flag
            return None
        has_delay = bits.take(1)
        for _ in range(bits.take(5) + 1):
            bits.take(12)
            if bits.take(5) > 7:
                bits.take(1)
            if has_delay and bits.take(1):
                bits.take(4)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(across) + 1, bits.take(down) + 1
    return height, width
