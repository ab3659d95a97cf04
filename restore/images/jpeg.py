"""JPEG: gray, YCbCr, RGB, CMYK and YCCK, 8 bits a sample.

Kept: an unchanged, upright picture is the same file. A changed one is coded with the same quantisation tables, chroma
subsampling, colour space and kind (baseline, or progressive where Pillow can), and carries every application and comment segment (EXIF
with maker notes and thumbnail, ICC, XMP, IPTC, JFIF resolution) byte for byte, the orientation being applied and reset.
Not kept then: the thumbnail shows the picture as it was; further pictures of a multi-picture file (MPO) and data after
the end; restart intervals. 12-bit, lossless and arithmetic JPEG outside DICOM are refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from restore.images.errors import Limits, check_size, damaged, quiet
from restore.images.frame import Frame
from restore.images.mappings import Inks, plain
from restore.images.orientation import finer_exif, orientation, turns, upright, upright_exif, upright_xmp
from restore.images.picture import Carry, Head, Note, first, refuse

EXIF, XMP, ICC, MPF, JFIF = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0", b"MPF\0", b"JFIF\0"
_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


def sniff(start: bytes) -> bool:
    return start.startswith(b"\xff\xd8\xff")


@dataclass
class Header:
    """The segments before the first scan."""

    kept: list[tuple[int, bytes]] = field(default_factory=list)
    """(marker, payload) of application and comment segments, in the file's order."""
    width: int = 0
    height: int = 0
    components: tuple[bytes, ...] = ()
    """(id, sampling, table) bytes of each component."""
    progressive: bool = False

    def find(self, marker: int, start: bytes) -> bytes | None:
        return next((p[len(start) :] for m, p in self.kept if m == marker and p.startswith(start)), None)


def open_source(path: Path, limits: Limits) -> JpegSource:
    """Read the segments before the pixels; ImageError as `read` says."""
    with damaged(path, "JPEG"), path.open("rb") as file:
        header = _header(file.read, path)
    check_size(path, header.height, header.width, limits.max_pixels)
    return JpegSource(path, header)


def _header(read: Any, path: Path) -> Header:
    found = Header()
    read(2)
    while True:
        byte = read(1)
        while byte and byte != b"\xff":
            byte = read(1)
        while byte == b"\xff":
            byte = read(1)
        if not byte:
            raise refuse(path, "truncated JPEG (it ends before its pixels); copy it again")
        marker = byte[0]
        if marker in (0x00, 0x01, *range(0xD0, 0xD9)):
            continue
        length = struct.unpack(">H", read(2).rjust(2, b"\0"))[0]
        payload = read(length - 2) if length >= 2 else b""
        if len(payload) < length - 2 or length < 2:
            raise refuse(path, "truncated JPEG (it ends inside its header); copy it again")
        if marker == 0xDA:
            break
        if marker in _FRAMES:
            _note_frame(found, marker, payload, path)
        elif 0xE0 <= marker <= 0xEF or marker == _COMMENT:
            found.kept.append((marker, payload))
    if not found.components:
        raise refuse(path, "damaged JPEG (no frame header); export it again")
    return found


def _note_frame(found: Header, marker: int, payload: bytes, path: Path) -> None:
    precision, found.height, found.width, count = struct.unpack_from(">BHHB", payload)
    if marker not in (0xC0, 0xC1, 0xC2) or precision != 8:
        kind = f"marker {marker:#x}, {precision} bits"
        raise refuse(path, f"a JPEG of a rare kind ({kind}); export it as ordinary JPEG or PNG")
    found.progressive = marker == 0xC2
    found.components = tuple(payload[6 + 3 * i : 9 + 3 * i] for i in range(count))


