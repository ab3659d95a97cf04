"""WebP, lossless and lossy, with or without alpha.

Kept: lossless or lossy coding, alpha (with exact colours under it if lossless), ICC profile, EXIF (orientation applied and
reset) and XMP. An unchanged picture is the same file. A changed lossy one is coded at its own quality, by the
quantiser in the file. Animations are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, WebPImagePlugin

from restore.images import compression_bounds, decoding
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.webp import vp8
from restore.images.errors import ImageError, Limits, as_image_error, check_size, image_error, quiet
from restore.images.frame import Frame
from restore.images.mappings import plain
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import exif_dpi, orientation, swaps_sides, upright, upright_exif, upright_xmp

_QUALITY, _FINER, _LOSSLESS_EFFORT = 90, 98, 75
"""The quality of files whose quantiser is unknown, that of finer results and of pictures from other lossy formats, and the effort."""
_QUALITIES = {
    0: 100, 1: 99, 2: 98, 3: 97, 5: 96, 6: 95, 12: 90, 20: 85, 27: 80, 36: 75, 39: 70, 42: 65, 45: 60, 48: 55, 52: 50, 55: 45, 59: 40,
    64: 35, 68: 30, 73: 25, 78: 20, 85: 15, 92: 10, 102: 5, 127: 0,
}  # fmt: skip
"""VP8's quantiser -> the quality by which libwebp 1.6 chooses it; measured.

libwebp also fits the quantisers to the picture: on synthetic scenes and noise the quality came out up to 20 higher than the encoder's, and
results of two of them were up to 6 % larger."""
_HEAD = 128
"""Bytes of the pixels that are read with the header."""


def _chunks(path: Path) -> dict[str, bytes]:
    """Payloads by name, but only the first bytes of the pixels. ImageError if the file is shorter than its header says."""
    found: dict[str, bytes] = {}
    total = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<I", file.read(12)[4:8])
        if length + 8 > total:
            raise _truncated(path, length + 8, total)
        while len(head := file.read(8)) == 8 and file.tell() <= length + 8:
            name, size = head[:4].decode("latin-1"), struct.unpack("<I", head[4:])[0]
            if file.tell() + size > total:
                raise _truncated(path, file.tell() + size, total)
            start = file.tell()
            found.setdefault(name, file.read(size if name in ("ICCP", "EXIF", "XMP ") else min(size, _HEAD)))
            file.seek(start + size + size % 2)
    return found


def _truncated(path: Path, expected: int, total: int) -> ImageError:
    share = 100 * (expected - total) / expected
    what = f"truncated WebP ({share:.1f} % of its bytes are missing at its end)"
    return image_error(path, f"{what}; copy it again: --salvage can't help, for a WebP that breaks off can't be decoded")


def _size(chunks: dict[str, bytes]) -> tuple[int, int]:
    """(height, width) as the outermost header says."""
    if "VP8X" in chunks:
        data = chunks["VP8X"]
        return int.from_bytes(data[7:10], "little") + 1, int.from_bytes(data[4:7], "little") + 1
    if "VP8L" in chunks:
        bits = int.from_bytes(chunks["VP8L"][1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", chunks["VP8 "], 6)
    return height & 0x3FFF, width & 0x3FFF


class WebpSource:
    """One WebP file."""

    copies = True

    def __init__(self, path: Path, chunks: dict[str, bytes], size: tuple[int, int]) -> None:
        self.path, self._quality = path, None if "VP8L" in chunks else _quality(chunks["VP8 "])
        exif = chunks.get("EXIF", b"").removeprefix(b"Exif\0\0") or None
        xmp = chunks.get("XMP ") or None
        self._tag = orientation(exif)
        if self._tag != 1:
            exif, xmp = upright_exif(exif or b""), upright_xmp(xmp, swapped=swaps_sides(self._tag)) if xmp else None
        metadata = Metadata(chunks.get("ICCP"), exif, xmp, exif_dpi(exif))
        shown, lossy = (size[::-1] if swaps_sides(self._tag) else size), self._quality is not None
        self.header = ImageHeader("webp", shown, 8, lossy=lossy, upright=self._tag == 1, metadata=metadata)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "WebP"):
            height, width = self.header.size
            decoded = decoding.call(decode, self.path, samples=4 * height * width, coded=self.path.stat().st_size)
            stored = upright(decoded, self._tag)
            return Frame(stored, plain(stored))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        metadata = self.header.metadata.rescaled(provenance.scale, provenance.size_of(self.header))
        quality = self._quality
        if provenance.finer and quality is not None:
            quality = max(quality, _FINER)
        _write(path, only_frame(frames, self.path), metadata, quality)


def decode(path: Path) -> np.ndarray:
    """(H, W, 3|4) uint8 as coded; for a decoding process. Raises what Pillow raises."""
    with quiet, WebPImagePlugin.WebPImageFile(path) as image:
        image.load()
        return np.array(image)


def _quality(coded: bytes) -> int:
    """The quality of libwebp that has the quantiser of a VP8 picture."""
    quantiser = vp8.quantiser(coded)
    return _QUALITY if quantiser is None else round(float(np.interp(quantiser, list(_QUALITIES), list(_QUALITIES.values()))))


def _write(path: Path, stored: np.ndarray, metadata: Metadata, quality: int | None) -> None:
    """Write (H, W, 3|4) uint8 as WebP (at most 16383 pixels a side), without loss where the quality is None."""
    lossless = quality is None
    options: dict[str, object] = {"lossless": lossless, "quality": _LOSSLESS_EFFORT if lossless else quality, "exact": lossless}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif:
        options["exif"] = metadata.exif
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    with path.open("wb") as file:
        Image.fromarray(np.ascontiguousarray(stored)).save(file, "WEBP", **options)


class WebpCodec(Codec):
    """WebP."""

    name = "webp"
    suffixes = (".webp",)
    capabilities = Capabilities(bits=8, gray=False, longest_side=16383)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as WebP does."""
        return head[:4] == b"RIFF" and head[8:12] == b"WEBP"

    def open(self, path: Path, limits: Limits) -> WebpSource:
        """Read the chunks but for the pixels; ImageError as `read` says."""
        with as_image_error(path, "WebP"):
            chunks = _chunks(path)
            if "ANIM" in chunks or "ANMF" in chunks:
                raise image_error(path, "an animated WebP; export its frames as single pictures")
            if "VP8L" not in chunks and "VP8 " not in chunks:
                raise image_error(path, "damaged WebP (it holds no pixels); export it again")
            size = _size(chunks)
            check_size(path, *size, limits.max_pixels)
            if size != (coded_size := _size({name: data for name, data in chunks.items() if name != "VP8X"})):
                what = f"its header says {size[1]} x {size[0]} pixels, its data are {coded_size[1]} x {coded_size[0]}"
                raise image_error(path, f"damaged WebP ({what}); copy or export it again")
            codec = "lossless WebP" if "VP8L" in chunks else "VP8"
            compression_bounds.check(path, codec, size[0] * size[1], path.stat().st_size)
        return WebpSource(path, chunks, size)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        _write(path, only_frame(frames, path), header.metadata, _FINER if header.lossy else None)
