"""TIFF's directories: opening a file, counting its pages, and what the tags of its pages say of the picture."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from tifffile import TiffFile, TiffPage

from restore.images import exif
from restore.images.codecs.tiff import geometry, new_file
from restore.images.codecs.tiff.samples import GRAYS
from restore.images.errors import image_error
from restore.images.metadata import ImageHeader, Metadata
from restore.images.orientation import swaps_sides, upright_exif, upright_xmp

_SIZE = {256, 257}
"""The tags that every page has."""


def open_tiff(path: Path, broken_ifd_pointer: int | None) -> TiffFile:
    """The file; or a copy in memory whose chain of pages ends at the offset `broken_ifd_pointer`, where a pointer leads out of the file."""
    if broken_ifd_pointer is None:
        return TiffFile(path)
    data = bytearray(path.read_bytes())
    width = 8 if bytes(data[2:4]) in (b"+\0", b"\0+") else 4
    data[broken_ifd_pointer : broken_ifd_pointer + width] = bytes(width)
    return TiffFile(io.BytesIO(data))


def find_pages(file: BinaryIO, path: Path) -> tuple[list[int], int | None]:
    """Find the directories. Libraries stop silently where the chain breaks.

    Returns:
        Their offsets, and the offset of the pointer that leads out of the file or to what is no page, if there is one.
    """
    size = path.stat().st_size
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in (b"+\0", b"\0+")
    count, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    visited: dict[int, None] = {}
    pointer_at = 8 if big else 4
    try:
        (at,) = struct.unpack_from(order + pointer, start, pointer_at)
        while at:
            if at in visited or len(visited) > 65535:
                raise image_error(path, "damaged TIFF (its pages refer to each other in a circle); export it again")
            file.seek(at)
            (tags,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
            after = at + struct.calcsize(count) + tags * entry
            if after > size:
                return list(visited), pointer_at
            entries = file.read(tags * entry)
            if visited and not {code for (code,) in struct.iter_unpack(f"{order}H{entry - 2}x", entries)} >= _SIZE:
                return list(visited), pointer_at
            (following,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
            visited[at] = None
            at, pointer_at = following, after
    except struct.error:
        return list(visited), pointer_at
    if not visited:
        raise image_error(path, "damaged TIFF (it has no pages); export it again")
    return list(visited), None


def page_at(file: TiffFile, offsets: Sequence[int], number: int) -> TiffPage:
    """Page `number`, read at its place: tifffile walks through all pages before it."""
    file.filehandle.seek(offsets[number])
    return TiffPage(file, number)


def tag_value(page: TiffPage, code: int, default: int) -> int:
    """A tag's first value; `default` where the page has no such tag."""
    value = page.tags.valueof(code, default=default)
    return int(value[0] if isinstance(value, tuple) else value)


def enum_name(value: int, names: type[IntEnum], default: str = "") -> str:
    """The name that a tag's value has in one of tifffile's tables; `default`, or the number, where it has none."""
    try:
        return names(value).name
    except ValueError:
        return default or str(value)


def read_header(file: TiffFile, pages: int, frames: int, warnings: list[str]) -> ImageHeader:
    """The header of a file: what its first page says, and what holds for every page."""
    page = file.pages[0]
    assert isinstance(page, TiffPage)
    every = [p for p in (file.pages[i] for i in range(pages)) if isinstance(p, TiffPage)]
    tags = [tag_value(p, 274, 1) for p in every]
    size = (page.imagelength, page.imagewidth)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    upright_all = all(not 2 <= tag <= 8 for tag in tags)
    metadata = _metadata(page, tags[0], (size[::-1] if swaps_sides(tags[0]) else size))
    if any(330 in p.tags for p in every):
        warnings.append("its sub-images (a pyramid or thumbnails) show the picture as it was where pixels change")
    if not upright_all and any(code in p.tags for p in every for code in geometry.GEOGRAPHIC):
        warnings.append("the picture is turned upright, but its geographic tags speak of it as it lay")
    size = size[::-1] if swaps_sides(tags[0]) else size
    gray = dict.fromkeys(geometry.says_gray(p) for p in every if p.photometric in GRAYS)
    coloured = tuple(f"its {name} description is of gray samples: its result in colour goes without it" for name in gray if name)
    return ImageHeader(
        "tiff", size, bits, frames, upright=upright_all, metadata=metadata, warnings=tuple(warnings), coloured_warnings=coloured
    )


def _metadata(page: TiffPage, tag: int, size: tuple[int, int]) -> Metadata:
    dpi = None
    if tag_value(page, 296, 2) in (2, 3) and 282 in page.tags and 283 in page.tags:
        unit = 2.54 if tag_value(page, 296, 2) == 3 else 1.0
        x, y = (page.tags[code].value for code in (282, 283))
        dpi = (x[0] / (x[1] or 1) * unit, y[0] / (y[1] or 1) * unit)
        dpi = dpi[::-1] if swaps_sides(tag) else dpi
    icc, xmp = page.tags.valueof(34675), page.tags.valueof(700)
    packet = upright_xmp(bytes(xmp), swapped=swaps_sides(tag)) if isinstance(xmp, bytes) else None
    # a description that describes the file's structure is no caption
    structured = page.is_ome or page.is_imagej or page.is_shaped or page.is_stk
    texts = () if structured or not page.description else (("Description", page.description),)
    return Metadata(bytes(icc) if icc else None, _exif(page, tag, structured=structured), packet, dpi, texts)


def _exif(page: TiffPage, tag: int, *, structured: bool) -> bytes | None:
    """The page's EXIF as a stand-alone block; None where there is none."""
    found = new_file.directory(page)
    entries = [e for e in found.entries if e.code in exif.DESCRIPTIVE and not (structured and e.code in (270, 305))]
    if not entries and not found.below:
        return None
    order = str(page.parent.byteorder)
    entries.append(exif.Entry(274, 3, 1, struct.pack(order + "H", tag)))
    return upright_exif(exif.block(exif.Directory(entries, found.below), order))
