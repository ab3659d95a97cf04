"""Writing a new TIFF with EXIF and texts: for pictures of other formats, and for pages whose structure changes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import TiffFile, TiffPage, TiffWriter

from restore.images import colour_profiles, exif
from restore.images.codecs.tiff import geometry, stacks
from restore.images.codecs.tiff.samples import GRAYS
from restore.images.metadata import Metadata
from restore.images.orientation import rescaled_rational, swaps_sides

_DEFLATE = 8
_STRUCTURE = {
    254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 283, 284, 296, 305, 306, 317, 320, 322, 323,
    324, 325, 330, 338, 339, 347, 530, 532, 34665, 34675, 34853, 40965,
}  # fmt: skip
_IMAGEJ = {50838, 50839}
"""ImageJ's tags for the ranges and labels of gray planes."""


def rewrite(file: TiffFile, path: Path, frames: Iterator[np.ndarray], scale: float = 1.0) -> None:
    """A plain new TIFF with the source's simple tags and EXIF, for pages whose structure changes (palette or gray to RGB)."""
    directories: list[exif.Directory] = []
    sides: list[bool] = []
    with TiffWriter(path, bigtiff=file.is_bigtiff, byteorder=file.byteorder) as writer:
        for index, page in enumerate(file.pages):
            assert isinstance(page, TiffPage)
            below = directory(page).below
            for _ in range(stacks.count_planes(file, index)[0]):
                stored = next(frames, None)
                if stored is None:
                    break
                options = _simple(page, stored.shape, scale)
                options["extratags"] += _pointer_placeholders(below)
                write_page(writer, stored, options)
                directories.append(exif.Directory(below=below))
                sides.append(swaps_sides(int(page.tags.valueof(274, default=1))))
    next(frames, None)
    append_directories(path, directories)
    fitted: set[tuple[int, int]] = set()
    with TiffFile(path, mode="r+") as written:
        for page, swapped in zip(written.pages, sides, strict=False):
            assert isinstance(page, TiffPage)
            geometry.fit_exif(page, (page.imagelength, page.imagewidth), scale, fitted, swapped=swapped)


def _simple(page: TiffPage, shape: tuple[int, ...], scale: float) -> dict[str, Any]:
    """The page's simple tags as TiffWriter's arguments, for samples of this shape."""
    new = geometry.changes(page, (shape[0], shape[1]), scale)
    colours = len(shape) == 3 and shape[2] >= 3
    simple = [
        (t.code, int(t.dtype), t.count if t.code not in new else len(new[t.code]), new.get(t.code, t.value), True)
        for t in page.tags.values()
        if t.code not in _STRUCTURE and not isinstance(t.value, dict) and not (colours and t.code in _IMAGEJ)
    ]
    options: dict[str, Any] = {"compression": _safe_compression(page), "extratags": simple}
    if 282 in page.tags and 283 in page.tags:
        x, y = (rescaled_rational(page.tags[code].value, scale) for code in (282, 283))
        options["resolution"] = (y, x) if swaps_sides(int(page.tags.valueof(274, default=1))) else (x, y)
        options["resolutionunit"] = int(page.tags.valueof(296, default=2))
    for name, code in (("description", 270), ("software", 305), ("datetime", 306), ("iccprofile", 34675)):
        options[name] = page.tags.valueof(code)
    if options["iccprofile"] is not None and colours:
        options["iccprofile"] = colour_profiles.in_colour(options["iccprofile"])
    options["description"] = new.get(270, options["description"])
    if colours and page.photometric in GRAYS:
        options["description"] = geometry.coloured(page, options["description"], shape)
    options["software"] = options["software"] or False
    return options


def directory(page: TiffPage) -> exif.Directory:
    """The page's tags as EXIF sees them, with the directories below."""
    file, order = page.parent.filehandle, page.parent.byteorder

    def read(offset: int, count: int) -> bytes:
        file.seek(offset)
        return bytes(file.read(count))

    return exif.parse(read, page.offset, str(order), big=page.parent.is_bigtiff)


def _pointer_placeholders(below: dict[int, exif.Directory]) -> list[tuple[int, int, int, int, bool]]:
    """Extra tags that reserve entries for pointers to directories, which TiffWriter does not write: the unused codes before theirs."""
    return [(code - 1, 4, 1, 0, True) for code in below]


