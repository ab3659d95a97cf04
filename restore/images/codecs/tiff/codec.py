"""TIFF and BigTIFF: 1 to 16 bits, wider integers, floats; gray, RGB, palette, CMYK; strips and tiles; many pages.

Kept: everything but the pixel segments, because the file is copied and only they are replaced (see patching.py): all
tags, private and maker ones included, EXIF, ICC, resolution, byte order, page order, sub-images; sample type, extra
samples, planar layout, tiling, compression kind and predictor. MINISWHITE stays MINISWHITE: the network sees it once
inverted. White is the type's maximum for unsigned samples of up to 16 bits; floats, signed and wider integers, whose
white no tag names, are scaled by their own range (mappings.ranged). NaN and infinite samples stay.
Stacks whose planes follow each other under one directory (stacks.py) stay so. Enlarged pixels bring OME-XML, GeoTIFF,
EXIF and the descriptions of ImageJ, tifffile and Micro-Manager in line (geometry.py). Colours under associated alpha
are shown straight and written multiplied (premultiplied.py).
Not kept when pixels change: a palette (the page becomes RGB, in a plainly rewritten file), CCITT, old-style JPEG and
other codings that can't be written (deflate instead), the exact effort of a compressor; reduced sub-images (pyramids,
thumbnails in SubIFDs) show the picture as it was. Refused: CIE Lab and YCbCr outside JPEG, volumes, mixed sample depths,
camera raw, whose picture is yet to be developed.
Missing strips, tiles or planes: refused, or 0 and a warning with `salvage`.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from restore.images import decoding, exif
from restore.images.codecs.base import Capabilities, Codec
from restore.images.codecs.tiff import checks, geometry, new_file, patching, segments, stacks
from restore.images.codecs.tiff.raw import camera_raw
from restore.images.errors import Limits, check_size, damaged, quiet, refuse, share
from restore.images.frame import Frame
from restore.images.mapping import Mapping
from restore.images.mappings import Cmyk, ranged, with_maximum
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.orientation import swaps_sides, upright, upright_exif, upright_xmp
from restore.images.premultiplied import premultiplied

_COLOURS = {
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
    PHOTOMETRIC.YCBCR: 3,
}
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it says of odd tags would else go to standard error
_JPEGS = (6, 7, 33007, 34892)
ASSOCIATED = 1
"""The kind of extra sample by which the colours are multiplied."""


def _opened(path: Path, end: int | None) -> TiffFile:
    """The file; where a pointer at `end` leads out of it, a copy in memory that ends there."""
    if end is None:
        return TiffFile(path)
    data = bytearray(path.read_bytes())
    width = 8 if data[2:4] in (b"+\0", b"\0+") else 4
    data[end : end + width] = bytes(width)
    return TiffFile(io.BytesIO(data))


def _gaps(page: TiffPage, index: int, planes: int, there: int) -> str:
    """What is missing of a page's pixels; "" where nothing is."""
    if there < planes:
        return f"{planes - there} of {planes} planes are missing, from plane {there + 1} on"
    rows = segments.missing_rows(page)
    if not rows.any():
        return ""
    first, height = int(rows.argmax()), page.imagelength
    return f"{share(first, height, int(rows.sum()))}" + (f", page {index + 1}" if index else "")


def _count_pages(file: BinaryIO, path: Path) -> tuple[int, int | None]:
    """Walk the chain of directories ourselves: libraries stop silently where it breaks.

    Returns how many there are, and where the pointer stands that leads out of the file, if one does.
    """
    size = path.stat().st_size
    start = file.read(16)
    order = "<" if start[:2] == b"II" else ">"
    big = start[2:4] in (b"+\0", b"\0+")
    count, pointer, entry = ("Q", "Q", 20) if big else ("H", "I", 12)
    seen: set[int] = set()
    place = 8 if big else 4
    try:
        (at,) = struct.unpack_from(order + pointer, start, place)
        while at:
            if at in seen or len(seen) > 65535:
                raise refuse(path, "damaged TIFF (its pages refer to each other in a circle); export it again")
            file.seek(at)
            (tags,) = struct.unpack(order + count, file.read(struct.calcsize(count)))
            after = at + struct.calcsize(count) + tags * entry
            if after > size:
                return len(seen), place
            file.seek(after)
            (following,) = struct.unpack(order + pointer, file.read(struct.calcsize(pointer)))
            seen.add(at)
            at, place = following, after
    except struct.error:
        return len(seen), place
    if not seen:
        raise refuse(path, "damaged TIFF (it has no pages); export it again")
    return len(seen), None


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
    if (planes := _tag(page, 284, 1)) not in (1, 2):
        raise refuse(path, f"damaged TIFF ({where} has PlanarConfiguration {planes}, which is neither 1 nor 2); export it again")


