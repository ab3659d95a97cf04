"""Tags of EXIF and XMP that speak of the pixels: the orientation, applied once and then reset where it stands, and the resolution.

The tag is changed in place, byte for byte: maker notes hold offsets into the EXIF block and must not move.
"""

from __future__ import annotations

import re
import struct
from fractions import Fraction

import numpy as np

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION = 0x0112, 0x011A, 0x011B
_XMP = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)([1-8])")


def _entry(exif: bytes) -> tuple[str, int] | None:
    """(byte order, offset of the value) of IFD0's orientation in a block that starts at the TIFF header."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return None
    for entry in _entries(exif, order):
        tag, kind, number = struct.unpack_from(order + "HHI", exif, entry)
        if tag == _ORIENTATION and kind == 3 and number == 1:
            return order, entry + 8
    return None


def orientation(exif: bytes | None) -> int:
    """1 to 8; 1 (upright) where the block is missing, broken or doesn't say."""
    found = _entry(exif) if exif else None
    if not exif or found is None:
        return 1
    (value,) = struct.unpack_from(found[0] + "H", exif, found[1])
    return value if 1 <= value <= 8 else 1


def upright_exif(exif: bytes) -> bytes:
    """The same block with its orientation set to 1, nothing moved."""
    found = _entry(exif)
    if found is None:
        return exif
    return exif[: found[1]] + struct.pack(found[0] + "H", 1) + exif[found[1] + 2 :]


def finer_exif(exif: bytes, scale: float) -> bytes:
    """The same block with IFD0's resolution multiplied, nothing moved."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return exif
    made = bytearray(exif)
    for entry in _entries(exif, order):
        tag, kind, number, at = struct.unpack_from(order + "HHII", exif, entry)
        if tag in (_X_RESOLUTION, _Y_RESOLUTION) and kind == 5 and number == 1 and at + 8 <= len(exif):
            above, below = struct.unpack_from(order + "II", exif, at)
            found = Fraction(above, below or 1) * Fraction(scale).limit_denominator(10**4)
            found = found if max(found.numerator, found.denominator) < 2**32 else found.limit_denominator(10**4)
            struct.pack_into(order + "II", made, at, found.numerator, found.denominator)
    return bytes(made)


def _entries(exif: bytes, order: str) -> range:
    """Where IFD0's entries begin."""
    (start,) = struct.unpack_from(order + "I", exif, 4)
    if start + 2 > len(exif):
        return range(0)
    (count,) = struct.unpack_from(order + "H", exif, start)
    return range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12)


def upright_xmp(xmp: bytes) -> bytes:
    """The same packet with tiff:Orientation set to 1, nothing moved."""
    return _XMP.sub(rb"\g<1>1", xmp)


def turns(tag: int) -> bool:
    """Whether applying the tag swaps height and width."""
    return tag >= 5


def upright(stored: np.ndarray, tag: int) -> np.ndarray:
    """Turn (H, W[, C]) pixels as the tag says; a contiguous array, the same one for tag 1."""
    if tag <= 1:
        return stored
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }[tag](stored)
    return np.ascontiguousarray(turned)
