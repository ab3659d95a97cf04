"""PAM (P7): gray, colour and alpha, any maxval up to 65535. Layout by the Netpbm manual, "pam".

Kept: everything, the header with its comments and its tuple type included. White is maxval.
Refused: tuples of other samples than gray, RGB and alpha, and several pictures in one file. Missing rows are refused, or 0 with a
warning if `salvage`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restore.images.codecs.base import Capabilities, Codec, append_tail, only_frame
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import with_maximum
from restore.images.metadata import ImageHeader, Provenance
from restore.images.salvaging import check_rows

_MAGIC = re.compile(rb"P7\s*\n\s*(?:#[^\n]*\n\s*)*(?:WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE|ENDHDR)\b")
_END = re.compile(rb"^[ \t]*ENDHDR[^\n]*\n", re.MULTILINE)
_LINE = re.compile(rb"^[ \t]*(WIDTH|HEIGHT|DEPTH|MAXVAL)[ \t]+([0-9]+)[ \t\r]*$", re.MULTILINE)
_TYPE = re.compile(rb"^[ \t]*TUPLTYPE[ \t]+(\S+)", re.MULTILINE)
_LONGEST_HEADER = 1 << 16
_DEPTHS = {b"BLACKANDWHITE": 1, b"GRAYSCALE": 1, b"BLACKANDWHITE_ALPHA": 2, b"GRAYSCALE_ALPHA": 2, b"RGB": 3, b"RGB_ALPHA": 4}
_TYPES = {1: "GRAYSCALE", 2: "GRAYSCALE_ALPHA", 3: "RGB", 4: "RGB_ALPHA"}


class PamSource:
    """One PAM file."""

    def __init__(self, path: Path, shape: tuple[int, int, int], maxval: int, header: bytes, *, salvage: bool) -> None:
        self.path, self._shape, self._maxval, self._header, self._salvage = path, shape, maxval, header, salvage
        self.copies = True
        """False for a picture with missing rows: what is written is complete."""
        self.header = ImageHeader("pam", shape[:2], maxval.bit_length())

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "PAM"):
            height, width, depth = self._shape
            kind = _dtype(self._maxval)
            row = width * depth * kind.itemsize
            with self.path.open("rb") as file:
                file.seek(len(self._header))
                data = file.read(min(height * row, self.path.stat().st_size))
                if _MAGIC.match(file.read(512).lstrip()):
                    raise image_error(self.path, "holds several pictures; split it into one a file")
            there = len(data) // row
            warnings = check_rows(self.path, "PAM", self._shape, there, salvage=self._salvage)
            self.copies = self.copies and not warnings
            samples = np.frombuffer(data[: there * row].ljust(height * row, b"\0"), kind).reshape(self._shape)
            samples = samples.astype(kind.newbyteorder("="))
            if int(samples.max()) > self._maxval:
                raise image_error(self.path, f"damaged PAM (a sample exceeds maxval {self._maxval}); export it again")
            alpha = depth - 1 if depth in (2, 4) else None
            mapping = with_maximum(self._maxval, 3 if depth >= 3 else 1, alpha_channel=alpha)
            return Frame(samples[..., 0].copy() if depth == 1 else samples, mapping, warnings=warnings)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored = only_frame(frames, self.path)
        if provenance.coloured and self._shape[2] < 3:
            _write(path, stored, int(np.iinfo(stored.dtype).max))
        else:
            _write(path, stored, self._maxval, _resized(self._header, stored.shape[0], stored.shape[1]))
        append_tail(self.path, len(self._header) + math.prod(self._shape) * _dtype(self._maxval).itemsize, path)


def _dtype(maxval: int) -> np.dtype:
    return np.dtype(np.uint8 if maxval < 256 else ">u2")


def _resized(header: bytes, height: int, width: int) -> bytes:
    """The header of a picture of another size."""
    sizes = {b"WIDTH": width, b"HEIGHT": height}

    def line(found: re.Match[bytes]) -> bytes:
        if found[1] not in sizes or int(found[2]) == sizes[found[1]]:
            return found[0]
        return b"%s %d" % (found[1], sizes[found[1]])

    return _LINE.sub(line, header)


def _write(path: Path, stored: np.ndarray, maxval: int, header: bytes | None = None) -> None:
    """Write (H, W[, C]) samples; `header` verbatim if given."""
    if header is None:
        depth = 1 if stored.ndim == 2 else stored.shape[2]
        lines = f"WIDTH {stored.shape[1]}\nHEIGHT {stored.shape[0]}\nDEPTH {depth}\nMAXVAL {maxval}\nTUPLTYPE {_TYPES[depth]}\n"
        header = f"P7\n{lines}ENDHDR\n".encode()
    with path.open("wb") as file:
        file.write(header)
        file.write(np.ascontiguousarray(stored, _dtype(maxval)).data)


class PamCodec(Codec):
    """PAM."""

    name = "pam"
    suffixes = (".pam",)
    capabilities = Capabilities(profiles=False)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as PAM does."""
        return _MAGIC.match(head) is not None

    def open(self, path: Path, limits: Limits) -> PamSource:
        """Read the header; ImageError as `read` says."""
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
        end = _END.search(start)
        numbers = {name: int(value) for name, value in _LINE.findall(start[: end.start()])} if end else {}
        if end is None or len(numbers) < 4:
            raise image_error(path, "damaged PAM (its header breaks off, or lacks a size); export it again")
        height, width, depth, maxval = (numbers[name] for name in (b"HEIGHT", b"WIDTH", b"DEPTH", b"MAXVAL"))
        check_size(path, height, width, limits.max_pixels)
        if not 1 <= maxval <= 65535:
            raise image_error(path, f"the header says maxval {maxval}, allowed is 1 to 65535; export it again")
        kind = _TYPE.search(start[: end.start()])
        if depth not in _TYPES or (kind is not None and _DEPTHS.get(kind[1]) != depth):
            what = kind[1].decode("latin-1") if kind else "no type"
            raise image_error(path, f"its tuples ({depth} samples, {what}) are neither gray nor RGB; convert it to TIFF first")
        return PamSource(path, (height, width, depth), maxval, start[: end.end()], salvage=limits.salvage)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        samples = only_frame(frames, path)
        _write(path, samples, int(np.iinfo(samples.dtype).max))
