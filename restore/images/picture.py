"""One opened file of any format, and the call that opens it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from restore.images.codecs import target
from restore.images.codecs.base import Source
from restore.images.convert import convert
from restore.images.frame import Frame
from restore.images.metadata import Provenance


class Picture:
    """One opened file: what it is, its frames one by one, and the way back into a file of the same kind.

    It holds the header, not the pixels: `frame` decodes when it is called. Frames of one picture may be decoded in
    several threads.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self._source = source
        self._digests: dict[int, bytes] = {}
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
        self._digests[index] = _digest(frame.stored)
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
        counted = _Counted(frames, self._digests, self.frames)
        try:
            if format is not None and format != self.format:
                convert(self._source, path, iter(counted), target(format), scale)
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

    def __init__(self, frames: Iterable[np.ndarray], digests: dict[int, bytes], expected: int) -> None:
        self._frames, self._digests, self._expected = frames, digests, expected
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
            self.unchanged = self.unchanged and self._digests.get(self.count) == _digest(array)
            self.count += 1
            yield array


def _digest(array: np.ndarray) -> bytes:
    whole = np.ascontiguousarray(array)
    return hashlib.sha256(whole.data if whole.size else b"").digest() + repr((array.shape, array.dtype.str)).encode()
