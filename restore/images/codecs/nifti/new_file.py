"""New NIfTI files of pictures that come from other formats: one slice a frame, without an orientation in space."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType

import numpy as np

from restore.images.errors import ImageError
from restore.images.metadata import ImageHeader

_RGB, _RGBA = 128, 2304
_LONGEST = 32767
"""Samples along an axis that NIfTI-1 can count; NIfTI-2 can count more."""
_MILLIMETRES, _INCH = 2, 25.4
_NO_EXTENSIONS = bytes(4)


def write(library: ModuleType, path: Path, frames: Iterator[np.ndarray], header: ImageHeader) -> None:
    """Write (H, W) uint8, uint16 or floats, or (H, W, 3|4) uint8; halves become floats. What is displayed as white is `cal_max`.

    Args:
        library: nibabel.

    Raises:
        ImageError: a frame has another shape or type than the first one.
    """
    first = next(frames)
    dtype = np.dtype(np.float32) if first.dtype == np.float16 else first.dtype
    height, width = first.shape[:2]
    with path.open("wb") as file:
        file.write(_header(library, (width, height, header.frames), first, dtype, header.metadata.dpi))
        for frame in chain([first], frames):
            if (frame.shape, frame.dtype) != (first.shape, first.dtype):
                what = f"not {first.shape} {first.dtype} and {frame.shape} {frame.dtype}"
                raise ImageError(f"a NIfTI holds slices of one size and type, {what}; choose tiff")
            file.write(np.ascontiguousarray(frame, dtype.newbyteorder("<")).data)


def _header(library: ModuleType, sizes: tuple[int, int, int], first: np.ndarray, dtype: np.dtype, dpi: tuple[float, float] | None) -> bytes:
    fields = (library.Nifti1Header if max(sizes) <= _LONGEST else library.Nifti2Header)(endianness="<")
    fields["dim"] = [3, *sizes, 1, 1, 1, 1]
    if first.ndim == 3:
        fields["datatype"], fields["bitpix"] = (_RGB, 24) if first.shape[2] == 3 else (_RGBA, 32)
    else:
        fields.set_data_dtype(dtype)
        if dtype.kind == "u":
            fields["cal_max"] = np.iinfo(dtype).max
    if dpi is not None:
        fields["pixdim"][1:3] = _INCH / dpi[0], _INCH / dpi[1]
        fields["xyzt_units"] = _MILLIMETRES
    fields["vox_offset"] = len(fields.binaryblock) + len(_NO_EXTENSIONS)
    return bytes(fields.binaryblock) + _NO_EXTENSIONS
