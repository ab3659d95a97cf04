"""DICOM objects that hold no pictures (reports, plans, DICOMDIR, ...), told by their SOP class without reading them whole."""

from __future__ import annotations

import struct
from pathlib import Path

_UIDS = "1.2.840.10008."
_OBJECTS: tuple[tuple[str, str], ...] = tuple(
    (_UIDS + uid, kind)
    for uid, kind in (
        ("1.3.10", "DICOMDIR"),
        ("5.1.4.1.1.88.59", "KO"),
        ("5.1.4.1.1.88.", "SR"),
        ("5.1.4.1.1.11.", "PR"),
        ("5.1.4.1.1.481.3", "RTSTRUCT"),
        *((f"5.1.4.1.1.481.{number}", "RTPLAN") for number in (5, 8)),
        *((f"5.1.4.1.1.481.{number}", "RTRECORD") for number in (4, 6, 7, 9)),
        *((f"5.1.4.1.1.481.{number}", "RT") for number in range(10, 26)),
        ("5.1.4.1.1.104.1", "PDF"),
        ("5.1.4.1.1.104.2", "CDA"),
        ("5.1.4.1.1.104.", "model"),
        ("5.1.4.1.1.9.", "waveform"),
        *((f"5.1.4.1.1.66{part}", "registration") for part in (".1", ".2", ".3")),
        ("5.1.4.1.1.66.5", "surface"),
        ("5.1.4.1.1.66.6", "tractography"),
        ("5.1.4.1.1.66", "raw data"),
        ("5.1.4.1.1.67", "value mapping"),
        ("5.1.4.1.1.4.2", "spectroscopy"),
        ("5.1.4.1.1.68.", "surface"),
        ("5.1.4.1.1.78.", "measurement"),
        ("5.1.4.1.1.79.1", "measurement"),
        ("5.1.4.1.1.80.1", "measurement"),
        ("5.1.4.1.1.90.1", "assessment"),
        ("5.1.4.1.1.91.1", "annotation"),
        ("5.1.4.1.1.200.", "protocol"),
        ("5.1.4.1.1.201.", "inventory"),
        ("5.1.4.34.", "RT"),
        ("5.1.4.38.", "protocol"),
        ("5.1.4.39.", "palette"),
        ("5.1.4.43.", "implant"),
        ("5.1.4.44.", "implant"),
        ("5.1.4.45.", "implant"),
    )
)
"""SOP classes (PS3.4, tables B.5-1 and GG.3-1) whose objects hold no pixels. The first hit counts; a UID that ends in a dot stands for all
below it."""


def kind_without_pixels(path: Path) -> str | None:
    """What a DICOM object without pictures is ("SR", "RTSTRUCT", "DICOMDIR", ...), by the SOP class in its first 2 KB.

    None if it may have pictures.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(2048)
    uid = _sop_class(start)
    return next((kind for known, kind in _OBJECTS if uid == known or (known.endswith(".") and uid.startswith(known))), None)


def _sop_class(start: bytes) -> str:
    """Media Storage SOP Class UID or SOP Class UID, explicit or implicit, either byte order; "" where neither is found."""
    for order, group, element in (("<", 2, 2), ("<", 8, 0x16), (">", 8, 0x16)):
        at = start.find(struct.pack(order + "HH", group, element))
        if at < 0:
            continue
        explicit = start[at + 4 : at + 6] == b"UI"
        size = struct.unpack_from(order + ("H" if explicit else "I"), start[at : at + 8].ljust(8, b"\0"), 6 if explicit else 4)[0]
        if 0 < size <= 64:
            return start[at + 8 : at + 8 + int(size)].rstrip(b"\0 ").decode("ascii", "replace")
    return ""
