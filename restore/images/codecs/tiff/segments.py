"""The strips and tiles of a page: which are missing, and reading those that are there."""

from __future__ import annotations

import numpy as np
import tifffile
from tifffile import TiffPage


def listed(page: TiffPage) -> tuple[np.ndarray, np.ndarray]:
    """(n,) offsets and (n,) sizes in bytes of the segments that the page lists, no more than it needs."""
    count = min(int(np.prod(page.chunked)), len(page.dataoffsets), len(page.databytecounts))
    return np.array(page.dataoffsets[:count], np.int64), np.array(page.databytecounts[:count], np.int64)


def _missing(page: TiffPage) -> np.ndarray:
    """(segments,) whether each is missing. Those of offset and size 0 are background, which is not missing."""
    missing = np.ones(int(np.prod(page.chunked)), bool)
    offsets, sizes = listed(page)
    missing[: len(sizes)] = offsets + sizes > page.parent.filehandle.size
    return missing


def _first_row(page: TiffPage, segment: int) -> int:
    down, across = _grid(page)
    return segment % (down * across) // across * _rows(page)


def _grid(page: TiffPage) -> tuple[int, int]:
    """Segments down and across, of one plane of samples."""
    across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
    return -(-page.imagelength // _rows(page)), across


def _rows(page: TiffPage) -> int:
    return page.tilelength if page.is_tiled else min(page.rowsperstrip or page.imagelength, page.imagelength)


def missing_rows(page: TiffPage) -> np.ndarray:
    """(H,) whether some of a row's samples are missing."""
    rows = np.zeros(page.imagelength, bool)
    for segment in np.flatnonzero(_missing(page)).tolist():
        top = _first_row(page, segment)
        there = _rows_there(page, segment)
        rows[top + there : top + _rows(page)] = True
    return rows


def _plain(page: TiffPage) -> bool:
    """Whether a strip is just the samples of its rows, so that the beginning of one can be used."""
    full_width = page.dtype is not None and page.dtype.kind != "b" and page.bitspersample == page.dtype.itemsize * 8
    contiguous = page.samplesperpixel == 1 or page.planarconfig == tifffile.PLANARCONFIG.CONTIG
    return page.compression == 1 and page.fillorder == 1 and not page.is_tiled and full_width and contiguous


def _row_bytes(page: TiffPage) -> int:
    assert page.dtype is not None
    return page.imagewidth * page.samplesperpixel * page.dtype.itemsize


def _rows_there(page: TiffPage, segment: int) -> int:
    """How many rows of a missing strip the file holds."""
    if not _plain(page) or segment >= len(page.dataoffsets):
        return 0
    return max(0, page.parent.filehandle.size - page.dataoffsets[segment]) // _row_bytes(page)


def read(page: TiffPage, *, complete: bool) -> np.ndarray:
    """The page as tifffile gives it; unless it is `complete`, missing samples are 0."""
    if complete:
        return np.asarray(page.asarray(maxworkers=1))
    missing = _missing(page)
    before = page.dataoffsets, page.databytecounts
    offsets, sizes = [0] * len(missing), [0] * len(missing)
    for segment in np.flatnonzero(~missing).tolist():
        offsets[segment], sizes[segment] = before[0][segment], before[1][segment]
    page.dataoffsets, page.databytecounts = tuple(offsets), tuple(sizes)
    try:
        samples = np.array(page.asarray(maxworkers=1)) if any(sizes) else np.zeros(page.shape, page.dtype)
    finally:
        page.dataoffsets, page.databytecounts = before
    for segment in np.flatnonzero(missing).tolist():
        rows = _rows_there(page, segment)
        if rows:
            top = _first_row(page, segment)
            file = page.parent.filehandle
            file.seek(page.dataoffsets[segment])
            assert page.dtype is not None
            part = np.frombuffer(file.read(rows * _row_bytes(page)), page.dtype.newbyteorder(page.parent.byteorder))
            samples[top : top + rows] = part.reshape(rows, *samples.shape[1:])[: page.imagelength - top]
    return samples
