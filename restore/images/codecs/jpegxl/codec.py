"""JPEG XL: gray and RGB, alpha; 1 to 16 bits, halves and floats, by libjxl.

An unchanged picture is the same file. Kept when the pixels change: depth, alpha, colour description, EXIF, XMP and all other boxes of the
file. The orientation is applied to the pixels. Pictures that are not coded as XYB are coded without loss, and so are those that the encoder
does not take: colours other than sRGB (or linear light of 16 bits and floats), and 9 to 15 bits. Others are coded at their own distance,
by the quantiser in the file, or by `matched_quality` where it is not plain. Not kept then: the means to restore a JPEG, previews.
Refused: animations, ICC profiles inside the codestream, extra channels other than alpha, premultiplied alpha.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np

from restore.images import colour_profiles, compression_bounds, decoding, srgb
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.jpegxl import frame as frame_header
from restore.images.codecs.jpegxl import header as headers
from restore.images.codecs.jpegxl.header import Header
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.iso_media import box, boxes
from restore.images.mappings import plain, ranged, with_maximum
from restore.images.matched_quality import Scale, matched_quality
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import exif_dpi, swaps_sides, upright_exif, upright_xmp

_SIGNATURE = box(b"JXL ", b"\r\n\x87\n")
_CODESTREAM = (b"jxlc", b"jxlp")
_DROPPED = (b"jbrd", b"jxll", b"jxli", *_CODESTREAM)
"""Boxes that belong to the old codestream."""
_DISTANCE, _FINER, _EFFORT = 1.0, 0.3, 7
"""The distance where a search begins, that of finer results and of pictures from other lossy formats, and the effort."""
_SEARCHED = Scale(frame_header.COARSEST, frame_header.FINEST, first=_DISTANCE, growth=-0.4)
_MOST_METADATA = 1 << 24
_PRIMARIES = {1: 1, 9: 9, 11: 12}
"""The codes of JPEG XL -> those of ITU-T H.273 (white D65)."""


def unwrapped(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The codestream, and all boxes of a file, compressed ones with their own type.

    Raises:
        ValueError: they break off.
    """
    if data.startswith(headers.START):
        return data, []
    found = [(one.kind, one.content(data)) for one in boxes(data)]
    parts = [content if kind == b"jxlc" else content[4:] for kind, content in found if kind in _CODESTREAM]
    return b"".join(parts), found


def _block(found: list[tuple[bytes, bytes]], kind: bytes) -> bytes | None:
    """What the first box of a kind holds, decompressed."""
    for name, content in found:
        if name == kind:
            return content
        if name == b"brob" and content[:4] == kind:
            return bytes(imagecodecs.brotli_decode(content[4:], out=_MOST_METADATA))
    return None


def _metadata(found: list[tuple[bytes, bytes]], header: Header) -> Metadata:
    exif, xmp = _block(found, b"Exif"), _block(found, b"xml ")
    if exif:
        exif = upright_exif(exif[4 + int.from_bytes(exif[:4], "big") :]) or None
    colours = header.colours
    icc, unconvertible = None, None
    if not colours.is_srgb:
        known = colours.white == 1 and colours.gamma is None and colours.primaries in _PRIMARIES
        unconvertible = "its colour description has values of its own"
        if known:
            gray = colours.space == headers.GRAY
            icc, unconvertible = colour_profiles.of_codes(_PRIMARIES[colours.primaries], colours.transfer, gray=gray)
    return Metadata(icc, exif, upright_xmp(xmp) if xmp else None, exif_dpi(exif), unconvertible=unconvertible)


class JpegXlSource:
    """One JPEG XL file."""

    copies = True

    def __init__(self, path: Path, header: Header, found: list[tuple[bytes, bytes]]) -> None:
        self.path, self._header = path, header
        is_jpeg = any(kind == b"jbrd" for kind, _ in found)
        self._lossless = not (header.xyb or is_jpeg) or not _encodable(header)
        self._colours = 1 if header.colours.space == headers.GRAY else 3
        size = header.size[::-1] if swaps_sides(header.orientation) else header.size
        metadata = _metadata(found, header)
        self.header = ImageHeader("jpegxl", size, header.bits, lossy=header.xyb or is_jpeg, metadata=metadata)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "JPEG XL"):
            (height, width), count = self.header.size, self._colours + len(self._header.extra)
            stored = decoding.call(decode, self.path, samples=height * width * count, coded=self.path.stat().st_size)
            if stored.shape != ((height, width) if count == 1 else (height, width, count)):
                raise image_error(self.path, "damaged JPEG XL (its pixels are others than its header says); export it again")
            alpha = self._colours if self._header.extra else None
            if stored.dtype.kind == "f":
                return Frame(stored, ranged(stored, self._colours, inverted=False, alpha_channel=alpha))
            if self._header.bits == 8 * stored.dtype.itemsize:
                return Frame(stored, plain(stored))
            return Frame(stored, with_maximum(2**self._header.bits - 1, self._colours, alpha_channel=alpha))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored, old = only_frame(frames, self.path), self.header.metadata
        new = old.rescaled(provenance.scale, provenance.size_of(self.header))
        codestream, found = unwrapped(self.path.read_bytes())
        gets_colours = provenance.coloured and self._colours == 1
        colours = None if self._header.colours.is_srgb or gets_colours else codestream
        bits = 8 * stored.dtype.itemsize if gets_colours else self._header.bits
        distance = None if self._lossless else self._distance(codestream, finer=provenance.finer)
        coded = encode(stored, bits, distance, colours=colours)
        replaced = {b"Exif": new.exif and bytes(4) + new.exif, b"xml ": new.xmp}
        kept = []
        for kind, content in found:
            name = content[:4] if kind == b"brob" else kind
            changed = replaced.get(name)
            kept.append((name, changed) if changed else (kind, content))
        _write(path, coded, kept)

    def _distance(self, codestream: bytes, *, finer: bool) -> float:
        """That of the file; a small one where results must be coded finer."""
        own = frame_header.distance(codestream, self._header)
        if own is None:
            decoded = self.frame(0).stored
            colours = None if self._header.colours.is_srgb else codestream

            def size_of(tried: float) -> int:
                return _bytes(encode(decoded, self._header.bits, tried, colours=colours))

            own = matched_quality(size_of, len(codestream), _SEARCHED)
        return min(own, _FINER) if finer else own


