"""Estimates the width of a picture's blur from its edges.

Zhuo & Sim 2011, "Defocus map estimation from a single image", equations 4 to 6: an edge of width s that is blurred again by s0 loses the
factor sqrt((s^2 + s0^2) / s^2) of its gradient. Smooth shading looks like wide edges, so a low quantile over the strong edges is taken.
"""

from __future__ import annotations

import cv2
import numpy as np

AGAIN, BEFORE = 1.0, 0.7
"""Standard deviation in pixels of the second blur, and of one before, which keeps noise out of the gradients."""
STRONG, LEAST = 0.9, 0.02
"""Edges are the local maxima of the gradient above this quantile of all, and above this fraction of the picture's range for each pixel."""
QUANTILE = 0.3
ENOUGH = 50
"""Edge pixels, without which nothing is estimated."""
LARGEST = 1 << 21
"""Pixels that are looked at: the middle of a larger picture."""
MEASURED = (0.35, 0.49, 0.89, 1.31, 1.69, 2.32)
TRUE = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""The quantile's median over 28 photographs (every tenth of a training set) with noise of sigma 1 after a Gaussian blur of `TRUE`."""


def estimate(luma: np.ndarray, valid: np.ndarray | None = None) -> float:
    """The standard deviation of the blur in pixels, 0..3; 0 for a sharp picture, and for one without edges.

    Args:
        luma: (H, W) float32, any range.
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    rows, columns = (_middle(side, other) for side, other in (luma.shape, luma.shape[::-1]))
    luma, valid = luma[rows, columns], None if valid is None else valid[rows, columns]
    low, high = (float(value) for value in np.quantile(luma, (0.01, 0.99)))
    if high <= low or min(luma.shape) < 16:
        return 0.0
    first = cv2.GaussianBlur((luma - np.float32(low)) / np.float32(high - low), (0, 0), BEFORE)
    strength, blurred = _gradient(first), _gradient(cv2.GaussianBlur(first, (0, 0), AGAIN))
    inner = np.zeros(luma.shape, bool)
    inner[4:-4, 4:-4] = True
    if valid is not None:
        inner &= cv2.erode(valid.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    if not inner.any():
        return 0.0
    strong = strength > max(float(np.quantile(strength[inner], STRONG)), LEAST)
    inner &= strong & (strength >= cv2.dilate(strength, np.ones((3, 3), np.uint8)))
    if np.count_nonzero(inner) < ENOUGH:
        return 0.0
    ratio = strength[inner] / np.maximum(blurred[inner], 1e-6)
    squared = AGAIN**2 / np.maximum(ratio**2 - 1, 1e-3) - BEFORE**2
    measured = float(np.quantile(np.sqrt(np.maximum(squared, 0.01)), QUANTILE))
    return float(np.interp(measured, MEASURED, TRUE))


def _middle(side: int, other: int) -> slice:
    """The middle part of a side, so that the area is at most LARGEST."""
    kept = min(side, max(16, int(side * np.sqrt(min(1.0, LARGEST / (side * other))))))
    start = (side - kept) // 2
    return slice(start, start + kept)


def _gradient(plane: np.ndarray) -> np.ndarray:
    """The gradient's magnitude for each pixel."""
    across, down = (cv2.Sobel(plane, cv2.CV_32F, dx, dy, ksize=3) / 8 for dx, dy in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down))
