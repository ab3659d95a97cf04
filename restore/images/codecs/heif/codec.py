"""HEIC and HEIF: gray, RGB and RGBA of 8, 10 and 12 bits (HEVC), by libheif.

An unchanged picture is the same file. Kept when the pixels change: depth, alpha, chroma sampling, ICC profile or colour codes, EXIF and
XMP. The rotation is applied to the pixels and taken out of the EXIF. Pictures without a colour transform are coded without loss; others
at their own quality, by the quantiser of the coded picture (90 where its headers do not tell it). Not kept then: further pictures,
thumbnails, depth maps, gain maps.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restore.images import colour_profiles, decoding, iso_media
from restore.images.codecs.avif import container
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.heif import hevc
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import plain, with_maximum
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import exif_dpi, upright_exif, upright_xmp
from restore.images.packages import Package

_PILLOW_HEIF = Package("pillow_heif", "heic")
_QUALITY, _LOSSLESS = 90, -1
_FINEST_QUALITY, _QUALITY_A_STEP = 94, 2
"""The quality by which libheif and x265 choose the quantiser 0, and what one step of it takes away; measured, for all depths."""
_twelve_bits = threading.Lock()
"""The depth of what is written is a setting of the whole library."""


@dataclass(frozen=True)
class Coding:
    """How a picture is coded.

    Attributes:
        bits: of a sample: 8, 10 or 12.
        chroma: 420, 422 or 444.
        codes: primaries, transfer and matrix (ITU-T H.273), and 1 for full range.
        quality: of libheif, 0 to 100, where it is coded with loss; -1 for none.
    """

    bits: int = 8
    chroma: int = 444
    codes: tuple[int, int, int, int] = (1, 13, 6, 1)
    quality: int = _QUALITY

    @property
    def lossless(self) -> bool:
        """Whether it has no colour transform, which lossless files of colours have none of."""
        return self.codes[2] == 0


class HeifSource:
    """One HEIF file."""

    copies = True

    def __init__(self, path: Path, coding: Coding, header: ImageHeader) -> None:
        self.path, self._coding, self.header = path, coding, header

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "HEIF"):
            height, width = self.header.size
            stored = decoding.call(decode, self.path, samples=4 * height * width, coded=self.path.stat().st_size)
            if stored.shape[:2] != (height, width):
                raise image_error(self.path, "damaged HEIF (its pixels have another size than its header says); export it again")
            if self._coding.bits == 8:
                return Frame(stored, plain(stored))
            count = 1 if stored.ndim == 2 else stored.shape[2]
            alpha = 3 if count == 4 else None
            return Frame(stored, with_maximum(2**self._coding.bits - 1, 3 if count >= 3 else 1, alpha_channel=alpha))

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        metadata = self.header.metadata.rescaled(provenance.scale, provenance.size_of(self.header))
        stored = only_frame(frames, self.path)
        icc = metadata.icc
        if provenance.coloured and int(stored.max()) >= 2**self._coding.bits:
            raise image_error(self.path, f"a HEIC of {self._coding.bits} bits can't hold colours of 16; choose --format png")
        if provenance.coloured and icc is not None:
            icc = colour_profiles.in_colour(icc)
        coding = replace(self._coding, quality=_quality(self.path.read_bytes()))
        if provenance.finer:
            coding = replace(coding, quality=max(coding.quality, _QUALITY))
        _write(path, stored, coding, Metadata(icc, metadata.exif, metadata.xmp))


def _quality(data: bytes) -> int:
    """The quality of libheif that has the quantiser of a file's primary picture, or of its first tile."""
    try:
        found = container.read(data)
        item = found.first_coded
        setups = found.properties_of(item, b"hvcC")
        quantiser = hevc.quantiser(setups[0], found.content(item)) if setups else None
    except (ValueError, struct.error, IndexError, KeyError):
        return _QUALITY
    return _QUALITY if quantiser is None else min(100, max(0, _FINEST_QUALITY - _QUALITY_A_STEP * quantiser))


