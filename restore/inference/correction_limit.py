"""Limits a correction to what the noise can be. A network may take lines and dots for noise that its level does not allow."""

from __future__ import annotations

import numpy as np

from restore.images.frame import bands
from restore.images.noise_model import NoiseLevel

LIMIT = 6.0
"""Standard deviations of the noise; a megapixel of normally distributed values has none beyond five."""
ROUNDING = 0.5 / 255
"""What may be added for levels near zero: half a step of 8 bits."""


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
