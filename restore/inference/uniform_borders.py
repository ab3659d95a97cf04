"""Finds mats and labels: areas of one value around a picture, and rectangles of one value in it. Content analysis leaves them out."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from restore.images.frame import bands

NEIGHBOURS = np.ones((3, 3), np.uint8)
LEAST_LABEL = 256
"""Smallest area of a label in pixels."""
FIELD, FULL = 0.4, 0.98
"""Minimum fractions of a label's bounding box: of the field around its text, and of field and text together."""
STROKES = np.ones((9, 9), np.uint8)
"""A block larger than any crossing of letters' edges."""
INK = 0.35
"""Maximum fraction of a label that the edges of letters cover."""
SAMPLE = 1_000_000
"""Pixels searched for labels; larger pictures are sampled."""


def pieces(picture: np.ndarray) -> Iterator[tuple[slice, np.ndarray, slice]]:
    """Bands of rows, to limit memory: the rows, their pixels with one more row above and below, and the band's rows in these pixels."""
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
    """(H, W) bool: still pixels and their neighbours, so whole areas of one value. `still` is (H, W) uint8; see `is_still`."""
    return np.asarray(cv2.dilate(still, NEIGHBOURS) > 0)


def inner(excluded: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of the pixels that are not excluded, (H, W) bool; the whole picture if all are excluded."""
    rows, columns = (np.flatnonzero(~excluded.all(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        return slice(None), slice(None)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def without(picture: np.ndarray) -> np.ndarray:
    """The part of (H, W, C) within its mat."""
    return picture[inner(framed(is_still(picture)))]


def labels(picture: np.ndarray) -> np.ndarray | None:
    """Find a picture's burned-in labels, (H, W, C) -> (H, W) bool; a few pixels too large in large pictures. None if there are none."""
    step = max(1, int(np.sqrt(picture.shape[0] * picture.shape[1] / SAMPLE)))
    still = is_still(picture)[::step, ::step]
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(still, connectivity=8)
    mask = np.zeros(picture.shape[:2], bool)
    for rows, columns in boxes(picture[::step, ::step], still, parts, sizes, LEAST_LABEL // step**2):
        mask[_between(rows, step), _between(columns, step)] = True
    return mask if mask.any() and not mask.all() else None


def boxes(picture: np.ndarray, still: np.ndarray, parts: np.ndarray, sizes: np.ndarray, least: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the rectangles of one value in a picture, with or without text.

    Args:
        picture: (H, W, C).
        still: (H, W) uint8; see `is_still`.
        parts, sizes: the connected components of `still`, (H, W), and their statistics, (N, 5).
        least: smallest area in pixels.
    """
    around = sizes[:, cv2.CC_STAT_WIDTH] * sizes[:, cv2.CC_STAT_HEIGHT]
    likely = np.flatnonzero((around >= least) & (sizes[:, cv2.CC_STAT_AREA] >= FIELD * around))
    for part in likely[likely > 0]:
        left, top, width, height = (int(value) for value in sizes[part, :4])
        inside = slice(top, top + height), slice(left, left + width)
        field = (parts[inside] == part).astype(np.uint8)
        outlines, _ = cv2.findContours(field, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        full = sum(cv2.contourArea(line) for line in outlines) >= FULL * (width - 1) * (height - 1)  # outlines run through pixels' centres
        if full and not _holds_picture(picture[inside], field, still[inside]):
            yield slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)


def _holds_picture(piece: np.ndarray, field: np.ndarray, still: np.ndarray) -> bool:
    """Whether a rectangle (H, W, C) holds more than text: many pixels, or a block, that are neither background nor inside a stroke."""
    value = piece[field > 0][0]
    other = (piece != value).any(axis=2) & (still == 0)
    return bool(other.mean() > INK or cv2.erode(other.astype(np.uint8), STROKES, borderValue=0).any())


def _between(part: slice, step: int) -> slice:
    """The full-size slice of a sampled one."""
    return slice(part.start * step, part.stop * step)
