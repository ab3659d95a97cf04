"""TIFF and BigTIFF: 1 to 16 bits, wider integers, floats; gray, RGB, palette, CMYK; strips and tiles; many pages.

Kept: everything but the pixel segments, because the file is copied and only they are replaced (pixel_replacement.py). That is all
tags, private and maker ones included, EXIF, ICC, resolution, byte order, page order, sub-images; sample type, extra
samples, planar layout, tiling, compression kind and predictor. MINISWHITE stays MINISWHITE; normalized pixels are inverted once.
White is the type's maximum for unsigned samples of up to 16 bits. Floats, signed and wider integers have no white and
are scaled by their own range (mappings.ranged). NaN and infinite samples stay.
Stacks whose planes follow each other under one directory stay so (stacks.py). Where pixels are enlarged, OME-XML, GeoTIFF,
EXIF and the descriptions of ImageJ, tifffile and Micro-Manager follow (geometry.py). Colours under associated alpha
are normalized straight and written multiplied (premultiplied.py).
Not kept when pixels change: a palette (the page becomes RGB in a new file), CCITT, old-style JPEG and
other codings that cannot be written (deflate instead), and the exact effort of a compressor. Reduced sub-images (pyramids,
thumbnails in SubIFDs) keep their old pixels. Refused: CIE Lab, YCbCr outside JPEG, volumes, mixed sample depths.
Missing strips, tiles or planes: refused, or 0 and a warning with `salvage`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tifffile import PHOTOMETRIC, TiffPage

from restore.images import decoding
from restore.images.codecs.base import Capabilities, Codec
from restore.images.codecs.tiff import corruption_checks, new_file, pixel_replacement, segments, stacks
from restore.images.codecs.tiff.directories import enum_name, find_pages, open_tiff, page_at, read_header, tag_value
from restore.images.codecs.tiff.samples import COLOURS, GRAYS, expanded, mapping_of, shaped
from restore.images.errors import SALVAGE, Limits, as_image_error, check_size, image_error, missing_share, quiet
from restore.images.frame import Frame
from restore.images.metadata import ImageHeader, Provenance
from restore.images.orientation import upright

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it says of odd tags would else go to standard error
_JPEGS = (6, 7, 33007, 34892)


def _gaps(page: TiffPage, index: int, planes: int, present: int) -> str:
    """Which of a page's pixels are missing; empty where none are."""
    if present < planes:
        return f"{planes - present} of {planes} planes are missing, from plane {present + 1} on"
    rows = segments.missing_rows(page)
    if not rows.any():
        return ""
    first, height = int(rows.argmax()), page.imagelength
    return f"{missing_share(first, height, int(rows.sum()))}" + (f", page {index + 1}" if index else "")


def _check_page(page: TiffPage, path: Path) -> None:
    """Raise ImageError for a page that cannot be restored. Nothing is decoded."""
    where = f"page {page.index + 1}"
    if page.photometric == PHOTOMETRIC.MASK:
        why = "is a transparency mask, which restore can't keep; remove the page, or save its transparency as an alpha channel"
        raise image_error(path, f"{where} {why}")
    if page.photometric not in COLOURS or (page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEGS):
        kind = enum_name(page.photometric, PHOTOMETRIC)
        raise image_error(path, f"{where} has the colour model {kind}, which restore can't map to RGB; export it as RGB")
    if page.imagedepth > 1 or page.dtype is None or page.dtype.kind not in "buif":
        raise image_error(path, f"{where} holds a volume, or samples that restore doesn't know; export it as gray or RGB")
    if page.samplesperpixel < COLOURS[PHOTOMETRIC(page.photometric)]:
        raise image_error(path, f"{where} has too few samples for its colour model; export it again")
    if (planes := tag_value(page, 284, 1)) not in (1, 2):
        raise image_error(path, f"damaged TIFF ({where} has PlanarConfiguration {planes}, which is neither 1 nor 2); export it again")