class JpegSource:
    """One JPEG file."""

    copies = True

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self._header = path, header
        exif = header.find(_APP1, EXIF)
        self._tag = orientation(exif)
        size = (header.width, header.height) if turns(self._tag) else (header.height, header.width)
        carry = Carry(_icc(header), upright_exif(exif) if exif else None, self._xmp(), self._dpi())
        self.head = Head("jpeg", size, 8, upright=self._tag == 1, carry=carry)

    def _xmp(self) -> bytes | None:
        xmp = self._header.find(_APP1, XMP)
        return upright_xmp(xmp) if xmp else None

    def _dpi(self) -> tuple[float, float] | None:
        jfif = self._header.find(_APP0, JFIF)
        if not jfif or len(jfif) < 7 or jfif[2] not in (1, 2):
            return None
        x, y = struct.unpack_from(">HH", jfif, 3)
        scale = 1.0 if jfif[2] == 1 else 2.54
        return (y * scale, x * scale) if turns(self._tag) else (x * scale, y * scale)

    def frame(self, index: int) -> Frame:
        with damaged(self.path, "JPEG"), quiet, JpegImagePlugin.JpegImageFile(self.path) as image:
            image.load()
            stored = upright(np.array(image), self._tag)
            return Frame(stored, Inks(255) if image.mode == "CMYK" else plain(stored, alpha=False))

    def write(self, path: Path, frames: Iterator[np.ndarray], note: Note) -> None:
        stored = first(frames, self.path)
        with damaged(self.path, "JPEG"), quiet, JpegImagePlugin.JpegImageFile(self.path) as image:
            tables = image.quantization
        coded = _coded(stored, self._options(tables))
        path.write_bytes(_spliced(coded, [_finer(*self._reset(m, p), note.scale) for m, p in self._header.kept]))

    def _options(self, tables: dict[int, list[int]]) -> dict[str, Any]:
        parts = self._header.components
        options: dict[str, Any] = {"progressive": self._header.progressive, "optimize": self._header.progressive}
        order = [tables[p[2]] for p in parts if p[2] in tables]
        while len(order) > 1 and order[-1] is order[-2]:  # Pillow lets the last table serve the rest
            order.pop()
        if len(parts) == 3 and self._is_rgb():
            options["keep_rgb"] = True
        elif len(parts) == 3:
            first_sampling = parts[0][1]
            chroma = parts[1][1] or 0x11
            ratio = ((first_sampling >> 4) // max(1, chroma >> 4), (first_sampling & 15) // max(1, chroma & 15))
            options["subsampling"] = {(1, 1): "4:4:4", (2, 1): "4:2:2"}.get(ratio, "4:2:0")
        if order:
            options["qtables"] = order
        return options

    def _is_rgb(self) -> bool:
        adobe = self._header.find(_APP14, b"Adobe")
        if adobe is not None and len(adobe) >= 7:
            return adobe[6] == 0
        return [p[0] for p in self._header.components] == list(b"RGB") and self._header.find(_APP0, JFIF) is None

    def _reset(self, marker: int, payload: bytes) -> tuple[int, bytes]:
        """The segment, with an applied orientation taken out of it."""
        if self._tag == 1:
            return marker, payload
        if marker == _APP1 and payload.startswith(EXIF):
            return marker, EXIF + upright_exif(payload[len(EXIF) :])
        if marker == _APP1 and payload.startswith(XMP):
            return marker, upright_xmp(payload)
        if turns(self._tag) and marker == _APP0 and payload.startswith(JFIF) and len(payload) >= 12:
            return marker, payload[:8] + payload[10:12] + payload[8:10] + payload[12:]
        return marker, payload


def _finer(marker: int, payload: bytes, scale: float) -> tuple[int, bytes]:
    """The segment for pixels `scale` times as fine."""
    if scale != 1 and marker == _APP1 and payload.startswith(EXIF):
        return marker, EXIF + finer_exif(payload[len(EXIF) :], scale)
    if scale != 1 and marker == _APP0 and payload.startswith(JFIF) and len(payload) >= 12 and payload[7]:
        densities = (max(1, min(65535, round(v * scale))) for v in struct.unpack_from(">HH", payload, 8))
        return marker, payload[:8] + struct.pack(">HH", *densities) + payload[12:]
    return marker, payload


def _icc(header: Header) -> bytes | None:
    parts = sorted(p[len(ICC) :] for m, p in header.kept if m == _APP2 and p.startswith(ICC))
    return b"".join(p[2:] for p in parts) or None


def _coded(stored: np.ndarray, options: dict[str, Any]) -> bytes:
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


def _spliced(coded: bytes, kept: list[tuple[int, bytes]]) -> bytes:
    """The coded stream with its own application segments replaced by the kept ones, but for Adobe's (it codes colour)."""
    at, own_adobe = 2, b""
    rest: list[bytes] = []
    while coded[at + 1] != 0xDA:
        marker, length = coded[at + 1], struct.unpack_from(">H", coded, at + 2)[0]
        segment = coded[at : at + 2 + length]
        if marker == _APP14:
            own_adobe = segment
        elif not 0xE0 <= marker <= 0xEF:
            rest.append(segment)
        at += 2 + length
    out = [coded[:2]]
    for marker, payload in kept:
        if (marker == _APP14 and payload.startswith(b"Adobe")) or (marker == _APP2 and payload.startswith(MPF)):
            continue
        out.append(struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload)
    return b"".join([*out, own_adobe, *rest, coded[at:]])


def write(path: Path, stored: np.ndarray, carry: Carry) -> None:
    """Write 8-bit gray or RGB as a JPEG of quality 95 without chroma subsampling, for pictures that come from elsewhere."""
    coded = _coded(stored, {"quality": 95, "subsampling": "4:4:4"} if stored.ndim == 3 else {"quality": 95})
    kept: list[tuple[int, bytes]] = []
    if carry.dpi:
        x, y = (max(1, min(65535, round(v))) for v in carry.dpi)
        kept.append((_APP0, JFIF + struct.pack(">BBBHHBB", 1, 1, 1, x, y, 0, 0)))
    if carry.exif and len(carry.exif) < 65000:
        kept.append((_APP1, EXIF + carry.exif))
    if carry.xmp and len(carry.xmp) < 65000:
        kept.append((_APP1, XMP + carry.xmp))
    if carry.icc:
        parts = [carry.icc[i : i + 65000] for i in range(0, len(carry.icc), 65000)]
        kept += [(_APP2, ICC + bytes([i + 1, len(parts)]) + part) for i, part in enumerate(parts)]
    path.write_bytes(_spliced(coded, kept))
