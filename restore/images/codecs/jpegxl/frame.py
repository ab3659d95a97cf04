"""The distance at which a JPEG XL picture was coded, by the quantiser of its frame (ISO/IEC 18181-1, annexes C, F and G; bits as in H).

libjxl chooses the quantiser by the distance alone. Patches and splines stand before it in arithmetic code, which is not decoded here.
"""

from __future__ import annotations

from restore.images.bits import LowBits
from restore.images.codecs.jpegxl.header import START, Header

FINEST, COARSEST = 0.05, 25.0
"""Distances that libjxl takes."""
_LOOKED_AT = 1 << 16
"""Bytes."""
_REGULAR, _NOISE, _PATCHES, _SPLINES, _DC_FRAME = 0, 1, 2, 16, 32
_GROUP, _DC_GROUP = 256, 2048
"""Pixels a side."""
_GLOBAL_AT_ONE, _MOST_GLOBAL, _DC_AT_SMALL = 5111, 32768, 1.096
"""global_scale of libjxl 0.11 at distance 1, to which it is inverse, up to its largest value; from there on the DC's quantiser tells it."""


def distance(codestream: bytes, header: Header) -> float | None:
    """The butteraugli distance of the first frame; None where its headers are not of the plain kind, or it has no VarDCT in XYB."""
    if header.end is None or not header.xyb:
        return None
    try:
        reader = _Reader(codestream[:_LOOKED_AT])
        reader.take(8 * len(START) + header.end)
        reader.align()
        quantiser = reader.quantiser(header)
    except ValueError:
        return None
    if quantiser is None:
        return None
    global_scale, dc = quantiser
    own = _GLOBAL_AT_ONE / global_scale if global_scale < _MOST_GLOBAL else _DC_AT_SMALL * 65536 / (global_scale * dc)
    return min(max(own, FINEST), COARSEST)


class _Reader(LowBits):
    def align(self) -> None:
        """Go to the next whole byte."""
        self.take(-self.position % 8)

    def choice(self, *choices: tuple[int, int]) -> int:
        """U32: a number by (bits, offset) for each of the four values of its selector."""
        bits, offset = choices[self.take(2)]
        return self.take(bits) + offset

    def long(self) -> int:
        """U64, of at most 12 bits; longer ones are not of plain files."""
        selector = self.take(2)
        if selector < 3:
            return 0 if not selector else self.take(4) + 1 if selector == 1 else self.take(8) + 17
        number = self.take(12)
        if self.take(1):
            raise ValueError("a long number")
        return number

    def quantiser(self, header: Header) -> tuple[int, int] | None:
        """(global_scale, quant_lf) of a frame that begins here (G.1.2 and I.2)."""
        flags = 0 if self.take(1) else self._frame_header(len(header.extra))
        if flags is None or flags & (_PATCHES | _SPLINES | _DC_FRAME):
            return None
        groups, dc_groups = (_tiles(header.size, side) for side in (_GROUP, _DC_GROUP))
        if self.take(1):  # a permuted table of contents
            return None
        self.align()
        for _ in range(1 if groups == 1 else 2 + dc_groups + groups):
            self.choice((10, 0), (14, 1024), (22, 17408), (30, 4211712))
        self.align()
        if flags & _NOISE:
            self.take(8 * 10)
        if not self.take(1):  # LfChannelDequantization
            self.take(3 * 16)
        global_scale = self.choice((11, 1), (11, 2049), (12, 4097), (16, 8193))
        return global_scale, self.choice((0, 16), (5, 1), (8, 1), (16, 1))

    def _frame_header(self, extra: int) -> int | None:
        """Read the header of the only frame of a picture (F.2); its flags, or None where it is another one."""
        kind, modular, flags = self.take(2), self.take(1), self.long()
        if kind != _REGULAR or modular or flags & _DC_FRAME:
            return None
        if self.take(2) or any(self.take(2) for _ in range(extra)):  # upsampling
            return None
        self.take(6)  # quantisation of X and B
        if self.take(2) or self.take(1):  # several passes; a crop
            return None
        if any(self.take(2) for _ in range(1 + extra)) or not self.take(1):  # blending; not the last frame
            return None
        self.take(8 * self.choice((0, 0), (4, 0), (5, 16), (10, 48)))  # its name
        if not self.take(1):
            self._filters()
        return None if self.long() else flags  # extensions

    def _filters(self) -> None:
        """RestorationFilter (J.1)."""
        if self.take(1) and self.take(1):
            self.take(6 * 16)
        if self.take(2):
            for count in (8, 5, 4):
                if self.take(1):
                    self.take(count * 16)
        if self.long():
            raise ValueError("extensions")


def _tiles(size: tuple[int, int], side: int) -> int:
    return -(-size[0] // side) * -(-size[1] // side)
