"""Limits a correction to what the noise can be. A network may take lines and dots for noise that its level does not allow."""

from __future__ import annotations

import cv2
import numpy as np

from restore.images.frame import bands
from restore.images.noise_model import NoiseLevel

LIMIT = 6.0
"""Standard deviations of the noise; a megapixel of normally distributed values has none beyond five."""
ROUNDING = 0.5 / 255
"""What may be added for levels near zero: half a step of 8 bits."""

CELL, AROUND = 8, 3
"""Side of a cell in pixels, and of a window in cells: the corrections of windows are compared with the noise."""
UNEVEN = 1.25
"""How many times stronger than its mean the noise may be in a window: that of cameras is stronger in the dark."""


def limit(pixels: np.ndarray, restored: np.ndarray, level: NoiseLevel) -> None:
    """Limit the correction of each pixel, in place.

    Args:
        pixels: (H, W, C) float32, nominal [0, 1].
        restored: the same shape; it is modified.
        level: the noise level that the network was given.
    """
    for rows in bands(pixels.shape):
        noisy, clean = pixels[rows], restored[rows]
        variance = level.variance((np.minimum if level.curve else np.maximum)(noisy, clean))  # where it is larger
        most = (LIMIT * np.sqrt(variance) + ROUNDING).astype(np.float32)
        np.clip(clean, noisy - most, noisy + most, out=clean)


def limit_energy(pixels: np.ndarray, restored: np.ndarray, sigma: float, certainty: float = 1.0) -> None:
    """Reduce the corrections, in place, where they take more from a window than its noise can hold: that is texture.

    Args:
        pixels: (H, W, C) float32, nominal [0, 1].
        restored: the same shape; it is modified.
        sigma: standard deviation of the noise in the mean over the picture, of 255.
        certainty: fraction of the reduction that is applied, 0..1.
    """
    height, width = pixels.shape[:2]
    energy = np.zeros((-(-height // CELL), -(-width // CELL)), np.float32)
    for row in range(len(energy)):
        rows = slice(row * CELL, (row + 1) * CELL)
        energy[row] = _cell_means(np.square(restored[rows] - pixels[rows]).mean(axis=(0, 2)))
    energy = cv2.blur(energy, (AROUND, AROUND), borderType=cv2.BORDER_REFLECT)
    share = np.minimum(1, np.float32(UNEVEN * sigma / 255) / np.sqrt(np.maximum(energy, np.float32(1e-12))))
    share = 1 - np.float32(certainty) * (1 - share)
    if share.min() == 1:
        return
    share = cv2.resize(share, (width, height), interpolation=cv2.INTER_LINEAR)
    for rows in bands(pixels.shape):
        restored[rows] = pixels[rows] + share[rows, :, None] * (restored[rows] - pixels[rows])


def _cell_means(values: np.ndarray) -> np.ndarray:
    """(W,) -> (cells,), the means of CELL neighbours each; the last has what is left."""
    starts = np.arange(0, len(values), CELL)
    return np.asarray(np.add.reduceat(values, starts) / np.diff([*starts, len(values)]), np.float32)
