"""PNG at the level of chunks: walk them, check them, and encode pixels between the chunks that were kept."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
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
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """One ancillary chunk (or PLTE) with its payload."""

    name: bytes
    data: bytes


@dataclass
class Layout:
    """The header and the chunks around the pixels of one PNG file."""

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
    ended: bool = False
    """Whether there is an IEND chunk."""
    broken_pixels: bool = False
    """Whether the checksum of an IDAT chunk is wrong."""
    truncated_pixels: bool = False
    """Whether the file breaks off inside an IDAT chunk."""
    warnings: list[str] = field(default_factory=list)

    def find(self, name: bytes) -> bytes | None:
        """The payload of the first chunk of that name."""
        return next((c.data for c in (*self.before, *self.after) if c.name == name), None)


@dataclass(frozen=True)
class _Piece:
    """One chunk of the file; of IDAT's payload only the first two bytes."""

    name: bytes
    data: bytes
    sound: bool
    """Whether its checksum holds."""
    complete: bool
    """Whether the file holds all of it."""


def _walk(file: BinaryIO, path: Path, size: int) -> Iterator[_Piece]:
    """The chunks up to IEND, or to where the file breaks off."""
    if file.read(8) != SIGNATURE:
        raise ImageError(f"{path.name}: not a PNG file")
    name = b""
    while name != b"IEND":
        start = file.tell()
        head = file.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        length, name = struct.unpack(">I4s", head)
        complete = start + 12 + length <= size
        checksum, parts, left = zlib.crc32(name), [], length
        while left and (block := file.read(min(left, _BLOCK))):
            checksum, left = zlib.crc32(block, checksum), left - len(block)
            parts.append(block[:2] if name == b"IDAT" else block)
        sound = complete and checksum == struct.unpack(">I", file.read(4))[0]
        yield _Piece(name, b"".join(parts), sound, complete)
        if not complete:
            return


def layout(path: Path) -> Layout:
    """Read everything but the pixels.

    Raises:
        ImageError: the file has no header or no pixels, a palette that is damaged, or is animated.
    """
    found: Layout | None = None
    pixels = False
    with path.open("rb") as file:
        for piece in _walk(file, path, path.stat().st_size):
            name, data = piece.name, piece.data
            if found is None:
                found = _header(piece, path)
            elif name == b"IDAT":
                if not pixels and len(data) == 2:
                    found.level = (1, 3, 6, 9)[data[1] >> 6]
                pixels = True
                found.broken_pixels = found.broken_pixels or (piece.complete and not piece.sound)
                found.truncated_pixels = not piece.complete
            elif name == b"acTL":
                raise ImageError(f"{path.name}: an animated PNG; export its frames as single pictures")
            elif name == b"PLTE" and not piece.sound:
                raise ImageError(f"{path.name}: damaged PNG (the checksum of its palette is wrong); copy it again")
            elif name == b"IEND":
                found.ended = piece.complete
            elif piece.sound:
                (found.after if pixels else found.before).append(Chunk(name, data))
            elif piece.complete:
                found.warnings.append(f"its {name.decode()} chunk is damaged (wrong checksum) and is not kept where pixels change")
        if found and found.ended and (rest := file.read(_BLOCK).strip(b"\0\r\n")):
            count = f"{'at least ' if len(rest) == _BLOCK else ''}{len(rest):,} bytes"
            found.warnings.append(f"data after its end ({count}) are not kept where pixels change")
    if found is None or not pixels:
        raise ImageError(f"{path.name}: truncated PNG (it ends before its pixels); copy it again")
    return found


def _header(piece: _Piece, path: Path) -> Layout:
    if piece.name != b"IHDR" or len(piece.data) != 13:
        raise ImageError(f"{path.name}: damaged PNG (no IHDR chunk first); export it again")
    if not piece.sound:
        raise ImageError(f"{path.name}: damaged PNG (the checksum of its IHDR chunk is wrong); copy it again")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", piece.data)
    if colour not in SAMPLES or depth not in (1, 2, 4, 8, 16):
        raise ImageError(f"{path.name}: damaged PNG (colour type {colour} with {depth} bits); export it again")
    return Layout(width, height, depth, colour, bool(interlace))


def chunk(name: bytes, data: bytes) -> bytes:
    """The bytes of one chunk: length, name, payload, checksum."""
    return struct.pack(">I4s", len(data), name) + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def payloads(path: Path) -> Iterator[bytes]:
    """The payloads of the IDAT chunks in turn; the last one may be incomplete."""
    data = path.read_bytes()
    at, name = 8, b""
    while at + 8 <= len(data) and name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


def bare(frame: Layout, idat: Iterable[bytes]) -> bytes:
    """A PNG with critical chunks only, not interlaced, so that decoders expand and convert nothing."""
    header = struct.pack(">IIBBBBB", frame.width, frame.height, frame.depth, frame.colour, 0, 0, 0)
    palette = [chunk(b"PLTE", c.data) for c in frame.before if c.name == b"PLTE"]
    return b"".join([SIGNATURE, chunk(b"IHDR", header), *palette, *(chunk(b"IDAT", part) for part in idat), chunk(b"IEND", b"")])


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
