"""PNG of every colour type and depth, 1 to 16 bits.

Kept: depth, colour type, transparency, and every chunk (ICC profile, gamma, sBIT, resolution, text, EXIF, private ones)
with its payload and place, byte for byte; the zlib level as far as the stream's header tells it.
Not kept when the pixels change: interlacing (written progressive-free), and a palette, because restored colours aren't
in it: such a picture becomes gray or RGB of 8 bits (with alpha if it had some); bKGD and hIST, which speak of palette
entries, are dropped with it.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import PngImagePlugin

from restore.images import png_chunks
from restore.images.errors import Limits, check_size, damaged, quiet
from restore.images.frame import Frame
from restore.images.mappings import Linear, plain
from restore.images.orientation import finer_exif, orientation, turns, upright, upright_exif, upright_xmp
from restore.images.picture import Carry, Head, Note, first
from restore.images.png_chunks import GRAY, PALETTE, RGB, Chunk, Layout

_PALETTE_ONLY = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"sPLT")


def sniff(start: bytes) -> bool:
    return start.startswith(png_chunks.SIGNATURE)


def open_source(path: Path, limits: Limits) -> PngSource:
    """Read the header and the chunks; ImageError as `read` says."""
    with path.open("rb") as file:
        start = file.read(24)
    if len(start) == 24:  # the size first: a giant must not be read through
        width, height = struct.unpack(">II", start[16:24])
        check_size(path, height, width, limits.max_pixels)
    return PngSource(path, png_chunks.layout(path))


class PngSource:
    """One PNG file."""

    copies = True

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self._layout = path, layout
        exif = layout.find(b"eXIf")
        self._tag = orientation(exif)
        size = (layout.width, layout.height) if turns(self._tag) else (layout.height, layout.width)
        self.head = Head("png", size, layout.depth, upright=self._tag == 1, carry=self._carry(exif))

    def _carry(self, exif: bytes | None) -> Carry:
        dpi = None
        phys = self._layout.find(b"pHYs")
        if phys and len(phys) == 9 and phys[8] == 1:
            x, y = struct.unpack(">II", phys[:8])
            dpi = (y * 0.0254, x * 0.0254) if turns(self._tag) else (x * 0.0254, y * 0.0254)
        icc = self._layout.find(b"iCCP")
        profile = None
        if icc is not None:
            with damaged(self.path, "colour profile"):
                profile = zlib.decompressobj().decompress(icc[icc.index(b"\0") + 2 :], 1 << 24)
        return Carry(icc=profile, exif=upright_exif(exif) if exif else None, dpi=dpi)

    def frame(self, index: int) -> Frame:
        with damaged(self.path, "PNG"), quiet:
            samples = self._samples()
            if self._layout.colour == PALETTE:
                stored = self._expanded(samples)
                return Frame(upright(stored, self._tag), plain(stored))
            return Frame(upright(samples, self._tag), self._mapping(samples))

    def _samples(self) -> np.ndarray:
        """(H, W[, C]) as coded: palette indices, or values below 2**depth; not yet upright."""
        data = png_chunks.bare(self.path, ())
        if self._layout.colour == PALETTE or self._layout.depth < 8:
            with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
                image.load()
                samples = np.asarray(image).astype(np.uint8)
            if self._layout.colour == GRAY:  # Pillow spreads 2 and 4 bits over 0..255
                samples //= {1: 1, 2: 85, 4: 17}[self._layout.depth]
            return samples
        return np.asarray(imagecodecs.png_decode(data))

    def _mapping(self, samples: np.ndarray) -> Linear:
        high = 2**self._layout.depth - 1
        mapping = replace(plain(samples), high=float(high), limit=(0, high))
        transparent = self._layout.find(b"tRNS")
        if transparent and mapping.alpha_channel is None and len(transparent) == 2 * mapping.channels:
            mapping = replace(mapping, key=struct.unpack(f">{mapping.channels}H", transparent))
        return mapping

    def _expanded(self, indices: np.ndarray) -> np.ndarray:
        """Palette indices -> (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) uint8: gray if all its colours are, alpha if any."""
        colours = np.zeros((256, 4), np.uint8)
        colours[:, 3] = 255
        palette = np.frombuffer(self._layout.find(b"PLTE") or b"", np.uint8).reshape(-1, 3)
        colours[: len(palette), :3] = palette
        alpha = np.frombuffer(self._layout.find(b"tRNS") or b"", np.uint8)[:256]
        colours[: len(alpha), 3] = alpha
        gray = (palette == palette[:, :1]).all()
        keep = ([0] if gray else [0, 1, 2]) + ([3] if len(alpha) else [])
        table = np.ascontiguousarray(colours[:, keep])
        return table[indices] if len(keep) > 1 else table[:, 0][indices]

    def write(self, path: Path, frames: Iterator[np.ndarray], note: Note) -> None:
        stored = first(frames, self.path)
        layout = replace(self._layout, before=list(self._layout.before), after=list(self._layout.after))
        if layout.colour == PALETTE:
            samples = upright(self._samples(), self._tag)
            if np.array_equal(upright(self._expanded(self._samples()), self._tag), stored):
                stored = samples
            else:
                _without_palette(layout, stored)
        layout.before = [_finer(self._reset(c), note.scale) for c in layout.before]
        layout.after = [_finer(self._reset(c), note.scale) for c in layout.after]
        png_chunks.write(path, layout, stored)

    def _reset(self, kept: Chunk) -> Chunk:
        """The chunk, with an applied orientation taken out of it."""
        if self._tag != 1 and kept.name == b"eXIf":
            return Chunk(kept.name, upright_exif(kept.data))
        if self._tag != 1 and kept.name == b"iTXt" and kept.data.startswith(b"XML:com.adobe.xmp\0"):
            return Chunk(kept.name, upright_xmp(kept.data))
        if turns(self._tag) and kept.name == b"pHYs" and len(kept.data) == 9:
            return Chunk(kept.name, kept.data[4:8] + kept.data[:4] + kept.data[8:])
        return kept


def _finer(kept: Chunk, scale: float) -> Chunk:
    """The chunk for pixels `scale` times as fine."""
    if scale != 1 and kept.name == b"eXIf":
        return Chunk(kept.name, finer_exif(kept.data, scale))
    if scale != 1 and kept.name == b"pHYs" and len(kept.data) == 9:
        x, y, unit = struct.unpack(">IIB", kept.data)
        return Chunk(kept.name, struct.pack(">IIB", *(min(round(v * scale), 2**31 - 1) for v in (x, y)), unit))
    return kept


def _without_palette(layout: Layout, stored: np.ndarray) -> None:
    """Make the layout that of a gray or RGB picture of 8 bits."""
    count = 1 if stored.ndim == 2 else stored.shape[-1]
    layout.depth = 8
    layout.colour = {1: GRAY, 2: png_chunks.GRAY_ALPHA, 3: RGB, 4: png_chunks.RGB_ALPHA}[count]
    layout.before = [c for c in layout.before if c.name not in _PALETTE_ONLY]