def append_directories(path: Path, directories: list[exif.Directory]) -> None:
    """Append each page's EXIF and GPS directories to a TIFF that was written with `_pointer_placeholders` for them."""
    if not any(d.below for d in directories):
        return
    with TiffFile(path, mode="r+") as file:
        handle, order, big = file.filehandle, str(file.byteorder), file.is_bigtiff
        for page, above in zip(file.pages, directories, strict=True):
            assert isinstance(page, TiffPage)
            for code, below in above.below.items():
                at = handle.seek(0, 2)  # its `size` is that of the opening
                at += at % 2
                handle.seek(at)
                handle.write(exif.dumped(below, order, at, big=big))
                handle.seek(page.tags[code - 1].offset)
                handle.write(struct.pack(order + ("HHQQ" if big else "HHII"), code, 18 if big else 4, 1, at))


def _safe_compression(page: TiffPage) -> int:
    return int(page.compression) if page.compression in (1, 5, 8, 32946, 32773, 50000) else _DEFLATE


def write_page(writer: TiffWriter, stored: np.ndarray, options: dict[str, Any]) -> None:
    """Write (H, W), (H, W, 2|4) with alpha last, or (H, W, 3) as one page."""
    count = 1 if stored.ndim == 2 else stored.shape[-1]
    extra: dict[str, Any] = {"photometric": "rgb" if count >= 3 else "minisblack"}
    if count in (2, 4):
        extra["extrasamples"] = ["unassalpha"]
    if count > 1:
        extra["planarconfig"] = "contig"
    writer.write(np.ascontiguousarray(stored), contiguous=False, metadata=None, **{**extra, **options})


def write(path: Path, frames: Iterator[np.ndarray], metadata: Metadata) -> None:
    """A new deflate-compressed TIFF for pictures that come from another format; EXIF and texts go to the first page."""
    parsed = exif.from_block(metadata.exif) if metadata.exif else None
    top, order = parsed or (exif.Directory(), "<")
    pages = 0
    with TiffWriter(path, byteorder="<" if order == "<" else ">") as writer:
        for stored in frames:
            options: dict[str, Any] = {"compression": _DEFLATE, "software": False}
            if metadata.icc:
                options["iccprofile"] = metadata.icc
            if metadata.dpi:
                options["resolution"], options["resolutionunit"] = metadata.dpi, 2
            extra: list[tuple[int, int, int, Any, bool]] = []
            if metadata.xmp:
                extra.append((700, 1, len(metadata.xmp), metadata.xmp, True))
            if not pages:
                extra += _described(top, metadata.texts) + _pointer_placeholders(top.below)
            options["extratags"] = extra
            if stored.dtype.kind in "ui" and stored.dtype.itemsize <= 2:
                options["predictor"] = True
            write_page(writer, stored, options)
            pages += 1
    append_directories(path, [top] + [exif.Directory()] * (pages - 1))


_TEXT_TAGS = {"Description": 270, "Title": 270, "Author": 315, "Copyright": 33432, "Software": 305, "Source": 272}
"""PNG's keywords and the tags that say the same."""


def _described(top: exif.Directory, texts: tuple[tuple[str, str], ...]) -> list[tuple[int, int, int, Any, bool]]:
    """Extra tags for EXIF and texts. A text without a tag becomes a line of the description."""
    tags = {e.code: (e.kind, e.count, e.data) for e in top.entries if e.code not in exif.OF_THE_PIXELS and e.code != 274}
    lines: list[str] = []
    for keyword, text in texts:
        code = _TEXT_TAGS.get(keyword, 270)
        if code != 270 and code not in tags:
            tags[code] = (2, len(text.encode()) + 1, text.encode() + b"\0")
        elif code != 270 or keyword not in ("Description", "Comment"):
            lines.append(f"{keyword}: {text}")
        else:
            lines.append(text)
    if lines:
        old = tags.get(270, (2, 0, b""))[2].rstrip(b"\0 ")
        new = b"\n".join([*([old] if old else []), *(line.encode() for line in lines if line.encode() != old)]) + b"\0"
        tags[270] = (2, len(new), new)
    return [(code, kind, count, data, True) for code, (kind, count, data) in tags.items()]
