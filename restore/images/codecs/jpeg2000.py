"""JPEG 2000 (.jp2, .j2k): gray and RGB, alpha, 1 to 16 bits, signed gray. Layout by ITU-T T.800, annexes A and I.

An unchanged picture is the same file. Kept when the pixels change: depth, reversible or irreversible coding, the number of resolution
levels, alpha, colour specification, resolution, EXIF, XMP, and every other box of a JP2 file. The file does not record the quality of
irreversible coding, so `matched_quality` searches the PSNR at which the decoded picture takes as many bytes as it did. New files have
50 dB (6 more for each bit above 8). Not kept then: tiles, layers, precincts, comments of the codestream.
Refused: palettes, subsampled components, YCC, CMYK and Lab, components of unlike depth, premultiplied alpha, several codestreams.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np

from restore.images import colour_profiles, compression_bounds, decoding
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.jpeg import jpeg2000 as codestreams
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.iso_media import Box, box, boxes
from restore.images.mappings import plain, ranged, with_maximum
from restore.images.matched_quality import Scale, matched_quality
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import orientation, upright_exif, upright_xmp

_SIGNATURE, _CODESTREAM = box(b"jP  ", b"\r\n\x87\n"), b"\xff\x4f\xff\x51"
_EXIF, _XMP = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_SRGB, _GRAY = 16, 17
_DECIBELS, _DECIBELS_A_BIT = 50, 6
_COARSEST, _FINEST, _GROWTH = 15, 80, 0.06
"""PSNR of 8 bits between which a file's own is searched, and how many times larger a decibel makes the codestream, less one."""
_INCH = Fraction(254, 10000)


@dataclass(frozen=True)
class Stream:
    """What a codestream says of itself.

    Attributes:
        size: (height, width).
        bits: of a sample.
        count: components.
        levels: of its wavelet transform.
    """

    size: tuple[int, int]
    bits: int
    signed: bool
    count: int
    levels: int
    reversible: bool


def read_stream(data: bytes) -> Stream:
    """Read the SIZ and COD segments (A.5.1, A.6.1); struct.error where they break off, ValueError for what is not supported."""
    right, bottom, left, top = struct.unpack_from(">4I", data, 8)
    (count,) = struct.unpack_from(">H", data, 40)
    components = {struct.unpack_from(">3B", data, 42 + 3 * index) for index in range(min(count, 5))}
    if len(components) != 1 or not 1 <= count <= 4:
        raise ValueError(f"{count} components, or of unlike depths")
    ((depth, across, down),) = components
    if (across, down) != (1, 1):
        raise ValueError("subsampled components")
    at = 2
    while data[at : at + 2] != b"\xff\x52":
        if data[at : at + 1] != b"\xff" or data[at : at + 2] == b"\xff\x90":
            raise ValueError("no coding style")
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    levels, transform = data[at + 9], data[at + 13]
    return Stream((bottom - top, right - left), (depth & 0x7F) + 1, depth > 0x7F, count, levels, transform == 1)


@dataclass(frozen=True)
class Wrapping:
    """The boxes of a JP2 file by their kinds: those of the file, and those of its header box."""

    data: bytes
    outer: tuple[Box, ...]
    inner: tuple[Box, ...]

    def first(self, kind: bytes) -> bytes | None:
        """The content of the first box of a kind in the header box."""
        return next((one.content(self.data) for one in self.inner if one.kind == kind), None)

    def uuid(self, name: bytes) -> bytes | None:
        """What a box for a block of metadata holds."""
        found = (one.content(self.data) for one in self.outer if one.kind == b"uuid")
        return next((content[16:] for content in found if content.startswith(name)), None)

    def colours(self) -> tuple[int | None, bytes | None]:
        """The number of the colour space, or the ICC profile (I.5.3.3)."""
        content = self.first(b"colr") or b"\1\0\0\0\0\0\x10"
        return (int.from_bytes(content[3:7], "big"), None) if content[0] == 1 else (None, content[3:])

    def complaint(self, count: int) -> str:
        """What of the colours is not supported; empty where nothing is."""
        number, icc = self.colours()
        if self.first(b"pclr") is not None:
            return "a palette"
        if number not in (None, _SRGB, _GRAY) or (icc is not None and icc[16:20] not in (b"RGB ", b"GRAY")):
            return f"the colour space {number}" if icc is None else "a profile that is neither gray nor RGB"
        content = self.first(b"cdef") or b""
        meanings = [struct.unpack_from(">3H", content, at) for at in range(2, len(content) - 5, 6)]
        alphas = [channel for channel, meaning, _ in meanings if meaning]
        plain_order = all(meaning or place == channel + 1 for channel, meaning, place in meanings)
        sound = all(meaning in (0, 1) for _, meaning, _ in meanings) and alphas in ([], [count - 1]) and plain_order
        return "" if sound else "channels in an unusual order, or premultiplied alpha"

    def dpi(self) -> tuple[float, float] | None:
        """Dots an inch across and down (I.5.3.7)."""
        content = self.first(b"res ") or b""
        try:
            found = next(boxes(content), None)
            if found is None:
                return None
            down, below, across, beside, up, along = struct.unpack_from(">4H2b", content, found.start)
        except (ValueError, struct.error):
            return None
        values = across / (beside or 1) * 10.0**along, down / (below or 1) * 10.0**up
        return (values[0] * float(_INCH), values[1] * float(_INCH)) if min(values) > 0 and max(values) < 1e9 else None


