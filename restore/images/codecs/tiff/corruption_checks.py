"""What can be wrong with a TIFF's strips and tiles besides missing ones: out of place, too small, or corrupt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from tifffile import TiffFile, TiffPage

from restore.images import compression_bounds
from restore.images.codecs.jpeg import jpeg2000
from restore.images.codecs.jpeg.codestream import complaint
from restore.images.codecs.tiff import segments
from restore.images.codecs.tiff.directories import enum_name
from restore.images.errors import image_error

_DEFLATE = (8, 32946)
_JPEG = (7, 34892)
_JPEG2000 = (33003, 33004, 33005, 34712)
_CCITT_RLE, _CCITT_3, _CCITT_4 = 2, 3, 4
_BYTES = {**dict.fromkeys(_DEFLATE, "deflate"), 5: "LZW", 32773: "PackBits", 50000: "Zstandard", 34926: "Zstandard"}
_SAMPLES = {**dict.fromkeys((6, *_JPEG), "JPEG"), _CCITT_RLE: "CCITT group 3", _CCITT_3: "CCITT group 3", _CCITT_4: "CCITT group 4"}
_ARRAYS = (273, 279, 324, 325)
"""The tags that list segments."""
_FILLERS = (b"\x5a\x33\xc1" * 16, b"\x9a\x2c\x71" * 16)


def refuse_implausible(page: TiffPage, path: Path, *, salvage: bool) -> None:
    """Refuse a page of more samples than the bytes of its segments can hold; segments of offset and size 0 do not count."""
    offsets, sizes = segments.listed(page)
    expected = int(np.prod(page.chunked))
    empty = int(np.count_nonzero((sizes == 0) & (offsets == 0))) if len(sizes) == expected else 0
    if not expected or page.dtype is None:
        return
    samples = int(page.size) * (expected - empty) // expected
    size = int(page.parent.filehandle.size)
    if page.compression == 1:  # `_gaps` reports missing ones later, with a hint at --salvage
        compression_bounds.check(path, "uncompressed samples", samples * _bits(page) // 8, size, salvage=True)
        return
    coded = min(int(sizes[sizes > 0].sum()), size * (1 + expected // 2))
    if page.compression in _BYTES:  # tifffile gives bits as bytes, and 12 bits as 16
        codec, samples = _BYTES[page.compression], samples * _bits(page) // 8
    else:
        codec = _SAMPLES.get(page.compression) or enum_name(page.compression, tifffile.COMPRESSION, "its compression")
    if codec == "JPEG" and page.photometric == tifffile.PHOTOMETRIC.YCBCR:  # whose chroma may be of fewer samples
        samples //= page.samplesperpixel
    compression_bounds.check(path, codec, samples, coded, bound=_bound(page), salvage=salvage)


def _bits(page: TiffPage) -> int:
    """Bits of a sample; the largest number where they differ."""
    return page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)


def _bound(page: TiffPage) -> int | None:
    """The most samples a byte, where the width decides: a row like the one above takes one bit, or one and its end of 13."""
    if page.compression == _CCITT_4:
        return 8 * page.imagewidth
    if page.compression == _CCITT_3 and page.tags.valueof(292, default=0) & 1:
        return max(compression_bounds.SAMPLES_A_BYTE["CCITT group 3"], 8 * page.imagewidth // 14)
    return None


def refuse_astray(file: TiffFile, pages: int, path: Path) -> None:
    """Raise ImageError for segments that overlap the header, a directory, or another segment of their page."""
    starts, ends = np.array(sorted(_structure(file, pages)), np.float64).T  # offsets of a damaged file may exceed 63 bits
    ends = np.maximum.accumulate(ends)
    for index in range(pages):
        page = file.pages[index]
        assert isinstance(page, TiffPage)
        own = sorted({one for one in _needed(page) if one[1] > one[0]})
        if _meet(own, starts, ends) or _overlap(own):
            what = "its strips or tiles lie over its header, or over each other" + (f", page {index + 1}" if index else "")
            raise image_error(path, f"damaged TIFF ({what}); copy or export it again")


def _structure(file: TiffFile, pages: int) -> Iterator[tuple[int, int]]:
    """First byte and end of the header, of every directory, and of the arrays that list segments."""
    big = file.is_bigtiff
    yield 0, 16 if big else 8
    entry, rest = (20, 16) if big else (12, 6)
    for index in range(pages):
        page = file.pages[index]
        assert isinstance(page, TiffPage)
        yield page.offset, page.offset + entry * len(page.tags) + rest
        for tag in (page.tags.get(code) for code in _ARRAYS):
            if tag is not None and not tag.offset <= tag.valueoffset < tag.offset + entry:
                yield tag.valueoffset, tag.valueoffset + tag.valuebytecount


def _needed(page: TiffPage) -> Iterator[tuple[int, int]]:
    """First byte and end of what each segment needs: half of a compressed one, because many programs claim too many bytes."""
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip or page.imagelength, page.imagelength)
    width = page.tilewidth if page.is_tiled else page.imagewidth
    samples = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.CONTIG else 1
    bits = page.bitspersample if isinstance(page.bitspersample, int) else sum(page.bitspersample)
    full = rows * ((width * samples * bits + 7) // 8)
    offsets, sizes = segments.listed(page)
    needed = np.minimum(sizes, full) if page.compression == 1 else (sizes + 1) // 2
    if page.compression == 1 and not page.is_tiled and len(sizes):  # the last strip may be shorter than it says
        needed[-1] = min(int(needed[-1]), 1)
    yield from zip(offsets.tolist(), (offsets + np.where(sizes > 0, needed, 0)).tolist(), strict=True)


def _meet(pieces: list[tuple[int, int]], starts: np.ndarray, ends: np.ndarray) -> bool:
    """Whether a piece overlaps one of many others, whose first bytes are sorted; `ends` are the furthest ends up to each."""
    if not pieces:
        return False
    first, last = np.array(pieces, np.float64).T
    before = np.searchsorted(starts, last)  # how many begin before a piece ends
    return bool((np.append(0, ends)[before] > first).any())


def _overlap(pieces: list[tuple[int, int]]) -> bool:
    """Whether two of the sorted pieces overlap; pieces with the same first byte are one piece that is listed twice."""
    furthest, last = 0, -1
    for start, end in pieces:
        if start < furthest and start != last:
            return True
        furthest, last = max(furthest, end), start
    return False


def refuse_corrupt(page: TiffPage) -> None:
    """Check streams whose decoders do not report damage, or fill in what is missing.

    Raises:
        ValueError: their data are corrupt, or end early.
    """
    if page.compression not in (*_JPEG, *_JPEG2000, _CCITT_RLE, _CCITT_3, _CCITT_4):
        return
    file = page.parent.filehandle
    offsets, sizes = segments.listed(page)
    for index, (offset, size) in enumerate(zip(offsets.tolist(), sizes.tolist(), strict=True)):
        if not size or offset + size > file.size:
            continue
        file.seek(offset)
        data = file.read(size)
        if page.compression in _JPEG2000:
            problem = jpeg2000.complaint(data)
        elif page.compression in _JPEG:
            problem = complaint(_with_tables(data, page.jpegtables))
        else:
            problem = _ccitt_complaint(page, data, index)
        if problem:
            raise ValueError(f"the data of strip or tile {index + 1} are corrupt: {problem}")


def _with_tables(data: bytes, tables: bytes | None) -> bytes:
    """A JPEG segment as a file of its own (TIFF Technical Note 2)."""
    return data if tables is None else data[:2] + bytes(tables)[2:-2] + data[2:]


def _ccitt_complaint(page: TiffPage, data: bytes, index: int) -> str:
    """Bytes behind the data change only pixels that the data do not decide. So the stream is decoded with several ends and compared."""
    body = data.rstrip(b"\0")
    # a code may end with three zeros (black 18), which may be all that is in its last byte
    ends = [bytes([filler[0] & 0x1F]) + filler[1:] for filler in _FILLERS] if len(body) < len(data) else list(_FILLERS)
    if page.fillorder == 2:
        body = bytes(imagecodecs.bitorder_decode(body))
    rows = page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)
    if not page.is_tiled:
        rows = min(rows, page.imagelength - index * rows % page.imagelength)
    width = page.tilewidth if page.is_tiled else page.imagewidth
    decode = {_CCITT_RLE: imagecodecs.ccittrle_decode, _CCITT_3: imagecodecs.ccittfax3_decode, _CCITT_4: imagecodecs.ccittfax4_decode}
    options = {"t4options": page.tags.valueof(292, default=0)} if page.compression == _CCITT_3 else {}
    first, second = (decode[page.compression](body + filler, rows, width, **options) for filler in ends)
    return "" if np.array_equal(first, second) else "they end early"
