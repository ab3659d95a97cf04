"""The quantiser of an HEVC picture (ITU-T H.265, 7.3): from the parameter sets of an `hvcC` property and the first slice's header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from restore.images.bits import HighBits

_SEQUENCE, _PICTURE, _FIRST_OTHER = 33, 34, 32
"""Types of units: parameter sets; slices have smaller ones than these."""
_INSTANT, _INTRA = (19, 20), 2
_LONGEST, _PREFIX = 256, 24
"""Bytes of a unit that are looked at, and the longest exponential number in bits."""


@dataclass(frozen=True)
class _Sequence:
    """What a slice's header depends on: colours in one scan, planes apart, sample adaptive offsets."""

    has_chroma: bool
    planes_apart: bool
    has_offsets: bool


@dataclass(frozen=True)
class _Picture:
    """The same of a picture's parameter set, and its quantiser."""

    tells_output: bool
    extra_bits: int
    quantiser: int


def quantiser(setup: bytes, coded: bytes) -> int | None:
    """The quantiser (SliceQpY) of a still picture, at most 51; None where its headers are not of the plain kind.

    Args:
        setup: the content of its `hvcC` property (ISO/IEC 14496-15, 8.3.3.1).
        coded: the picture's units, each behind its length.
    """
    try:
        sets = {unit[0] >> 1 & 63: _bits(unit) for unit in _parameter_sets(setup)}
        slices = (unit for unit in _units(coded, (setup[21] & 3) + 1) if unit[0] >> 1 & 63 < _FIRST_OTHER)
        first = next(slices)
        return _slice(_bits(first), first[0] >> 1 & 63, _sequence(sets[_SEQUENCE]), _picture(sets[_PICTURE]))
    except (ValueError, IndexError, KeyError, StopIteration):
        return None


def _parameter_sets(setup: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(setup[22]):
        count, at = int.from_bytes(setup[at + 1 : at + 3], "big"), at + 3
        for _ in range(min(count, 64)):
            size = int.from_bytes(setup[at : at + 2], "big")
            yield setup[at + 2 : at + 2 + size]
            at += 2 + size


def _units(coded: bytes, wide: int) -> Iterator[bytes]:
    """The first bytes of each unit."""
    at = 0
    while at < len(coded):
        size, at = int.from_bytes(coded[at : at + wide], "big"), at + wide
        yield coded[at : at + min(size, _LONGEST)]
        at += size


def _bits(unit: bytes) -> HighBits:
    """A unit's bits behind its header, without the bytes that prevent start codes (7.3.1.1)."""
    return HighBits(unit[2:].replace(b"\0\0\3", b"\0\0"))


def _unsigned(bits: HighBits) -> int:
    """ue(v)."""
    zeros = 0
    while not bits.take(1):
        zeros += 1
        if zeros > _PREFIX:
            raise ValueError("a number of too many bits")
    return (1 << zeros) - 1 + bits.take(zeros)


def _signed(bits: HighBits) -> int:
    """se(v)."""
    number = _unsigned(bits)
    return (number + 1) // 2 if number & 1 else -(number // 2)


def _skip(bits: HighBits, count: int) -> None:
    for _ in range(count):
        _unsigned(bits)


def _sequence(bits: HighBits) -> _Sequence:
    """7.3.2.2."""
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 96)  # profile_tier_level (7.3.3)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    _unsigned(bits)
    chroma = _unsigned(bits)
    planes_apart = chroma == 3 and bool(bits.take(1))
    _skip(bits, 2)
    if bits.take(1):  # conformance window
        _skip(bits, 4)
    _skip(bits, 3)
    _skip(bits, 3 * (layers + 1 if bits.take(1) else 1))
    _skip(bits, 6)
    if bits.take(1) and bits.take(1):
        raise ValueError("scaling lists")
    bits.take(1)
    return _Sequence(chroma > 0, planes_apart, bool(bits.take(1)))


def _picture(bits: HighBits) -> _Picture:
    """7.3.2.3."""
    _skip(bits, 2)
    bits.take(1)
    tells_output, extra_bits = bool(bits.take(1)), bits.take(3)
    bits.take(2)
    _skip(bits, 2)
    return _Picture(tells_output, extra_bits, 26 + _signed(bits))


def _slice(bits: HighBits, kind: int, sequence: _Sequence, picture: _Picture) -> int | None:
    """7.3.6.1, of the first slice of a picture that refers to no other."""
    if not bits.take(1) or kind not in _INSTANT:
        return None
    bits.take(1)
    _unsigned(bits)
    bits.take(picture.extra_bits)
    if _unsigned(bits) != _INTRA:
        return None
    bits.take(picture.tells_output + 2 * sequence.planes_apart)
    if sequence.has_offsets:
        bits.take(1 + (sequence.has_chroma and not sequence.planes_apart))
    found = picture.quantiser + _signed(bits)
    return found if found <= 51 else None
