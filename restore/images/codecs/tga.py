"""TGA (Truevision): gray, 16, 24 and 32 bits a pixel, colour maps, run-length coding. Layout by Truevision's specification 2.0.

An unchanged picture is the same file. Kept when the pixels change: channels, alpha, run-length coding, the direction of the rows, the
picture's origin and name (the ID field), and the footer. Not kept then: 16-bit packing and a coloured map (24 or 32 bits instead), the
extension area of version 2, whose thumbnail shows the old picture, and the developer area.
Only its footer (version 2) tells a TGA file by content; others are known by their suffix. Missing rows are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from restore.images import compression_bounds
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import plain
from restore.images.metadata import ImageHeader, Provenance

_HEADER = struct.Struct("<BBBHHBHHHHBB")
_FOOTER = b"TRUEVISION-XFILE.\0"
_MAPPED, _COLOUR, _GRAY, _RUNS = 1, 2, 3, 8
_DEPTHS = {_MAPPED: (8,), _COLOUR: (15, 16, 24, 32), _GRAY: (8, 16)}
_FROM_TOP, _FROM_RIGHT, _ALPHA_BITS = 0x20, 0x10, 0x0F


@dataclass(frozen=True)
class Layout:
    """The header of a file: see the specification, fields 1 to 5."""

    id_length: int
    has_map: int
    kind: int
    map_start: int
    map_length: int
    map_depth: int
    left: int
    bottom: int
    width: int
    height: int
    depth: int
    flags: int

    @property
    def plausible(self) -> bool:
        """Whether such a picture exists."""
        depths = _DEPTHS.get(self.kind & ~_RUNS, ())
        mapped = self.has_map == 1 and self.map_depth in (15, 16, 24, 32) and self.map_length > 0
        map_fits = mapped if self.kind & ~_RUNS == _MAPPED else self.has_map <= 1
        return self.depth in depths and map_fits and bool(self.width and self.height) and self.flags < 0x40

    @property
    def map_bytes(self) -> int:
        """Bytes of the colour map."""
        return self.map_length * ((self.map_depth + 7) // 8) if self.has_map else 0


def _layout(head: bytes) -> Layout | None:
    """The header, or None where it is none of TGA."""
    found = Layout(*_HEADER.unpack_from(head)) if len(head) >= _HEADER.size else None
    return found if found is not None and found.plausible else None


class TgaSource:
    """One TGA file."""

    copies = True

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self._layout = path, layout
        self.header = ImageHeader("tga", (layout.height, layout.width), 8)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "TGA"):
            layout, data = self._layout, self.path.read_bytes()
            at = _HEADER.size + layout.id_length
            table = data[at : at + layout.map_bytes]
            at += layout.map_bytes
            width, count = (layout.depth + 7) // 8, layout.width * layout.height
            coded = _expanded(data[at:], width, count) if layout.kind & _RUNS else data[at : at + width * count]
            if len(coded) < width * count or len(table) < layout.map_bytes:
                share = 100 * (1 - len(coded) / (width * count))
                raise image_error(self.path, f"truncated TGA ({share:.1f} % of its pixels are missing); copy it again")
            stored = self._samples(np.frombuffer(coded, np.uint8).reshape(count, width), table)
            stored = stored.reshape(layout.height, layout.width, *stored.shape[1:])
            stored = np.ascontiguousarray(_turned(stored, layout.flags))
            return Frame(stored, plain(stored))

    def _samples(self, pixels: np.ndarray, table: bytes) -> np.ndarray:
        """(N,), (N, 2), (N, 3) or (N, 4) uint8 of (N, bytes a pixel) coded ones."""
        layout = self._layout
        kind = layout.kind & ~_RUNS
        if kind == _GRAY:
            return pixels[:, 0] if layout.depth == 8 else pixels
        # many programs write alpha without saying so; a fourth byte that is everywhere the same is filling
        alpha = layout.flags & _ALPHA_BITS > 0 or (pixels.shape[1] == 4 and bool((pixels[:, 3] != pixels[0, 3]).any()))
        if kind == _COLOUR:
            return _colours(pixels, layout.depth, alpha=alpha)
        entries = _colours(np.frombuffer(table, np.uint8).reshape(layout.map_length, -1), layout.map_depth, alpha=layout.map_depth == 32)
        indices = pixels[:, 0].astype(np.intp) - layout.map_start
        if indices.min() < 0 or indices.max() >= len(entries):
            raise image_error(self.path, "damaged TGA (a pixel lies outside its colour map); export it again")
        is_gray = entries.shape[1] == 3 and bool((entries == entries[:, :1]).all())
        return (entries[:, 0] if is_gray else entries)[indices]

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        layout = self._layout
        with self.path.open("rb") as file:
            name = file.read(_HEADER.size + layout.id_length)[_HEADER.size :]
        turned = layout.flags & (_FROM_TOP | _FROM_RIGHT)
        stored = only_frame(frames, self.path)
        _write(path, stored, name=name, origin=(layout.left, layout.bottom), turned=turned, runs=layout.kind & _RUNS > 0)


def _turned(stored: np.ndarray, flags: int) -> np.ndarray:
    """Rows from the top, columns from the left; and back."""
    rows = stored if flags & _FROM_TOP else stored[::-1]
    return rows[:, ::-1] if flags & _FROM_RIGHT else rows


def _colours(pixels: np.ndarray, depth: int, *, alpha: bool) -> np.ndarray:
    """(N, 3|4) RGB of (N, bytes) coded BGR; 15 and 16 bits as five bits a channel."""
    if depth >= 24:
        order = [2, 1, 0, 3] if depth == 32 and alpha else [2, 1, 0]
        return pixels[:, order]
    words = np.ascontiguousarray(pixels).view("<u2")[:, 0]
    five = np.stack([words >> 10 & 31, words >> 5 & 31, words & 31], -1)
    eight = ((five * 255 + 15) // 31).astype(np.uint8)
    return np.concatenate([eight, (words >> 15 & 1)[:, None].astype(np.uint8) * 255], -1) if alpha and depth == 16 else eight


def _expanded(data: bytes, width: int, count: int) -> bytes:
    """The pixels of run-length packets, at most `count`; fewer where they end early."""
    parts, at, found = [], 0, 0
    while found < count and at < len(data):
        length = min((data[at] & 0x7F) + 1, count - found)
        if data[at] & 0x80:
            parts.append(data[at + 1 : at + 1 + width] * length)
            at += 1 + width
        else:
            parts.append(data[at + 1 : at + 1 + width * length])
            at += 1 + width * ((data[at] & 0x7F) + 1)
        found += length
    return b"".join(parts)


def _packets(row: np.ndarray) -> bytes:
    """Run-length packets of one row (W, bytes a pixel); no packet crosses a row's end."""
    same = (row[1:] == row[:-1]).all(1)
    edges = [0, *(np.flatnonzero(~same) + 1).tolist(), len(row)]
    out, single = bytearray(), bytearray()
    width = row.shape[1]

    def flush() -> None:
        for at in range(0, len(single), 128 * width):
            part = single[at : at + 128 * width]
            out.append(len(part) // width - 1)
            out.extend(part)
        single.clear()

    for start, end in pairwise(edges):
        pixel = row[start].tobytes()
        if end - start == 1:
            single += pixel
            continue
        flush()
        for at in range(start, end, 128):
            out.append(0x80 | min(128, end - at) - 1)
            out += pixel
    flush()
    return bytes(out)


def _write(
    path: Path, stored: np.ndarray, *, name: bytes = b"", origin: tuple[int, int] = (0, 0), turned: int = _FROM_TOP, runs: bool = False
) -> None:
    """Write (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8, alpha last."""
    height, width = stored.shape[:2]
    count = 1 if stored.ndim == 2 else stored.shape[2]
    order = {1: [0], 2: [0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[count]
    pixels = np.ascontiguousarray(_turned(stored.reshape(height, width, count), turned)[..., order])
    kind = (_COLOUR if count >= 3 else _GRAY) | (_RUNS if runs else 0)
    flags = turned | (8 if count in (2, 4) else 0)
    with path.open("wb") as file:
        file.write(_HEADER.pack(len(name), 0, kind, 0, 0, 0, *origin, width, height, 8 * count, flags) + name)
        file.write(b"".join(map(_packets, pixels)) if runs else pixels.data)
        file.write(bytes(8) + _FOOTER)


class TgaCodec(Codec):
    """TGA."""

    name = "tga"
    suffixes = (".tga", ".targa", ".icb", ".vda", ".vst")
    capabilities = Capabilities(bits=8, profiles=False, longest_side=65535)

    def sniff(self, head: bytes) -> bool:
        """Whether the bytes may be a TGA header, which has no mark of its own."""
        return _layout(head) is not None

    def is_certain(self, head: bytes) -> bool:
        """Never: the first bytes alone leave doubt."""
        return False

    def recognizes(self, path: Path, head: bytes) -> bool:
        """Whether the header is possible, and the suffix or the footer says so too."""
        if not self.sniff(head):
            return False
        if path.suffix.lower() in self.suffixes:
            return True
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - len(_FOOTER)))
            return file.read() == _FOOTER

    def open(self, path: Path, limits: Limits) -> TgaSource:
        """Read the header; ImageError as `read` says."""
        with path.open("rb") as file:
            layout = _layout(file.read(_HEADER.size))
        assert layout is not None  # by `recognizes`
        check_size(path, layout.height, layout.width, limits.max_pixels)
        size = layout.width * layout.height * ((layout.depth + 7) // 8)
        codec = "TGA runs" if layout.kind & _RUNS else "uncompressed samples"
        compression_bounds.check(path, codec, size, path.stat().st_size, bound=128 if layout.kind & _RUNS else 1)
        return TgaSource(path, layout)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        _write(path, only_frame(frames, path))
