"""NIfTI-1 and NIfTI-2 (.nii, .nii.gz): volumes and time series of integers, floats and RGB. Layout by nifti1.h and nifti2.h (NIH).

A frame is a slice along the third axis, rows along the second; further axes follow. It is not rotated: columns are the file's first axis.
Kept: order, type, byte order, slope and intercept, affines, spacing, times, descriptions, extensions, compression. Where slices are
enlarged, dimensions, spacing and both affines follow, so that the volume keeps its place. White is 255 for 8 unsigned bits; all others
are scaled by the range of the volume (`mappings.ranged`), as NIfTI has no white. Pictures of other formats become slices (new_file.py).
Refused: pairs of .hdr and .img, complex numbers, 128-bit floats, truncated volumes.
"""

from __future__ import annotations

import gzip
import math
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Literal, Protocol, cast

import numpy as np

from restore.available_memory import free_memory
from restore.images.codecs.base import Capabilities, Codec, PixelLayout
from restore.images.codecs.nifti import new_file
from restore.images.errors import ImageError, Limits, as_image_error, check_size, image_error
from restore.images.frame import Frame
from restore.images.mappings import Linear, plain, ranged
from restore.images.metadata import ImageHeader, Metadata, Provenance
from restore.images.packages import Package
from restore.images.pixel_mapping import PixelMapping

_NIBABEL = Package("nibabel", "nifti")
_GZIP = b"\x1f\x8b"
_MAGICS = ((344, b"n+1\0"), (4, b"n+2\0\r\n\x1a\n"))
_LONGEST_HEADER = 1 << 24
"""Bytes before the samples, with the extensions."""
_RGB, _RGBA = 128, 2304
RANGE_SAMPLES = 4_000_000
"""About how many samples the range of a volume is measured by."""


def _inflated_head(head: bytes) -> bytes:
    """The first bytes of what a gzip file holds, as far as `head` goes; the bytes themselves where they are no gzip."""
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, 1024)
    except zlib.error:
        return b""


@dataclass(frozen=True)
class Layout:
    """Where the samples lie.

    Attributes:
        header: all bytes before the samples: the header and its extensions.
        order: "<" or ">".
        dims: sizes of the axes, three at least.
        dtype: of a sample.
        channels: 1, 3 or 4.
    """

    header: bytes
    order: Literal["<", ">"]
    dims: tuple[int, ...]
    dtype: np.dtype
    channels: int

    @property
    def frames(self) -> int:
        """Slices along the third and all further axes."""
        return math.prod(self.dims[2:])

    @property
    def frame_bytes(self) -> int:
        """Bytes of one slice."""
        return self.dims[0] * self.dims[1] * self.channels * self.dtype.itemsize


def _opened(path: Path) -> BinaryIO:
    """The file, inflated where it is compressed."""
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")


class Header(Protocol):
    """nibabel's header: fields by their names in nifti1.h."""

    endianness: str
    binaryblock: bytes

    def __getitem__(self, name: str) -> np.ndarray: ...
    def __setitem__(self, name: str, value: object) -> None: ...
    def get_qform(self) -> np.ndarray:
        """The affine of the quaternion, (4, 4)."""


def _header_of(nibabel: ModuleType, data: bytes) -> Header:
    """nibabel's header of these bytes, which keeps their byte order."""
    kind = nibabel.Nifti2Header if data[4:8] == b"n+2\0" else nibabel.Nifti1Header
    if len(data) < kind.sizeof_hdr:
        raise ValueError("its header breaks off")
    found: Header = kind(data[: kind.sizeof_hdr], check=False)
    return found


def read_layout(path: Path) -> Layout:
    """Read the header; what nibabel and gzip raise, or ValueError, where it is broken."""
    with _opened(path) as file:
        data = file.read(540)
        header = _header_of(_NIBABEL.load(), data)
        fields = {name: np.asarray(header[name]) for name in ("dim", "datatype", "vox_offset")}
        start = int(fields["vox_offset"])
        if not len(data) >= 348 or not 348 <= start <= _LONGEST_HEADER:
            raise ValueError("its samples begin nowhere")
        data += file.read(max(0, start - len(data)))
    count = int(fields["dim"][0])
    dims = [int(size) for size in fields["dim"][1 : count + 1]] if 1 <= count <= 7 else []
    code = int(fields["datatype"])
    channels = {_RGB: 3, _RGBA: 4}.get(code, 1)
    dtype = np.dtype(np.uint8) if channels > 1 else np.dtype(_NIBABEL.load().nifti1.data_type_codes.dtype[code])
    order: Literal["<", ">"] = ">" if header.endianness == ">" else "<"
    return Layout(data[:start], order, (*dims, *[1] * (3 - len(dims))), dtype.newbyteorder(order), channels)


