"""Parts of a picture that carry none of its noise: flat mats and frames, and hot or dead pixels.

A network that is given the picture's noise level smooths the edge of a mat together with the picture, and a hot pixel changes its
surroundings. So these parts are set aside: the network sees the picture continued over them, and they stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from restore.images.frame import bands, filled
from restore.images.mappings import inner_range
from restore.images.noise import NoiseLevel

_NEIGHBOURS = np.ones((3, 3), np.uint8)
LEAST_SIGMA = 2.0
"""Noise (of 255) from which on nine equal neighbours are no accident, even in 8 bits."""
LEAST_MAT = 256
"""Pixels of a mat at least."""
CLIPPED = 1e-3
"""Share of the other pixels at the picture's darkest or brightest value from which its noise is clipped there."""
SAMPLE = 200_000
FAR, LOUD = 1.0, 20.0
"""A hot pixel lies further outside the picture's range than this many times that range, and so many sigma from its neighbours' median."""


def find(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Where a picture (H, W, C) float32 with noise of `level` has such parts, (H, W) bool; None where it has none."""
    found = [part for part in (_mats(shown, level), _hot(shown, level)) if part is not None]
    if not found or np.logical_or.reduce(found).all():
        return None
    return np.asarray(np.logical_or.reduce(found))


def continued(shown: np.ndarray, aside: np.ndarray, level: NoiseLevel) -> np.ndarray:
    """A picture (H, W, C) float32 with its surroundings, and noise of the picture's level, continued over (H, W) bool parts.

    A network takes what is smooth beside what is noisy for an edge: without that noise the error near a mat is a third larger. The noise
    is the same at every call.
    """
    picture = filled(shown, ~aside)
    noise = np.random.default_rng(0).standard_normal((np.count_nonzero(aside), shown.shape[2]), np.float32)
    picture[aside] += noise * np.sqrt(level.variance(picture[aside])).astype(np.float32)
    return picture


def _mats(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Large areas of one value, but for those in which the noise is clipped: of the darkest or brightest value, as other pixels are too."""
    span = float(np.ptp(shown))
    if level.sigma() / max(span, 1e-12) < LEAST_SIGMA or min(shown.shape[:2]) < 3:
        return None
    still = _still(shown)
    if np.count_nonzero(still) < LEAST_MAT:
        return None
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(still, connectivity=8)
    large = sizes[:, cv2.CC_STAT_AREA] >= LEAST_MAT
    large[0] = False
    if not large.any():
        return None
    mat = large.astype(np.uint8)[labels]
    del labels, still
    mats = _with_edges(shown, mat)
    for end in (shown.min(), shown.max()):
        at_end = (shown == end).any(axis=2)
        if np.count_nonzero(at_end & ~mats) > CLIPPED * np.count_nonzero(~mats):
            mats &= ~at_end
    return mats if mats.any() else None


def _still(shown: np.ndarray) -> np.ndarray:
    """(H, W) uint8, 1 where a pixel of (H, W, C) equals all its neighbours."""
    still = np.empty(shown.shape[:2], np.uint8)
    for rows, piece, inside in _pieces(shown):
        low, high = (operation(piece, _NEIGHBOURS).reshape(piece.shape) for operation in (cv2.erode, cv2.dilate))
        still[rows] = (low == high)[inside].all(axis=2)
    return still


def _with_edges(shown: np.ndarray, mat: np.ndarray) -> np.ndarray:
    """(H, W) bool: mats, and their outermost pixels, which have neighbours of the picture, but the mat's own value."""
    mats = np.empty(mat.shape, bool)
    lowest = np.float32(shown.min())
    for rows, piece, inside in _pieces(shown):
        own = mat[max(0, rows.start - 1) : rows.stop + 1]
        around = cv2.dilate(own, _NEIGHBOURS)[inside].astype(bool)
        values = cv2.dilate(np.where(own[:, :, None] > 0, piece, lowest), _NEIGHBOURS).reshape(piece.shape)
        mats[rows] = around & (piece == values)[inside].all(axis=2)
    return mats


def _pieces(shown: np.ndarray) -> Iterator[tuple[slice, np.ndarray, slice]]:
    """Bands of rows, each with a row more above and below, and where the band lies in that: what is made of them takes little memory."""
    for rows in bands(shown.shape):
        above = max(0, rows.start - 1)
        yield rows, shown[above : rows.stop + 1], slice(rows.start - above, rows.stop - above)


def _hot(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Single pixels far outside the range of all others."""
    step = max(1, int(np.sqrt(shown.size / SAMPLE)))
    low, high = inner_range(shown[::step, ::step])
    reach = FAR * max(high - low, 1e-12)
    outside = (shown < low - reach) | (shown > high + reach)
    if not outside.any():
        return None
    middle = cv2.medianBlur(shown, 5).reshape(shown.shape)
    return np.asarray((outside & (np.abs(shown - middle) > np.maximum(LOUD * level.sigma() / 255, reach))).any(axis=2))
