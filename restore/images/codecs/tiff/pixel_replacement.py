"""Writing TIFF: replace the pixel segments of a copied file (new_file.py writes new ones).

`replace_pixels` lets tifffile encode each page into memory with the page's own layout, takes the encoded segments, and puts them
where the old ones were, or at the end where they do not fit. All other bytes stay, so no tag can be lost.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, TiffFile, TiffPage, TiffWriter

from restore.images.codecs.tiff import geometry, stacks
from restore.images.errors import ImageError
from restore.images.orientation import rescaled_rational, swaps_sides

_JPEGS = (6, 7)
_DEFLATE = 8
_FINER_QUALITY = 95
_CHUNK = 1 << 20
_ONE_STRIP = 2**32 - 1
"""RowsPerStrip of a page in one strip however high it is; also its default (TIFF 6.0, page 39)."""


def replace_pixels(
    source: Path,
    path: Path,
    frames: Iterator[np.ndarray],
    scale: float = 1.0,
    *,
    finer: bool = False,
    broken_ifd_pointer: int | None = None,
) -> None:
    """Copy `source` to `path` and replace every page's pixels by the (upright) frames, `scale` times as fine.

    With `finer`, JPEG is coded finer than in the source.

    `broken_ifd_pointer` is the offset of a pointer to a missing page's directory, if there is one: the chain of pages then ends there.
    """
    shutil.copyfile(source, path)
    if broken_ifd_pointer is not None:
        with path.open("r+b") as copied:
            width = 8 if copied.read(4)[2:4] in (b"+\0", b"\0+") else 4
            copied.seek(broken_ifd_pointer)
            copied.write(bytes(width))
    with TiffFile(path, mode="r+") as file:
        planes = [stacks.count_planes(file, index)[0] for index in range(len(file.pages))]
        kept = _not_free(file)
        fitted: set[tuple[int, int]] = set()
        for index, page in enumerate(file.pages):
            stored = next(frames, None)
            if stored is None:
                return
            assert isinstance(page, TiffPage)
            _replace(page, stored, _PixelWrite(f"{source.name}: page {index + 1}", scale, planes[index], frames, kept, finer, fitted))
    next(frames, None)


Segment = tuple[int, int]
"""Offset and number of bytes."""


def _not_free(file: TiffFile) -> set[Segment]:
    """Segments that must not be overwritten, because they overlap the header, a directory, or another page's pixels."""
    width, around, header = (20, 16, 16) if file.is_bigtiff else (12, 6, 8)
    owned = [(0, header, -1)]
    for index, page in enumerate(file.pages):
        assert isinstance(page, TiffPage)
        owned.append((page.offset, page.offset + width * len(page.tags) + around, -1))
        apart = [tag for tag in page.tags if not tag.offset <= tag.valueoffset < tag.offset + width]
        owned += [(tag.valueoffset, tag.valueoffset + tag.valuebytecount, -1) for tag in apart]
        owned += [(o, o + n, index) for o, n in zip(page.dataoffsets, page.databytecounts, strict=False) if n]
    found: set[Segment] = set()
    furthest = (0, 0, -1)
    for one in sorted(owned):
        if one[0] < furthest[1] and one[2] != furthest[2]:
            found |= {(start, end - start) for start, end, owner in (one, furthest) if owner >= 0}
        furthest = max(furthest, one, key=lambda piece: piece[1])
    return found


@dataclass(frozen=True)
class _PixelWrite:
    """What writing a page's new pixels needs.

    Attributes:
        name: of the file and the page, for errors.
        scale: how many times as fine they are.
        planes: of the page; `frames` gives those after the first.
        kept: segments that must not be overwritten.
        finer: whether JPEG is coded finer than it was.
        fitted: code and place of the values, and of the EXIF directories (code 34665), that are up to date: pages may share them.
    """

    name: str
    scale: float
    planes: int
    frames: Iterator[np.ndarray]
    kept: set[Segment]
    finer: bool
    fitted: set[tuple[int, int]]


