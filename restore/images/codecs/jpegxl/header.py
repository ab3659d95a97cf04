"""The image header of a JPEG XL codestream (ISO/IEC 18181-1, annex D): size, depth, channels and colours, and the latter's bits.

The encoder of imagecodecs describes samples of 8 bits as sRGB, all others as linear light. `with_colours` puts the description of another
file in its place. XYB is light itself, whatever describes it: there the description decides what a decoder makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from restore.images.bits import LowBits

START = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_ALPHA, _SPOT, _CFA = 0, 2, 5
_LONGEST = 4096
"""Bytes that are looked at."""
RGB, GRAY = 0, 1
SRGB, LINEAR = 13, 8

Choices = tuple[tuple[int, int], ...]
"""Of a number: (bits, offset) for each of the four values of its selector."""
_SIZE: Choices = ((9, 1), (13, 1), (18, 1), (30, 1))
_ENUM: Choices = ((0, 0), (0, 1), (4, 2), (6, 18))
_PLACE: Choices = ((19, 0), (19, 1 << 19), (20, 1 << 20), (21, 1 << 21))


@dataclass(frozen=True)
class Colours:
    """The description of the colours.

    Attributes:
        space: 0 RGB, 1 gray, 2 XYB, 3 unknown.
        icc: whether an ICC profile describes them, which follows in the codestream.
        white, primaries, transfer: codes (transfer as in ITU-T H.273); 2 for values of their own.
        gamma: an exponent instead of a transfer code.
    """

    space: int = RGB
    icc: bool = False
    white: int = 1
    primaries: int = 1
    transfer: int = SRGB
    gamma: float | None = None

    @property
    def is_linear(self) -> bool:
        """Whether they are linear light of sRGB's primaries."""
        return replace(self, transfer=SRGB).is_srgb and self.transfer == LINEAR

    @property
    def is_srgb(self) -> bool:
        """Whether they are what a file without a description has."""
        gray = self.space == GRAY
        return not self.icc and self.gamma is None and self.white == 1 and (gray or self.primaries == 1) and self.transfer == SRGB


@dataclass(frozen=True)
class Header:
    """What the header says.

    Attributes:
        size: (height, width) as coded, before the orientation.
        orientation: 1 to 8, as in EXIF.
        animated: whether more than one frame is shown.
        bits: of a sample; those of floats are 16, 24 or 32.
        extra: kinds of the extra channels, 0 for alpha.
        straight: whether no alpha is premultiplied.
        xyb: whether the samples are coded as XYB, and so with loss.
        colours_at: where the bits of `colours` begin and end.
        end: where the header ends in bits; None where something follows that is not parsed.
    """

    size: tuple[int, int]
    orientation: int = 1
    animated: bool = False
    bits: int = 8
    floats: bool = False
    extra: tuple[int, ...] = ()
    straight: bool = True
    xyb: bool = True
    colours: Colours = Colours()
    colours_at: tuple[int, int] = (0, 0)
    end: int | None = None