def _tag(page: TiffPage, code: int, default: int) -> int:
    value = page.tags.valueof(code, default=default)
    return int(value[0] if isinstance(value, tuple) else value)


def _head(file: TiffFile, pages: int, frames: int, warnings: list[str]) -> ImageHeader:
    page = file.pages[0]
    assert isinstance(page, TiffPage)
    every = [p for p in (file.pages[i] for i in range(pages)) if isinstance(p, TiffPage)]
    tags = [_tag(p, 274, 1) for p in every]
    size = (page.imagelength, page.imagewidth)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    upright_all = all(not 2 <= tag <= 8 for tag in tags)
    metadata = _metadata(page, tags[0], (size[::-1] if swaps_sides(tags[0]) else size))
    if any(330 in p.tags for p in every):
        warnings.append("its sub-images (a pyramid or thumbnails) show the picture as it was where pixels change")
    if not upright_all and any(code in p.tags for p in every for code in geometry.GEOGRAPHIC):
        warnings.append("the picture is turned upright, but its geographic tags speak of it as it lay")
    size = size[::-1] if swaps_sides(tags[0]) else size
    return ImageHeader("tiff", size, bits, frames, upright=upright_all, metadata=metadata, warnings=tuple(warnings))


def _metadata(page: TiffPage, tag: int, size: tuple[int, int]) -> Metadata:
    dpi = None
    if _tag(page, 296, 2) in (2, 3) and 282 in page.tags and 283 in page.tags:
        unit = 2.54 if _tag(page, 296, 2) == 3 else 1.0
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
    """The page's EXIF as a block that stands alone; None where it says nothing."""
    found = new_file.directory(page)
    entries = [e for e in found.entries if e.code in exif.DESCRIPTIVE and not (structured and e.code in (270, 305))]
    if not entries and not found.below:
        return None
    order = str(page.parent.byteorder)
    entries.append(exif.Entry(274, 3, 1, struct.pack(order + "H", tag)))
    return upright_exif(exif.block(exif.Directory(entries, found.below), order))


class TiffSource:
    """One TIFF file."""

    def __init__(self, path: Path, plan: list[tuple[int, int]], header: ImageHeader, *, whole: bool, end: int | None) -> None:
        """`plan` has the page and the plane of each frame; `end` is where a pointer to a missing page stands, if one does."""
        self.path, self._plan, self.header, self._whole, self._end = path, plan, header, whole, end
        self.copies = whole
        """Not a picture with missing pixels: what is written is whole."""

    def frame(self, index: int) -> Frame:
        number, plane = self._plan[index]
        with damaged(self.path, "TIFF"), quiet, _opened(self.path, self._end) as file:
            page = file.pages[number]
            assert isinstance(page, TiffPage)
            several = (number, 1) in self._plan
            if several:
                samples = self._shaped(page, stacks.read(page, plane))
            else:
                samples = self._shaped(page, self._read(page, number))
            if page.photometric == PHOTOMETRIC.PALETTE:
                samples = expanded(page, samples)
            return Frame(upright(samples, _tag(page, 274, 1)), _mapping(page, samples))

    def _read(self, page: TiffPage, number: int) -> np.ndarray:
        """The samples of page `number`; compressed ones are decoded where that can hurt nobody."""
        if page.compression == 1:
            return segments.read(page, whole=self._whole)
        coded = sum(page.databytecounts)
        return decoding.call(decode_page, self.path, self._end, number, self._whole, samples=int(page.size), coded=coded)

    def _shaped(self, page: TiffPage, samples: np.ndarray) -> np.ndarray:
        """(H, W) or (H, W, samples) as coded, not yet upright."""
        if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
            samples = np.ascontiguousarray(np.moveaxis(samples.reshape(page.samplesperpixel, *page_shape(page)), 0, -1))
        wanted = page_shape(page) + ((page.samplesperpixel,) if page.samplesperpixel > 1 else ())
        samples = samples.reshape(wanted)
        if samples.dtype == bool:
            return samples.astype(np.uint8)
        return samples.astype(samples.dtype.newbyteorder("="), copy=False)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        with damaged(self.path, "TIFF"), quiet:
            with _opened(self.path, self._end) as file:
                palette = any(p.photometric == PHOTOMETRIC.PALETTE for p in file.pages if isinstance(p, TiffPage))
            if palette:
                with _opened(self.path, self._end) as file:
                    new_file.rewrite(file, path, frames, provenance.scale)
            else:
                patching.patch(self.path, path, frames, provenance.scale, end=self._end)


