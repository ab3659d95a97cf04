"""Transfers the colours of one picture to another: means and deviations of the chroma in bands of equal brightness rank.

Reinhard et al. 2001, "Color transfer between images" (match means and deviations), by bands as Welsh et al. 2002, "Transferring color to
greyscale images" (pixels of like brightness share colours). Bands are quantiles, so a dark picture takes colours from a bright one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BANDS = 8
MOST = 3.0
"""Largest factor on the chroma's deviation: a picture of few colours must not become noise."""
FLAT = 0.004
"""Deviation of the chroma (one 8-bit step) that is added to both: below it, there are no differences to stretch."""
GRAY = 1 / 255
"""Mean chroma of a picture below which it has no palette."""


@dataclass(frozen=True)
class Palette:
    """The chroma of a picture by brightness.

    Attributes:
        means: (BANDS, 2), of Cb and Cr in each band of brightness, dark to bright.
        deviations: (BANDS, 2).
    """

    means: np.ndarray
    deviations: np.ndarray

    @property
    def is_gray(self) -> bool:
        """Whether the picture has no colours to transfer."""
        return bool(np.abs(self.means).max() < GRAY and self.deviations.max() < GRAY)


def palette(gray: np.ndarray, chroma: np.ndarray) -> Palette:
    """The palette of a picture.

    Args:
        gray: (H, W), its luma.
        chroma: (H, W, 2).
    """
    weights = _weights(gray)
    total = np.maximum(weights.sum(0), 1e-6)[:, None]
    flat = chroma.reshape(-1, 2).astype(np.float64)
    means = weights.T @ flat / total
    variances = weights.T @ flat**2 / total - means**2
    return Palette(means, np.sqrt(np.maximum(variances, 0)))


def transfer(gray: np.ndarray, chroma: np.ndarray, target: Palette) -> np.ndarray:
    """Give a picture the palette of another one; where its colours differ, they keep differing.

    Args:
        gray: (H, W), the luma.
        chroma: (H, W, 2).
        target: of the other picture.

    Returns:
        (H, W, 2) float32.
    """
    own = palette(gray, chroma)
    factors = np.minimum((target.deviations + FLAT) / (own.deviations + FLAT), MOST)
    weights = _weights(gray)
    factor, offset = weights @ factors, weights @ (target.means - factors * own.means)
    return np.asarray(chroma * factor.reshape(chroma.shape) + offset.reshape(chroma.shape), np.float32)


def _weights(gray: np.ndarray) -> np.ndarray:
    """(H W, BANDS): how far each pixel belongs to each band, by its rank of brightness; the sum is 1, and neighbouring bands overlap."""
    values = np.sort(gray, axis=None)
    rank = (np.searchsorted(values, gray.ravel(), "left") + np.searchsorted(values, gray.ravel(), "right")) / (2 * values.size)
    position = np.clip(rank * BANDS - 0.5, 0, BANDS - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(position[:, None] - np.arange(BANDS))))