class TiffSource:
    """One TIFF file."""

    def __init__(
        self, path: Path, frames: list[tuple[int, int]], header: ImageHeader, *,
        offsets: Sequence[int], complete: bool, broken_ifd_pointer: int | None,
    ) -> None:  # fmt: skip
        """Read the pages on demand.

        Args:
            path: the file.
            frames: the page and the plane of each frame.
            header: what `read_header` found.
            offsets: where the directory of each page lies.
            complete: whether no pixels are missing.
            broken_ifd_pointer: offset of a pointer to a missing page's directory (IFD); None where there is none.
        """
        self.path, self._frames, self.header, self._offsets = path, frames, header, offsets
        self._stacks = {page for page, plane in frames if plane == 1}
        self._complete, self._broken_ifd_pointer = complete, broken_ifd_pointer
        self.copies = complete
        """False for a picture with missing pixels: what is written is complete."""

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        number, plane = self._frames[index]
        kind = "TIFF" + (f", page {number + 1}" if len(self._offsets) > 1 else "")
        with as_image_error(self.path, kind), quiet, open_tiff(self.path, self._broken_ifd_pointer) as file:
            page = page_at(file, self._offsets, number)
            if number in self._stacks:
                samples = shaped(page, stacks.read(page, plane))
            else:
                samples = shaped(page, self._read(page, number))
            if page.photometric == PHOTOMETRIC.PALETTE:
                samples = expanded(page, samples)
            return Frame(upright(samples, tag_value(page, 274, 1)), mapping_of(page, samples))

    def _read(self, page: TiffPage, number: int) -> np.ndarray:
        """The samples of page `number`; compressed ones are decoded in a decoding process."""
        if page.compression == 1:
            return segments.read(page, complete=self._complete)
        coded = sum(page.databytecounts)
        place = self._broken_ifd_pointer, self._offsets[number]
        return decoding.call(decode_page, self.path, place, self._complete, samples=int(page.size), coded=coded)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        with as_image_error(self.path, "TIFF"), quiet:
            changing = {PHOTOMETRIC.PALETTE, *(GRAYS if provenance.coloured else ())}
            with open_tiff(self.path, self._broken_ifd_pointer) as file:
                new_structure = any(p.photometric in changing for p in file.pages if isinstance(p, TiffPage))
            if new_structure:
                with open_tiff(self.path, self._broken_ifd_pointer) as file:
                    new_file.rewrite(file, path, frames, provenance.scale)
            else:
                pixel_replacement.replace_pixels(
                    self.path, path, frames, provenance.scale, finer=provenance.finer, broken_ifd_pointer=self._broken_ifd_pointer
                )


def decode_page(path: Path, place: tuple[int | None, int], complete: bool) -> np.ndarray:
    """The samples of one page as tifffile gives them, for a decoding process. Raises what tifffile raises; ValueError for corrupt data.

    Args:
        path: the file.
        place: the offset of a pointer to a missing page's directory, if there is one, and that of this page's directory.
        complete: whether no pixels are missing.
    """
    with quiet, open_tiff(path, place[0]) as file:
        page = page_at(file, place[1:], 0)
        corruption_checks.refuse_corrupt(page)
        return segments.read(page, complete=complete)


class TiffCodec(Codec):
    """TIFF and BigTIFF."""

    name = "tiff"
    suffixes = (".tif", ".tiff", ".btf")
    capabilities = Capabilities(many_frames=True, floats=True, other_bands=True)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as TIFF or BigTIFF does."""
        return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

    def open(self, path: Path, limits: Limits) -> TiffSource:
        """Read the directories of all pages; ImageError as `read` says."""
        warnings: list[str] = []
        with path.open("rb") as file:
            offsets, broken_ifd_pointer = find_pages(file, path)
        pages = len(offsets)
        if broken_ifd_pointer is not None:
            what = "truncated TIFF (a page's directory lies beyond its end, or is none)"
            if not limits.salvage or not pages:
                raise image_error(path, f"{what}; copy it again" + (SALVAGE if pages else ""))
            warnings.append(f"all pages but the first {pages} are missing")
        with as_image_error(path, "TIFF"), quiet, open_tiff(path, broken_ifd_pointer) as file:
            if len(file.pages) < pages:
                raise image_error(path, f"damaged TIFF (only {len(file.pages)} of {pages} pages are readable); export it again")
            frames: list[tuple[int, int]] = []
            complete = broken_ifd_pointer is None
            for index in range(pages):
                page = file.pages[index]
                assert isinstance(page, TiffPage)
                check_size(path, page.imagelength, page.imagewidth, limits.max_pixels)
                _check_page(page, path)
                corruption_checks.refuse_implausible(page, path, salvage=limits.salvage)
                declared, present = stacks.count_planes(file, index)
                gaps = _gaps(page, index, declared, present)
                if gaps and not limits.salvage:
                    raise image_error(path, f"truncated TIFF ({gaps}); copy it again{SALVAGE}")
                warnings += [f"{gaps}: they are 0, the rest was restored"] if gaps else []
                complete = complete and not gaps
                frames += [(index, plane) for plane in range(declared)]
            corruption_checks.refuse_astray(file, pages, path)
            header = read_header(file, pages, len(frames), warnings)
            return TiffSource(path, frames, header, offsets=offsets, complete=complete, broken_ifd_pointer=broken_ifd_pointer)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        new_file.write(path, frames, header.metadata)
