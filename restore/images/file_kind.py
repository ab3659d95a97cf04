"""Which files of a folder are pictures: by content, and by suffix where a file is broken. Every command asks here.

A file is a picture, a picture of a format that no codec reads, a DICOM object without pixels, or something else. Only the first 512 bytes
are read (2 KB of DICOM files).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restore.images import foreign_formats
from restore.images.codecs import CODECS, SUFFIXES, suffix_of
from restore.images.opening import HEAD


@dataclass(frozen=True)
class Look:
    """What a file is.

    Attributes:
        kind: "picture" (`read` opens it), "foreign" (a picture of a format that `read` refuses), "object" (DICOM without pixels) or
            "other".
        what: the foreign format ("a QOI picture") or the object ("SR"); else "".
    """

    kind: Literal["picture", "foreign", "object", "other"]
    what: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether a run reports it. A picture that cannot be read is reported with the reason."""
        return self.kind in ("picture", "foreign")


def look(path: Path) -> Look:
    """Classify a file by its first bytes, and by its suffix where these are unknown. Hidden files are no pictures.

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
    foreign = foreign_formats.foreign(start, path.name)
    if foreign is not None and foreign.picture:
        return Look("foreign", foreign.what)
    if suffix_of(path.name).lower() in SUFFIXES or (foreign is None and codec is not None):
        return Look("picture")
    return Look("other")


def looked(path: Path) -> Look:
    """`look`, but a file that cannot be read is classified by its suffix."""
    try:
        return look(path)
    except OSError:
        return Look("picture" if suffix_of(path.name).lower() in SUFFIXES and not path.name.startswith(".") else "other")


def check_no_picture(path: Path) -> None:
    """Check that a table or page written to a path replaces no picture.

    Raises:
        ValueError: a folder or a picture is there.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file")
    if path.is_file() and looked(path).is_picture:
        raise ValueError(f"{path} is a picture: name another file")


def stem(name: str) -> str:
    """A picture's name without its suffix. A suffix of no picture format (1.2.840, `a.acr`) is part of the name."""
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix.lower() in SUFFIXES else name
