"""BMP: 1 to 32 bits a pixel, palettes and alpha included.

Kept when the pixels change: channels, depth (1 bit, 8-bit gray, 24 and 32 bits), alpha, resolution.
Not kept then: run-length coding, 16- and 32-bit packing without alpha (written with 24 bits), a coloured palette (24 bits), an embedded ICC
profile and the version of the header. An unchanged picture is the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import BmpImagePlugin, Image

from restore.images.errors import Limits, check_size, damaged, quiet
from restore.images.frame import Frame
from restore.images.mappings import plain, whole
from restore.images.picture import Carry, Head, Note, first, refuse


def _with_alpha(stored: np.ndarray, dpi: tuple[float, float]) -> bytes:
    """A BMP with a version 4 header, whose masks say where the alpha is (Pillow writes none, and loses it)."""
    height, width = stored.shape[:2]
    pixels = np.ascontiguousarray(stored[::-1, :, [2, 1, 0, 3]]).tobytes()
    x, y = (int(v / 0.0254 + 0.5) for v in dpi)
    head = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(pixels), x, y, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + head + masks + pixels


def sniff(start: bytes) -> bool:
    return start.startswith(b"BM") and len(start) >= 18 and 12 <= struct.unpack_from("<I", start, 14)[0] <= 256


def open_source(path: Path, limits: Limits) -> BmpSource:
    """Read the header; ImageError as `read` says."""
    with path.open("rb") as file:
        start = file.read(30)
    (header,) = struct.unpack_from("<I", start, 14)
    if len(start) < 30:
        raise refuse(path, "truncated BMP (its header breaks off); copy it again")
    if header == 12:
        width, height = struct.unpack_from("<HH", start, 18)
    else:
        width, height = struct.unpack_from("<ii", start, 18)
    check_size(path, abs(height), width, limits.max_pixels)
    with damaged(path, "BMP"), quiet, BmpImagePlugin.BmpImageFile(path) as image:
        return BmpSource(path, (abs(height), width), image.mode, image.info.get("dpi"))


class BmpSource:
    """One BMP file."""

    copies = True

    def __init__(self, path: Path, size: tuple[int, int], mode: str, dpi: tuple[float, float] | None) -> None:
        self.path, self._mode, self._dpi = path, mode, dpi
        self.head = Head("bmp", size, 1 if mode == "1" else 8, carry=Carry(dpi=dpi))

    def frame(self, index: int) -> Frame:
        with damaged(self.path, "BMP"), quiet, BmpImagePlugin.BmpImageFile(self.path) as image:
            image.load()
            picture: Image.Image = image.convert("RGB") if image.mode == "P" else image
            stored = np.asarray(picture)
            if image.mode == "1":
                return Frame(stored.astype(np.uint8), whole(1))
            return Frame(stored.copy(), plain(stored))

    def write(self, path: Path, frames: Iterator[np.ndarray], note: Note) -> None:
        write(path, first(frames, self.path), bilevel=self._mode == "1", dpi=self.head.carry.finer(note.scale, self.head.enlarged(note.scale)).dpi)


def write(path: Path, stored: np.ndarray, *, bilevel: bool = False, dpi: tuple[float, float] | None = None) -> None:
    """Write (H, W), (H, W, 3) or (H, W, 4) uint8 (or 0/1 if `bilevel`) as a BMP."""
    if stored.ndim == 3 and stored.shape[-1] == 4:
        path.write_bytes(_with_alpha(stored, dpi or (0, 0)))
        return
    image = Image.fromarray(stored.astype(bool) if bilevel else np.ascontiguousarray(stored))
    extra: dict[str, Any] = {"dpi": dpi} if dpi else {}
    with path.open("wb") as file:
        image.save(file, "BMP", **extra)
