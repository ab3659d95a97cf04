"""Finding scratches and dust in old photographs: thin light or dark marks that their surroundings do not explain.

Classical: the picture against its openings and closings by lines (a mark is gone from all of those it does not lie along), a threshold by
the picture's own spread, and a choice by shape: long and thin, or small and round and strong. Compare Buades et al. 2010 and Kokaram
1998 on line scratches of film.
"""

from __future__ import annotations

import cv2
import numpy as np

WIDEST = 7
"""Width in pixels of the widest mark that is looked for, in a picture of REFERENCE pixels on its shorter side."""
REFERENCE = 600


def find(shown: np.ndarray, sensitivity: float = 0.5) -> np.ndarray:
    """Where scratches and dust are.

    Args:
        shown: (H, W, 1|3) float32, nominal [0, 1].
        sensitivity: 0..1; higher finds more, and more that is none.

    Returns:
        (H, W) bool.
    """
    gray = np.clip(shown.mean(2), 0, 1).astype(np.float32)
    unit = max(1.0, min(gray.shape) / REFERENCE)
    size = round(WIDEST * unit) | 1
    marks = np.zeros(gray.shape, bool)
    for sign in (1, -1):  # light marks, then dark ones
        marks |= _marks(sign * gray, size, unit, 1.5 - sensitivity)
    return marks


def _marks(gray: np.ndarray, size: int, unit: float, strictness: float) -> np.ndarray:
    """Marks lighter than what is about them."""
    smooth = cv2.GaussianBlur(gray, (0, 0), 0.6 * unit)
    ridge = smooth - cv2.morphologyEx(smooth, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    # texture is full of small ridges: a mark must stand out from those about it
    usual = cv2.GaussianBlur(ridge, (0, 0), 4 * size)
    strong, weak = strictness * (0.045 + 3.5 * usual), strictness * (0.025 + 1.8 * usual)
    count, labels, found, _ = cv2.connectedComponentsWithStats((ridge > weak).astype(np.uint8), connectivity=8)
    peaks = np.zeros(count, np.float32)
    np.maximum.at(peaks, labels.ravel().astype(np.intp), (ridge / strong).ravel())
    length = np.hypot(found[:, cv2.CC_STAT_WIDTH], found[:, cv2.CC_STAT_HEIGHT])
    thickness = found[:, cv2.CC_STAT_AREA] / np.maximum(length, 1)
    # a line is many times as long as it is thick; dust is small, and must be the stronger
    line = (length > 18 * unit) & (thickness < 0.12 * length) & (thickness < size) & (peaks > 1)
    speck = (length <= 14 * unit) & (found[:, cv2.CC_STAT_AREA] >= 4 * unit) & (peaks > 2.2)
    chosen = line | speck
    chosen[0] = False
    return np.asarray(chosen[labels])
