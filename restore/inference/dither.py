"""Seeded dither for 8-bit pictures whose values a curve spreads: otherwise smooth areas would show bands.

Roberts 1962, "Picture coding using pseudo-random noise": noise of one quantisation step makes the mean of many pixels exact.
"""

from __future__ import annotations

import numpy as np

from restore.images.frame import bands
from restore.inference import uniform_borders

LEVELS = 256


def dithered(picture: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """An 8-bit picture with up to half a step of noise where a curve will spread its values.

    Mats, labels and the ends of the range stay. The noise is the same at every call.

    Args:
        picture: (H, W, C) float32, multiples of 1 / 255.
        slopes: (256, C) the curve's slope at each value.
    """
    if slopes.max(initial=0) <= 1:
        return picture
    amount = np.clip(slopes - 1, 0, 1).astype(np.float32) / np.float32(LEVELS - 1)
    amount[[0, -1]] = 0  # clipped values are no steps of a slope
    still = _still(picture)
    result = picture.copy()
    rng = np.random.default_rng(0)
    for rows in bands(picture.shape):
        index = np.clip(np.rint(picture[rows] * (LEVELS - 1)), 0, LEVELS - 1).astype(np.intp)
        noise = rng.random(index.shape, np.float32) - np.float32(0.5)
        noise *= np.take_along_axis(amount, index.reshape(-1, index.shape[2]), axis=0).reshape(index.shape)
        noise[still[rows]] = 0
        result[rows] += noise
    return result


def _still(picture: np.ndarray) -> np.ndarray:
    """(H, W) bool: mats around the picture, and labels."""
    still = np.ones(picture.shape[:2], bool)
    still[uniform_borders.inner(uniform_borders.framed(uniform_borders.is_still(picture)))] = False
    labels = uniform_borders.labels(picture)
    return still if labels is None else still | labels