def read_wrapping(data: bytes) -> Wrapping:
    """The boxes; ValueError where they break off."""
    outer = tuple(boxes(data))
    inner = tuple(one for parent in outer if parent.kind == b"jp2h" for one in boxes(data, parent.start, parent.end))
    if sum(one.kind == b"jp2c" for one in outer) != 1:
        raise ValueError("it has no codestream, or several")
    return Wrapping(data, outer, inner)


class Jpeg2000Source:
    """One JPEG 2000 file."""

    copies = True

    def __init__(self, path: Path, stream: Stream, wrapping: Wrapping | None, coded: int) -> None:
        self.path, self._stream, self._is_wrapped, self._coded = path, stream, wrapping is not None, coded
        metadata = Metadata()
        if wrapping is not None:
            exif, xmp = wrapping.uuid(_EXIF), wrapping.uuid(_XMP)
            exif = exif.removeprefix(b"Exif\0\0") if exif else None
            if orientation(exif) != 1:  # viewers of JPEG 2000 show the pixels as they are
                exif, xmp = upright_exif(exif or b""), upright_xmp(xmp) if xmp else None
            metadata = Metadata(wrapping.colours()[1], exif, xmp, wrapping.dpi())
        self.header = ImageHeader("jpeg2000", stream.size, stream.bits, lossy=not stream.reversible, metadata=metadata)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "JPEG 2000"):
            stream = self._stream
            (height, width), count = stream.size, stream.count
            stored = decoding.call(decode, self.path, samples=height * width * count, coded=self.path.stat().st_size)
            if stored.shape != ((height, width) if count == 1 else (height, width, count)) or stored.dtype.itemsize > 2:
                raise image_error(self.path, "damaged JPEG 2000 (its pixels are others than its header says); export it again")
            alpha = count - 1 if count in (2, 4) else None
            if stream.signed:
                return Frame(stored, ranged(stored, 3 if count >= 3 else 1, inverted=False, alpha_channel=alpha))
            if stream.bits == 8 * stored.dtype.itemsize:
                return Frame(stored, plain(stored))
            return Frame(stored, with_maximum(2**stream.bits - 1, 3 if count >= 3 else 1, alpha_channel=alpha))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored, stream = only_frame(frames, self.path), self._stream
        metadata = self.header.metadata.rescaled(provenance.scale, provenance.size_of(self.header))
        decibels = None if stream.reversible else self._decibels(finer=provenance.finer)
        if provenance.coloured and stream.count < 3:
            icc = colour_profiles.in_colour(metadata.icc) if metadata.icc else None
            if decibels is not None:  # of 8 or 16 bits
                decibels += _DECIBELS_A_BIT * (8 * stored.dtype.itemsize - stream.bits)
            _write_new(path, stored, Metadata(icc, metadata.exif, metadata.xmp, metadata.dpi), decibels)
            return
        coded = encode(stored, stream.bits, decibels, levels=stream.levels)
        if not self._is_wrapped:
            path.write_bytes(coded)
            return
        wrapping = read_wrapping(self.path.read_bytes())
        path.write_bytes(b"".join(_rewritten(one, wrapping, coded, stored.shape, metadata) for one in wrapping.outer))

    def _decibels(self, *, finer: bool) -> float:
        """The PSNR at which the decoded picture takes the bytes of the codestream; at least a new file's where results must be finer."""
        stream, decoded = self._stream, self.frame(0).stored
        more = _DECIBELS_A_BIT * max(0, stream.bits - 8)
        scale = Scale(_COARSEST + more, _FINEST + more, _DECIBELS + more, _GROWTH)
        own = matched_quality(lambda level: len(encode(decoded, stream.bits, level, levels=stream.levels)), self._coded, scale)
        return max(own, _DECIBELS + more) if finer else own


def _rewritten(one: Box, wrapping: Wrapping, coded: bytes, shape: tuple[int, ...], metadata: Metadata) -> bytes:
    """An outer box of the result."""
    content = one.content(wrapping.data)
    if one.kind == b"jp2c":
        return box(b"jp2c", coded)
    if one.kind == b"uuid" and content.startswith(_EXIF) and metadata.exif:
        return box(b"uuid", _EXIF, metadata.exif)
    if one.kind == b"uuid" and content.startswith(_XMP) and metadata.xmp:
        return box(b"uuid", _XMP, metadata.xmp)
    if one.kind == b"jp2h":
        parts = []
        for part in wrapping.inner:
            inside = part.content(wrapping.data)
            if part.kind == b"ihdr":
                inside = struct.pack(">II", *shape[:2]) + inside[8:]
            elif part.kind == b"res " and metadata.dpi and metadata.dpi != wrapping.dpi():
                inside = _resolution(metadata.dpi)
            parts.append(box(part.kind, inside))
        return box(b"jp2h", *parts)
    return box(one.kind, content)


