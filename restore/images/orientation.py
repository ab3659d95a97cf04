"""Tags of EXIF and XMP that describe the pixels: orientation (applied once, then reset), size and resolution.

EXIF is changed in place, because maker notes hold offsets into the block and must not move.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from fractions import Fraction

import numpy as np

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _EXIF_IFD = 0x0112, 0x011A, 0x011B, 0x8769
_WIDTH, _HEIGHT, _PIXEL_X, _PIXEL_Y = 0x0100, 0x0101, 0xA002, 0xA003
_FOCAL_X, _FOCAL_Y, _UNIT = 0xA20E, 0xA20F, 0x0128
_XMP = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)([1-8])")
_PAIRS = {
    b"exif:PixelXDimension": b"exif:PixelYDimension",
    b"tiff:ImageWidth": b"tiff:ImageLength",
    b"tiff:XResolution": b"tiff:YResolution",
}
_OTHER = _PAIRS | {b: a for a, b in _PAIRS.items()}
_XMP_SIZES = re.compile(rb"\b(" + b"|".join(_OTHER) + rb")(\s*(?:=\s*[\"']|>)\s*)([0-9./]+)")


def _order(exif: bytes) -> str | None:
    """The byte order of a block that starts at the TIFF header; None where it doesn't."""
    return {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4]) if len(exif) >= 8 else None


def _entries(exif: bytes, order: str, at: int) -> dict[int, int]:
    """The offset of each tag's entry in the directory at `at`."""
    if at + 2 > len(exif):
        return {}
    (count,) = struct.unpack_from(order + "H", exif, at)
    places = range(at + 2, min(at + 2 + 12 * count, len(exif) - 11), 12)
    return {struct.unpack_from(order + "H", exif, position)[0]: position for position in places}


def _tags(exif: bytes, order: str) -> dict[int, int]:
    """The offset of each tag's entry in IFD0 and in the Exif directory."""
    (start,) = struct.unpack_from(order + "I", exif, 4)
    found = _entries(exif, order, start)
    if _EXIF_IFD in found:
        (below,) = struct.unpack_from(order + "I", exif, found[_EXIF_IFD] + 8)
        found = {**_entries(exif, order, below), **found}
    return found


def orientation(exif: bytes | None) -> int:
    """The orientation, 1 to 8; 1 (upright) where the block is missing, broken or has no such tag."""
    order = _order(exif) if exif else None
    if not exif or order is None:
        return 1
    at = _tags(exif, order).get(_ORIENTATION)
    if at is None or struct.unpack_from(order + "HI", exif, at + 2) != (3, 1):
        return 1
    (value,) = struct.unpack_from(order + "H", exif, at + 8)
    return value if 1 <= value <= 8 else 1


def exif_dpi(exif: bytes | None) -> tuple[float, float] | None:
    """Dots an inch across and down; None where the block has no resolution."""
    order = _order(exif) if exif else None
    if not exif or order is None:
        return None
    tags = _tags(exif, order)
    found = []
    for code in (_X_RESOLUTION, _Y_RESOLUTION):
        kind, number, at = struct.unpack_from(order + "HII", exif, tags[code] + 2) if code in tags else (0, 0, 0)
        if (kind, number) != (5, 1) or at + 8 > len(exif):
            return None
        above, below = struct.unpack_from(order + "II", exif, at)
        found.append(above / (below or 1))
    unit = struct.unpack_from(order + "H", exif, tags[_UNIT] + 8)[0] if _UNIT in tags else 2
    scale = {2: 1.0, 3: 2.54}.get(unit)
    return (found[0] * scale, found[1] * scale) if scale and all(found) else None


def upright_exif(exif: bytes) -> bytes:
    """The same block with orientation 1; sizes and resolutions are swapped if the orientation swaps sides. No byte moves."""
    tag, order = orientation(exif), _order(exif)
    if order is None or tag == 1:
        return exif
    result, tags = bytearray(exif), _tags(exif, order)
    struct.pack_into(order + "H", result, tags[_ORIENTATION] + 8, 1)
    if swaps_sides(tag):
        for one, other in (
            (_X_RESOLUTION, _Y_RESOLUTION),
            (_WIDTH, _HEIGHT),
            (_PIXEL_X, _PIXEL_Y),
            (_FOCAL_X, _FOCAL_Y),
        ):
            if one in tags and other in tags:
                a, b = (slice(tags[code] + 2, tags[code] + 12) for code in (one, other))
                result[a], result[b] = exif[b], exif[a]
    return bytes(result)


