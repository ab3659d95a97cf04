"""PNG at the level of chunks: walk them, check them, and encode pixels between the chunks that were kept."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image

from restore.images.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """One ancillary chunk (or PLTE) with its payload."""

    name: bytes
    data: bytes


@dataclass
class Layout:
    """What stands around the pixels of one PNG file."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    before: list[Chunk] = field(default_factory=list)
    """Chunks between IHDR and IDAT, PLTE among them, in the file's order."""
    after: list[Chunk] = field(default_factory=list)
    level: int = 6
    """The zlib level that the stream's header suggests."""

    def find(self, name: bytes) -> bytes | None:
        """The payload of the first chunk of that name."""
        return next((c.data for c in (*self.before, *self.after) if c.name == name), None)


def _walk(file: BinaryIO, path: Path, size: int) -> Iterable[tuple[bytes, bytes | None]]:
    """(name, payload) of each chunk; IDAT's payload is checked and left out but for its first two bytes."""
    if file.read(8) != SIGNATURE:
        raise ImageError(f"{path.name}: not a PNG file")
    name = b""
    while name != b"IEND":
        start = file.tell()
        head = file.read(8)
        if len(head) < 8:
            raise ImageError(f"{path.name}: truncated PNG (it ends before its IEND chunk); copy it again")
        length, name = struct.unpack(">I4s", head)
        if start + 12 + length > size:
            raise ImageError(f"{path.name}: truncated PNG (it ends inside its {name!r} chunk); copy it again")
        checksum, parts, left = zlib.crc32(name), [], length
        while left:
            block = file.read(min(left, _BLOCK))
            checksum, left = zlib.crc32(block, checksum), left - len(block)
            parts.append(block[:2] if name == b"IDAT" else block)
        if checksum == struct.unpack(">I", file.read(4))[0]:
            yield name, b"".join(parts)
        elif name in _CRITICAL:
            what = f"damaged PNG (the checksum of a {name.decode()} chunk is wrong)"
            raise ImageError(f"{path.name}: {what}; copy it again")


def layout(path: Path) -> Layout:
    """Read everything but the pixels. ImageError if the file is truncated, damaged or animated."""
    found: Layout | None = None
    pixels = False
    with path.open("rb") as file:
        for name, data in _walk(file, path, path.stat().st_size):
            assert data is not None
            if found is None:
                if name != b"IHDR" or len(data) != 13:
                    raise ImageError(f"{path.name}: damaged PNG (no IHDR chunk first); export it again")
                width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data)
                found = Layout(width, height, depth, colour, bool(interlace))
            elif name == b"IDAT":
                if not pixels and len(data) == 2:
                    found.level = (1, 3, 6, 9)[data[1] >> 6]
                pixels = True
            elif name == b"acTL":
                raise ImageError(f"{path.name}: an animated PNG; export its frames as single pictures")
            elif name != b"IEND":
                (found.after if pixels else found.before).append(Chunk(name, data))
    if found is None or not pixels:
        raise ImageError(f"{path.name}: damaged PNG (it holds no pixels); export it again")
    return found


def chunk(name: bytes, data: bytes) -> bytes:
    """The bytes of one chunk: length, name, payload, checksum."""
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def bare(path: Path, keep: tuple[bytes, ...]) -> bytes:
    """The file with its critical chunks only (and those named), so that decoders expand and convert nothing."""
    data = path.read_bytes()
    out, at = [SIGNATURE], 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in _CRITICAL or name in keep:
            out.append(data[at : at + 12 + length])
        at += 12 + length
    return b"".join(out)


def encoded_idat(samples: np.ndarray, depth: int, level: int) -> bytes:
    """The compressed stream of (H, W[, C]) samples: uint8/uint16, or uint8 values below 2**depth for depths under 8."""
    if depth >= 8:
        stream = bytes(imagecodecs.png_encode(np.ascontiguousarray(samples), level=level))
    else:
        # Pillow packs low depths for palette pictures only; the compressed stream of a gray picture is the same
        buffer = io.BytesIO()
        image = Image.fromarray(np.ascontiguousarray(samples))
        image.putpalette(bytes(3 * 2**depth))
        image.save(buffer, "PNG", bits=depth, compress_level=level)
        stream = buffer.getvalue()
    out, at = [], 8
    while at + 12 <= len(stream):
        length, name = struct.unpack_from(">I4s", stream, at)
        if name == b"IDAT":
            out.append(stream[at + 8 : at + 8 + length])
        at += 12 + length
    return b"".join(out)


def write(path: Path, frame: Layout, samples: np.ndarray) -> None:
    """Write a PNG of `samples` with the depth, colour type and chunks of `frame`, not interlaced."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, frame.depth, frame.colour, 0, 0, 0)
    idat = encoded_idat(samples, frame.depth, frame.level)
    with path.open("wb") as file:
        file.write(SIGNATURE + chunk(b"IHDR", header))
        for kept in frame.before:
            file.write(chunk(kept.name, kept.data))
        for at in range(0, len(idat), _BLOCK):
            file.write(chunk(b"IDAT", idat[at : at + _BLOCK]))
        for kept in frame.after:
            file.write(chunk(kept.name, kept.data))
        file.write(chunk(b"IEND", b""))