class NiftiSource:
    """One NIfTI file. It holds the samples of a compressed one as long as it is open: its slices are read one after the other."""

    copies = True

    def __init__(self, path: Path, layout: Layout, *, compressed: bool, inverted: bool) -> None:
        self.path, self._layout, self._compressed, self._inverted = path, layout, compressed, inverted
        bits = 8 if layout.channels > 1 else 8 * layout.dtype.itemsize
        self.header = ImageHeader("nifti", (layout.dims[1], layout.dims[0]), bits, layout.frames)
        self._mapping: PixelMapping | None = None
        self._inflated: bytes | None = None

    def _samples(self) -> bytes:
        """The samples of a compressed volume."""
        if self._inflated is None:
            with gzip.open(self.path, "rb") as file:
                file.seek(len(self._layout.header))
                self._inflated = file.read(self._layout.frames * self._layout.frame_bytes)
        return self._inflated

    def _read(self, index: int) -> np.ndarray:
        """The samples of one slice as the file holds them: (H, W) or (H, W, C)."""
        layout = self._layout
        if self._compressed:
            data = self._samples()[index * layout.frame_bytes : (index + 1) * layout.frame_bytes]
        else:
            with self.path.open("rb") as file:
                file.seek(len(layout.header) + index * layout.frame_bytes)
                data = file.read(layout.frame_bytes)
        if len(data) < layout.frame_bytes:
            raise image_error(self.path, f"truncated NIfTI (slice {index + 1} of {layout.frames} breaks off); copy it again")
        shape = (layout.dims[1], layout.dims[0], *([layout.channels] if layout.channels > 1 else []))
        return np.frombuffer(data, layout.dtype).reshape(shape)

    def frame(self, index: int) -> Frame:
        """Decode one frame; ImageError as `Codec.open` says."""
        with as_image_error(self.path, "NIfTI"):
            stored = self._read(index).astype(self._layout.dtype.newbyteorder("="))
            if self._layout.channels > 1:
                return Frame(stored, plain(stored))
            if self._mapping is None:
                self._mapping = self._common_mapping()
            return Frame(stored, self._mapping)

    def _common_mapping(self) -> PixelMapping:
        """The mapping of every slice."""
        frames, kind = self._layout.frames, self._layout.dtype.newbyteorder("=")
        step = -(-frames // 64)
        slices = range(0, frames, step)
        coarse = max(1, math.isqrt(len(slices) * self._layout.dims[0] * self._layout.dims[1] // RANGE_SAMPLES))
        if kind == np.uint8:
            return Linear(0, 255, inverted=self._inverted)
        sample = np.concatenate([self._read(index)[::coarse, ::coarse] for index in slices]).astype(kind)
        wide = sample.astype(np.int64) if kind.kind == "u" and kind.itemsize < 8 else sample
        return replace(ranged(wide, 1, inverted=self._inverted, alpha_channel=None), measured=True)

    def write(self, path: Path, frames: Iterator[np.ndarray], provenance: Provenance) -> None:
        """Write the file again with other pixels; everything else in it is unchanged."""
        layout = self._layout
        first, header = True, layout.header
        with path.open("wb") as raw:
            file = gzip.GzipFile("", "wb", 6, raw, mtime=0) if self._compressed else raw
            for stored in frames:
                if first:
                    channels = 1 if stored.ndim == 2 else stored.shape[2]
                    if channels > layout.channels and stored.dtype != np.uint8:
                        raise image_error(self.path, "a NIfTI can't hold colours of more than 8 bits; choose --format tiff")
                    header = fitted(header, (stored.shape[1], stored.shape[0]), channels, provenance.scale)
                    file.write(header)
                    first = False
                file.write(np.ascontiguousarray(stored, stored.dtype.newbyteorder(layout.order)).data)
            with _opened(self.path) as own:  # what follows the samples
                own.seek(len(layout.header) + layout.frames * layout.frame_bytes)
                shutil.copyfileobj(own, file)
            if self._compressed:
                file.close()


def fitted(data: bytes, size: tuple[int, int], channels: int, scale: float) -> bytes:
    """The header for slices of (width, height) pixels, `scale` times as fine, at the same place in space."""
    header = _header_of(_NIBABEL.load(), data)
    if channels > 1 and int(np.asarray(header["datatype"])) not in (_RGB, _RGBA):
        header["datatype"], header["bitpix"] = (_RGB, 24) if channels == 3 else (_RGBA, 32)
        header["scl_slope"], header["scl_inter"] = np.nan, np.nan
    if scale != 1:
        _rescale(header, size, scale)
    new = header.binaryblock
    return bytes(new) + data[len(new) :]


def _rescale(fields: Header, size: tuple[int, int], scale: float) -> None:
    """Fit dimensions, spacing and affines (nifti1.h, "3D IMAGE ORIENTATION AND LOCATION IN SPACE").

    The centre of the new voxel i lies at (i + 0.5) / scale - 0.5 of the old grid.
    """
    dims, spacing = np.array(fields["dim"]), np.array(fields["pixdim"])
    dims[1:3] = size
    quaternion, codes = fields.get_qform(), (int(fields["qform_code"]), int(fields["sform_code"]))
    spacing[1:3] /= scale
    fields["dim"], fields["pixdim"] = dims, spacing
    finer = np.diag([1 / scale, 1 / scale, 1, 1])
    finer[:2, 3] = 0.5 / scale - 0.5
    if codes[0] > 0:
        offset = (quaternion @ finer)[:3, 3]
        fields["qoffset_x"], fields["qoffset_y"], fields["qoffset_z"] = offset
    if codes[1] > 0:
        rows = np.stack([fields[name] for name in ("srow_x", "srow_y", "srow_z")]).astype(np.float64)
        moved = np.vstack([rows, [0, 0, 0, 1]]) @ finer
        fields["srow_x"], fields["srow_y"], fields["srow_z"] = moved[:3]


class NiftiCodec(Codec):
    """NIfTI."""

    name = "nifti"
    suffixes = (".nii", ".nii.gz")
    capabilities = Capabilities(many_frames=True, floats=True, gray_alpha=False, profiles=False)
    needs = _NIBABEL

    def sniff(self, head: bytes) -> bool:
        """Whether it begins as NIfTI does, inflated where it is compressed."""
        start = _inflated_head(head)
        return any(start[at : at + len(magic)] == magic for at, magic in _MAGICS)

    def open(self, path: Path, limits: Limits) -> NiftiSource:
        """Read the header; ImageError as `read` says."""
        with as_image_error(path, "NIfTI"):
            layout = read_layout(path)
            slope = float(np.asarray(_header_of(_NIBABEL.load(), layout.header)["scl_slope"]))
        if layout.dtype.kind not in "uif" or layout.dtype.itemsize > 8:
            raise image_error(path, f"its samples have the type {layout.dtype}; save them as integers or floats of up to 64 bits")
        check_size(path, layout.dims[1], layout.dims[0], limits.max_pixels)
        if min(layout.dims) < 1:
            raise image_error(path, f"damaged NIfTI (an axis has no samples: {layout.dims}); export it again")
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP
        needed, held = layout.frames * layout.frame_bytes, path.stat().st_size
        if needed > (1032 * held if compressed else held - len(layout.header)):
            raise image_error(path, f"truncated NIfTI (its header claims {needed:,} bytes of samples, more than it holds); copy it again")
        if compressed and needed > (free := free_memory()):
            raise MemoryError(f"{path.name}: its volume takes {needed >> 20:,} MB, {free >> 20:,} MB are free")
        return NiftiSource(path, layout, compressed=compressed, inverted=slope < 0)

    def _cannot_hold_pixels(self, can: Capabilities, layout: PixelLayout, metadata: Metadata) -> str:
        if layout.samples >= 3 and layout.bits > 8:
            return "nifti holds colours of 8 bits, this picture has more; choose tiff"
        return super()._cannot_hold_pixels(can, layout, metadata)

    def write(self, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
        """Write a new file of a picture that comes from another format."""
        try:
            new_file.write(_NIBABEL.load(), path, frames, header)
        except ImageError:  # a later frame does not fit
            path.unlink(missing_ok=True)
            raise
