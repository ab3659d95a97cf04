"""JPEG: gray, YCbCr, RGB, CMYK and YCCK, 8 bits a sample.

Kept: an unchanged, upright picture is the same file. A changed one is coded with the same quantisation tables and chroma
subsampling, or with finer ones (`Provenance.finer`), in the same colour space and kind (baseline, or progressive where Pillow can).
It keeps every application and comment segment (EXIF with maker notes and thumbnail, ICC, XMP, IPTC, JFIF resolution) byte for byte;
the orientation is applied and reset, and sizes and resolutions follow. What lies behind the first picture (further pictures of an
MPO, gain maps, the video of a motion photo) stays.
Not kept when pixels change: restart intervals, and a gain map where the picture is rotated. The thumbnail keeps its old pixels.
12-bit, lossless and arithmetic JPEG outside DICOM are refused.
A missing end marker gives a warning. Missing rows are refused, or gray with a warning if `salvage`. So are data that libjpeg reports as
corrupt; which of their pixels are wrong is not always known.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin

from restore.images import compression_bounds, decoding, quantisation
from restore.images.codecs.base import Capabilities, Codec, only_frame
from restore.images.codecs.jpeg import codestream, component_scans, extended_xmp, further_pictures
from restore.images.codecs.jpeg.finer_tables import FINE_QUALITY, finer, hardly_differ
from restore.images.codecs.jpeg.header import (
    APP0,
    APP1,
    APP2,
    APP14,
    EXIF,
    JFIF,
    LARGEST,
    XMP,
    Segments,
    comments,
    icc,
    in_colour,
    read_segments,
    rescaled,
    segments_of,
    spliced,
)
from restore.images.errors import SALVAGE, Limits, as_image_error, check_size, image_error, missing_rows, quiet, salvage_warning
from restore.images.frame import Frame
from restore.images.mappings import Cmyk, plain
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import exif_dpi, orientation, swaps_sides, upright, upright_exif, upright_xmp
from restore.images.quantisation import Quantisation


class JpegSource:
    """One JPEG file."""

    def __init__(self, path: Path, segments: Segments, *, salvage: bool) -> None:
        self.path, self._segments, self._salvage = path, segments, salvage
        self.copies = True
        """False for a picture with missing rows: what is written is complete."""
        self._checked = False
        exif = segments.find(APP1, EXIF)
        self._tag = orientation(exif)
        size = (segments.width, segments.height) if swaps_sides(self._tag) else (segments.height, segments.width)
        kept = upright_exif(exif) if exif else None
        metadata = Metadata(icc(segments), kept, self._xmp(), self._dpi() or exif_dpi(kept), comments(segments))
        warnings, ending = self._warnings()
        self.header = ImageHeader(
            "jpeg", size, 8, lossy=True, upright=self._tag == 1, metadata=metadata, warnings=warnings, ending=ending,
            quantisation=self._quantisation(),
        )  # fmt: skip

    def _quantisation(self) -> Quantisation | None:
        """See `ImageHeader.quantisation`."""
        table = self._segments.tables.get(self._segments.components[0][2])
        return None if table is None else quantisation.from_file(table, self._segments.height, self._segments.width, self._tag)

    def _stream(self) -> codestream.Stream:
        segments = self._segments
        return codestream.first_picture(self.path.read_bytes(), segments.components, progressive=segments.progressive)

    @property
    def _unit(self) -> int:
        """Rows that are coded together."""
        parts = self._segments.components
        return 8 * (max(p[1] & 15 for p in parts) if len(parts) > 1 else 1)

    def _warnings(self) -> tuple[tuple[str, ...], bytes]:
        """Warnings of the stream and of what follows it, and the bytes that complete an unchanged copy."""
        with as_image_error(self.path, "JPEG"), quiet:
            stream = self._stream()
            segments, mpf = [p for _, p in self._segments.kept], self._segments.find(APP2, further_pictures.MPF)
            further = further_pictures.warning(segments, mpf, stream.trailer, swapped=swaps_sides(self._tag))
            found = [further] if further else []
            if stream.ended:
                return tuple(found), b""
            self._checked = True
            row = self._first_missing(stream)
            if row is not None:
                return (self._missing(row, complete=stream.complete), *found), b""
            left = self.path.stat().st_size - len(stream.data)  # 1 where the first half of the marker is there
            self.copies = left <= 1
            return ("it has no end marker, but all its pixels", *found), codestream.END[left:]

    @property
    def _samples(self) -> int:
        return self._segments.height * self._segments.width * len(self._segments.components)

    def _first_missing(self, stream: codestream.Stream) -> int | None:
        """Decodes four times."""
        return decoding.call(codestream.first_missing, stream, self._unit, samples=4 * self._samples, coded=4 * len(stream.as_file))

    def _missing(self, row: int, *, complete: bool = True) -> str:
        """A warning; ImageError unless salvaging."""
        height = self._segments.height
        if not self._salvage:
            if complete:
                raise missing_rows(self.path, "JPEG", row, height)
            what = "truncated JPEG (its last scans are missing: every row lacks detail)"
            raise image_error(self.path, f"{what}; copy it again{SALVAGE}")
        self.copies = False
        return salvage_warning(row, height, "gray") if complete else "its last scans are missing: every row lacks detail"

    def _corrupt(self, complaint: str) -> str:
        """A warning of damage at an unknown position; ImageError unless salvaging."""
        if not self._salvage:
            what = f"damaged JPEG (its compressed data are corrupt: {complaint})"
            raise image_error(self.path, f"{what}; copy it again{SALVAGE}")
        self.copies = False
        return f"its compressed data are corrupt ({complaint}): any of its pixels may be wrong"

    def _xmp(self) -> bytes | None:
        xmp = self._segments.find(APP1, XMP)
        xmp = extended_xmp.whole(xmp, [payload for marker, payload in self._segments.kept if marker == APP1]) if xmp else None
        return upright_xmp(xmp, swapped=swaps_sides(self._tag)) if xmp and self._tag != 1 else xmp

    def _dpi(self) -> tuple[float, float] | None:
        jfif = self._segments.find(APP0, JFIF)
        if not jfif or len(jfif) < 7 or jfif[2] not in (1, 2):
            return None
        x, y = struct.unpack_from(">HH", jfif, 3)
        scale = 1.0 if jfif[2] == 1 else 2.54
        return (y * scale, x * scale) if swaps_sides(self._tag) else (x * scale, y * scale)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "JPEG"), quiet:
            stream = self._stream()
            stored, mode, complaint = decoding.call(codestream.checked, stream.as_file, samples=self._samples, coded=len(stream.as_file))
            warnings: tuple[str, ...] = ()
            if not self._checked:
                broken = codestream.may_break_off(stored, self._unit, progressive=self._segments.progressive)
                row = self._first_missing(stream) if complaint or broken else None
                warnings = () if row is None else (self._missing(row),)
                if row is None and complaint:
                    warnings = (self._corrupt(complaint),)
            turned = upright(stored, self._tag)
            return Frame(turned, Cmyk(255) if mode == "CMYK" else plain(turned, alpha=False), warnings=warnings)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored = only_frame(frames, self.path)
        if provenance.finer and self._tag == 1 and self.copies and hardly_differ(self.frame(0).stored, stored):
            path.write_bytes(self.path.read_bytes() + self.header.ending)
            return
        size = (stored.shape[0], stored.shape[1])
        stream = self._stream()
        with as_image_error(self.path, "JPEG"), quiet, JpegImagePlugin.JpegImageFile(io.BytesIO(stream.as_file)) as image:
            tables = image.quantization
        if provenance.finer:
            tables = finer(tables)
        coded = self._coded(stored, tables, finer=provenance.finer)
        kept = [rescaled(*self._reset(m, p), provenance.scale, size) for m, p in self._segments.kept]
        if provenance.coloured and len(self._segments.components) == 1:
            kept = in_colour(kept)
        trailer = stream.trailer
        if swaps_sides(self._tag) and further_pictures.is_gain_map([p for _, p in self._segments.kept]):
            trailer = b""
        if not trailer:
            kept = [(m, p) for m, p in kept if m != APP2 or not p.startswith(further_pictures.MPF)]
        made = spliced(coded, kept)
        path.write_bytes(further_pictures.moved(made, stream.as_file[: stream.size]) + trailer)

    def _coded(self, stored: np.ndarray, tables: dict[int, list[int]], *, finer: bool) -> bytes:
        """Coded as the file was; `finer` without subsampling, which would blur the colours that were restored."""
        parts = self._segments.components
        rare = len(parts) == 3 and not self._is_rgb() and self._sampling() is None and not finer
        if (rare or self._is_ycck()) and component_scans.writable(parts):
            # sides that the orientation has turned are sampled as they now lie
            turned = tuple(bytes([p[0], (p[1] & 15) << 4 | p[1] >> 4, p[2]]) for p in parts) if swaps_sides(self._tag) else parts
            return component_scans.coded(stored, turned, tables, progressive=self._segments.progressive)
        return _coded(stored, self._options(tables, finer=finer))

    def _sampling(self) -> str | None:
        """Pillow's name of the chroma sampling of the upright picture; None if it has none."""
        ratios = set()
        (luma, *chromas) = (p[1] for p in self._segments.components)
        for chroma in chromas:
            if not chroma >> 4 or not chroma & 15 or (luma >> 4) % (chroma >> 4) or (luma & 15) % (chroma & 15):
                return None
            ratios.add(((luma >> 4) // (chroma >> 4), (luma & 15) // (chroma & 15)))
        if len(ratios) != 1:
            return None
        across, down = ratios.pop()
        ratio = (down, across) if swaps_sides(self._tag) else (across, down)
        return {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}.get(ratio)

    def _options(self, tables: dict[int, list[int]], *, finer: bool) -> dict[str, object]:
        parts = self._segments.components
        options: dict[str, object] = {"progressive": self._segments.progressive, "optimize": self._segments.progressive}
        order = [tables[p[2]] for p in parts if p[2] in tables]
        while len(order) > 1 and order[-1] is order[-2]:  # Pillow lets the last table serve the rest
            order.pop()
        if self._is_ycck():
            order = order[:1]  # Pillow cannot write it: the inks are coded as they are: chroma's table would be too coarse
        if len(parts) == 1:
            options["subsampling"] = "4:4:4"  # for a gray picture that became one in colour; its table serves all three
        elif len(parts) == 3 and self._is_rgb():
            options["keep_rgb"] = True
        elif len(parts) == 3:
            options["subsampling"] = "4:4:4" if finer else self._sampling() or "4:4:4"  # rather too fine than too coarse
        if order:
            options["qtables"] = order
        return options

    def _is_ycck(self) -> bool:
        adobe = self._segments.find(APP14, b"Adobe")
        return len(self._segments.components) == 4 and adobe is not None and len(adobe) >= 7 and adobe[6] == 2

    def _is_rgb(self) -> bool:
        adobe = self._segments.find(APP14, b"Adobe")
        if adobe is not None and len(adobe) >= 7:
            return adobe[6] == 0
        return [p[0] for p in self._segments.components] == list(b"RGB") and self._segments.find(APP0, JFIF) is None

    def _reset(self, marker: int, payload: bytes) -> tuple[int, bytes]:
        """The segment with orientation 1, if an orientation was applied."""
        if self._tag == 1:
            return marker, payload
        if marker == APP1 and payload.startswith(EXIF):
            return marker, EXIF + upright_exif(payload[len(EXIF) :])
        if marker == APP1 and payload.startswith(XMP):
            return marker, XMP + upright_xmp(payload[len(XMP) :], swapped=swaps_sides(self._tag))
        if swaps_sides(self._tag) and marker == APP0 and payload.startswith(JFIF) and len(payload) >= 12:
            return marker, payload[:8] + payload[10:12] + payload[8:10] + payload[12:]
        return marker, payload


def _coded(stored: np.ndarray, options: dict[str, object]) -> bytes:
    """A JPEG stream of (H, W[, 3|4]) uint8."""
    whole = np.ascontiguousarray(stored)
    inks = stored.ndim == 3 and stored.shape[-1] == 4
    image = Image.frombytes("CMYK", whole.shape[1::-1], whole.tobytes()) if inks else Image.fromarray(whole)
    buffer = io.BytesIO()
    try:
        image.save(buffer, "JPEG", **options)
    except OSError:  # Pillow sizes a progressive stream's buffer too small for noise at the highest qualities
        if not options.get("progressive"):
            raise
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **{**options, "progressive": False, "optimize": False})
    return buffer.getvalue()


class JpegCodec(Codec):
    """JPEG."""

    name = "jpeg"
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif")
    capabilities = Capabilities(bits=8, gray_alpha=False, colour_alpha=False, longest_side=65500)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as JPEG does."""
        return head.startswith(b"\xff\xd8\xff")

    def open(self, path: Path, limits: Limits) -> JpegSource:
        """Read the segments before the pixels; ImageError as `read` says."""
        with as_image_error(path, "JPEG"), path.open("rb") as file:
            segments = read_segments(file.read, path)
        check_size(path, segments.height, segments.width, limits.max_pixels)
        compression_bounds.check(path, "JPEG", segments.height * segments.width, path.stat().st_size, salvage=limits.salvage)
        return JpegSource(path, segments, salvage=limits.salvage)

    def left_out(self, metadata: Metadata) -> tuple[str, ...]:
        """See `Codec.left_out`."""
        if metadata.exif and len(metadata.exif) > LARGEST:
            return (f"its EXIF block of {len(metadata.exif):,} bytes is left out: JPEG holds {LARGEST:,}",)
        return ()

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Quality 95 without chroma subsampling."""
        stored, metadata = only_frame(frames, path), header.metadata
        coded = _coded(stored, {"quality": FINE_QUALITY, **({"subsampling": "4:4:4"} if stored.ndim == 3 else {})})
        path.write_bytes(spliced(coded, segments_of(metadata)))
