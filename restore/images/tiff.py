"""TIFF and BigTIFF: 1 to 16 bits, wider integers, floats; gray, RGB, palette, CMYK; strips and tiles; many pages.

Kept: everything but the pixel segments, because the file is copied and only they are replaced (see tiff_write.py): all
tags, private and maker ones included, EXIF, ICC, resolution, byte order, page order, sub-images; sample type, extra
samples, planar layout, tiling, compression kind and predictor. MINISWHITE stays MINISWHITE: the network sees it once
inverted. White is the type's maximum for unsigned samples of up to 16 bits; floats, signed and wider integers, whose
white no tag names, are scaled by their own range (mappings.ranged). NaN and infinite samples stay.
Not kept when pixels change: a palette (the page becomes RGB, in a plainly rewritten file), CCITT, old-style JPEG and
other codings that can't be written (deflate instead), the exact effort of a compressor; reduced sub-images (pyramids,
thumbnails in SubIFDs) show the picture as it was. Refused: CIE Lab and YCbCr outside JPEG, volumes, mixed sample depths.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from restore.images import tiff_write
from restore.images.errors import Limits, check_size, damaged, quiet
from restore.images.frame import Frame, Mapping
from restore.images.mappings import Inks, ranged, whole
from restore.images.orientation import turns, upright
from restore.images.picture import Carry, Head, Note, refuse
from restore.images.premultiplied import premultiplied

_COLOURS = {
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
    PHOTOMETRIC.YCBCR: 3,
}
_JPEGS = (6, 7, 33007, 34892)
ASSOCIATED = 1
"""The kind of extra sample by which the colours are multiplied."""


def sniff(start: bytes) -> bool:
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_source(path: Path, limits: Limits) -> TiffSource:
    """Read the directories of all pages; ImageError as `read` says."""
    with path.open("rb") as file:
        pages = _count_pages(file, path)
    with damaged(path, "TIFF"), quiet, TiffFile(path) as file:
        if len(file.pages) < pages:
            raise refuse(path, f"damaged TIFF (only {len(file.pages)} of {pages} pages are readable); export it again")
        for index in range(pages):
            page = file.pages[index]
            assert isinstance(page, TiffPage)
            check_size(path, page.imagelength, page.imagewidth, limits.max_pixels)
            _check_page(page, path)
        return TiffSource(path, pages, _head(file, pages))


def _count_pages(file: BinaryIO, path: Path) -> int:
    """Walk the chain of directories ourselves: libraries stop silently where it breaks."""
    size = path.stat().st_size
    broken = refuse(path, "truncated TIFF (a page's directory lies beyond its end); copy it again")
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in (b"+\0", b"\0+")
    count, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    try:
        (at,) = struct.unpack_from(order + pointer, start, 8 if big else 4)
        seen: set[int] = set()
        while at:
            if at in seen or len(seen) > 65535:
                raise refuse(path, "damaged TIFF (its pages refer to each other in a circle); export it again")
            seen.add(at)
            file.seek(at)
            (tags,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
            if at + tags * entry > size:
                raise broken
            file.seek(tags * entry, 1)
            (at,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
    except struct.error:
        raise broken from None
    if not seen:
        raise refuse(path, "damaged TIFF (it has no pages); export it again")
    return len(seen)


def _check_page(page: TiffPage, path: Path) -> None:
    """Refuse what can't be restored or isn't all there, before anything is decoded."""
    where = f"page {page.index + 1}"
    if page.photometric not in _COLOURS or (page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEGS):
        kind = getattr(page.photometric, "name", page.photometric)
        raise refuse(path, f"{where} has the colour model {kind}, which restore can't map to RGB; export it as RGB")
    if page.imagedepth > 1 or page.dtype is None or page.dtype.kind not in "buif":
        raise refuse(path, f"{where} holds a volume, or samples that restore doesn't know; export it as gray or RGB")
    if page.samplesperpixel < _COLOURS[PHOTOMETRIC(page.photometric)]:
        raise refuse(path, f"{where} has too few samples for its colour model; export it again")
    size = page.parent.filehandle.size
    if not page.dataoffsets or any(o + n > size for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)):
        raise refuse(path, f"truncated TIFF (pixels of {where} are missing); copy it again")


def _tag(page: TiffPage, code: int, default: int) -> int:
    value = page.tags.valueof(code, default=default)
    return int(value[0] if isinstance(value, tuple) else value)


def _head(file: TiffFile, pages: int) -> Head:
    page = file.pages[0]
    assert isinstance(page, TiffPage)
    tags = [_tag(p, 274, 1) for p in file.pages if isinstance(p, TiffPage)]
    size = (page.imagelength, page.imagewidth)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    dpi = None
    if _tag(page, 296, 2) in (2, 3) and 282 in page.tags and 283 in page.tags:
        unit = 2.54 if _tag(page, 296, 2) == 3 else 1.0
        x, y = (page.tags[code].value for code in (282, 283))
        dpi = (x[0] / (x[1] or 1) * unit, y[0] / (y[1] or 1) * unit)
        dpi = dpi[::-1] if turns(tags[0]) else dpi
    icc, xmp = page.tags.valueof(34675), page.tags.valueof(700)
    carry = Carry(bytes(icc) if icc else None, None, bytes(xmp) if isinstance(xmp, bytes) else None, dpi)
    upright_all = all(not 2 <= tag <= 8 for tag in tags)
    return Head("tiff", size[::-1] if turns(tags[0]) else size, bits, pages, upright=upright_all, carry=carry)


class TiffSource:
    """One TIFF file."""

    copies = True

    def __init__(self, path: Path, pages: int, head: Head) -> None:
        self.path, self._pages, self.head = path, pages, head

    def frame(self, index: int) -> Frame:
        with damaged(self.path, "TIFF"), quiet, TiffFile(self.path) as file:
            page = file.pages[index]
            assert isinstance(page, TiffPage)
            samples = self._samples(page)
            if page.photometric == PHOTOMETRIC.PALETTE:
                samples = expanded(page, samples)
            return Frame(upright(samples, _tag(page, 274, 1)), _mapping(page, samples))

    def _samples(self, page: TiffPage) -> np.ndarray:
        """(H, W) or (H, W, samples) as coded, not yet upright."""
        samples = page.asarray(maxworkers=1)
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            samples = np.ascontiguousarray(np.moveaxis(samples.reshape(page.samplesperpixel, *page_shape(page)), 0, -1))
        wanted = page_shape(page) + ((page.samplesperpixel,) if page.samplesperpixel > 1 else ())
        samples = samples.reshape(wanted)
        if samples.dtype == bool:
            return samples.astype(np.uint8)
        return samples.astype(samples.dtype.newbyteorder("="), copy=False)

    def write(self, path: Path, frames: Iterator[np.ndarray], note: Note) -> None:
        with damaged(self.path, "TIFF"), quiet:
            with TiffFile(self.path) as file:
                palette = any(p.photometric == PHOTOMETRIC.PALETTE for p in file.pages if isinstance(p, TiffPage))
            if palette:
                tiff_write.rewrite(self.path, path, frames, note.scale)
            else:
                tiff_write.patch(self.path, path, frames, note.scale)


def page_shape(page: TiffPage) -> tuple[int, int]:
    """(height, width) as stored."""
    return page.imagelength, page.imagewidth


def expanded(page: TiffPage, indices: np.ndarray) -> np.ndarray:
    """Palette indices -> (H, W, 3): uint8 where the 16-bit colour map holds 8-bit colours, else uint16."""
    table = np.asarray(page.colormap, np.uint16).T
    if (table % 257 == 0).all():
        table = (table // 257).astype(np.uint8)
    elif (table % 256 == 0).all():
        table = (table // 256).astype(np.uint8)
    plane = indices if indices.ndim == 2 else indices[..., 0]
    return np.ascontiguousarray(table)[np.minimum(plane, len(table) - 1)]


def _mapping(page: TiffPage, samples: np.ndarray) -> Mapping:
    if page.photometric == PHOTOMETRIC.PALETTE:
        return whole(int(np.iinfo(samples.dtype).max), 3)
    colours = _COLOURS[PHOTOMETRIC(page.photometric)]
    alphas = [i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)]
    alpha = colours + alphas[0] if alphas and samples.ndim == 3 else None
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    if alpha is not None and page.extrasamples[alphas[0]] == ASSOCIATED:
        if colours == 4:
            raise ValueError("inks multiplied by their alpha; export it with unassociated alpha")
        largest = None if samples.dtype.kind == "f" else min(2**bits - 1, int(np.iinfo(samples.dtype).max))
        inverted = page.photometric == PHOTOMETRIC.MINISWHITE
        return premultiplied(samples, colours, alpha, largest, inverted=inverted)
    if colours == 4:
        if samples.dtype.kind != "u":
            raise ValueError("CMYK of signed or float samples")
        return Inks(float(2**bits - 1), alpha_channel=alpha)
    inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    if samples.dtype.kind == "u" and bits <= 16:
        return whole(2**bits - 1, colours, inverted=inverted, alpha_channel=alpha)
    return ranged(samples, colours, inverted=inverted, alpha_channel=alpha)
