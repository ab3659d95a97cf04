"""Regions without the picture's noise: flat mats and frames, and hot or dead pixels.

A network that denoises at the picture's noise level blurs the edge of a mat, and a hot pixel changes its surroundings. These regions are
excluded: the network's input extrapolates the picture over them, and the result keeps their original values.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.images.extents import inner_range
from restore.images.frame import filled
from restore.images.noise_model import NoiseLevel
from restore.inference.uniform_borders import NEIGHBOURS, boxes, framed, inner, is_still, pieces

LEAST_SIGMA = 2.0
"""Noise (sigma of 255) above which nine equal neighbours are not due to chance, even in 8 bits."""
LEAST_MAT = 256
"""Smallest area of a mat in pixels."""
CLIPPED = 1e-3
"""Noise counts as clipped if more than this fraction of the other pixels has the picture's darkest or brightest value."""
SAMPLE = 200_000
"""Pixels sampled to find the picture's range."""
PEAK = 5.0
"""Sigma by which a hot or dead pixel differs from each of its neighbours."""
TYPICAL = 10.0
"""The same in medians of what stands above or below all neighbours: 5 sigma of white noise. Where neighbours share the noise, its measured
level is too low."""
AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
FAR, LOUD = 1.0, 20.0
"""A hot pixel lies outside the picture's range by more than FAR times that range, and LOUD sigma from its neighbours' median."""


def find(pixels: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Find the regions to exclude.

    Args:
        pixels: (H, W, C) float32.
        level: its noise.

    Returns:
        (H, W) bool; None where there are none, or where they cover the whole picture.
    """
    parts = [part for part in (_mats(pixels, level), _hot(pixels, level)) if part is not None]
    if not parts or np.logical_or.reduce(parts).all():
        return None
    return np.asarray(np.logical_or.reduce(parts))


def extrapolate(pixels: np.ndarray, excluded: np.ndarray, level: NoiseLevel) -> np.ndarray:
    """Extrapolate a picture over excluded regions and add noise of its level there.

    A network sees an edge where smooth meets noisy pixels: without the noise the error near a mat is a third larger. The noise is the
    same at every call.

    Args:
        pixels: (H, W, C) float32.
        excluded: (H, W) bool.
        level: the picture's noise.
    """
    picture = filled(pixels, ~excluded)
    noise = np.random.default_rng(0).standard_normal((np.count_nonzero(excluded), pixels.shape[2]), np.float32)
    values = picture[excluded] + noise * np.sqrt(level.variance(picture[excluded])).astype(np.float32)
    rest = pixels[~excluded]
    picture[excluded] = np.clip(values, rest.min(), rest.max())  # noise is clipped here if it is elsewhere
    return picture


def _mats(pixels: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Large areas of one value, and labels with their text, (H, W) bool or None.

    Areas of the darkest or brightest value do not count where other pixels have that value too: there the noise is clipped.
    """
    span = float(np.ptp(pixels))
    if level.sigma() / max(span, 1e-12) < LEAST_SIGMA or min(pixels.shape[:2]) < 3:
        return None
    still = is_still(pixels)
    if np.count_nonzero(still) < LEAST_MAT:
        return None
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(still, connectivity=8)
    large = sizes[:, cv2.CC_STAT_AREA] >= LEAST_MAT
    large[0] = False
    if not large.any():
        return None
    mats = _with_edges(pixels, large.astype(np.uint8)[labels])
    rectangles = list(boxes(pixels, still, labels, sizes, LEAST_MAT))
    del labels
    for end in (pixels.min(), pixels.max()):
        at_end = (pixels == end).any(axis=2)
        if np.count_nonzero(at_end & ~mats) > CLIPPED * np.count_nonzero(~mats):
            mats &= ~at_end
    for rows, columns in rectangles:  # clipped noise forms no rectangles
        mats[rows, columns] = True
    frame = framed(still)
    frame[inner(frame)] = False  # and no complete rows or columns of one value
    mats |= frame
    return mats if mats.any() else None


def _with_edges(pixels: np.ndarray, mat: np.ndarray) -> np.ndarray:
    """Add to mats, (H, W) uint8, their outermost pixels: these have the mat's value but touch the picture. Returns (H, W) bool."""
    mats = np.empty(mat.shape, bool)
    lowest = np.float32(pixels.min())
    for rows, piece, inside in pieces(pixels):
        own = mat[max(0, rows.start - 1) : rows.stop + 1]
        around = cv2.dilate(own, NEIGHBOURS)[inside].astype(bool)
        values = cv2.dilate(np.where(own[:, :, None] > 0, piece, lowest), NEIGHBOURS).reshape(piece.shape)
        mats[rows] = around & (piece == values)[inside].all(axis=2)
    return mats


def _hot(pixels: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Single outliers that noise does not explain: far outside the range of all others, or far from each of their neighbours."""
    parts = [part for part in (_outside(pixels, level), _peaks(pixels, level)) if part is not None]
    return np.logical_or.reduce(parts) if parts else None


def _outside(pixels: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Pixels far outside the range of all others."""
    step = max(1, int(np.sqrt(pixels.size / SAMPLE)))
    low, high = inner_range(pixels[::step, ::step])
    reach = FAR * max(high - low, 1e-12)
    outside = (pixels < low - reach) | (pixels > high + reach)
    if not outside.any():
        return None
    middle = cv2.medianBlur(pixels, 5).reshape(pixels.shape)
    return np.asarray((outside & (np.abs(pixels - middle) > np.maximum(LOUD * level.sigma() / 255, reach))).any(axis=2))


def _peaks(pixels: np.ndarray, level: NoiseLevel) -> np.ndarray | None:
    """Pixels more than PEAK sigma above, or below, each of their eight neighbours."""
    if level.sigma() / max(float(np.ptp(pixels)), 1e-12) < LEAST_SIGMA:
        return None
    least = PEAK * np.float32(np.sqrt(level.variance(np.float64(pixels.min()))))
    mask = np.zeros(pixels.shape[:2], bool)
    for rows, piece, inside in pieces(pixels):
        highest, lowest = (operation(piece, AROUND).reshape(piece.shape)[inside] for operation in (cv2.dilate, cv2.erode))
        above, below = piece[inside] - highest, lowest - piece[inside]
        peaks = ((above > least) | (below > least)).any(axis=2)
        if peaks.any():
            sigma = np.sqrt(np.maximum(level.variance(highest), 1e-20)).astype(np.float32)
            extreme = np.maximum(above, below) / sigma
            others = extreme[(extreme > 0) & (extreme <= PEAK)]
            typical = TYPICAL * float(np.median(others)) if others.size else 0.0
            mask[rows] = (extreme > max(PEAK, typical)).any(axis=2)
    return mask if mask.any() else None
