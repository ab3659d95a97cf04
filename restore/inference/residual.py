"""Does what was taken from a picture look like its noise? If not, the picture may have lost something, and its owner should look.

Of a good denoiser's residual the variance is at most the noise's nearly everywhere, for detail that is taken away adds to it.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.images.noise import NoiseLevel

CELL = 16
"""Side in pixels of the cells in which variances are taken."""
SAMPLED = 1_000_000
"""Pixels of a picture that are looked at, evenly spread."""
LOUDER, SHARE = 2.0, 0.1
"""A residual is suspicious if its variance is so many times the noise's in so large a share of the cells."""


def suspicion(shown: np.ndarray, restored: np.ndarray, level: NoiseLevel) -> str | None:
    """What is suspicious about a correction, as a sentence for the user; None for one that looks like the noise that was measured.

    Args:
        shown: (H, W, C) float32.
        restored: the same shape.
        level: the noise of `shown`.
    """
    height, width = (length // CELL for length in shown.shape[:2])
    if not height or not width or not level.sigma() > 0:
        return None
    step = max(1, int(height * width * CELL * CELL / SAMPLED))
    excess = []
    for row in range(0, height, step):
        rows = np.s_[row * CELL : (row + 1) * CELL, : width * CELL]
        seen = shown[rows].mean(axis=2)
        removed = seen - restored[rows].mean(axis=2)
        mean, square, light = (_cells(one, width) for one in (removed, removed * removed, seen))
        excess.append((square - mean * mean) / (level.variance(light) / shown.shape[2] + 1e-12))
    share = float((np.concatenate(excess) > LOUDER).mean())
    if share < SHARE:
        return None
    return (
        f"in {share:.0%} of the picture more was taken away than the noise that was measured: look whether detail is missing, "
        "and give a lower --strength or a --noise-level if so"
    )


def _cells(row: np.ndarray, width: int) -> np.ndarray:
    return np.asarray(cv2.resize(np.ascontiguousarray(row, np.float32), (width, 1), interpolation=cv2.INTER_AREA))
