"""AVIF: gray and RGB, alpha; 8, 10 and 12 bits, by libavif.

An unchanged picture is the same file. Kept when the pixels change: depth, alpha, gray, chroma sampling, ICC profile or colour codes, EXIF
and XMP; the quality, by the quantiser of the coded picture (90 where its headers do not tell it). Rotation and mirroring are applied to
the pixels. Lossless pictures stay lossless; gray ones become so. Not kept then: gain maps, layers, thumbnails.
Refused: sequences, premultiplied alpha, cropped pictures (clap).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import imagecodecs
import numpy as np

from restore.images import colour_profiles, compression_bounds, decoding, iso_media
from restore.images.codecs.avif import av1, container
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import plain, with_maximum
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import exif_dpi, upright_exif, upright_xmp

LOSSLESS, _QUALITY, _FINER, _SPEED = 100, 90, 95, 6
_QUALITIES = {0: 100, 8: 98, 16: 95, 32: 90, 60: 80, 120: 60, 172: 40, 216: 20, 255: 0}
"""AV1's quantiser index -> the quality by which libavif 1.3 chooses it; measured, as its documentation has no table."""
_MATRICES = (1, 5, 6, 9)
"""Those of ITU-T H.273 that code RGB with subsampled chroma; 6 for others."""


@dataclass(frozen=True)
class Coding:
    """How a picture is coded.

    Attributes:
        bits: of a sample: 8, 10 or 12.
        chroma: "400" (gray), "420", "422" or "444".
        codes: primaries, transfer and matrix (ITU-T H.273).
        quality: of libavif, 0 to 100 (lossless).
        turns: quarter turns, anticlockwise, that show it upright.
        mirror: 0 where top and bottom change places then, 1 where left and right do; None.
    """

    bits: int = 8
    chroma: str = "444"
    codes: tuple[int, int, int] = (1, 13, 0)
    quality: int = LOSSLESS
    turns: int = 0
    mirror: int | None = None

    @property
    def lossless(self) -> bool:
        """Whether it is coded without loss; gray always is, by imagecodecs."""
        return self.chroma == "400" or (self.chroma == "444" and self.quality == LOSSLESS)

    def upright(self, stored: np.ndarray) -> np.ndarray:
        """The pixels as they are shown (ISO/IEC 23008-12, 6.5.10 and 6.5.12)."""
        turned = np.rot90(stored, self.turns)
        if self.mirror is not None:
            turned = np.flip(turned, self.mirror)
        return np.ascontiguousarray(turned)


def _coding(found: container.Container) -> Coding:
    """By the properties of the primary picture, or of the first tile of a grid."""
    primary = found.primary
    (setup,) = found.properties_of(primary, b"av1C")[:1] or found.properties_of(found.first_coded, b"av1C")[:1] or [b""]
    if len(setup) < 3:
        raise ValueError("it does not say how it is coded")
    flags = setup[2]
    bits = (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    chroma = "400" if flags & 0x10 else {0: "444", 8: "422", 12: "420"}.get(flags & 12, "444")
    nclx = next((content for content in found.properties_of(primary, b"colr") if content[:4] == b"nclx"), b"nclx\0\2\0\2\0\2\x80")
    primaries, transfer, matrix = struct.unpack_from(">3H", nclx, 4)
    (turns,) = found.properties_of(primary, b"irot")[:1] or [b"\0"]
    (mirror,) = found.properties_of(primary, b"imir")[:1] or [b""]
    quality = _quality(found.content(found.first_coded), known_lossless=matrix == 0)
    return Coding(bits, chroma, (primaries, transfer, matrix), quality, turns[0] & 3, mirror[0] & 1 if mirror else None)


def _quality(coded: bytes, *, known_lossless: bool) -> int:
    """The quality of libavif that has the quantiser of the coded picture."""
    index = av1.quantiser(coded)
    if index is None:
        return LOSSLESS if known_lossless else _QUALITY
    return LOSSLESS if index == 0 else min(99, round(float(np.interp(index, list(_QUALITIES), list(_QUALITIES.values())))))


def _metadata(found: container.Container, coding: Coding) -> Metadata:
    profiles = [content[4:] for content in found.properties_of(found.primary, b"colr") if content[:4] in (b"prof", b"rICC")]
    icc, unconvertible = (profiles[0], None) if profiles else colour_profiles.of_codes(*coding.codes[:2], gray=coding.chroma == "400")
    exif, xmp = found.metadata(b"Exif"), found.metadata(b"mime", container.XMP_TYPE)
    if exif:
        at = 4 + int.from_bytes(exif[:4], "big")
        exif = upright_exif(exif[at:].removeprefix(b"Exif\0\0"))
    return Metadata(icc, exif or None, upright_xmp(xmp) if xmp else None, exif_dpi(exif), unconvertible=unconvertible)


class AvifSource:
    """One AVIF file."""

    copies = True

    def __init__(self, path: Path, found: container.Container, size: tuple[int, int], coding: Coding) -> None:
        self.path, self._coding = path, coding
        self._channels = (1 if coding.chroma == "400" else 3) + (found.alpha is not None)
        self._has_profile = any(content[:4] == b"prof" for content in found.properties_of(found.primary, b"colr"))
        metadata, shown = _metadata(found, coding), size[::-1] if coding.turns % 2 else size
        self.header = ImageHeader("avif", shown, coding.bits, lossy=not coding.lossless, metadata=metadata)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "AVIF"):
            height, width = self.header.size
            decoded = decoding.call(decode, self.path, samples=4 * height * width, coded=self.path.stat().st_size)
            stored = self._coding.upright(decoded)
            if stored.shape != ((height, width) if self._channels == 1 else (height, width, self._channels)):
                raise image_error(self.path, "damaged AVIF (its pixels are others than its header says); export it again")
            if self._coding.bits == 8:
                return Frame(stored, plain(stored))
            alpha = self._channels - 1 if self._channels in (2, 4) else None
            return Frame(stored, with_maximum(2**self._coding.bits - 1, 3 if self._channels >= 3 else 1, alpha_channel=alpha))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        metadata = self.header.metadata.rescaled(provenance.scale, provenance.size_of(self.header))
        stored, coding = only_frame(frames, self.path), self._coding
        icc = metadata.icc if self._has_profile else None
        if provenance.finer and not coding.lossless:
            coding = replace(coding, quality=max(coding.quality, _FINER))
        if provenance.coloured and coding.chroma == "400":
            if coding.bits > 8:
                raise image_error(self.path, f"an AVIF of {coding.bits} bits can't hold colours of 16; choose --format png")
            coding, icc = Coding(coding.bits, codes=(*coding.codes[:2], 0)), colour_profiles.in_colour(icc) if icc else None
        _write(path, stored, coding, Metadata(icc, metadata.exif, metadata.xmp))


