"""How many frames a DICOM file holds, by its pixels and not by its header alone."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import FileDataset
from pydicom.uid import RLELossless

from restore.images.codecs.dicom.header import whole_number

_ITEM = 0xE000FFFE
_UNDEFINED = 0xFFFFFFFF
_STARTS = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")
"""The first bytes of a frame: JPEG and JPEG-LS, a JPEG 2000 codestream, a JPEG 2000 file."""


def declared_frames(path: Path, ds: FileDataset) -> int | None:
    """NumberOfFrames; None where it is missing, empty or 0. ImageError if it is no number."""
    count = whole_number(path, ds, "NumberOfFrames")
    return count if count is not None and count > 0 else None


def count_frames(path: Path, ds: FileDataset, pixels: BinaryIO) -> tuple[int, str | None]:
    """(frames, warning) of a file whose header is `ds`; `pixels` stands at the header of its PixelData element.

    The pixels decide where they hold more frames than NumberOfFrames says: by length where they are uncompressed, else by the offset
    table, or by the fragments in which a frame begins. Where they hold fewer, NumberOfFrames stays, and decoding finds the missing frames.
    """
    declared = declared_frames(path, ds)
    found = _held(ds, pixels)
    if found <= (declared or 1):
        return declared or 1, None
    was = f"says {declared}" if declared else "is missing"
    return (
        found,
        f"NumberOfFrames {was}, but there are pixels of {found} frames; all are restored and the number is set to {found}.",
    )


def missing_frames(ds: FileDataset) -> str:
    """What a message says of frames that the pixels of a whole dataset do not hold; empty where all are there, or where it is unknown.

    Encapsulated frames are counted by the fragments in which one begins, whatever the offset table says.
    """
    count = max(1, int(ds.get("NumberOfFrames") or 1))
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        file = io.BytesIO(ds.PixelData)
        there = 0 if _item(file) is None else _beginnings(file, rle=ds.file_meta.TransferSyntaxUID == RLELossless)
        return f"{there} of its {count} frames are there" if 0 < there < count else ""
    there = len(ds.PixelData) // _frame_size(ds)
    if there >= count:
        return ""
    return f"{there} of its {count} frames are there" if count > 1 else "pixels are missing at its end"


def _held(ds: FileDataset, pixels: BinaryIO) -> int:
    """The number of complete frames in the pixels; 0 if it is unknown."""
    order = "<" if ds.file_meta.TransferSyntaxUID.is_little_endian else ">"
    length = _element_length(pixels, order, implicit=bool(ds.original_encoding[0]))
    if not ds.file_meta.TransferSyntaxUID.is_encapsulated:
        return _native(ds, length)
    if length is not None and length != _UNDEFINED:
        return 0
    offsets = ds.get("ExtendedOffsetTable")
    return len(offsets) // 8 if offsets else _encapsulated(pixels, rle=ds.file_meta.TransferSyntaxUID == RLELossless)


def _element_length(file: BinaryIO, order: str, *, implicit: bool) -> int | None:
    """The length of the element whose header `file` stands at, None if the file ends."""
    head = file.read(8)
    if len(head) < 8:
        return None
    if implicit:
        return int(struct.unpack(order + "I", head[4:])[0])
    if head[4:6] not in (b"OB", b"OW", b"UN"):
        return int(struct.unpack(order + "H", head[6:])[0])
    more = file.read(4)
    return int(struct.unpack(order + "I", more)[0]) if len(more) == 4 else None


def _native(ds: FileDataset, length: int | None) -> int:
    """Whole frames in `length` bytes of uncompressed pixels."""
    if length is None or length == _UNDEFINED:
        return 0
    if str(ds.PhotometricInterpretation) == "YBR_FULL_422":
        size = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * int(ds.BitsAllocated) // 8
        if length // size * size in (length, length - 1):  # pixels that aren't halved under a name that says they are
            return 0
    return length // _frame_size(ds)


def _frame_size(ds: FileDataset) -> int:
    """Bytes of one uncompressed frame."""
    samples = 2 if str(ds.PhotometricInterpretation) == "YBR_FULL_422" else int(ds.SamplesPerPixel)
    return int(ds.Rows) * int(ds.Columns) * samples * int(ds.BitsAllocated) // 8


def _encapsulated(file: BinaryIO, *, rle: bool) -> int:
    """Frames among the fragments that follow; in RLE every fragment is one (PS3.5, A.4.2)."""
    table = _item(file)
    if table is None:
        return 0
    return table // 4 if table else _beginnings(file, rle=rle)


def _beginnings(file: BinaryIO, *, rle: bool) -> int:
    """The fragments that follow in which a frame begins."""
    frames = 0
    while (size := _item(file, skip=False)) is not None:
        start = file.read(min(size, 8))
        frames += rle or start.startswith(_STARTS)
        file.seek(size - len(start), 1)
    return frames


def _item(file: BinaryIO, *, skip: bool = True) -> int | None:
    """The length of the next item, None at the end; its content is skipped unless `skip` is False."""
    head = file.read(8)
    if len(head) < 8:
        return None
    tag, size = struct.unpack("<II", head)
    if tag != _ITEM or size == _UNDEFINED:
        return None
    if skip:
        file.seek(size, 1)
    return int(size)
