"""The properties of an encoded DICOM frame, compared with the header before any decoder runs."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from restore.images import compression_bounds
from restore.images.errors import image_error

_LOSSY_FRAMES = (0xC0, 0xC1, 0xC2)
_LOSSLESS_FRAMES = (0xC3, 0xF7)
_J2K = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Codestream:
    """What an encoded frame says of itself."""

    precision: int | None = None
    """Bits of its samples; None where it is unknown."""
    size: tuple[int, int, int] | None = None
    """(height, width, samples a pixel); None where it is unknown."""
    model: str | None = None
    """"RGB" or "YBR_FULL"; None where it does not say."""
    doubtful: bool = False
    """Whether libjpeg would take it for luminance and chroma though nothing but the numbers of its components says so."""


def stream_of(data: bytes, syntax: UID) -> Codestream:
    """The properties of a frame's bytes; none for RLE."""
    if syntax == RLELossless:
        return Codestream()
    if syntax not in JPEG2000TransferSyntaxes:
        return jpeg_codestream(data)
    precision = get_j2k_parameters(data).get("precision")
    return Codestream(precision=int(precision) if precision else None, size=_j2k_size(data))


def _j2k_size(data: bytes) -> tuple[int, int, int] | None:
    """By the SIZ marker segment (ITU-T T.800, A.5.1), that of a codestream in a JP2 file as well."""
    at = data.find(_J2K)
    if at < 0 or len(data) < at + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", data, at + 8)
    (count,) = struct.unpack_from(">H", data, at + 40)
    return bottom - top, right - left, count


def check_stream(path: Path, ds: FileDataset, data: bytes) -> None:
    """Check that a frame's codestream has the size of the header and is long enough for it.

    Raises:
        ImageError: it does not; the message names both sizes.
    """
    syntax = ds.file_meta.TransferSyntaxUID
    rows, columns, samples = expected = int(ds.Rows), int(ds.Columns), int(ds.SamplesPerPixel)
    if syntax == RLELossless:
        _check_rle(path, ds, data)
        return
    found = stream_of(data, syntax).size
    if found is None:
        raise image_error(path, f"damaged DICOM (a frame of {syntax.name} has no such header); copy or export it again")
    if found != expected:
        height, width, count = found
        what = f"the encoded picture is {width} x {height} with {count} sample(s) a pixel"
        raise image_error(path, f"damaged DICOM: {what}, the header says {columns} x {rows} with {samples}; copy or export it again")
    lossless = JPEGLossless, JPEGLosslessSV1
    kinds = (("JPEG 2000", JPEG2000TransferSyntaxes), ("JPEG-LS", JPEGLSTransferSyntaxes), ("lossless JPEG", lossless))
    codec = next((name for name, syntaxes in kinds if syntax in syntaxes), "JPEG")
    compression_bounds.check(path, codec, rows * columns, len(data))


def _check_rle(path: Path, ds: FileDataset, data: bytes) -> None:
    """An RLE frame has a segment for each byte of a pixel, in order (PS3.5, annex G.3 to G.5)."""
    needed = int(ds.SamplesPerPixel) * int(ds.BitsAllocated) // 8
    if len(data) < 64:
        raise image_error(path, "truncated DICOM (an RLE frame ends inside its header); copy it again")
    count, *offsets = struct.unpack_from("<16I", data)
    if count != needed or needed > 15:
        raise image_error(path, f"damaged DICOM (an RLE frame has {count} segments, the header needs {needed}); copy it again")
    starts = [*offsets[:count], len(data)]
    if starts[0] < 64 or sorted(starts) != starts:
        raise image_error(path, "damaged DICOM (the segments of an RLE frame lie outside it); copy it again")
    compression_bounds.check(path, "PackBits", int(ds.Rows) * int(ds.Columns) * needed, len(data))


def jpeg_codestream(data: bytes) -> Codestream:
    """Read the segments before a JPEG's or JPEG-LS's first scan."""
    at, jfif, adobe = 2, False, None
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        content = data[at + 4 : at + 2 + length]
        if marker == 0xE0 and content.startswith(b"JFIF"):
            jfif = True
        elif marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            adobe = content[11]
        elif marker in _LOSSY_FRAMES or marker in _LOSSLESS_FRAMES:
            return _frame_header(content, jfif, adobe, lossy=marker in _LOSSY_FRAMES)
        at += 2 + length
    return Codestream()


def _frame_header(content: bytes, jfif: bool, adobe: int | None, *, lossy: bool) -> Codestream:
    """The rules 1 to 5 above, by the frame header and the segments before it."""
    if len(content) < 6 or len(content) < 6 + 3 * content[5]:
        return Codestream()
    precision, height, width, count = struct.unpack_from(">BHHB", content)
    size = height, width, count
    if count != 3:
        return Codestream(precision, size)
    names = [content[6 + 3 * component] for component in range(count)]
    samples = [(content[7 + 3 * component] >> 4, content[7 + 3 * component] & 15) for component in range(count)]
    if jfif:
        return Codestream(precision, size, "YBR_FULL")
    if adobe is not None:
        return Codestream(precision, size, "RGB" if adobe == 0 else "YBR_FULL")
    if bytes(names).upper() == b"RGB":
        return Codestream(precision, size, "RGB")
    if lossy and samples[0] > samples[1] and samples[1] == samples[2]:
        return Codestream(precision, size, "YBR_FULL")
    return Codestream(precision, size, doubtful=lossy and names == [1, 2, 3])
