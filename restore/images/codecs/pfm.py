"""PFM (Pf, PF): gray and RGB floats of 32 bits. Layout by Paul Debevec, "PFM Portable FloatMap Image Format".

Kept: everything, the header with its scale and byte order included. Floats have no white: see `mappings.ranged`. NaN and infinite
samples stay. Rows are stored from the bottom up. Several pictures in one file are refused. Missing rows are refused, or 0 with a warning
if `salvage`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restore.images.codecs.base import Capabilities, Codec, append_tail, only_frame
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import ranged
from restore.images.metadata import ImageHeader, Provenance
from restore.images.salvaging import check_rows

_HEADER = re.compile(rb"P([Ff])\s+([0-9]{1,9})\s+([0-9]{1,9})\s+([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)[ \t]*(?:\r\n|\s)")


class PfmSource:
    """One PFM file."""

    def __init__(self, path: Path, header: bytes, shape: tuple[int, ...], scale: bytes, *, salvage: bool) -> None:
        self.path, self._header, self._shape, self._scale, self._salvage = path, header, shape, scale, salvage
        self._order = "<" if float(scale) < 0 else ">"
        self.copies = True
        """False for a picture with missing rows: what is written is complete."""
        self.header = ImageHeader("pfm", (shape[0], shape[1]), 32)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "PFM"):
            height = self._shape[0]
            row = int(np.prod(self._shape[1:])) * 4
            with self.path.open("rb") as file:
                file.seek(len(self._header))
                data = file.read(min(height * row, self.path.stat().st_size))
                rest = file.read(512)
            if _HEADER.match(rest.lstrip()):
                raise image_error(self.path, "holds several pictures; split it into one a file")
            there = len(data) // row
            warnings = check_rows(self.path, "PFM", self._shape, there, salvage=self._salvage, upward=True)
            self.copies = self.copies and not warnings
            samples = np.frombuffer(data[: there * row].ljust(height * row, b"\0"), self._order + "f4").reshape(self._shape)
            stored = np.ascontiguousarray(samples[::-1], np.float32)
            return Frame(stored, ranged(stored, 1 if stored.ndim == 2 else 3, inverted=False, alpha_channel=None), warnings=warnings)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored = only_frame(frames, self.path)
        _write(path, stored, self._order, self._header if stored.shape == self._shape else None, self._scale)
        append_tail(self.path, len(self._header) + 4 * int(np.prod(self._shape)), path)


def _write(path: Path, stored: np.ndarray, order: str, header: bytes | None, scale: bytes) -> None:
    """Write (H, W[, 3]) float32; `header` verbatim if given, else one with this scale, whose sign tells the byte order."""
    if header is None:
        header = b"P%s\n%d %d\n%s\n" % (b"f" if stored.ndim == 2 else b"F", stored.shape[1], stored.shape[0], scale)
    with path.open("wb") as file:
        file.write(header)
        file.write(np.ascontiguousarray(stored[::-1], order + "f4").data)


class PfmCodec(Codec):
    """PFM."""

    name = "pfm"
    suffixes = (".pfm",)
    capabilities = Capabilities(floats=True, gray_alpha=False, colour_alpha=False, profiles=False)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins with a whole header of PFM."""
        return _HEADER.match(head) is not None

    def open(self, path: Path, limits: Limits) -> PfmSource:
        """Read the header; ImageError as `read` says."""
        with path.open("rb") as file:
            found = _HEADER.match(file.read(512))
        assert found is not None  # by `sniff`
        with as_image_error(path, "PFM"):
            height, width, scale = int(found[3]), int(found[2]), float(found[4])
            if not np.isfinite(scale) or scale == 0:
                raise image_error(path, f"damaged PFM (its scale is {scale:g}, whose sign should tell the byte order); export it again")
        check_size(path, height, width, limits.max_pixels)
        shape = (height, width, 3) if found[1] == b"F" else (height, width)
        return PfmSource(path, found[0], shape, found[4], salvage=limits.salvage)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format: integers as floats whose white is 1."""
        samples = only_frame(frames, path)
        white = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
        _write(path, (samples / white).astype(np.float32), "<", None, b"-1.0")
