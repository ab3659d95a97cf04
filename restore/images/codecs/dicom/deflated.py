"""Opening a DICOM file up to its pixels; a deflated one (PS3.5, A.5) is inflated as far as it is read, and never beyond what it can need.

pydicom inflates the whole of such a file before it looks at anything: three megabytes may become three gigabytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_partial, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from restore.images.errors import image_error

Stop = Callable[[BaseTag, str | None, int], bool]
HEADER = 64 << 20
"""The most bytes of the elements before the pixels, and of those behind them."""
MOST_ELEMENTS = 100_000
"""Elements outside sequences; the whole dictionary has 5,000."""
_STEP = 1 << 16
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)


@contextmanager
def opened(path: Path, stop: Stop | None = None) -> Iterator[tuple[FileDataset, BinaryIO]]:
    """The elements up to the pixels, or to where `stop` says, and the (inflated) file at that position.

    Raises:
        ImageError: it inflates to more than a header can need.
        pydicom's errors for what it cannot parse.
    """
    stop = _bounded(path, stop or before_pixels)
    with path.open("rb") as file:
        content = _deflated(path, file)
        if content is None:
            file.seek(0)
            yield read_partial(file, stop_when=stop, force=True), file
            return
        yield content.dataset(stop), content


def load(path: Path) -> FileDataset:
    """The whole file.

    Raises:
        As `opened`; ImageError as well where it inflates to more than its header needs.
    """
    with path.open("rb") as file:
        content = _deflated(path, file)
        if content is None:
            file.seek(0)
            return read_partial(file, stop_when=_bounded(path, _nowhere), force=True)
        header = content.dataset(_bounded(path, before_pixels))
        start = content.tell()
        content.allow(start + _needed(header) + HEADER)
        content.seek(0)
        return content.dataset(_bounded(path, _nowhere))


def before_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    """Where the pixels begin."""
    return tag in _PIXELS


def _nowhere(tag: BaseTag, vr: str | None, length: int) -> bool:
    return False


def _bounded(path: Path, stop: Stop) -> Stop:
    """`stop`, which stops at zeros too: some files end with them, and pydicom takes every eight bytes for an empty element.

    Raises:
        ImageError, when called: there are more elements than any picture has.
    """
    counted = 0

    def stops(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal counted
        counted += 1
        if counted > MOST_ELEMENTS:
            raise image_error(path, f"damaged DICOM (more than {MOST_ELEMENTS:,} elements); copy it again")
        return tag == 0 or stop(tag, vr, length)

    return stops


def _needed(ds: FileDataset) -> int:
    """Bytes of the pixels that a header describes."""
    total = int(ds.get("BitsAllocated") or 16)
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames"):
        total *= max(0, int(ds.get(keyword) or 1))
    return total // 8


def _deflated(path: Path, file: BinaryIO) -> Inflated | None:
    """The inflated data set of a deflated file; None for every other."""
    preamble = read_preamble(file, True)
    try:
        meta = FileMetaDataset(read_dataset(file, False, True, stop_when=_after_meta))
    except (ValueError, EOFError, struct.error):  # no meta information: so nothing says that it is deflated
        return None
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    return Inflated(path, file, preamble, meta)


def _after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


class Inflated(io.BytesIO):
    """The data set of a deflated file, inflated as it is read."""

    def __init__(self, path: Path, file: BinaryIO, preamble: bytes | None, meta: FileMetaDataset) -> None:
        super().__init__()
        self._path, self._preamble, self._meta = path, preamble, meta
        self._left = file.read()
        self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
        self._most = HEADER

    def allow(self, size: int) -> None:
        """Let it inflate to `size` bytes."""
        self._most = max(self._most, size)

    def dataset(self, stop: Stop) -> FileDataset:
        """Parse it from its position on."""
        parsed = read_dataset(self, False, True, stop_when=stop)
        ds = FileDataset(str(self._path), parsed, self._preamble, self._meta, False, True)
        ds.set_original_encoding(False, True, parsed._character_set)
        return ds

    def read(self, size: int | None = -1) -> bytes:
        """Like a file's `read`; inflates as much as is asked for.

        Raises:
            ImageError: that is more than is allowed.
            ValueError: the data break off.
        """
        needed = None if size is None or size < 0 else self.tell() + size
        self._grow(needed)
        return super().read(size)

    def _grow(self, needed: int | None) -> None:
        at, length = self.tell(), self.getbuffer().nbytes
        self.seek(0, io.SEEK_END)
        while (needed is None or length < needed) and not self._decoder.eof:
            part = self._decoder.decompress(self._left, _STEP if needed is None else max(_STEP, min(needed - length, 1 << 24)))
            self._left = self._decoder.unconsumed_tail
            length += self.write(part)
            if length > self._most:
                what = f"its deflated data become more than {self._most:,} bytes, the header needs less"
                raise image_error(self._path, f"damaged DICOM ({what}); copy it again")
            if not part and not self._left and not self._decoder.eof:
                raise ValueError("its deflated data break off")
        self.seek(at)