def _replace(page: TiffPage, stored: np.ndarray, write: _PixelWrite) -> None:
    """Write one page's segments and update its tags."""
    planes, scale = write.planes, write.scale
    segments, changes = ([], {}) if planes > 1 else _segments(page, stored, finer=write.finer)
    shape = (stored.shape[0], stored.shape[1])
    changes |= geometry.changes(page, shape, scale)
    tag = page.tags.valueof(274, default=1)
    geometry.fit_exif(page, shape, scale, write.fitted, swapped=swaps_sides(int(tag)))
    if tag != 1:
        changes[274] = 1
        if swaps_sides(int(tag)) and 282 in page.tags and 283 in page.tags:
            changes[282], changes[283] = page.tags[283].value, page.tags[282].value
    if (page.imagelength, page.imagewidth) != stored.shape[:2]:
        changes[256], changes[257] = stored.shape[1], stored.shape[0]
    if scale != 1:
        changes |= {code: rescaled_rational(changes.get(code, page.tags[code].value), scale) for code in (282, 283) if code in page.tags}
    if planes > 1:
        changes |= stacks.write(page, stored, write.frames, planes)
    else:
        offsets = _placed(page, segments, write.kept)
        tiled = 324 in page.tags
        changes[324 if tiled else 273] = offsets
        changes[325 if tiled else 279] = [len(s) for s in segments]
    for code, value in changes.items():
        _overwrite(page, code, value, write)


def _overwrite(page: TiffPage, code: int, value: Any, write: _PixelWrite) -> None:
    found = page.tags.get(code)
    if found is None:
        if code in (279, 317, 266, 278):  # absent means their default, which the new segments use
            return
        raise ImageError(f"{write.name} lacks the tag {code}, which new pixels need; save it anew with another program")
    if (code, found.valueoffset) in write.fitted:
        return
    dtype = found.dtype
    if isinstance(value, bytes | tuple):
        # another page may hold the old value in the same place
        if found.overwrite(value, dtype=dtype, erase=False).valueoffset == found.valueoffset:
            write.fitted.add((code, found.valueoffset))
        return
    largest = max(value) if isinstance(value, list) else value
    if isinstance(largest, int) and largest > 65535 and dtype == 3:
        dtype = 4
    if isinstance(value, list):
        value = tuple(value) if len(value) > 1 else value[0]
    found.overwrite(value, dtype=dtype)


def _segments(page: TiffPage, stored: np.ndarray, *, finer: bool) -> tuple[Sequence[bytes | memoryview], dict[int, Any]]:
    """The page's strips or tiles, encoded as they were; else with deflate, with the tags that then change."""
    layout = _layout(page, stored)
    if _as_in_memory(page):
        plain = stored.astype(stored.dtype.newbyteorder(page.parent.byteorder), order="C", copy=False)
        rows = layout["rowsperstrip"]
        return [plain[top : top + rows].reshape(-1).view(np.uint8).data for top in range(0, len(plain), rows)], {}
    changes: dict[int, Any] = {266: 1} if page.fillorder != 1 else {}
    try:
        segments, rows = _encoded(page, stored, {**layout, **_coding(page, finer=finer)})
    except (ValueError, TypeError, KeyError, RuntimeError):
        changes = {259: _DEFLATE, 317: 1, 266: 1}
        if page.photometric == PHOTOMETRIC.YCBCR:
            changes[262] = int(PHOTOMETRIC.RGB)
        segments, rows = _encoded(page, stored, {**layout, "compression": _DEFLATE})
    declared = page.tags.valueof(278, default=_ONE_STRIP)
    if not page.is_tiled and min(declared, stored.shape[0]) != rows:  # JPEG has strips of whole blocks
        changes[278] = rows
    return segments, changes


def _as_in_memory(page: TiffPage) -> bool:
    """Whether a strip is just the bytes of its samples."""
    full_width = page.dtype is not None and page.dtype.kind != "b" and page.bitspersample == page.dtype.itemsize * 8
    separate = page.samplesperpixel > 1 and page.planarconfig != tifffile.PLANARCONFIG.CONTIG
    return page.compression == 1 and not page.is_tiled and full_width and not separate


def _layout(page: TiffPage, stored: np.ndarray) -> dict[str, Any]:
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    if page.is_tiled:
        options["tile"] = (page.tilelength, page.tilewidth)
    else:
        rows = page.tags.valueof(278, default=_ONE_STRIP)
        options["rowsperstrip"] = stored.shape[0] if rows > page.imagelength else min(rows, stored.shape[0])
    if stored.ndim == 3:
        options["planarconfig"] = page.planarconfig
    return options


