"""One opened file of any format: its frames, and writing them to a file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from restore.images.codecs import target
from restore.images.codecs.base import Source
from restore.images.errors import ImageError
from restore.images.format_conversion import convert
from restore.images.frame import Frame
from restore.images.metadata import Provenance
from restore.images.quantisation import Quantisation


class Picture:
    """One opened file: its header, its frames one by one, and writing changed frames to a file of the same format.

    It holds the header, not the pixels: each call of `frame` decodes. Several threads may decode frames of one picture.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path = path
        self._source = source
        self._digests: dict[int, bytes] = {}
        header = source.header
        self.format: str = header.format
        """A name of `CODECS`: png, jpeg, dicom, ...; pgm for all of PBM, PGM and PPM."""
        self.frames: int = header.frames
        self.size: tuple[int, int] = header.size
        """(height, width) of the first frame, upright."""
        self.modality: str | None = header.modality
        """DICOM Modality, e.g. "CR"; None for other formats."""
        self.radiograph: bool | None = header.radiograph
        """Whether DICOM says that it is a projection by X-rays; None for other formats."""
        self.quantisation: Quantisation | None = header.quantisation
        """How coarsely its luma is quantised; None where the file does not say so."""
        self.turned: bool = not header.upright
        """Whether an orientation tag was applied to the stored pixels."""
        self.bits: int = header.bits
        """Bits of one stored sample."""
        self.warnings: list[str] = list(header.warnings)
        """Warnings of the header and of the frames decoded so far, one sentence each."""

    def __repr__(self) -> str:
        height, width = self.size
        what = f"{self.format}, {width} x {height}, {self.bits} bits, {self.frames} frame(s)"
        return f"<Picture {self.path.name}: {what}>"

    def frame(self, index: int = 0) -> Frame:
        """Decode one frame.

        Raises:
            ImageError: it is damaged, or needs a decoder that is not installed.
            IndexError: there is no such frame.
        """
        if not 0 <= index < self.frames:
            raise IndexError(f"{self.path.name} has {self.frames} frame(s), there is no frame {index}")
        frame = self._source.frame(index)
        self._digests[index] = _digest(frame.stored)
        self.warnings += [text for text in frame.warnings if text not in self.warnings]
        return frame

    def check_target(self, format: str | None = None) -> None:
        """Check by the header alone that results can be written, before any of them is computed.

        Args:
            format: a name of `TARGETS`; None keeps the format.

        Raises:
            ImageError: they cannot; the message says what can.
        """
        header = self._source.header
        why = header.read_only if format is None or format == self.format else target(format).cannot_hold(header)
        if why:
            raise ImageError(f"{self.path.name}: {why}")

    def save(  # noqa: PLR0913  # keyword-only, all with a default
        self,
        path: Path,
        frames: Iterable[np.ndarray],
        *,
        description: str = "",
        settings: str = "",
        format: str | None = None,
        scale: float = 1.0,
        finer: bool = False,
        coloured: bool = False,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Write a complete file at `path` with this picture's format, compression and metadata. Equal inputs give equal bytes.

        If every frame equals what was read, the original bytes are copied (not for DICOM, nor where an orientation was applied).

        Args:
            path: its suffix means nothing.
            frames: arrays as `Frame.encode` returns them, one for each of `self.frames`; consumed one by one.
            description: what was done, for formats that record it (DICOM).
            settings: the options, for the same formats.
            format: a name of `TARGETS`; None keeps the format.
            scale: how many times as high and wide as those read the frames are.
            finer: whether a lossy format must code the frames finer than this picture.
            coloured: frames that were gray are those of `colouring.in_colour`.
            size: (height, width) of the first frame; None where it is this picture's times `scale`, rounded.

        Raises:
            ImageError: the format cannot hold the picture.
            ValueError: the number of frames is wrong.
        """
        counted = _Counted(frames, self._digests, self.frames)
        provenance = Provenance(description, settings, scale, finer, coloured, size)
        try:
            if format is not None and format != self.format:
                convert(self._source, path, iter(counted), target(format), provenance)
                self.warnings += target(format).left_out(self._source.header.metadata)
            else:
                self._source.write(path, iter(counted), provenance)
                self.warnings += self._source.header.coloured_warnings if coloured else ()
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
    """Yields frames, counts them and compares them with what was read."""

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
