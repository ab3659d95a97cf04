"""JPEG with any sampling of its components, which Pillow cannot write: each component is coded as a gray picture in its own scan.

A JPEG may hold its components in scans of their own (ITU-T T.81, A.2); such a scan is what a gray picture's is.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image


def writable(components: tuple[bytes, ...]) -> bool:
    """Whether the finest component has a whole multiple of the samples of each component (id, sampling, table)."""
    across, down = zip(*((part[1] >> 4, part[1] & 15) for part in components), strict=True)
    if not all(across) or not all(down):
        return False
    return all(max(across) % a == 0 for a in across) and all(max(down) % d == 0 for d in down)


def coded(stored: np.ndarray, components: tuple[bytes, ...], tables: dict[int, list[int]], *, progressive: bool) -> bytes:
    """A JPEG stream of (H, W, 3) uint8 RGB as YCbCr, or of (H, W, 4) inks as YCCK, inverted as Adobe's are.

    Args:
        components: id, sampling and number of the quantisation table of each.
        tables: by their numbers, in Pillow's order.
    """
    planes = np.asarray(Image.fromarray(np.ascontiguousarray(stored[..., :3])).convert("YCbCr"))
    if inks := stored.shape[-1] == 4:  # Y, Cb and Cr are those of R = 255 - C, ... of the inverted inks
        planes = np.concatenate([planes, 255 - stored[..., 3:]], -1)
    across, down = max(p[1] >> 4 for p in components), max(p[1] & 15 for p in components)
    quantisation: dict[int, bytes] = {}
    scans = []
    for index, part in enumerate(components):
        plane = _reduced(planes[..., index], down // (part[1] & 15), across // (part[1] >> 4))
        table, own = _gray(plane, tables.get(part[2], next(iter(tables.values()))), part[0], progressive=progressive)
        wide = len(table) == 2 * 64  # steps above 255
        quantisation[part[2]] = b"\xff\xdb" + struct.pack(">HB", 3 + len(table), wide << 4 | part[2]) + table
        scans += own
    height, width = stored.shape[:2]
    # baseline has tables of 8 bits alone (ITU-T T.81, table B.4)
    kind = 0xC2 if progressive else 0xC1 if any(len(table) > 67 + 2 for table in quantisation.values()) else 0xC0
    frame = struct.pack(">BBHBHHB", 0xFF, kind, 8 + 3 * len(components), 8, height, width, len(components))
    adobe = b"\xff\xee" + struct.pack(">H5sHHHB", 14, b"Adobe", 100, 0, 0, 2)
    return b"".join([b"\xff\xd8", *([adobe] if inks else []), *quantisation.values(), frame, *components, *scans, b"\xff\xd9"])


def _reduced(plane: np.ndarray, down: int, across: int) -> np.ndarray:
    """The means of blocks of `down` x `across` pixels; the border is repeated."""
    if down == across == 1:
        return plane
    height, width = plane.shape
    whole = np.pad(plane, ((0, -height % down), (0, -width % across)), mode="edge").astype(np.float32)
    blocks = whole.reshape(whole.shape[0] // down, down, whole.shape[1] // across, across)
    return np.asarray(np.rint(blocks.mean((1, 3)))).astype(np.uint8)


def _gray(plane: np.ndarray, table: list[int], name: int, *, progressive: bool) -> tuple[bytes, list[bytes]]:
    """The quantisation table as the file holds it, and Huffman tables and scans with the component's name in them."""
    options: dict[str, object] = {"qtables": [table], "optimize": True, "progressive": progressive}
    stream = io.BytesIO()
    try:
        Image.fromarray(np.ascontiguousarray(plane)).save(stream, "JPEG", **options)
    except OSError:  # Pillow sizes its buffer too small for noise at the highest qualities
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(plane)).save(stream, "JPEG", **{**options, "optimize": False, "quality": 100})
    data, at = stream.getvalue(), 2
    values, scans = b"", []
    while data[at : at + 2] != b"\xff\xd9":
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        segment = data[at : at + 2 + length]
        at += 2 + length
        if marker == 0xDB:
            values = segment[5:]
        elif marker == 0xC4:
            scans.append(segment)
        elif marker == 0xDA:
            end = at
            while data[end] != 0xFF or data[end + 1] == 0:
                end = data.index(b"\xff", end + 1)
            scans.append(segment[:5] + bytes([name]) + segment[6:] + data[at:end])
            at = end
    return values, scans
