"""The call that opens a picture of any format, decided by its content."""

from __future__ import annotations

from pathlib import Path

from restore.images import foreign_formats
from restore.images.codecs import CODECS, recognized
from restore.images.errors import Limits, as_image_error, image_error, pixel_limit
from restore.images.picture import Picture

HEAD = 512
"""Bytes at the start of a file that are enough to tell its format."""


def sniff(path: Path) -> str | None:
    """The format's name by the file's first bytes. None if no codec knows them or the file cannot be read."""
    try:
        with path.open("rb") as file:
            codec = recognized(path, file.read(HEAD))
    except OSError:
        return None
    return None if codec is None else codec.name


def read(path: Path, *, max_pixels: int | None = None, salvage: bool = False) -> Picture:
    """Open a picture. Its content decides the format, not its suffix. Pixels are not decoded yet.

    Args:
        max_pixels: of one frame; larger pictures are refused. None: `errors.pixel_limit`.
        salvage: accept a picture with missing pixels; its warnings say what is missing.

    Raises:
        ImageError: there is no such file, it is no picture of a supported kind, it is damaged, or it is too large. The message names
            the file and what helps.
    """
    path, limit = Path(path), pixel_limit() if max_pixels is None else max_pixels
    with as_image_error(path, "file"):
        if path.is_dir():
            raise image_error(path, "a directory, not a picture")
        if path.exists() and not path.is_file():
            raise image_error(path, "not an ordinary file")
        with path.open("rb") as file:
            start = file.read(HEAD)
        if not start:
            raise image_error(path, "an empty file; copy it again")
        codec = recognized(path, start)
        outranks_others = codec is not None and codec.has_preamble and codec.is_certain(start)
        foreign = None if outranks_others else foreign_formats.foreign(start, path.name)
        if codec is None or (foreign is not None and foreign.picture):
            what, mend, _ = foreign or foreign_formats.described(start)
            raise image_error(path, f"not a picture that restore reads (it is {what}): {mend}; it reads {', '.join(CODECS)}")
        if codec.needs is not None and codec.needs.missing:
            raise image_error(path, f"{codec.name} needs a package: {codec.needs.missing}")
        return Picture(path, codec.open(path, Limits(limit, salvage)))