def rescaled_exif(exif: bytes, scale: float, size: tuple[int, int]) -> bytes:
    """The same block for pixels `scale` times as fine, `size` (height, width) where it holds a size. No byte moves."""
    order = _order(exif)
    if order is None or scale == 1:
        return exif
    result, tags = bytearray(exif), _tags(exif, order)
    for code in (_X_RESOLUTION, _Y_RESOLUTION, _FOCAL_X, _FOCAL_Y):
        kind, number, at = struct.unpack_from(order + "HII", exif, tags[code] + 2) if code in tags else (0, 0, 0)
        if kind == 5 and number == 1 and at + 8 <= len(exif):
            struct.pack_into(order + "II", result, at, *rescaled_rational(struct.unpack_from(order + "II", exif, at), scale))
    for code, value in ((_WIDTH, size[1]), (_HEIGHT, size[0]), (_PIXEL_X, size[1]), (_PIXEL_Y, size[0])):
        if code in tags:
            set_number(result, tags[code], order, value)
    return bytes(result)


def rescaled_rational(value: tuple[int, int], scale: float) -> tuple[int, int]:
    """A rational `scale` times as large, as two numbers of 32 bits."""
    largest = 2**32 - 1
    found = Fraction(value[0], value[1] or 1) * Fraction(scale).limit_denominator(10**4)
    if max(found.numerator, found.denominator) > largest:
        found = found.limit_denominator(min(10**4, max(1, int(largest // (found + 1)))))
    return min(found.numerator, largest), found.denominator


def set_number(block: bytearray, at: int, order: str, value: int) -> None:
    """Write one SHORT or LONG into the 12-byte entry at `at`; other types stay."""
    kind, number = struct.unpack_from(order + "HI", block, at + 2)
    if kind in (3, 4) and number == 1:
        long = kind == 4 or value > 65535
        struct.pack_into(order + "H", block, at + 2, 4 if long else 3)
        block[at + 8 : at + 12] = struct.pack(order + ("I" if long else "H"), value).ljust(4, b"\0")


def upright_xmp(xmp: bytes, *, swapped: bool = False) -> bytes:
    """The packet with tiff:Orientation 1; with `swapped`, the sizes and resolutions of x and y change places."""
    result = _XMP.sub(rb"\g<1>1", xmp)
    if not swapped:
        return result
    values = {found[1]: found[3] for found in _XMP_SIZES.finditer(result)}
    return _XMP_SIZES.sub(lambda found: found[1] + found[2] + values.get(_OTHER[found[1]], found[3]), result)


def rescaled_xmp(xmp: bytes, scale: float, size: tuple[int, int]) -> bytes:
    """The packet for pixels `scale` times as fine; `size` is (height, width)."""

    def fitted(found: re.Match[bytes]) -> bytes:
        name, value = found[1], found[3]
        if name.endswith(b"Resolution"):
            above, _, below = value.partition(b"/")
            try:
                a, b = rescaled_rational((int(above), int(below or b"1")), scale)
            except ValueError:
                return found[0]
            return name + found[2] + (b"%d/%d" % (a, b) if below else b"%d" % round(a / b))
        return name + found[2] + b"%d" % (size[1] if name in (b"exif:PixelXDimension", b"tiff:ImageWidth") else size[0])

    return xmp if scale == 1 else _XMP_SIZES.sub(fitted, xmp)


def swaps_sides(tag: int) -> bool:
    """Whether applying the tag swaps height and width; a tag beyond 8 means nothing."""
    return 5 <= tag <= 8


def upright(stored: np.ndarray, tag: int) -> np.ndarray:
    """Apply the orientation `tag` to (H, W[, C]) pixels. The result is contiguous; for tag 1 and beyond 8 it is the same array."""
    if not 2 <= tag <= 8:
        return stored
    turned: Callable[[np.ndarray], np.ndarray] = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }[tag]
    return np.ascontiguousarray(turned(stored))
