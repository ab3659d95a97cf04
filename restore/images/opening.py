"""The call that opens a picture of any format, decided by its content."""

from __future__ import annotations

from pathlib import Path

from restore.images import kinds
from restore.images.codecs import CODECS, sniffed
from restore.images.errors import MAX_PIXELS, Limits, as_image_error, image_error
from restore.images.picture import Picture

HEAD = 512
"""Bytes of a file that tell its format."""


def sniff(path: Path) -> str | None:
    """The name of the format that the file's first bytes announce, or None; None as well if it can't be read."""
    try:
        with path.open("rb") as file:
            codec = sniffed(file.read(HEAD))
    except OSError:
        return None
    return None if codec is None else codec.name


def read(path: Path, *, max_pixels: int = MAX_PIXELS, salvage: bool = False) -> Picture:
    """Open a picture of any supported format, decided by its content, not its suffix. Pixels aren't decoded yet.

    ImageError, naming the file and the reason: no such file, a directory, no permission, empty, no picture at all, a
    header that is damaged or claims more than `max_pixels` pixels a frame, a kind of picture that isn't supported.
    A picture of which pixels are missing is refused too, unless `salvage`: then what is there is read, and its warnings say what isn't.
    """
    path = Path(path)
    with as_image_error(path, "file"):
        if path.is_dir():
            raise image_error(path, "a directory, not a picture")
        if path.exists() and not path.is_file():
            raise image_error(path, "not an ordinary file")
        with path.open("rb") as file:
            start = file.read(HEAD)
        if not start:
            raise image_error(path, "an empty file; copy it again")
        codec = sniffed(start)
        outranks_others = codec is not None and codec.has_preamble and codec.is_certain(start)
        foreign = None if outranks_others else kinds.foreign(start, path.name)
        if codec is None or (foreign is not None and foreign.picture):
            what, mend, _ = foreign or kinds.described(start)
            raise image_error(path, f"not a picture that restore reads (it is {what}): {mend}; it reads {', '.join(CODECS)}")
        return Picture(path, codec.open(path, Limits(max_pixels, salvage)))