def _resolution(dpi: tuple[float, float]) -> bytes:
    """The content of a resolution box: samples a metre down and across."""
    down, across = (Fraction(value / float(_INCH)).limit_denominator(100) for value in (dpi[1], dpi[0]))
    values = [min(65535, number) for one in (down, across) for number in (one.numerator, one.denominator)]
    return box(b"resc", struct.pack(">4H2b", *values, 0, 0))


def decode(path: Path) -> np.ndarray:
    """(H, W[, C]) as coded, for a decoding process. Raises what imagecodecs raises; ValueError for an incomplete codestream.

    The decoder would apply a JP2 file's ICC profile to the samples, so it gets the codestream alone.
    """
    data = _codestream(path.read_bytes())
    if why := codestreams.complaint(data):
        raise ValueError(f"its data are corrupt: {why}")
    return np.asarray(imagecodecs.jpeg2k_decode(data))


def _codestream(data: bytes) -> bytes:
    """That of a file; ValueError where the boxes break off."""
    if data.startswith(_CODESTREAM):
        return data
    return next(one for one in read_wrapping(data).outer if one.kind == b"jp2c").content(data)


def encode(stored: np.ndarray, bits: int, decibels: float | None, *, levels: int = 5) -> bytes:
    """A codestream of (H, W[, C]) samples of so many bits; irreversible of this PSNR, or reversible where that is None."""
    most = max(0, min(levels, min(stored.shape[:2]).bit_length() - 1))
    options = {"codecformat": "j2k", "reversible": decibels is None, "resolutions": most + 1, "bitspersample": bits}
    level = decibels or 0
    return bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(stored), level, **options))  # type: ignore[arg-type]  # floats count, too


def _write_new(path: Path, stored: np.ndarray, metadata: Metadata, decibels: float | None) -> None:
    """Write (H, W), (H, W, 2|4) with alpha last, or (H, W, 3) of 8 or 16 bits as a JP2 file; coded as `encode` says."""
    height, width = stored.shape[:2]
    count, bits = 1 if stored.ndim == 2 else stored.shape[2], 8 * stored.dtype.itemsize
    parts = [box(b"ihdr", struct.pack(">IIH4B", height, width, count, bits - 1, 7, 0, 0))]
    number = struct.pack(">3BI", 1, 0, 0, _SRGB if count >= 3 else _GRAY)
    parts.append(box(b"colr", b"\2\0\0" + metadata.icc if metadata.icc else number))
    if count in (2, 4):
        meanings = [(channel, 0, channel + 1) for channel in range(count - 1)] + [(count - 1, 1, 0)]
        parts.append(box(b"cdef", struct.pack(">H", count), *(struct.pack(">3H", *one) for one in meanings)))
    if metadata.dpi:
        parts.append(box(b"res ", _resolution(metadata.dpi)))
    blocks = [box(b"uuid", name, block) for name, block in ((_EXIF, metadata.exif), (_XMP, metadata.xmp)) if block]
    coded = box(b"jp2c", encode(stored, bits, decibels))
    path.write_bytes(_SIGNATURE + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", *parts) + b"".join(blocks) + coded)


class Jpeg2000Codec(Codec):
    """JPEG 2000."""

    name = "jpeg2000"
    suffixes = (".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf")
    capabilities = Capabilities()

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as a JP2 file or a codestream does."""
        return head.startswith((_SIGNATURE, _CODESTREAM))

    def open(self, path: Path, limits: Limits) -> Jpeg2000Source:
        """Read the header; ImageError as `read` says."""
        data = path.read_bytes()
        with as_image_error(path, "JPEG 2000"):
            wrapping = None if data.startswith(_CODESTREAM) else read_wrapping(data)
            data = _codestream(data)
            stream = read_stream(data)
            why = wrapping.complaint(stream.count) if wrapping is not None else ""
        if why or stream.bits > 16:
            raise image_error(path, f"it has {why or f'{stream.bits} bits a sample'}, which restore can't read; convert it to TIFF first")
        check_size(path, *stream.size, limits.max_pixels)
        compression_bounds.check(path, "JPEG 2000", stream.size[0] * stream.size[1] * stream.count, len(data))
        return Jpeg2000Source(path, stream, wrapping, len(data))

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format, without loss unless the other one has some."""
        stored = only_frame(frames, path)
        decibels = _DECIBELS + _DECIBELS_A_BIT * 8 * (stored.dtype.itemsize - 1)
        _write_new(path, stored, header.metadata, decibels if header.lossy else None)
