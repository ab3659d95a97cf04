"""Runs a picture at a smaller size, the one at which a network learnt, and carries the result up with the edges of the picture.

What a translation network paints has the size, in pixels, that it learnt. In a large picture its strokes would be tiny.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from restore.images.frame import bands
from restore.images.luma import luma
from restore.inference import guided_filter

RADIUS = 2
"""Of the guided filter's windows, in pixels of the small picture."""
EPSILON = 0.01
"""Variance below which a window counts as flat, for a picture that spans 0 to 1: texture goes, edges stay."""
CORRECTIONS = 2
"""How often what the enlarged picture lacks, once reduced again, is added to it."""


def reduced(pixels: np.ndarray, side: int) -> np.ndarray:
    """(H, W, C) float32 -> its copy whose shorter side is `side`, area-averaged."""
    height, width = pixels.shape[:2]
    factor = side / min(height, width)
    return _resized(pixels, max(1, round(height * factor)), max(1, round(width * factor)))


def enlarged(small: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Carry what was made of a reduced picture up to the size of the whole.

    A guided filter gives it the picture's edges (He and Sun 2015). What that loses of the small one is added again, so that its own
    detail stays: reduced, the result is nearly `small` (back-projection, Irani and Peleg 1991).

    Args:
        small: (h, w, C) float32.
        picture: (H, W, C') float32, whose reduced copy became `small`.

    Returns:
        (H, W, C) float32.
    """
    height, width = picture.shape[:2]
    guide = _resized(luma(picture)[:, :, None], *small.shape[:2])[:, :, 0]
    span = max(float(np.ptp(guide)), 1e-6)
    linear = guided_filter.coefficients(guide, small, radius=RADIUS, epsilon=EPSILON * span**2)
    result = np.empty((height, width, small.shape[2]), np.float32)
    _fill(result, picture, guided_filter.rows_of(linear, height, width))
    for _ in range(CORRECTIONS):
        linear[:, :, small.shape[2] :] += small - _resized(result, *small.shape[:2])
        _fill(result, picture, guided_filter.rows_of(linear, height, width))
    return result


def _fill(result: np.ndarray, picture: np.ndarray, rows_of: Callable[[slice, np.ndarray], np.ndarray]) -> None:
    for rows in bands(result.shape):
        result[rows] = rows_of(rows, luma(picture[rows]))


def _resized(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)).reshape(height, width, -1)
