"""The quantiser of a VP8 picture, the lossy coding of WebP (RFC 6386, sections 7, 9.2 to 9.6 and 19.2)."""

from __future__ import annotations

_FRAME_TAG, _LONGEST = 10, 128
"""Bytes before the first arithmetic code, and those that are looked at."""


def quantiser(data: bytes) -> int | None:
    """y_ac_qi of a key frame, 0 (finest) to 127: the quantiser of segments that have none of their own; None where it breaks off."""
    try:
        return _quantiser(_Bits(data[_FRAME_TAG:_LONGEST]))
    except IndexError:
        return None


class _Bits:
    """The arithmetic decoder of section 7.3, for bits that are equally likely."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._shifts, self._range = data, 2, 0, 255
        self._value = data[0] << 8 | data[1]

    def _bit(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = int(self._value >= split << 8)
        if bit:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value, self._range, self._shifts = self._value << 1, self._range << 1, self._shifts + 1
            if self._shifts % 8 == 0:
                self._value |= self._data[self._at]
                self._at += 1
        return bit

    def take(self, count: int) -> int:
        """The next bits as a number, the highest first."""
        number = 0
        for _ in range(count):
            number = number << 1 | self._bit()
        return number

    def skip_optional(self, count: int, bits: int) -> None:
        """Numbers of so many bits, each behind a flag that says whether it is there."""
        for _ in range(count):
            if self.take(1):
                self.take(bits)


def _quantiser(bits: _Bits) -> int:
    bits.take(2)  # colour space, clamping
    if bits.take(1):  # segments
        has_map, has_values = bits.take(1), bits.take(1)
        if has_values:
            bits.take(1)
            bits.skip_optional(4, 7 + 1)
            bits.skip_optional(4, 6 + 1)
        if has_map:
            bits.skip_optional(3, 8)
    bits.take(1 + 6 + 3)  # loop filter
    if bits.take(1) and bits.take(1):
        bits.skip_optional(8, 6 + 1)
    bits.take(2)
    return bits.take(7)
