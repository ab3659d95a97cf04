"""PNG's pixel stream: how much of it is present, and decoding it, complete or not, interlaced or not."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import PngImagePlugin

from restore.images.codecs.png import chunks
from restore.images.codecs.png.chunks import GRAY, PALETTE, SAMPLES, Layout

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Left, top, horizontal and vertical step of each pass."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Pass:
    """The pixels of one pass of an interlaced picture, or all of another: `size` is (height, width), `row` counts bytes."""

    size: tuple[int, int]
    row: int
    left: int = 0
    top: int = 0
    dx: int = 1
    dy: int = 1


def passes(layout: Layout) -> list[Pass]:
    """The passes in the order of the stream, empty ones left out."""
    bits = SAMPLES[layout.colour] * layout.depth
    if not layout.interlaced:
        return [Pass((layout.height, layout.width), 1 + (layout.width * bits + 7) // 8)]
    found = []
    for left, top, dx, dy in _ADAM7:
        width, height = -(-(layout.width - left) // dx), -(-(layout.height - top) // dy)
        if width > 0 and height > 0:
            found.append(Pass((height, width), 1 + (width * bits + 7) // 8, left, top, dx, dy))
    return found


@dataclass(frozen=True)
class Stream:
    """The inflated rows, each with its filter, as far as they are present."""

    data: bytes
    first_missing: int | None
    """The first incomplete row; None where all are complete."""
    vouched: bool
    """Whether the stream's own checksum is present and right."""


def inflated(path: Path, layout: Layout) -> Stream:
    """Inflate what is present of a picture's stream, but never more than the header says."""
    expected = sum(p.size[0] * p.row for p in passes(layout))
    decoder, length, vouched = zlib.decompressobj(), 0, False
    parts: list[bytes] = []
    try:
        for payload in chunks.payloads(path):
            for at in range(0, len(payload), _PIECE):
                part = decoder.decompress(payload[at : at + _PIECE], max(1, expected - length + 1))
                parts.append(part)
                length += len(part)
        vouched = decoder.eof
    except zlib.error:
        # all that zlib had made of the failing piece is lost with it: take it byte by byte
        parts, length = _as_far_as_it_goes(path, expected)
    data = b"".join(parts)[:expected]
    return Stream(data, _first_missing(layout, len(data)), vouched and len(data) == expected)


def _as_far_as_it_goes(path: Path, expected: int) -> tuple[list[bytes], int]:
    decoder, length = zlib.decompressobj(), 0
    parts: list[bytes] = []
    for payload in chunks.payloads(path):
        for at in range(0, len(payload), 16):
            try:
                part = decoder.decompress(payload[at : at + 16], max(1, expected - length + 1))
            except zlib.error:
                return parts, length
            parts.append(part)
            length += len(part)
    return parts, length


def _first_missing(layout: Layout, length: int) -> int | None:
    missing = []
    for one in passes(layout):
        rows = min(one.size[0], length // one.row)
        length -= one.size[0] * one.row
        length = max(0, length)
        if rows < one.size[0]:
            missing.append(one.top + rows * one.dy)
    return min(missing, default=None)


def decoded(path: Path, layout: Layout) -> np.ndarray:
    """(H, W[, C]) samples as coded: palette indices, or values below 2**depth. Raises what decoders raise for an incomplete stream."""
    if layout.interlaced:
        return rebuilt(layout, inflated(path, layout).data, fill=False)
    return _samples(layout, chunks.bare(layout, chunks.payloads(path)))


def rebuilt(layout: Layout, data: bytes, *, fill: bool = True) -> np.ndarray:
    """The samples of an inflated stream, as `decoded` gives them; incomplete rows are 0 if `fill`, else an error."""
    channels = SAMPLES[layout.colour]
    shape = (layout.height, layout.width) if channels == 1 else (layout.height, layout.width, channels)
    samples = np.zeros(shape, np.uint16 if layout.depth == 16 else np.uint8)
    at = 0
    for one in passes(layout):
        height, width = one.size
        rows = data[at : at + height * one.row]
        at += height * one.row
        if len(rows) < height * one.row:
            if not fill:
                raise ValueError("the stream of pixels breaks off")
            rows = rows[: len(rows) // one.row * one.row].ljust(height * one.row, b"\0")
        single = replace(layout, width=width, height=height)
        samples[one.top :: one.dy, one.left :: one.dx] = _samples(single, chunks.bare(single, [zlib.compress(rows, 1)]))
    return samples


def _samples(layout: Layout, png: bytes) -> np.ndarray:
    if layout.colour != PALETTE and layout.depth >= 8:
        return np.asarray(imagecodecs.png_decode(png))
    with PngImagePlugin.PngImageFile(io.BytesIO(png)) as image:
        image.load()
        samples = np.asarray(image).astype(np.uint8)
    if layout.colour == GRAY:  # Pillow spreads 2 and 4 bits over 0..255
        samples //= {1: 1, 2: 85, 4: 17}[layout.depth]
    return samples
