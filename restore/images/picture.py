"""One opened file of any format, and the call that opens it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from restore.images.errors import ImageError
from restore.images.frame import Frame
from restore.images.orientation import rescaled_exif, rescaled_xmp


@dataclass(frozen=True)
class Metadata:
    """What travels along when a picture changes its format: each as raw bytes, or None."""

    icc: bytes | None = None
    exif: bytes | None = None
    """Starting at the TIFF header ("II" or "MM"), orientation already reset."""
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    """Horizontal, vertical."""
    texts: tuple[tuple[str, str], ...] = ()
    """(keyword, text), the keywords being PNG's: Title, Author, Description, Comment, ..."""
    unconvertible: str | None = None
    """What the file says of its colours that no ICC profile can say; such a picture keeps its format."""

    def rescaled(self, scale: float, size: tuple[int, int]) -> Metadata:
        """What travels with (height, width) pixels, `scale` times as fine."""
        if scale == 1:
            return self
        dpi = (self.dpi[0] * scale, self.dpi[1] * scale) if self.dpi else None
        exif = rescaled_exif(self.exif, scale, size) if self.exif else None
        return replace(self, dpi=dpi, exif=exif, xmp=rescaled_xmp(self.xmp, scale, size) if self.xmp else None)


@dataclass(frozen=True)
class ImageHeader:
    """What a file's header says."""

    format: str
    size: tuple[int, int]
    bits: int
    frames: int = 1
    modality: str | None = None
    radiograph: bool | None = None
    upright: bool = True
    """False when the orientation tag turns the stored pixels: then even an unchanged picture is written anew."""
    metadata: Metadata = field(default_factory=Metadata)
    warnings: tuple[str, ...] = ()
    """What the user should know of this file though it can be restored, one sentence each: a further picture that is not
    kept, a missing end.
    """
    ending: bytes = b""
    """What an unchanged copy needs at its end to be a whole file."""

    def enlarged(self, scale: float) -> tuple[int, int]:
        """(height, width) `scale` times as large."""
        return round(self.size[0] * scale), round(self.size[1] * scale)


@dataclass(frozen=True)
class Provenance:
    """What a format that can say how a picture came about (DICOM) says."""

    description: str = ""
    settings: str = ""
    scale: float = 1.0
    """How many times finer the written pixels are than those read: what is said of their size on paper or in the body follows."""


class Source(Protocol):
    """One format's reader and writer of one file. Holds no pixels; `frame` decodes anew at each call."""

    header: ImageHeader
    copies: bool
    """Whether an unchanged picture may be the original bytes (DICOM may not: a derived object has an identity)."""

    def frame(self, index: int) -> Frame: ...

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None: ...


class Picture:
    """One opened file: what it is, its frames one by one, and the way back into a file of the same kind.

    It holds the header, not the pixels: `frame` decodes when it is called. Frames of one picture may be decoded in
    several threads.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self._source = source
        self._seen: dict[int, bytes] = {}
        header = source.header
        self.format: str = header.format
        """png, jpeg, tiff, webp, bmp, pgm (all of PBM, PGM, PPM) or dicom."""
        self.frames: int = header.frames
        self.size: tuple[int, int] = header.size
        """(height, width) of the first frame, upright."""
        self.modality: str | None = header.modality
        """DICOM Modality, e.g. "CR"; None for other formats."""
        self.radiograph: bool | None = header.radiograph
        """Whether DICOM says that X-rays projected it; None where the format doesn't say."""
        self.bits: int = header.bits
        """Bits of one stored sample."""
        self.warnings: list[str] = list(header.warnings)
        """What its header and its decoding so far warn of; grows while frames are decoded."""

    def __repr__(self) -> str:
        height, width = self.size
        what = f"{self.format}, {width} x {height}, {self.bits} bits, {self.frames} frame(s)"
        return f"<Picture {self.path.name}: {what}>"

    def frame(self, index: int = 0) -> Frame:
        """Decode one frame. ImageError if it is damaged or needs a decoder that isn't installed."""
        if not 0 <= index < self.frames:
            raise IndexError(f"{self.path.name} has {self.frames} frame(s), there is no frame {index}")
        frame = self._source.frame(index)
        self._seen[index] = _digest(frame.stored)
        self.warnings += [text for text in frame.warnings if text not in self.warnings]
        return frame

    def save(
        self,
        path: Path,
        frames: Iterable[np.ndarray],
        *,
        description: str = "",
        settings: str = "",
        format: str | None = None,
        scale: float = 1.0,
    ) -> None:
        """Write a complete file at `path` with this picture's format, compression and metadata.

        `frames` are arrays as `Frame.encode` returns them, as many as `self.frames`; they are consumed one by one. They may be
        `scale` times as high and wide as those read. `path`'s suffix means nothing; the caller renames. `description` and
        `settings` (what was done, and with which options) go into formats that record them. The same inputs give byte-identical
        files. Where every frame equals what was read, the original bytes are copied (never for DICOM, nor where an orientation
        tag was applied).
        `format` converts to another format ("png", "jpeg", "tiff", "webp", "bmp", "pgm").
        ImageError if the target can't hold the samples; ValueError if the number of frames is wrong.
        """
        counted = _Counted(frames, self._seen, self.frames)
        try:
            if format is not None and format != self.format:
                from restore.images.convert import convert

                convert(self._source, path, iter(counted), format, scale)
            else:
                self._source.write(path, iter(counted), Provenance(description, settings, scale))
        except Exception:
            if counted.error is not None:  # the frames failed, not the writing of them
                raise counted.error from None
            raise
        if counted.count != self.frames:
            raise ValueError(f"{self.path.name} has {self.frames} frame(s), got {counted.count}")
        if counted.unchanged and format in (None, self.format) and self._source.header.upright and self._source.copies:
            shutil.copyfile(self.path, path)
            if self._source.header.ending:
                with path.open("ab") as file:
                    file.write(self._source.header.ending)


class _Counted:
    """Passes frames on, counts them and notices whether all of them equal what was read."""

    def __init__(self, frames: Iterable[np.ndarray], seen: dict[int, bytes], expected: int) -> None:
        self._frames, self._seen, self._expected = frames, seen, expected
        self.count = 0
        self.unchanged = True
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        frames = iter(self._frames)
        while True:
            try:
                array = next(frames)
                if self.count >= self._expected:
                    raise ValueError(f"the picture has {self._expected} frame(s), got more")
            except StopIteration:
                return
            except Exception as error:
                self.error = error
                raise
            self.unchanged = self.unchanged and self._seen.get(self.count) == _digest(array)
            self.count += 1
            yield array


def _digest(array: np.ndarray) -> bytes:
    whole = np.ascontiguousarray(array)
    return hashlib.sha256(whole.data if whole.size else b"").digest() + repr((array.shape, array.dtype.str)).encode()


def first(frames: Iterator[np.ndarray], path: Path) -> np.ndarray:
    """The only frame of a single-frame format; exhausts the iterator so that a surplus frame is noticed."""
    found = list(frames)
    if not found:
        raise ValueError(f"no frame given for {path.name}")
    return found[0]


def refuse(path: Path, why: str) -> ImageError:
    """An ImageError that names the file."""
    return ImageError(f"{path.name}: {why}")
