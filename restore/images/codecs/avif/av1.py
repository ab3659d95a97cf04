"""What an AV1 picture says of itself: its size and its quantiser (AV1 Bitstream & Decoding Process Specification, 5.3, 5.5 and 5.9).

libavif scales a picture whose own size differs from the file's `ispe` property, so a lying header would pass unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from restore.images.bits import HighBits

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_LONGEST = 256
"""Bytes of a unit that are looked at."""


@dataclass(frozen=True)
class Sequence:
    """A sequence header.

    Attributes:
        size: (height, width).
        still: whether it is the reduced header of a still picture, behind which the quantiser is found.
        large_blocks, superres: two of its tools.
    """

    size: tuple[int, int]
    still: bool
    large_blocks: bool = False
    superres: bool = False


def read_sequence(data: bytes) -> Sequence | None:
    """The sequence header among the units of a picture; None where there is none, or it times its frames.

    Raises:
        ValueError: it breaks off.
    """
    return next((_sequence(bits) for kind, bits in _units(data) if kind == _SEQUENCE_HEADER), None)


def quantiser(data: bytes) -> int | None:
    """base_q_idx of a still picture, 0 (lossless) to 255; None where its headers are not of the plain kind."""
    try:
        sequence = read_sequence(data)
        if sequence is None or not sequence.still:
            return None
        return next((_base_q_idx(bits, sequence) for kind, bits in _units(data) if kind in (_FRAME_HEADER, _FRAME)), None)
    except ValueError:
        return None


def _units(data: bytes) -> Iterator[tuple[int, HighBits]]:
    """The kind of each unit and its first bits."""
    at = 0
    while at < len(data):
        head = data[at]
        start = at + (2 if head & 4 else 1)
        size, start = _leb128(data, start) if head & 2 else (len(data) - start, start)
        yield head >> 3 & 15, HighBits(data[start : start + min(size, _LONGEST)])
        at = start + size


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


def _sequence(bits: HighBits) -> Sequence | None:
    bits.take(4)
    still = bool(bits.take(1))  # reduced_still_picture_header
    if still:
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
    if not still:
        return Sequence((height, width), still)
    large_blocks, _, superres = bool(bits.take(1)), bits.take(2), bool(bits.take(1))
    return Sequence((height, width), still, large_blocks, superres)


def _base_q_idx(bits: HighBits, sequence: Sequence) -> int | None:
    """Through uncompressed_header to quantization_params, for a still picture."""
    bits.take(1)
    screen_content = bits.take(1)
    if screen_content:
        bits.take(1)
    if sequence.superres and bits.take(1):
        return None
    if bits.take(1):  # render_and_frame_size_different
        bits.take(32)
    if screen_content:
        bits.take(1)
    return bits.take(8) if _skip_tiles(bits, sequence) else None


def _log2(unit: int, target: int) -> int:
    """tile_log2 (5.9.16)."""
    count = 0
    while unit << count < target:
        count += 1
    return count


def _skip_tiles(bits: HighBits, sequence: Sequence) -> bool:
    """Read tile_info (5.9.15); False for tiles of unlike sizes."""
    shift = 5 if sequence.large_blocks else 4
    down, across = ((2 * ((side + 7) >> 3) + (1 << shift) - 1) >> shift for side in sequence.size)
    least = _log2(4096 >> (shift + 2), across)
    if not bits.take(1):
        return False
    columns = _grown(bits, least, _log2(1, min(across, 64)))
    area = max(least, _log2((4096 * 2304) >> (2 * (shift + 2)), down * across))
    rows = _grown(bits, max(area - columns, 0), _log2(1, min(down, 64)))
    if columns or rows:
        bits.take(columns + rows + 2)
    return True


def _grown(bits: HighBits, least: int, most: int) -> int:
    while least < most and bits.take(1):
        least += 1
    return least
