"""Checks whether the removed residual looks like the picture's noise. If not, detail may be missing, and the user gets a warning.

The residual of a good denoiser has at most the noise's variance nearly everywhere. Removed detail adds to the variance.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.images.noise_model import NoiseLevel

CELL = 16
"""Side in pixels of the cells in which variances are taken."""
MAX_PIXELS = 1_000_000
"""Pixels of a picture that are checked, evenly spread."""
LOUDER, FRACTION = 2.0, 0.1
"""A residual is suspicious if its variance exceeds LOUDER times the noise's in at least FRACTION of the cells."""


def check_residual(pixels: np.ndarray, restored: np.ndarray, level: NoiseLevel) -> str | None:
    """Return a warning for the user if a correction removed more than the measured noise; else None.

    Args:
        pixels: (H, W, C) float32.
        restored: the same shape.
        level: the noise of `pixels`.
    """
    height, width = (length // CELL for length in pixels.shape[:2])
    if not height or not width or not level.sigma() > 0:
        return None
    step = max(1, int(height * width * CELL * CELL / MAX_PIXELS))
    excess = []
    for row in range(0, height, step):
        rows = np.s_[row * CELL : (row + 1) * CELL, : width * CELL]
        inputs = pixels[rows].mean(axis=2)
        removed = inputs - restored[rows].mean(axis=2)
        mean, square, light = (_cells(one, width) for one in (removed, removed * removed, inputs))
        excess.append((square - mean * mean) / (level.variance(light) / pixels.shape[2] + 1e-12))
    fraction = float((np.concatenate(excess) > LOUDER).mean())
    if fraction < FRACTION:
        return None
    return (
        f"in {fraction:.0%} of the picture more was removed than the measured noise: check whether detail is missing; "
        "if so, use a lower --strength or specify --noise-level"
    )


def _cells(row: np.ndarray, width: int) -> np.ndarray:
    return np.asarray(cv2.resize(np.ascontiguousarray(row, np.float32), (width, 1), interpolation=cv2.INTER_AREA))
