"""NumPy arrays (.npy): gray, RGB and RGBA pictures and stacks of them; booleans, integers, floats. Layout by NEP 1.

Shapes: (H, W); (H, W, C) with 1, 2 (gray and alpha), 3 or 4 channels; (N, H, W) and (N, H, W, C), whose first axis is one frame after the
other. So an array (3, H, W) is three gray frames.
Kept: type, byte order, C or Fortran order, shape, version of the header. White is the type's maximum for unsigned integers of up to 16
bits, true for booleans; all others are scaled by their own range, the same for all frames (`mappings.ranged`).
What follows the array is kept.
Refused: objects (they could run code), complex numbers, records and other shapes; truncated arrays, and several in one file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tokenize import TokenError

import numpy as np

from restore.images.codecs.base import Capabilities, Codec, append_tail
from restore.images.errors import ImageError, Limits, as_image_error, check_size, image_error, quiet
from restore.images.frame import Frame
from restore.images.mappings import Linear, ranged, with_maximum
from restore.images.metadata import ImageHeader, Provenance
from restore.images.pixel_mapping import PixelMapping

_MAGIC = b"\x93NUMPY"
RANGE_FRAMES, RANGE_PIXELS = 64, 4_000_000
"""The most frames (equally far apart) and about the most pixels by which the range of a stack is measured."""


@dataclass(frozen=True)
class Layout:
    """The header of an array.

    Attributes:
        version: of the header.
        start: offset of the samples.
        shape, dtype, fortran: of the array.
    """

    version: tuple[int, int]
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def channels(self) -> int:
        """Samples a pixel; the last axis, where it has 1 to 4 entries."""
        return self.shape[-1] if len(self.shape) >= 3 and 2 <= self.shape[-1] <= 4 else 1

    @property
    def tail(self) -> tuple[int, ...]:
        """(1,) where the last axis is that of the one sample of each pixel, else ()."""
        return (1,) if len(self.shape) >= 3 and self.shape[-1] == 1 else ()

    @property
    def is_stack(self) -> bool:
        """Whether the first axis counts frames."""
        return len(self.shape) - (self.channels > 1 or bool(self.tail)) == 3

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C) with C above 1."""
        shape = self.shape[:-1] if self.tail else self.shape
        return shape[1:] if self.is_stack else shape

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.shape[0] if self.is_stack else 1

    @property
    def size(self) -> int:
        """Bytes of all samples."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_layout(path: Path) -> Layout:
    """The header; raises what numpy raises for a broken one, for text that is no dictionary a ValueError."""
    with path.open("rb") as file, quiet:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, fortran, dtype = read(file)
        except TokenError as error:
            raise ValueError("its header is no Python dictionary") from error
        return Layout(version, file.tell(), tuple(shape), dtype, fortran)


class NpySource:
    """One array."""

    copies = True

    def __init__(self, path: Path, layout: Layout) -> None:
        self.path, self._layout = path, layout
        bits = 1 if layout.dtype.kind == "b" else 8 * layout.dtype.itemsize
        self.header = ImageHeader("npy", (layout.frame_shape[0], layout.frame_shape[1]), bits, layout.frames)
        self._mapping: PixelMapping | None = None

    def _read(self, index: int) -> np.ndarray:
        """The samples of one frame as the file holds them."""
        layout = self._layout
        if layout.fortran:  # a frame's samples lie all over the file
            array = np.memmap(self.path, layout.dtype, "r", layout.start, layout.shape, "F")
            frame = array[index] if layout.is_stack else array
            return frame[..., 0] if layout.tail else frame
        count = math.prod(layout.frame_shape)
        offset = layout.start + index * count * layout.dtype.itemsize
        return np.fromfile(self.path, layout.dtype, count, offset=offset).reshape(layout.frame_shape)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "NumPy array"):
            if self._mapping is None:
                self._mapping = self._common_mapping()
            stored = np.array(self._read(index), self._layout.dtype.newbyteorder("="), order="C")
            return Frame(stored.view(np.uint8) if stored.dtype.kind == "b" else stored, self._mapping)

    def _common_mapping(self) -> PixelMapping:
        """The mapping of every frame."""
        layout, kind = self._layout, self._layout.dtype
        colours, alpha = (3 if layout.channels >= 3 else 1), (layout.channels - 1 if layout.channels in (2, 4) else None)
        if kind.kind == "b":
            return with_maximum(1, colours, alpha_channel=alpha)
        if kind.kind == "u" and kind.itemsize <= 2:
            return Linear(0, float(np.iinfo(kind).max), colours, alpha_channel=alpha)
        step = -(-layout.frames // RANGE_FRAMES)
        coarse = max(1, math.isqrt(math.prod(layout.frame_shape[:2]) * min(layout.frames, RANGE_FRAMES) // RANGE_PIXELS))
        sample = [self._read(index)[::coarse, ::coarse] for index in range(0, layout.frames, step)]
        return ranged(np.concatenate(sample).astype(kind.newbyteorder("=")), colours, inverted=False, alpha_channel=alpha)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        _write(path, frames, self._layout)
        append_tail(self.path, self._layout.start + self._layout.size, path)


def _begins_at(path: Path, place: int) -> bool:
    """Whether an array begins at this byte of a file."""
    with path.open("rb") as file:
        file.seek(place)
        return file.read(len(_MAGIC)) == _MAGIC


def _write(path: Path, frames: Iterator[np.ndarray], layout: Layout) -> None:
    """Write frames as an array of this type, order and version."""
    first = next(frames)
    tail = layout.tail if first.ndim == 2 else ()  # colours have an axis of their own
    shape = (*((layout.frames,) if layout.is_stack else ()), *first.shape, *tail)
    head = {"descr": np.lib.format.dtype_to_descr(layout.dtype), "fortran_order": layout.fortran, "shape": shape}
    with path.open("wb") as file:
        write = np.lib.format.write_array_header_1_0 if layout.version == (1, 0) else np.lib.format.write_array_header_2_0
        write(file, head)
        fitting = (_like(frame, first) for frame in chain([first], frames))
        if layout.fortran:
            whole = np.stack([*fitting]).astype(layout.dtype)  # stacking makes the byte order the machine's
            file.write(whole.reshape(shape).tobytes("F"))
            return
        for frame in fitting:
            file.write(np.ascontiguousarray(frame, layout.dtype).data)


def _like(frame: np.ndarray, first: np.ndarray) -> np.ndarray:
    if (frame.shape, frame.dtype) != (first.shape, first.dtype):
        what = f"not {first.shape} {first.dtype} and {frame.shape} {frame.dtype}"
        raise ImageError(f"an array holds frames of one shape and type, {what}; choose tiff")
    return frame


class NpyCodec(Codec):
    """NumPy arrays."""

    name = "npy"
    suffixes = (".npy",)
    capabilities = Capabilities(many_frames=True, floats=True, profiles=False)

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as an array does."""
        return head.startswith(_MAGIC)

    def open(self, path: Path, limits: Limits) -> NpySource:
        """Read the header; ImageError as `read` says."""
        with as_image_error(path, "NumPy array"):
            layout = read_layout(path)
        if layout.dtype.kind not in "buif" or layout.dtype.itemsize > 8:
            raise image_error(path, f"its samples have the type {layout.dtype}; save them as integers or floats of up to 64 bits")
        if len(layout.frame_shape) - (layout.channels > 1) != 2 or not layout.frames:
            shapes = "(H, W), (H, W, 1..4), (N, H, W) or (N, H, W, 1..4)"
            raise image_error(path, f"an array of the shape {layout.shape} is no picture; save it as {shapes}")
        check_size(path, layout.frame_shape[0], layout.frame_shape[1], limits.max_pixels)
        held = path.stat().st_size - layout.start
        if held < layout.size:
            share = 100 * (1 - held / layout.size)
            raise image_error(path, f"truncated NumPy array ({share:.1f} % of its samples are missing); copy it again")
        if held > layout.size and _begins_at(path, layout.start + layout.size):
            raise image_error(path, "holds several arrays; save each in a file of its own, or all as one stack")
        return NpySource(path, layout)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        first = next(frames)
        shape = (header.frames, *first.shape) if header.frames > 1 else first.shape
        try:
            _write(path, chain([first], frames), Layout((1, 0), 0, shape, first.dtype, fortran=False))
        except ImageError:  # a later frame does not fit
            path.unlink(missing_ok=True)
            raise
