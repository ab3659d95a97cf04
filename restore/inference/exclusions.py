"""Parts of a picture that carry none of its noise: flat mats and frames, and hot or dead pixels.

A network that is given the picture's noise level smooths the edge of a mat together with the picture, and a hot pixel changes its
surroundings. So these parts are set aside: the network sees the picture continued over them, and they stay as they are.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.images.frame import filled
from restore.images.mappings import inner_range
from restore.images.noise import NoiseLevel
from restore.inference.mats import NEIGHBOURS, boxes, framed, inner, is_still, pieces

LEAST_SIGMA = 2.0
"""Noise (of 255) from which on nine equal neighbours are no accident, even in 8 bits."""
LEAST_MAT = 256
"""Pixels of a mat at least."""
CLIPPED = 1e-3
"""Share of the other pixels at the picture's darkest or brightest value from which its noise is clipped there."""
SAMPLE = 200_000
PEAK = 5.0
"""Sigma by which a hot or dead pixel differs from each of its neighbours."""
AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
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
    made = picture[aside] + noise * np.sqrt(level.variance(picture[aside])).astype(np.float32)
    rest = shown[~aside]
    picture[aside] = np.clip(made, rest.min(), rest.max())  # noise is clipped here if it is elsewhere
    return picture


def _mats(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Large areas of one value, labels with their text.

    An area in which the noise is clipped is none: it has the darkest or brightest value, as other pixels have too.
    """
    span = float(np.ptp(shown))
    if level.sigma() / max(span, 1e-12) < LEAST_SIGMA or min(shown.shape[:2]) < 3:
        return None
    still = is_still(shown)
    if np.count_nonzero(still) < LEAST_MAT:
        return None
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(still, connectivity=8)
    large = sizes[:, cv2.CC_STAT_AREA] >= LEAST_MAT
    large[0] = False
    if not large.any():
        return None
    mats = _with_edges(shown, large.astype(np.uint8)[labels])
    rectangles = list(boxes(shown, still, labels, sizes, LEAST_MAT))
    del labels
    for end in (shown.min(), shown.max()):
        at_end = (shown == end).any(axis=2)
        if np.count_nonzero(at_end & ~mats) > CLIPPED * np.count_nonzero(~mats):
            mats &= ~at_end
    for rows, columns in rectangles:  # nor so that a rectangle is
        mats[rows, columns] = True
    frame = framed(still)
    frame[inner(frame)] = False  # no noise is so clipped that whole rows are of one value
    mats |= frame
    return mats if mats.any() else None


def _with_edges(shown: np.ndarray, mat: np.ndarray) -> np.ndarray:
    """(H, W) bool: mats (H, W) uint8, and their outermost pixels, which have neighbours of the picture, but the mat's own value."""
    mats = np.empty(mat.shape, bool)
    lowest = np.float32(shown.min())
    for rows, piece, inside in pieces(shown):
        own = mat[max(0, rows.start - 1) : rows.stop + 1]
        around = cv2.dilate(own, NEIGHBOURS)[inside].astype(bool)
        values = cv2.dilate(np.where(own[:, :, None] > 0, piece, lowest), NEIGHBOURS).reshape(piece.shape)
        mats[rows] = around & (piece == values)[inside].all(axis=2)
    return mats


def _hot(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Single pixels that no noise explains: far outside the range of all others, or far above or below each of their neighbours."""
    found = [part for part in (_outside(shown, level), _peaks(shown, level)) if part is not None]
    return np.logical_or.reduce(found) if found else None


def _outside(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Pixels far outside the range of all others."""
    step = max(1, int(np.sqrt(shown.size / SAMPLE)))
    low, high = inner_range(shown[::step, ::step])
    reach = FAR * max(high - low, 1e-12)
    outside = (shown < low - reach) | (shown > high + reach)
    if not outside.any():
        return None
    middle = cv2.medianBlur(shown, 5).reshape(shown.shape)
    return np.asarray((outside & (np.abs(shown - middle) > np.maximum(LOUD * level.sigma() / 255, reach))).any(axis=2))


def _peaks(shown: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Pixels more than PEAK sigma above, or below, each of their eight neighbours."""
    if level.sigma() / max(float(np.ptp(shown)), 1e-12) < LEAST_SIGMA:
        return None
    least = PEAK * np.float32(np.sqrt(level.variance(np.float64(shown.min()))))
    found = np.zeros(shown.shape[:2], bool)
    for rows, piece, inside in pieces(shown):
        highest, lowest = (operation(piece, AROUND).reshape(piece.shape)[inside] for operation in (cv2.dilate, cv2.erode))
        above, below = piece[inside] - highest, lowest - piece[inside]
        peaks = ((above > least) | (below > least)).any(axis=2)
        if peaks.any():
            reach = PEAK * np.sqrt(level.variance(highest[peaks])).astype(np.float32)
            peaks[peaks] = ((above[peaks] > reach) | (below[peaks] > reach)).any(axis=1)
            found[rows] = peaks
    return found if found.any() else None
