"""Tags that hold the size, the position or the channels of a TIFF's pixels, for pixels that are finer, rotated or coloured.

GeoTIFF (OGC 19-008r4), OME-XML, ImageJ's and tifffile's descriptions, Micro-Manager's, and the EXIF that hangs on a page.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any

from tifffile import TiffPage

from restore.images.exif import EXIF_IFD
from restore.images.orientation import rescaled_rational, rescaled_xmp, swaps_sides, upright_xmp

_PIXEL_SCALE, _TIEPOINTS, _TRANSFORM, _GEO_KEYS, _RPC, _MICRO_MANAGER = 33550, 33922, 34264, 34735, 50844, 51123
GEOGRAPHIC = (_PIXEL_SCALE, _TIEPOINTS, _TRANSFORM, _RPC)
_PIXEL_X, _PIXEL_Y, _FOCAL_X, _FOCAL_Y = 0xA002, 0xA003, 0xA20E, 0xA20F
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>", re.DOTALL)
_OME_SIZES = re.compile(r"\b(SizeX|SizeY|PhysicalSizeX|PhysicalSizeY)(\s*=\s*[\"'])([^\"']*)")
_IMAGEJ_ORIGIN = re.compile(r"(?m)^([xy]origin=)([0-9.eE+-]+)")


def changes(page: TiffPage, shape: tuple[int, int], scale: float) -> dict[int, Any]:
    """Tag -> its new value, for a page whose pixels have become (height, width) `shape`, upright and `scale` times as fine."""
    swapped = swaps_sides(int(page.tags.valueof(274, default=1)))
    changed: dict[int, Any] = {}
    if scale != 1 or swapped:
        changed |= _described(page, shape, scale, swapped=swapped)
    if scale != 1:
        changed |= _geographic(page, scale)
    xmp = page.tags.valueof(700)
    if isinstance(xmp, bytes):
        new = rescaled_xmp(upright_xmp(xmp, swapped=swapped), scale, shape)
        changed |= {700: new} if new != xmp else {}
    return changed


def _described(page: TiffPage, shape: tuple[int, int], scale: float, *, swapped: bool) -> dict[int, Any]:
    text = page.description
    if page.is_ome:
        return {270: ome(text, scale, swapped=swapped).encode() + b"\0"}
    if page.shaped_description is not None and page.shaped_description == text:
        new = _shaped(page, text, shape, scale)
        return {270: new.encode() + b"\0"} if new else {}
    if page.is_imagej and scale != 1 and _IMAGEJ_ORIGIN.search(text):
        return {270: _IMAGEJ_ORIGIN.sub(lambda m: f"{m[1]}{float(m[2]) * scale:.10g}", text).encode("latin-1", "replace") + b"\0"}
    described = page.tags.valueof(_MICRO_MANAGER)
    if isinstance(described, dict) and scale != 1:
        new_description = {**described, **{k: v for k, v in (("Width", shape[1]), ("Height", shape[0])) if k in described}}
        if isinstance(described.get("PixelSizeUm"), int | float):
            new_description["PixelSizeUm"] = described["PixelSizeUm"] / scale
        return {_MICRO_MANAGER: json.dumps(new_description).encode() + b"\0"}
    return {}


def ome(text: str, scale: float, *, swapped: bool = False) -> str:
    """OME-XML for pixels `scale` times as fine, with x and y swapped if `swapped`; all else stays."""

    def fitted(tag: re.Match[str]) -> str:
        values = {m[1]: m[3] for m in _OME_SIZES.finditer(tag[0])}

        def one(found: re.Match[str]) -> str:
            name, value = found[1], found[3]
            if swapped:
                value = values.get(name[:-1] + {"X": "Y", "Y": "X"}[name[-1]], value)
            try:
                new = str(round(int(value) * scale)) if name.startswith("Size") else f"{float(value) / scale:.15g}"
            except ValueError:
                new = value
            return found[1] + found[2] + (value if scale == 1 else new)

        return _OME_SIZES.sub(one, tag[0])

    return _PIXELS.sub(fitted, text)


def _shaped(page: TiffPage, text: str, shape: tuple[int, int], scale: float) -> str | None:
    """tifffile's description with the new size; None where it does not fit the page."""
    try:
        described = json.loads(text)
        sizes = [int(n) for n in described["shape"]]
    except (ValueError, KeyError, TypeError):
        return None
    if tuple(sizes[-len(page.shape) :]) != page.shape:
        return None
    at = len(sizes) - len(page.shape)
    sizes[at + page.axes.index("Y")], sizes[at + page.axes.index("X")] = shape
    for name in ("PhysicalSizeX", "PhysicalSizeY"):
        if isinstance(described.get(name), int | float):
            described[name] = described[name] / scale
    return json.dumps({**described, "shape": sizes})