def _coding(page: TiffPage, *, finer: bool) -> dict[str, Any]:
    """Compression, predictor and odd depths as TiffWriter's arguments."""
    options: dict[str, Any] = {"compression": int(page.compression)}
    if page.predictor != 1:
        options["predictor"] = int(page.predictor)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    if page.dtype is not None and bits != page.dtype.itemsize * 8 and bits != 1:
        options["bitspersample"] = bits
    if page.compression in _JPEGS:
        options["compression"] = 7
        options["compressionargs"] = {"level": max(jpeg_quality(page), _FINER_QUALITY if finer else 0)}
        if page.photometric == PHOTOMETRIC.YCBCR:
            options["photometric"] = "rgb"  # what goes in; subsampling makes YCbCr of it
            options["subsampling"] = page.subsampling or (2, 2)
        elif page.photometric == PHOTOMETRIC.RGB:
            options["photometric"], options["subsampling"] = "rgb", (1, 1)
            options["compressionargs"]["outcolorspace"] = "RGB"  # TiffWriter's default is YCbCr, which the page's tags do not declare
    return options


def _encoded(page: TiffPage, stored: np.ndarray, options: dict[str, Any]) -> tuple[list[memoryview], int]:
    """The strips or tiles, and the rows of a strip."""
    if page.bitspersample == 1:
        stored = stored.astype(bool)
    if stored.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        stored = np.ascontiguousarray(np.moveaxis(stored, -1, 0))
    buffer = io.BytesIO()
    with TiffWriter(buffer, byteorder=page.parent.byteorder, bigtiff=page.parent.is_bigtiff) as writer:
        writer.write(stored, contiguous=False, software=False, **options)
    with TiffFile(io.BytesIO(buffer.getbuffer())) as file:
        encoded = file.pages[0]
        assert isinstance(encoded, TiffPage)
        data = buffer.getbuffer()
        return [data[o : o + n] for o, n in zip(encoded.dataoffsets, encoded.databytecounts, strict=True)], encoded.rowsperstrip


def _placed(page: TiffPage, segments: Sequence[bytes | memoryview], kept: set[Segment]) -> list[int]:
    """Write the segments where the old ones were, except over `kept`, and the rest at the end. Returns their offsets.

    What the old ones leave is filled with zeros: nothing of the old picture stays in the file.
    """
    file = page.parent.filehandle
    room: list[list[int]] = []
    for offset, count in sorted(set(zip(page.dataoffsets, page.databytecounts, strict=False)) - kept):
        if count and room and room[-1][1] >= offset:
            room[-1][1] = max(room[-1][1], offset + count)
        elif count:
            room.append([offset, offset + count])
    offsets = []
    for segment in segments:
        hole = next((r for r in room if r[1] - r[0] >= len(segment)), None)
        if hole is None:
            file.seek(0, 2)
            at = file.tell()
            if at % 2:
                file.write(b"\0")
                at += 1
        else:
            at, hole[0] = hole[0], hole[0] + len(segment) + len(segment) % 2
        if at + len(segment) > 2**32 - 1 and not page.parent.is_bigtiff:
            raise ImageError(f"{page.parent.filename}: the result is over 4 GB; save the source as BigTIFF first")
        file.seek(at)
        file.write(segment)
        offsets.append(at)
    for start, end in room:
        file.seek(start)
        for at in range(start, end, _CHUNK):
            file.write(bytes(min(_CHUNK, end - at)))
    return offsets


def jpeg_quality(page: TiffPage) -> int:
    """The IJG quality whose luminance table is nearest to the page's, 90 if it is unknown."""
    head = page.jpegtables or b""
    if b"\xff\xdb" not in head and page.dataoffsets:
        file = page.parent.filehandle
        file.seek(page.dataoffsets[0])
        head = file.read(2048)
    at = head.find(b"\xff\xdb")
    if at < 0 or len(head) < at + 69 or head[at + 4] >> 4:
        return 90
    total = sum(head[at + 5 : at + 69])
    standard = 3689  # the sum of the standard luminance table, which quality 50 uses
    scale = 100 * total / standard
    return int(min(100, max(1, round(5000 / scale if scale > 100 else (200 - scale) / 2))))
