"""Which files of a folder are pictures: by content first, by suffix where a file is broken. One place for every command.

A folder's file is a picture to restore, a picture of a format that no codec reads (it is told, with what would help), a DICOM object
without pictures, or none of these. The first 512 bytes are read (of DICOM files 2 KB), no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restore.images import kinds
from restore.images.codecs import CODECS, SUFFIXES
from restore.images.opening import HEAD


@dataclass(frozen=True)
class Look:
    """What a file is.

    Attributes:
        kind: "picture" (offer it to `read`), "foreign" (a picture, but of a format that `read` refuses), "object" (DICOM without
            pictures) or "other".
        what: which foreign picture ("a GIF picture") or object ("SR"); else "".
    """

    kind: Literal["picture", "foreign", "object", "other"]
    what: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether it gets its line in a run: every picture does, one that cannot be read with its reason."""
        return self.kind in ("picture", "foreign")


def look(path: Path) -> Look:
    """What a file is, by its first bytes, and by its suffix where these say nothing. Hidden files are no pictures.

    Raises:
        OSError: it cannot be read.
    """
    if path.name.startswith("."):
        return Look("other")
    with path.open("rb") as file:
        start = file.read(HEAD)
    codec = next((codec for codec in CODECS.values() if codec.is_certain(start)), None)
    if codec is not None and codec.has_preamble:
        what = codec.without_pixels(path)
        return Look("object", what) if what else Look("picture")
    foreign = kinds.foreign(start, path.name)
    if foreign is not None and foreign.picture:
        return Look("foreign", foreign.what)
    if path.suffix.lower() in SUFFIXES or (foreign is None and codec is not None):
        return Look("picture")
    return Look("other")


def looked(path: Path) -> Look:
    """`look`, where a file that cannot be read counts by its suffix."""
    try:
        return look(path)
    except OSError:
        return Look("picture" if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") else "other")


def stem(name: str) -> str:
    """A picture's name without its suffix; what is no picture's suffix (1.2.840, or `a.acr`) is part of the name."""
    suffix = Path(name).suffix
    return name[: -len(suffix)] if suffix.lower() in SUFFIXES else name
