"""Contrast of photographs: black and white points, local contrast and sharpness, of their brightness only.

A change of brightness is added to all colours alike, in the picture's own code, so that gray stays gray and hues stay. Every part measures
first whether the picture needs it: a picture of full range, with the detail that photographs have, stays as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.images.extents import inner_range
from restore.images.luma import luma
from restore.images.noise_model import NoiseLevel
from restore.inference import laplacian_pyramid

SAMPLE = 500_000
FULL = (0.3, 0.5)
"""Ranges of brightness, without the outermost thousandths: up to the first the range is widened fully, from the second on not.

With 0.35 to 0.6, one more of 80 held-out good pictures changed by more than 35 dB."""
ENDS = (0.03, 0.97)
"""What a narrow range is widened to."""
WIDEST = 2.5
"""Limit of the factor."""
FINE = 1
"""So many of the finest bands are sharpness, the others local contrast."""
COARSE = 2
"""So many of the coarsest bands are the brightness of large areas, which no local contrast changes."""
EXPONENT = 0.1
"""Local contrast of strength 1 lowers the power law's exponent from 1 by this much."""
SHARP, SOFT = 0.8, 0.65
"""`fineness` of photographs: sharp ones have 0.8 to 1.6, and 0.65 to 0.9 after a blur of 0.7 pixels. Sharpening begins between the two."""
TARGET = 1.2
"""Fineness that sharpening aims at."""
MOST_SHARPER = 1.5
"""Limit of the finest bands' gain beyond 1, at strength 1."""


def levels(brightness: np.ndarray, strength: float) -> tuple[float, float]:
    """Slope and offset that widen a narrow range of brightness: (H, W) -> two numbers; 1 and 0 where there is nothing to do."""
    sample = brightness.ravel()[:: max(1, brightness.size // SAMPLE)]
    low, high = inner_range(sample)
    need = float(np.interp(high - low, FULL, (1, 0))) * strength
    if not need or high <= low:
        return 1.0, 0.0
    slope = min((ENDS[1] - ENDS[0]) / (high - low), WIDEST)
    offset = float(np.clip(0.5 - slope * (low + high) / 2, ENDS[0] - slope * low, ENDS[1] - slope * high))
    return 1 + need * (slope - 1), need * offset


def detailed(pixels: np.ndarray, noise: NoiseLevel, local_contrast: float, sharpness: float) -> tuple[np.ndarray, float]:
    """Raise local contrast and sharpness, as far as detail exceeds the noise.

    Args:
        pixels: (H, W, 1|3) float32.
        noise: the noise of its brightness.
        local_contrast, sharpness: see `Strengths`.

    Returns:
        The picture, and the gain of its finest bands.
    """
    plane = luma(pixels)
    gain = 1 + sharpness * softness(plane, noise)
    exponent = 1 - EXPONENT * local_contrast
    if gain == 1 and exponent == 1:
        return pixels, gain
    deviation = noise.map(plane[:, :, None])[:, :, 0]
    last = laplacian_pyramid.levels(plane.shape) - COARSE

    def remap(number: int, band: np.ndarray) -> np.ndarray:
        if number >= max(FINE, last):
            return band
        size = band.shape[1::-1]
        sigma = cv2.resize(deviation, size, interpolation=cv2.INTER_AREA) * np.float32(laplacian_pyramid.noise_of(number))
        raised = gain if number < FINE else laplacian_pyramid.power_law(band, exponent)
        return laplacian_pyramid.gated(band, raised, sigma)

    return pixels + (laplacian_pyramid.remapped(plane, remap) - plane)[:, :, None], gain


def softness(plane: np.ndarray, noise: NoiseLevel) -> float:
    """How much the finest detail of (H, W) lacks beside the next coarser: 0 for a sharp picture, at most MOST_SHARPER."""
    ratio = fineness(plane, noise)
    if ratio <= 0:
        return 0.0
    need = float(np.interp(ratio, (SOFT, SHARP), (1, 0)))
    return need * min(TARGET / ratio - 1, MOST_SHARPER) if need else 0.0


def fineness(plane: np.ndarray, noise: NoiseLevel) -> float:
    """Deviation of the finest band's signal to that of the next, without the noise; 0 where there is none."""
    if laplacian_pyramid.levels(plane.shape) < 2:
        return 0.0
    coarse = cv2.pyrDown(plane)
    coarser = cv2.pyrDown(coarse)
    bands = [plane - cv2.pyrUp(coarse, dstsize=plane.shape[::-1]), coarse - cv2.pyrUp(coarser, dstsize=coarse.shape[::-1])]
    variance = float(noise.variance(np.float64(plane.mean())))
    energies = [max(0.0, float(np.square(band).mean()) - variance * laplacian_pyramid.noise_of(n) ** 2) for n, band in enumerate(bands)]
    return float(np.sqrt(energies[0] / energies[1])) if energies[1] > 0 else 0.0