def coloured(page: TiffPage, text: str | bytes | None, shape: tuple[int, ...]) -> str | bytes | None:
    """The description of a gray page that becomes (H, W, 3|4) `shape`; None where it would speak of gray samples.

    Args:
        page: as it was.
        text: its description, of the new size.
        shape: of the new samples.
    """
    if says_gray(page):
        return None
    if text is None or page.shaped_description is None or page.shaped_description != page.description:
        return text
    was = list(page.shape)
    was[page.axes.index("Y")], was[page.axes.index("X")] = shape[:2]
    try:
        described = json.loads(text.rstrip(b"\0") if isinstance(text, bytes) else text)
        sizes = [int(n) for n in described["shape"]]
    except (ValueError, KeyError, TypeError):
        return None
    at = len(sizes) - len(was)
    if at < 0 or sizes[at:] != was:
        return None
    described.pop("truncated", None)  # planes under one directory become pages
    axes = described.get("axes")
    if isinstance(axes, str) and len(axes) == len(sizes):
        described["axes"] = axes[:at] + "YXS"
    return json.dumps({**described, "shape": [*sizes[:at], *shape]})


def says_gray(page: TiffPage) -> str:
    """The name of a description that no page in colour can keep, because it tells how many channels and planes the file has; else empty."""
    return "OME" if page.is_ome else "ImageJ" if page.is_imagej else ""


def _geographic(page: TiffPage, scale: float) -> dict[int, Any]:
    """Raster coordinates count from the corner of the first pixel, or from its centre where pixels are points."""
    keys = page.tags.valueof(_GEO_KEYS) or ()
    rows = [keys[i : i + 4] for i in range(4, len(keys) - 3, 4)]
    point = any(row[0] == _RASTER_TYPE and row[1] == 0 and row[3] == _PIXEL_IS_POINT for row in rows)

    def moved(position: float, *, centre: bool = point) -> float:
        return (position + 0.5) * scale - 0.5 if centre else position * scale

    changed: dict[int, Any] = {}
    size, ties, matrix, rpc = (page.tags.valueof(code) for code in GEOGRAPHIC)
    if size and len(size) == 3:
        changed[_PIXEL_SCALE] = (size[0] / scale, size[1] / scale, size[2])
    if ties and len(ties) % 6 == 0:
        changed[_TIEPOINTS] = tuple(moved(v) if i % 6 < 2 else v for i, v in enumerate(ties))
    if matrix and len(matrix) == 16:
        new = list(matrix)
        for row in range(0, 16, 4):
            a, b = matrix[row], matrix[row + 1]
            new[row], new[row + 1] = a / scale, b / scale
            if point:
                new[row + 3] += (a + b) * (0.5 / scale - 0.5)
        changed[_TRANSFORM] = tuple(new)
    if rpc and len(rpc) >= 10:
        line, sample = moved(rpc[2], centre=True), moved(rpc[3], centre=True)
        changed[_RPC] = (*rpc[:2], line, sample, *rpc[4:7], rpc[7] * scale, rpc[8] * scale, *rpc[9:])
    return changed


def fit_exif(page: TiffPage, shape: tuple[int, int], scale: float, fitted: set[tuple[int, int]], *, swapped: bool) -> None:
    """Update PixelXDimension and PixelYDimension of the page's EXIF in the file, if present and not among the `fitted`."""
    if EXIF_IFD not in page.tags or (scale == 1 and not swapped):
        return
    file, order, big = page.parent.filehandle, page.parent.byteorder, page.parent.is_bigtiff
    head, width, pointer = ("Q", 20, "Q") if big else ("H", 12, "I")
    file.seek(page.tags[EXIF_IFD].offset + 4 + struct.calcsize(pointer))
    (at,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
    if (EXIF_IFD, at) in fitted:
        return
    fitted.add((EXIF_IFD, at))
    file.seek(at)
    (count,) = struct.unpack(order + head, file.read(struct.calcsize(head)))
    for position in range(at + struct.calcsize(head), at + struct.calcsize(head) + width * min(count, 4096), width):
        file.seek(position)
        entry = bytearray(file.read(width))
        if len(entry) < width:
            return
        (code,) = struct.unpack_from(order + "H", entry)
        if code in (_PIXEL_X, _PIXEL_Y) and _set(entry, order, shape[code == _PIXEL_X], pointer):
            file.seek(position)
            file.write(bytes(entry))
        elif code in (_FOCAL_X, _FOCAL_Y) and not big and struct.unpack_from(order + "HI", entry, 2) == (5, 1):
            (where,) = struct.unpack_from(order + "I", entry, 8)
            file.seek(where)
            value = rescaled_rational(struct.unpack(order + "II", file.read(8)), scale)
            file.seek(where)
            file.write(struct.pack(order + "II", *value))


def _set(entry: bytearray, order: str, value: int, pointer: str) -> bool:
    kind, number = struct.unpack_from(order + "H" + pointer, entry, 2)
    if kind not in (3, 4) or number != 1:
        return False
    long = kind == 4 or value > 65535
    at = 4 + struct.calcsize(pointer)
    struct.pack_into(order + "H", entry, 2, 4 if long else 3)
    entry[at:] = struct.pack(order + ("I" if long else "H"), value).ljust(len(entry) - at, b"\0")
    return True