def read_header(path: Path) -> tuple[list[int], list[np.ndarray], list[int]]:
    """What libheif says of a file, for a decoding process.

    Returns:
        Width, height, bits, chroma and the four colour codes; ICC profile, EXIF and XMP; the numbers of further pictures, by kind.
    """
    opened = _PILLOW_HEIF.load().open_heif(path, convert_hdr_to_8bit=False)
    info = opened.info
    nclx = info.get("nclx_profile") or {}
    names = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")
    blocks = [np.frombuffer(info.get(name) or b"", np.uint8) for name in ("icc_profile", "exif", "xmp")]
    further = [len(opened) - 1, *(len(info.get(name) or ()) for name in ("thumbnails", "depth_images", "aux"))]
    return [*opened.size, info["bit_depth"], info.get("chroma") or 444, *(int(nclx.get(name, 2)) for name in names)], blocks, further


def decode(path: Path) -> np.ndarray:
    """(H, W[, 3|4]) uint8, or uint16 of the file's own bits; for a decoding process. Raises what pillow-heif raises."""
    opened = _PILLOW_HEIF.load().open_heif(path, convert_hdr_to_8bit=False)
    stored = np.array(opened)
    return stored if stored.dtype == np.uint8 else stored >> (16 - opened.info["bit_depth"])


def _write(path: Path, stored: np.ndarray, coding: Coding, metadata: Metadata) -> None:
    """Write (H, W[, 3|4]) samples of the coding's bits."""
    library = _PILLOW_HEIF.load()
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[1 if stored.ndim == 2 else stored.shape[2]]
    if coding.bits > 8:
        mode, stored = ("I;16" if mode == "L" else f"{mode};16"), stored << np.uint16(16 - coding.bits)
    image = library.from_bytes(mode, (stored.shape[1], stored.shape[0]), np.ascontiguousarray(stored).tobytes())
    if metadata.icc:
        image.info["icc_profile"], image.info["icc_profile_type"] = metadata.icc, "prof"
    primaries, transfer, matrix, full = coding.codes
    options: dict[str, object] = {
        "quality": _LOSSLESS if coding.lossless else coding.quality, "chroma": coding.chroma, "exif": metadata.exif, "xmp": metadata.xmp,
        "color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": matrix, "full_range_flag": full,
    }  # fmt: skip
    with _twelve_bits, path.open("wb") as file:
        library.options.SAVE_HDR_TO_12_BIT = coding.bits == 12
        image.save(file, **options)


def _metadata(blocks: list[bytes], codes: tuple[int, int, int, int]) -> Metadata:
    """ICC profile (that of the colour codes where there is none), EXIF and XMP; the rotation, which libheif applies, is taken out."""
    icc, exif, xmp = (block or None for block in blocks)
    exif = exif.removeprefix(b"Exif\0\0") if exif else None
    unconvertible = None
    if icc is None:
        icc, unconvertible = colour_profiles.of_codes(codes[0], codes[1])
    exif = upright_exif(exif) if exif else None
    return Metadata(icc, exif, upright_xmp(xmp) if xmp else None, exif_dpi(exif), unconvertible=unconvertible)


class HeifCodec(Codec):
    """HEIC and HEIF."""

    name = "heif"
    suffixes = (".heic", ".heif", ".hif")
    capabilities = Capabilities(bits=8, gray_alpha=False)
    needs = _PILLOW_HEIF

    def sniff(self, head: bytes) -> bool:
        """Whether its brand is one of HEIF."""
        return iso_media.codec_brand(head) == "heif"

    def open(self, path: Path, limits: Limits) -> HeifSource:
        """Read the header; ImageError as `read` says."""
        with as_image_error(path, "HEIF"):
            size = path.stat().st_size
            numbers, blocks, further = decoding.call(read_header, path, samples=1 << 20, coded=size)
            width, height, bits, chroma, *codes = numbers
            check_size(path, height, width, limits.max_pixels)
            coding = Coding(bits, chroma, (codes[0], codes[1], codes[2], codes[3]))
            metadata = _metadata([block.tobytes() for block in blocks], coding.codes)
        kinds = ("further pictures", "thumbnails", "depth maps", "auxiliary pictures")
        lost = ", ".join(kind for kind, count in zip(kinds, further, strict=True) if count)
        warnings = (f"its {lost} are not kept where pixels change",) if lost else ()
        lossy = not coding.lossless
        return HeifSource(path, coding, ImageHeader("heif", (height, width), bits, lossy=lossy, metadata=metadata, warnings=warnings))

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format, without loss unless the other one has some."""
        stored = only_frame(frames, path)
        codes = (1, 13, 6 if header.lossy or stored.ndim == 2 else 0, 1)
        _write(path, stored, Coding(codes=codes, quality=_QUALITY if header.lossy else _LOSSLESS), header.metadata)