def decode(path: Path) -> np.ndarray:
    """(H, W[, C]) as coded, for a decoding process. Raises what imagecodecs raises."""
    return np.asarray(imagecodecs.avif_decode(path.read_bytes(), numthreads=1))


def _write(path: Path, stored: np.ndarray, coding: Coding, metadata: Metadata) -> None:
    """Write (H, W), (H, W, 2|4) with alpha last, or (H, W, 3) samples of the coding's bits."""
    primaries, transfer, matrix = coding.codes
    encoded = bytes(
        imagecodecs.avif_encode(
            np.ascontiguousarray(stored), LOSSLESS if coding.lossless else min(coding.quality, 99), speed=_SPEED, pixelformat=coding.chroma,
            bitspersample=coding.bits, primaries=primaries, transfer=transfer, numthreads=1,
            matrix=None if coding.lossless else matrix if matrix in _MATRICES else 6,
        )
    )  # fmt: skip
    path.write_bytes(container.with_metadata(encoded, metadata.icc, metadata.exif, metadata.xmp))


class AvifCodec(Codec):
    """AVIF."""

    name = "avif"
    suffixes = (".avif",)
    capabilities = Capabilities(bits=8, longest_side=16384)

    def sniff(self, head: bytes) -> bool:
        """Whether its brand is one of AVIF."""
        return iso_media.codec_brand(head) == "avif"

    def open(self, path: Path, limits: Limits) -> AvifSource:
        """Read the header; ImageError as `read` says."""
        data = path.read_bytes()
        with as_image_error(path, "AVIF"):
            if data[8:12] == b"avis":
                raise image_error(path, "an AVIF sequence; save its frames as single pictures")
            found = container.read(data)
            (size,) = found.properties_of(found.primary, b"ispe")[:1] or [b""]
            width, height = struct.unpack_from(">II", size, 4)
            check_size(path, height, width, limits.max_pixels)
            coding = _coding(found)
            sequence = av1.read_sequence(found.content(found.primary)) if found.items[found.primary].kind == b"av01" else None
            if sequence is not None and sequence.size != (height, width):
                what = f"its header says {width} x {height} pixels, its data are {sequence.size[1]} x {sequence.size[0]}"
                raise image_error(path, f"damaged AVIF ({what}); copy or export it again")
            cropped = bool(found.properties_of(found.primary, b"clap"))
        if cropped or any(kind == b"prem" for kind, _, _ in found.references):
            what = "a crop (clap)" if cropped else "premultiplied alpha"
            raise image_error(path, f"it has {what}, which restore can't read; convert it to PNG first")
        compression_bounds.check(path, "AVIF", height * width, len(data))
        return AvifSource(path, found, (height, width), coding)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format, without loss unless the other one has some."""
        stored = only_frame(frames, path)
        is_gray = stored.ndim == 2 or stored.shape[2] == 2
        codes, quality = ((1, 13, 6), _FINER) if header.lossy else ((1, 13, 0), LOSSLESS)
        _write(path, stored, Coding(8, "400" if is_gray else "444", codes, quality), header.metadata)