def _encodable(header: Header) -> bool:
    """Whether the encoder can code a picture of this depth and these colours with loss.

    It takes 8 bits as sRGB, and others as linear light, which is too coarse near black with less than 16 bits.
    """
    deep = header.floats or header.bits > 15
    return (header.colours.is_srgb and (deep or header.bits <= 8)) or (header.colours.is_linear and deep)


def _bytes(coded: list[tuple[bytes, bytes]]) -> int:
    return sum(len(content) for _, content in coded)


def decode(path: Path) -> np.ndarray:
    """(H, W[, C]), upright, for a decoding process. Raises what imagecodecs raises."""
    return np.asarray(imagecodecs.jpegxl_decode(path.read_bytes(), numthreads=1))


def encode(stored: np.ndarray, bits: int, distance: float | None, *, colours: bytes | None = None) -> list[tuple[bytes, bytes]]:
    """The boxes of a codestream of (H, W[, C]) samples at a distance, or without loss; of another codestream's colours, or sRGB.

    With loss, other colours than sRGB must be `_encodable`.
    """
    samples, depth, lossless = np.ascontiguousarray(stored), (bits if stored.dtype.kind == "u" else None), distance is None
    if stored.dtype != np.uint8 and colours is None:  # the encoder takes it for linear light
        colours = _srgb(gray=stored.ndim == 2 or stored.shape[2] < 3)
        samples = samples if lossless else _linear(samples, bits)
    encoded = bytes(
        imagecodecs.jpegxl_encode(samples, effort=_EFFORT, distance=distance, lossless=lossless, bitspersample=depth, numthreads=1)
    )
    codestream, found = unwrapped(encoded)
    if colours is not None:
        codestream = headers.with_colours(codestream, colours)
    return [*((kind, content) for kind, content in found if kind == b"jxll"), (b"jxlc", codestream)]


def _srgb(*, gray: bool) -> bytes:
    """A codestream whose colours are sRGB."""
    return unwrapped(bytes(imagecodecs.jpegxl_encode(np.zeros((1, 1) if gray else (1, 1, 3), np.uint8), lossless=True)))[0]


def _linear(stored: np.ndarray, bits: int) -> np.ndarray:
    """The linear light of sRGB samples, of the same type; alpha stays."""
    count = 1 if stored.ndim == 2 else stored.shape[2]
    colours = count - (count in (2, 4))
    light = stored.reshape(*stored.shape[:2], count).copy()
    white = np.float32(2**bits - 1 if stored.dtype.kind == "u" else 1)
    decoded = srgb.linear(light[..., :colours].astype(np.float32) / white) * white
    light[..., :colours] = np.rint(decoded) if stored.dtype.kind == "u" else decoded
    return light.reshape(stored.shape)


def _write(path: Path, coded: list[tuple[bytes, bytes]], found: list[tuple[bytes, bytes]]) -> None:
    """Write a codestream, in a file of boxes where there are any others."""
    others = [(kind, content) for kind, content in found if kind not in (*_DROPPED, b"JXL ", b"ftyp")]
    if not found and len(coded) == 1:
        path.write_bytes(coded[0][1])
        return
    head = _SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    path.write_bytes(head + b"".join(box(kind, content) for kind, content in [*coded, *others]))


class JpegXlCodec(Codec):
    """JPEG XL."""

    name = "jpegxl"
    suffixes = (".jxl",)
    capabilities = Capabilities(profiles=False)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as a codestream or a file of boxes does."""
        return head.startswith((headers.START, _SIGNATURE))

    def open(self, path: Path, limits: Limits) -> JpegXlSource:
        """Read the header; ImageError as `read` says."""
        data = path.read_bytes()
        with as_image_error(path, "JPEG XL"):
            codestream, found = unwrapped(data)
            header = headers.read(codestream)
            refused = (
                (header.animated, "an animation"), (header.colours.icc, "an ICC profile in its codestream"),
                (header.colours.space not in (headers.RGB, headers.GRAY), "colours that are neither gray nor RGB"),
                (header.extra not in ((), (0,)), "extra channels other than alpha"), (not header.straight, "premultiplied alpha"),
                (header.bits not in ((16, 32) if header.floats else range(1, 17)), f"samples of {header.bits} bits"),
            )  # fmt: skip
        why = next((what for is_so, what in refused if is_so), "")
        if why:
            raise image_error(path, f"it has {why}, which restore can't read; convert it to PNG first")
        check_size(path, *header.size, limits.max_pixels)
        compression_bounds.check(path, "JPEG XL", header.size[0] * header.size[1], len(codestream))
        return JpegXlSource(path, header, found)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format, without loss unless the other one has some."""
        stored, metadata = only_frame(frames, path), header.metadata
        coded = encode(stored, 8 * stored.dtype.itemsize, _FINER if header.lossy else None)
        blocks = ((b"Exif", metadata.exif and bytes(4) + metadata.exif), (b"xml ", metadata.xmp))
        _write(path, coded, [(kind, block) for kind, block in blocks if block])
