"""Stacks whose planes follow each other in the file under one directory: ImageJ above 4 GB, tifffile's `truncate`, MetaMorph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile
from tifffile import TiffFile, TiffPage

from restore.images.errors import ImageError


def count_planes(file: TiffFile, index: int) -> tuple[int, int]:
    """The number of planes that page `index` declares, and how many of them the file holds completely."""
    page = file.pages[index]
    if not isinstance(page, TiffPage) or not page.is_contiguous or page.dtype is None or not page.nbytes:
        return 1, 1
    declared = _declared(file, page, index)
    left = file.filehandle.size - page.dataoffsets[0]
    # a description that outlived its stack: nothing like a second plane follows
    if declared <= 1 or left < 1.5 * page.nbytes:
        return 1, 1
    return declared, min(declared, left // page.nbytes)


def _declared(file: TiffFile, page: TiffPage, index: int) -> int:
    alone = len(file.pages) == 1
    if index == 0 and alone and page.is_stk:
        return int((file.stk_metadata or {}).get("NumberPlanes", 1))
    if index == 0 and alone and page.is_imagej:
        return _of_imagej(file.imagej_metadata or {}, page)
    text = page.shaped_description
    if text is None:
        return 1
    try:
        declared: dict[str, Any] = json.loads(text)
        total = int(np.prod([int(n) for n in declared["shape"]], dtype=np.int64))
    except (ValueError, KeyError, TypeError):
        return 1
    if not (declared.get("truncated") or alone) or total % page.size:
        return 1
    return total // page.size


def _of_imagej(declared: dict[str, Any], page: TiffPage) -> int:
    frames, slices, channels, images = (int(declared.get(name, 1)) for name in ("frames", "slices", "channels", "images"))
    if channels == page.samplesperpixel:  # the samples of a pixel, counted as channels
        channels = 1
    return max(images, frames * slices * channels, 1)


def read(page: TiffPage, plane: int) -> np.ndarray:
    """Plane `plane` in the shape of `page`; missing samples are 0."""
    file, order = page.parent.filehandle, page.parent.byteorder
    assert page.dtype is not None
    file.seek(page.dataoffsets[0] + plane * page.nbytes)
    data = file.read(page.nbytes).ljust(page.nbytes, b"\0")
    return np.frombuffer(data, page.dtype.newbyteorder(order)).reshape(page.shape)


def write(page: TiffPage, first: np.ndarray, frames: Iterator[np.ndarray], planes: int) -> dict[int, Any]:
    """Write the planes, `first` and those after it, where the old ones were, or at the end if they have grown and something follows.

    Returns the tags that then change.
    """
    file = page.parent.filehandle
    start, size = page.dataoffsets[0], first.nbytes
    if size != page.nbytes and start + planes * page.nbytes < file.size:
        start = file.seek(0, 2)
        start += start % 2
    if start > 2**32 - 1 and not page.parent.is_bigtiff:
        raise ImageError(f"{page.parent.filename}: the result is over 4 GB; save the source as BigTIFF first")
    stored: np.ndarray | None = first
    for plane in range(planes):
        if stored is None:
            return {}
        file.seek(start + plane * size)
        file.write(_bytes(page, stored))
        stored = next(frames, None) if plane + 1 < planes else None
    if first.shape[:2] == (page.imagelength, page.imagewidth) and start == page.dataoffsets[0]:
        return {}
    return _strips(page, first, start)


def _bytes(page: TiffPage, stored: np.ndarray) -> bytes:
    if stored.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        stored = np.moveaxis(stored, -1, 0)
    return np.ascontiguousarray(stored, stored.dtype.newbyteorder(page.parent.byteorder)).tobytes()


def _strips(page: TiffPage, stored: np.ndarray, start: int) -> dict[int, Any]:
    """The tags of one strip for all rows, or one a sample, from `start` on."""
    if page.is_tiled:
        raise ImageError(f"{page.parent.filename}: a stack of tiled planes under one directory; save it with a directory for each plane")
    parts = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    size = stored.nbytes // parts
    return {278: stored.shape[0], 273: [start + i * size for i in range(parts)], 279: [size] * parts}