class _Reader(LowBits):
    """The fields that headers are made of."""

    def number(self, choices: Choices) -> int:
        bits, offset = choices[self.take(2)]
        return self.take(bits) + offset

    def flag(self) -> bool:
        return bool(self.take(1))

    def size(self) -> tuple[int, int]:
        """SizeHeader: (height, width)."""
        small = self.flag()
        height = 8 * (self.take(5) + 1) if small else self.number(_SIZE)
        ratio = self.take(3)
        if ratio:
            above, below = _RATIOS[ratio]
            return height, height * above // below
        return height, 8 * (self.take(5) + 1) if small else self.number(_SIZE)

    def preview(self) -> None:
        """PreviewHeader."""
        small = self.flag()
        choices: Choices = ((0, 16), (0, 32), (5, 1), (9, 33)) if small else ((6, 1), (8, 65), (10, 321), (12, 1345))
        self.number(choices)
        if not self.take(3):
            self.number(choices)

    def depth(self) -> tuple[int, bool]:
        """BitDepth: bits, and whether they are floats."""
        if self.flag():
            bits = self.number(((0, 32), (0, 16), (0, 24), (6, 1)))
            self.take(4)
            return bits, True
        return self.number(((0, 8), (0, 10), (0, 12), (6, 1))), False

    def extra_channel(self) -> tuple[int, bool]:
        """ExtraChannelInfo: its kind, and whether it is premultiplied."""
        if self.flag():
            return _ALPHA, False
        kind = self.number(_ENUM)
        self.depth()
        self.number(((0, 0), (0, 3), (0, 4), (3, 1)))
        for _ in range(self.number(((0, 0), (4, 0), (5, 16), (10, 48)))):
            self.take(8)
        premultiplied = self.flag() if kind == _ALPHA else False
        if kind == _SPOT:
            self.take(64)
        elif kind == _CFA:
            self.number(((0, 1), (2, 0), (4, 3), (8, 19)))
        return kind, premultiplied

    def colours(self) -> Colours:
        """ColourEncoding."""
        if self.flag():
            return Colours()
        icc, space = self.flag(), self.number(_ENUM)
        if icc or space == 2:
            return Colours(space, icc)
        white = self.number(_ENUM)
        self._own_places(1 if white == 2 else 0)
        primaries = self.number(_ENUM) if space != GRAY else 1
        self._own_places(3 if space != GRAY and primaries == 2 else 0)
        gamma = self.take(24) / 1e7 if self.flag() else None
        transfer = self.number(_ENUM) if gamma is None else 2
        self.number(_ENUM)
        return Colours(space, False, white, primaries, transfer, gamma)

    def _own_places(self, count: int) -> None:
        for _ in range(2 * count):
            self.number(_PLACE)


def read(codestream: bytes) -> Header:
    """Parse the header of a codestream; ValueError where it breaks off or is none."""
    if not codestream.startswith(START):
        raise ValueError("it holds no codestream")
    reader = _Reader(codestream[2:_LONGEST])
    size = reader.size()
    if reader.flag():
        return Header(size, end=reader.position if reader.flag() else None)
    orientation, animated, has_more = 1, False, reader.flag()
    if has_more:
        orientation = reader.take(3) + 1
        if reader.flag():
            reader.size()
        if reader.flag():
            reader.preview()
        animated = reader.flag()
    if animated:
        return Header(size, orientation, animated)
    bits, floats = reader.depth()
    reader.flag()
    extra = [reader.extra_channel() for _ in range(reader.number(((0, 0), (0, 1), (4, 2), (12, 1))))]
    xyb, start = reader.flag(), reader.position
    colours = reader.colours()
    at = (start, reader.position)
    kinds, straight = tuple(kind for kind, _ in extra), not any(premultiplied for _, premultiplied in extra)
    return Header(size, orientation, False, bits, floats, kinds, straight, xyb, colours, at, _end(reader, has_more, colours))


def _end(reader: _Reader, has_more: bool, colours: Colours) -> int | None:
    """Where the header ends, for the plain ones that an encoder of pictures writes."""
    if has_more and not reader.flag():  # ToneMapping
        return None
    if reader.take(2):  # extensions
        return None
    return reader.position if reader.flag() and not colours.icc else None  # default_m


def with_colours(encoded: bytes, source: bytes) -> bytes:
    """A codestream with the description of the colours of another one.

    Raises:
        ValueError: one of their headers is not of the plain kind.
    """
    old, new = read(source), read(encoded)
    if new.end is None or old.colours.icc:
        raise ValueError("its colours cannot be kept")
    given, own = int.from_bytes(source[2:_LONGEST], "little"), int.from_bytes(encoded[2:_LONGEST], "little")
    parts = ((own, 0, new.colours_at[0]), (given, *old.colours_at), (own, new.colours_at[1], new.end))
    made, length = 0, 0
    for number, start, end in parts:
        made |= (number >> start & (1 << (end - start)) - 1) << length
        length += end - start
    return START + made.to_bytes(-(-length // 8), "little") + encoded[2 - (-new.end // 8) :]
