"""Mats and frames: areas of one value around a picture. The picture within is treated as if it never had one."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from restore.images.frame import bands

NEIGHBOURS = np.ones((3, 3), np.uint8)


def pieces(picture: np.ndarray) -> Iterator[tuple[slice, np.ndarray, slice]]:
    """Bands of rows, each with a row more above and below, and where the band lies in that: what is made of them takes little memory."""
    for rows in bands(picture.shape):
        above = max(0, rows.start - 1)
        yield rows, picture[above : rows.stop + 1], slice(rows.start - above, rows.stop - above)


def is_still(picture: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 1 where a pixel of (H, W[, C]) equals all its neighbours."""
    still = np.empty(picture.shape[:2], np.uint8)
    for rows, piece, inside in pieces(picture):
        low, high = (operation(piece, NEIGHBOURS).reshape(piece.shape) for operation in (cv2.erode, cv2.dilate))
        same = (low == high)[inside]
        still[rows] = same if same.ndim == 2 else same.all(axis=2)
    return still


def framed(still: np.ndarray) -> np.ndarray:
    """(H, W) bool: still pixels and those next to them, which in an area of one value is all of it. `still` is (H, W) uint8."""
    return np.asarray(cv2.dilate(still, NEIGHBOURS) > 0)


def inner(aside: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the smallest rectangle outside which all of a picture is set aside, (H, W) bool; the whole where all of it is."""
    rows, columns = (np.flatnonzero(~aside.all(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return slice(None), slice(None)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def without(picture: np.ndarray) -> np.ndarray:
    """The part of (H, W, C) within its mat."""
    return picture[inner(framed(is_still(picture)))]
