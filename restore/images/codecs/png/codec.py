"""PNG of every colour type and depth, 1 to 16 bits.

Kept: depth, colour type, transparency, and every chunk (ICC profile, gamma, sBIT, resolution, text, EXIF, private ones)
in its order, byte for byte; the zlib level, as far as the stream's header has it.
Not kept when the pixels change: interlacing; a chunk whose checksum is wrong; a palette, which does not hold restored
colours. Such a picture becomes gray or RGB of 8 bits, with alpha if it had some, and loses bKGD and hIST, which refer to the
palette. For other formats, gAMA, cHRM, sRGB and cICP become an ICC profile.
A missing end, a broken profile or chunk give a warning. Missing rows are refused, or 0 with a warning if `salvage`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore.images import colour_profiles, compression_bounds
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.png import chunks, pixel_stream, text_chunks
from restore.images.codecs.png.chunks import GRAY, GRAY_ALPHA, PALETTE, RGB, RGB_ALPHA, SAMPLES, Chunk, Layout
from restore.images.errors import (
    SALVAGE,
    Limits,
    as_image_error,
    check_size,
    image_error,
    missing_rows,
    missing_share,
    quiet,
    salvage_warning,
)
from restore.images.frame import Frame
from restore.images.mappings import Linear, plain
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import (
    exif_dpi,
    orientation,
    rescaled_exif,
    rescaled_xmp,
    swaps_sides,
    upright,
    upright_exif,
    upright_xmp,
)

_OF_GRAY_SAMPLES = (b"tRNS", b"bKGD", b"hIST", b"sBIT", b"sPLT")
_PALETTE_ONLY = (b"PLTE", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"sPLT")


class PngSource:
    """One PNG file."""

    def __init__(self, path: Path, layout: Layout, *, salvage: bool) -> None:
        self.path, self._layout, self._salvage = path, layout, salvage
        self.copies = True
        """False for a picture whose end or rows are missing: what is written is complete."""
        self._broken = False
        warnings = [*layout.warnings, *self._checked()]
        exif = layout.find(b"eXIf") or text_chunks.raw_exif(layout)
        self._tag = orientation(exif)
        size = (layout.width, layout.height) if swaps_sides(self._tag) else (layout.height, layout.width)
        metadata = self._metadata(exif, warnings)
        ending = b"" if layout.ended else chunks.chunk(b"IEND", b"")
        self.header = ImageHeader(
            "png", size, layout.depth, upright=self._tag == 1, metadata=metadata, warnings=tuple(warnings), ending=ending
        )

    def _checked(self) -> list[str]:
        """Warnings of the pixel stream; ImageError where pixels are missing or wrong, unless salvaging."""
        layout = self._layout
        if layout.ended and not layout.broken_pixels and not layout.truncated_pixels:
            return []
        stream = pixel_stream.inflated(self.path, layout)
        row, wrong = stream.first_missing, layout.broken_pixels and not stream.vouched
        if wrong and not self._salvage:
            what = "the checksum of an IDAT chunk is wrong" + (f", {missing_share(row, layout.height)}" if row is not None else "")
            raise image_error(self.path, f"damaged PNG ({what}); copy it again{SALVAGE}")
        if wrong or row is not None:
            self._broken, self.copies = True, False
            warnings = ["the checksum of its pixels is wrong: any of them may be"] if wrong else []
            return warnings + ([self._missing(row)] if row is not None else [])
        if layout.broken_pixels:
            return ["the checksum of an IDAT chunk is wrong, but the pixels are what was compressed"]
        self._broken = layout.truncated_pixels  # decoders want the checksum that is cut off
        self.copies = self._ends_with_a_chunk()
        return ["it has no end (IEND chunk), but all its pixels"]

    def _ends_with_a_chunk(self) -> bool:
        """Whether the file ends with a complete chunk, so that IEND can be appended."""
        size, at = self.path.stat().st_size, 8
        with self.path.open("rb") as file:
            while at + 12 <= size:
                file.seek(at)
                at += 12 + struct.unpack(">I", file.read(4))[0]
        return at == size

    def _missing(self, row: int) -> str:
        """A warning; ImageError unless salvaging."""
        height = self._layout.height
        if not self._salvage:
            raise missing_rows(self.path, "PNG", row, height)
        return salvage_warning(row, height, "0")

    def _metadata(self, exif: bytes | None, warnings: list[str]) -> Metadata:
        layout = self._layout
        dpi = None
        phys = layout.find(b"pHYs")
        if phys and len(phys) == 9 and phys[8] == 1:
            x, y = struct.unpack(">II", phys[:8])
            dpi = (y * 0.0254, x * 0.0254) if swaps_sides(self._tag) else (x * 0.0254, y * 0.0254)
        icc, unconvertible = self._profile(warnings)
        xmp = next((found for c in (*layout.before, *layout.after) if (found := text_chunks.xmp(c)) is not None), None)
        xmp = upright_xmp(xmp, swapped=swaps_sides(self._tag)) if xmp and self._tag != 1 else xmp
        exif = upright_exif(exif) if exif else None
        return Metadata(icc, exif, xmp, dpi or exif_dpi(exif), text_chunks.texts(layout), unconvertible)

    def _profile(self, warnings: list[str]) -> tuple[bytes | None, str | None]:
        """The ICC profile for other formats, and why none describes the colours."""
        layout = self._layout
        icc = text_chunks.profile(layout.find(b"iCCP"))
        if layout.find(b"iCCP") is not None and (icc is None or not colour_profiles.sound(icc)):
            warnings.append("its colour profile is damaged and is not used")
            icc = None
        cicp = layout.find(b"cICP")
        if icc is not None and cicp is None:
            return icc, None
        try:
            colour_space = colour_profiles.from_png(cicp, *(layout.find(name) for name in (b"sRGB", b"gAMA", b"cHRM")))
        except ValueError as error:
            return icc, None if icc is not None else str(error)
        if colour_space.is_srgb:
            return None, None
        return colour_profiles.profile(colour_space, gray=layout.colour in (GRAY, GRAY_ALPHA)), None

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "PNG"), quiet:
            samples, warnings = self._samples()
            if self._layout.colour == PALETTE:
                stored = self._expanded(samples)
                return Frame(upright(stored, self._tag), plain(stored), warnings=warnings)
            return Frame(upright(samples, self._tag), self._mapping(samples), warnings=warnings)

    def _samples(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """(H, W[, C]) as coded: palette indices, or values below 2**depth; not yet upright; and warnings."""
        if self._broken:
            return pixel_stream.rebuilt(self._layout, pixel_stream.inflated(self.path, self._layout).data), ()
        try:
            return pixel_stream.decoded(self.path, self._layout), ()
        except (RuntimeError, ValueError, OSError, SyntaxError):
            stream = pixel_stream.inflated(self.path, self._layout)
            if stream.first_missing is None:
                raise
        warning = self._missing(stream.first_missing)
        self._broken, self.copies = True, False
        return pixel_stream.rebuilt(self._layout, stream.data), (warning,)

    def _mapping(self, samples: np.ndarray) -> Linear:
        high = 2**self._layout.depth - 1
        mapping = replace(plain(samples), high=float(high), limit=(0, high))
        transparent = self._layout.find(b"tRNS")
        if transparent and mapping.alpha_channel is None and len(transparent) == 2 * mapping.channels:
            words = struct.unpack(f">{mapping.channels}H", transparent)
            mapping = replace(mapping, key=tuple(word & high for word in words))  # the low bits count (PNG, 11.3.2.1)
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
        return np.asarray(table[indices] if len(keep) > 1 else table[:, 0][indices])

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored = only_frame(frames, self.path)
        layout = replace(self._layout, before=list(self._layout.before), after=list(self._layout.after))
        if layout.colour == PALETTE:
            indices = self._samples()[0]
            if np.array_equal(upright(self._expanded(indices), self._tag), stored):
                stored = upright(indices, self._tag)
            else:
                _without_palette(layout, stored)
        elif provenance.coloured and layout.colour in (GRAY, GRAY_ALPHA):
            _in_colour(layout, stored)
        size = (stored.shape[0], stored.shape[1])
        layout.before = [_rescaled(self._reset(c), provenance.scale, size) for c in layout.before]
        layout.after = [_rescaled(self._reset(c), provenance.scale, size) for c in layout.after]
        chunks.write(path, layout, stored)

    def _reset(self, kept: Chunk) -> Chunk:
        """The chunk with orientation 1, if an orientation was applied."""
        if self._tag != 1 and kept.name == b"eXIf":
            return Chunk(kept.name, upright_exif(kept.data))
        if self._tag != 1 and (block := text_chunks.exif(kept)) is not None:
            return text_chunks.of_exif(kept, upright_exif(block))
        xmp = text_chunks.xmp(kept)
        if self._tag != 1 and xmp is not None:
            return text_chunks.of_xmp(upright_xmp(xmp, swapped=swaps_sides(self._tag)), kept)
        if swaps_sides(self._tag) and kept.name == b"pHYs" and len(kept.data) == 9:
            return Chunk(kept.name, kept.data[4:8] + kept.data[:4] + kept.data[8:])
        return kept


def _rescaled(kept: Chunk, scale: float, size: tuple[int, int]) -> Chunk:
    """The chunk for (height, width) pixels, `scale` times as fine."""
    if scale != 1 and kept.name == b"eXIf":
        return Chunk(kept.name, rescaled_exif(kept.data, scale, size))
    if scale != 1 and (block := text_chunks.exif(kept)) is not None:
        return text_chunks.of_exif(kept, rescaled_exif(block, scale, size))
    xmp = text_chunks.xmp(kept)
    if scale != 1 and xmp is not None:
        return text_chunks.of_xmp(rescaled_xmp(xmp, scale, size), kept)
    if scale != 1 and kept.name == b"pHYs" and len(kept.data) == 9:
        x, y, unit = struct.unpack(">IIB", kept.data)
        return Chunk(kept.name, struct.pack(">IIB", *(min(round(v * scale), 2**31 - 1) for v in (x, y)), unit))
    return kept


def _without_palette(layout: Layout, stored: np.ndarray) -> None:
    """Turn the layout into that of a gray or RGB picture of 8 bits."""
    count = 1 if stored.ndim == 2 else stored.shape[-1]
    layout.depth = 8
    layout.colour = {1: GRAY, 2: GRAY_ALPHA, 3: RGB, 4: RGB_ALPHA}[count]
    layout.before = [c for c in layout.before if c.name not in _PALETTE_ONLY]
    icc = text_chunks.profile(layout.find(b"iCCP"))
    if count < 3 and icc is not None and icc[16:20] != b"GRAY":  # gray samples may not have the profile of a palette
        gray = colour_profiles.in_gray(icc)
        layout.before = [c for c in layout.before if c.name != b"iCCP"]
        layout.before[:0] = [_profile_chunk(gray)] if gray is not None else []


def _in_colour(layout: Layout, stored: np.ndarray) -> None:
    """Turn the layout of a gray picture into that of an RGB picture with these samples. Its ICC profile keeps its curve."""
    layout.depth, layout.colour = 8 * stored.dtype.itemsize, RGB if stored.shape[-1] == 3 else RGB_ALPHA
    icc = text_chunks.profile(layout.find(b"iCCP"))
    made = None if icc is None else colour_profiles.in_colour(icc)
    layout.before = [c for c in layout.before if c.name not in (*_OF_GRAY_SAMPLES, b"iCCP")]
    layout.after = [c for c in layout.after if c.name not in _OF_GRAY_SAMPLES]
    if made is not None:
        layout.before.insert(0, _profile_chunk(made))


def _profile_chunk(icc: bytes) -> Chunk:
    return Chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc, 9))


class PngCodec(Codec):
    """PNG."""

    name = "png"
    suffixes = (".png",)
    capabilities = Capabilities()

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as PNG does."""
        return head.startswith(chunks.SIGNATURE)

    def open(self, path: Path, limits: Limits) -> PngSource:
        """Read the header and the chunks; ImageError as `read` says."""
        with path.open("rb") as file:
            start = file.read(26)
        if len(start) == 26:  # the size first: a giant must not be read through
            width, height = struct.unpack(">II", start[16:24])
            check_size(path, height, width, limits.max_pixels)
            samples = height * (1 + width * SAMPLES.get(start[25], 4) * start[24] // 8)
            compression_bounds.check(path, "deflate", samples, path.stat().st_size, salvage=limits.salvage)
        return PngSource(path, chunks.layout(path), salvage=limits.salvage)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        samples, metadata = only_frame(frames, path), header.metadata
        colour = {1: GRAY, 2: GRAY_ALPHA, 3: RGB, 4: RGB_ALPHA}[1 if samples.ndim == 2 else samples.shape[-1]]
        height, width = samples.shape[:2]
        layout = Layout(width, height, samples.dtype.itemsize * 8, colour, interlaced=False)
        if metadata.icc:
            layout.before.append(_profile_chunk(metadata.icc))
        if metadata.dpi:
            x, y = (round(v / 0.0254) for v in metadata.dpi)
            layout.before.append(Chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
        if metadata.exif:
            layout.before.append(Chunk(b"eXIf", metadata.exif))
        if metadata.xmp:
            layout.before.append(text_chunks.of_xmp(metadata.xmp))
        layout.before += [text_chunks.of_text(keyword, text) for keyword, text in metadata.texts]
        chunks.write(path, layout, samples)