def decode_page(path: Path, end: int | None, number: int, whole: bool) -> np.ndarray:
    """The samples of one page as tifffile gives them; for a decoding process. What tifffile throws; ValueError for corrupt data."""
    with quiet, _opened(path, end) as file:
        page = file.pages[number]
        assert isinstance(page, TiffPage)
        checks.refuse_corrupt(page)
        return segments.read(page, whole=whole)


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
        return with_maximum(int(np.iinfo(samples.dtype).max), 3)
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
        return Cmyk(float(2**bits - 1), alpha_channel=alpha)
    inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    if samples.dtype.kind == "u" and bits <= 16:
        return with_maximum(2**bits - 1, colours, inverted=inverted, alpha_channel=alpha)
    return ranged(samples, colours, inverted=inverted, alpha_channel=alpha)


class TiffCodec(Codec):
    """TIFF and BigTIFF."""

    name = "tiff"
    suffixes = (".tif", ".tiff", ".btf")
    capabilities = Capabilities(many_frames=True, floats=True, other_bands=True)

    def sniff(self, head: bytes) -> bool:
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def open(self, path: Path, limits: Limits) -> TiffSource:
        """Read the directories of all pages; ImageError as `read` says."""
        warnings: list[str] = []
        with damaged(path, "TIFF"):
            raw = camera_raw(path)
        if raw is not None:
            raise refuse(path, f"camera raw ({raw}); develop it to a 16-bit TIFF first")
        with path.open("rb") as file:
            pages, cut = _count_pages(file, path)
        if cut is not None:
            what = "truncated TIFF (a page's directory lies beyond its end)"
            if not limits.salvage or not pages:
                raise refuse(path, f"{what}; copy it again" + (", or restore what is there with --salvage" if pages else ""))
            warnings.append(f"all pages but the first {pages} are missing")
        with damaged(path, "TIFF"), quiet, _opened(path, cut) as file:
            if len(file.pages) < pages:
                raise refuse(path, f"damaged TIFF (only {len(file.pages)} of {pages} pages are readable); export it again")
            plan: list[tuple[int, int]] = []
            whole = cut is None
            for index in range(pages):
                page = file.pages[index]
                assert isinstance(page, TiffPage)
                check_size(path, page.imagelength, page.imagewidth, limits.max_pixels)
                _check_page(page, path)
                checks.refuse_implausible(page, path, salvage=limits.salvage)
                said, there = stacks.count(file, index)
                found = _gaps(page, index, said, there)
                if found and not limits.salvage:
                    raise refuse(path, f"truncated TIFF ({found}); copy it again, or restore what is there with --salvage")
                warnings += [f"{found}: they are 0, the rest was restored"] if found else []
                whole = whole and not found
                plan += [(index, plane) for plane in range(said)]
            checks.refuse_astray(file, pages, path)
            return TiffSource(path, plan, _head(file, pages, len(plan), warnings), whole=whole, end=cut)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        new_file.write(path, frames, header.metadata)
