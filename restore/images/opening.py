"""Which format a file has, by its content, and the call that opens it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from restore.images import kinds
from restore.images.codecs import bmp, pnm, webp
from restore.images.codecs.dicom import codec as dicom
from restore.images.codecs.dicom.headerless import is_headerless
from restore.images.codecs.jpeg import codec as jpeg
from restore.images.codecs.png import codec as png
from restore.images.codecs.tiff import codec as tiff
from restore.images.errors import MAX_PIXELS, Limits, damaged
from restore.images.picture import Picture, Source, refuse


class Format(NamedTuple):
    """One row of FORMATS."""

    sniff: Callable[[bytes], bool]
    open: Callable[[Path, Limits], Source]
    suffixes: tuple[str, ...]


FORMATS: dict[str, Format] = {
    # first, because DICOM's preamble may pretend to be another format (TIFF, in whole-slide files)
    "dicom": Format(
        dicom.sniff,
        lambda path, limits: dicom.open_source(path, limits.max_pixels),
        (".dcm", ".dicom", ".dic", ".ima"),
    ),
    "png": Format(png.sniff, png.open_source, (".png",)),
    "jpeg": Format(jpeg.sniff, jpeg.open_source, (".jpg", ".jpeg", ".jpe", ".jfif")),
    "tiff": Format(tiff.sniff, tiff.open_source, (".tif", ".tiff", ".btf")),
    "webp": Format(webp.sniff, webp.open_source, (".webp",)),
    "bmp": Format(bmp.sniff, bmp.open_source, (".bmp", ".dib")),
    "pgm": Format(pnm.sniff, pnm.open_source, (".pgm", ".ppm", ".pbm", ".pnm")),
}
"""Every format, in the order in which a file's first bytes are asked."""

SUFFIXES: frozenset[str] = frozenset(suffix for row in FORMATS.values() for suffix in row.suffixes)
"""Lower-case suffixes of the formats. What a folder walk offers to `read` is decided by content: see `discovery.look`."""

def sniff(path: Path) -> str | None:
    """The name of the format that the file's first bytes announce, or None; None as well if it can't be read."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return None
    return _format(start)


def _format(start: bytes) -> str | None:
    return next((name for name, row in FORMATS.items() if row.sniff(start)), None)


def read(path: Path, *, max_pixels: int = MAX_PIXELS, salvage: bool = False) -> Picture:
    """Open a picture of any supported format, decided by its content, not its suffix. Pixels aren't decoded yet.

    ImageError, naming the file and the reason: no such file, a directory, no permission, empty, no picture at all, a
    header that is damaged or claims more than `max_pixels` pixels a frame, a kind of picture that isn't supported.
    A picture of which pixels are missing is refused too, unless `salvage`: then what is there is read, and its warnings say what isn't.
    """
    path = Path(path)
    with damaged(path, "file"):
        if path.is_dir():
            raise refuse(path, "a directory, not a picture")
        if path.exists() and not path.is_file():
            raise refuse(path, "not an ordinary file")
        with path.open("rb") as file:
            start = file.read(512)
        if not start:
            raise refuse(path, "an empty file; copy it again")
        name = _format(start)
        surely_dicom = name == "dicom" and (start[128:132] == b"DICM" or is_headerless(start))
        known = None if surely_dicom else kinds.foreign(start, path.name)
        if name is None or (known is not None and known.picture):
            what, mend, _ = known or kinds.described(start)
            raise refuse(path, f"not a picture that restore reads (it is {what}): {mend}; it reads {', '.join(FORMATS)}")
        return Picture(path, FORMATS[name].open(path, Limits(max_pixels, salvage)))
