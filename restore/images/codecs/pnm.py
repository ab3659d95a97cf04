"""PBM, PGM and PPM (P1 to P6), raw and ASCII, any maxval up to 65535.

Kept: everything, the header with its comments included. White is maxval.
Several pictures in one file are refused, and PAM and PFM too. Missing samples are refused, or 0 with a warning if `salvage`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from restore.images.codecs.base import Capabilities, Codec, append_tail, only_frame
from restore.images.errors import Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import with_maximum
from restore.images.metadata import ImageHeader, Provenance
from restore.images.salvaging import check_rows

_MAGIC = re.compile(rb"P[1-6][\s#]")
_SIZES = re.compile(rb"P([1-6])((?:\s|#[^\n\r]*[\n\r])+[0-9]+){2}(?:\s|#|$)")
_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([0-9]+)")
_LONGEST_HEADER = 1 << 16


class PnmSource:
    """One PBM, PGM or PPM file."""

    def __init__(self, path: Path, kind: int, size: tuple[int, int], maxval: int, *, header_bytes: bytes, salvage: bool) -> None:
        self.path, self._kind, self._maxval, self._header_bytes, self._salvage = path, kind, maxval, header_bytes, salvage
        self.copies = True
        """False for a picture with missing samples: what is written is complete."""
        self._shape: tuple[int, ...] = (*size, 3) if kind in (3, 6) else size
        self.header = ImageHeader("pgm", size, maxval.bit_length())

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "PGM/PPM"):
            samples, rows_present = self._raw() if self._kind >= 4 else self._ascii()
            warnings = self._check_missing(rows_present)
            self.copies = self.copies and not warnings
            if samples.size and int(samples.max()) > self._maxval:
                raise image_error(self.path, f"damaged PGM/PPM (a sample exceeds maxval {self._maxval}); export it again")
            # PBM's 1 is black
            mapping = with_maximum(self._maxval, 1 if samples.ndim == 2 else 3, inverted=self._kind in (1, 4))
            return Frame(samples, mapping, warnings=warnings)

    def _check_missing(self, rows_present: int) -> tuple[str, ...]:
        """The warning for missing rows; see `check_rows`."""
        return check_rows(self.path, "PGM/PPM", self._shape, rows_present, salvage=self._salvage)

    @property
    def _dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self._maxval < 256 else ">u2")

    @property
    def _row_bytes(self) -> int:
        """Of a raw file."""
        return (self._shape[1] + 7) // 8 if self._kind == 4 else int(np.prod(self._shape[1:])) * self._dtype.itemsize

    def _raw(self) -> tuple[np.ndarray, int]:
        """The samples, 0 where they are missing, and the number of rows that are present."""
        height, width = self._shape[:2]
        row = self._row_bytes
        with self.path.open("rb") as file:
            file.seek(len(self._header_bytes))
            data = file.read(min(height * row, self.path.stat().st_size))  # asked for more, Python takes the memory first
            rest = file.read(16).lstrip()
        rows_present = len(data) // row
        self._check_missing(rows_present)
        data = data[: rows_present * row].ljust(height * row, b"\0")
        if _MAGIC.match(rest):
            raise image_error(self.path, "holds several pictures; split it into one a file")
        if self._kind == 4:
            bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(height, row), axis=1)
            return np.ascontiguousarray(bits[:, :width]), rows_present
        return np.frombuffer(data, self._dtype).reshape(self._shape).astype(self._dtype.newbyteorder("=")), rows_present

    def _ascii(self) -> tuple[np.ndarray, int]:
        """The same for samples written as digits. The last number of an incomplete file may lack digits."""
        text = re.sub(rb"#[^\n\r]*", b"", self.path.read_bytes()[len(self._header_bytes) :])
        if _MAGIC.search(text):
            raise image_error(self.path, "holds several pictures; split it into one a file")
        count = int(np.prod(self._shape))
        tokens = re.findall(rb"[01]", text) if self._kind == 1 else text.split()
        row = int(np.prod(self._shape[1:]))
        rows_present = self._shape[0]
        if len(tokens) < count:
            rows_present = max(0, len(tokens) - (0 if self._kind == 1 or text[-1:].isspace() else 1)) // row
            self._check_missing(rows_present)
            tokens = tokens[: rows_present * row] + [b"0"] * (count - rows_present * row)
        values = np.array(tokens[:count], dtype="S8").astype(np.int64)
        if values.size and int(values.max()) > self._maxval:
            raise image_error(self.path, f"damaged PGM/PPM (a sample exceeds maxval {self._maxval}); export it again")
        return values.astype(self._dtype.newbyteorder("=")).reshape(self._shape), rows_present

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        stored = only_frame(frames, self.path)
        if provenance.coloured and len(self._shape) == 2:
            _write(path, stored, 3 if self._kind <= 3 else 6, int(np.iinfo(stored.dtype).max))
            return
        _write(path, stored, self._kind, self._maxval, self._header_bytes if stored.shape == self._shape else None)
        if self._kind >= 4:
            append_tail(self.path, len(self._header_bytes) + self._shape[0] * self._row_bytes, path)


def _write(path: Path, stored: np.ndarray, kind: int, maxval: int, header: bytes | None = None) -> None:
    """Write (H, W[, 3]) samples as P1 to P6; `header` verbatim if given."""
    height, width = stored.shape[:2]
    if header is None:
        header = f"P{kind}\n{width} {height}\n".encode() + (b"" if kind in (1, 4) else f"{maxval}\n".encode())
    with path.open("wb") as file:
        file.write(header)
        if kind <= 3:
            for row in stored.reshape(height, -1):
                for at in range(0, len(row), 12):  # the format wants lines of at most 70 characters
                    file.write(b" ".join(b"%d" % v for v in row[at : at + 12].tolist()) + b"\n")
        elif kind == 4:
            file.write(np.packbits(stored, axis=1).tobytes())
        else:
            file.write(np.ascontiguousarray(stored, np.uint8 if maxval < 256 else ">u2").data)


class PnmCodec(Codec):
    """PBM, PGM and PPM."""

    name = "pgm"
    suffixes = (".pgm", ".ppm", ".pbm", ".pnm")
    colour_suffixes: ClassVar[Mapping[str, str]] = {".pgm": ".ppm", ".pbm": ".ppm"}
    capabilities = Capabilities(gray_alpha=False, colour_alpha=False, profiles=False)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as PNM does."""
        return _MAGIC.match(head) is not None

    def is_certain(self, head: bytes) -> bool:
        """A header with its sizes, and in the formats made of text nothing but numbers: "P1 is the first" is a sentence."""
        found = _SIZES.match(head)
        if found is None:
            return False
        return found[1] in b"456" or re.fullmatch(rb"(?:[0-9\s]|#[^\n\r]*(?:[\n\r]|$))*", head[found.end(2) :]) is not None

    def open(self, path: Path, limits: Limits) -> PnmSource:
        """Read the header; ImageError as `read` says."""
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEADER)
        kind = start[1] - ord("0")
        numbers, at = [], 2
        for _ in range(2 if kind in (1, 4) else 3):
            token = _TOKEN.match(start, at)
            if token is None:
                raise image_error(path, "damaged PGM/PPM (its header breaks off); export it again")
            numbers.append(int(token[1]))
            at = token.end()
        check_size(path, numbers[1], numbers[0], limits.max_pixels)
        maxval = 1 if kind in (1, 4) else numbers[2]
        if not 1 <= maxval <= 65535:
            raise image_error(path, f"the header says maxval {maxval}, allowed is 1 to 65535; export it again")
        return PnmSource(path, kind, (numbers[1], numbers[0]), maxval, header_bytes=start[: at + 1], salvage=limits.salvage)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        samples = only_frame(frames, path)
        _write(path, samples, 5 if samples.ndim == 2 else 6, int(np.iinfo(samples.dtype).max))
