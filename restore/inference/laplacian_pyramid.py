"""A Laplacian pyramid of one plane, and gains of its bands that leave noise alone.

Burt & Adelson 1983, "The Laplacian pyramid as a compact image code". Vuylsteke & Schoeters 1994, "Multiscale image contrast
amplification (MUSICA)": each coefficient x of a band goes to M sign(x) (|x| / M)^p, M being the band's largest value. With p below 1 weak
contrast is amplified and strong edges stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

LEAST_SIDE = 8
"""A plane is halved while its shorter side is at least twice this."""
MOST_LEVELS = 10
NOISE = (0.944, 0.231, 0.101, 0.0491)
"""Standard deviation of each band for white noise of deviation 1; half the value before in each further band."""
TOP = 99.5
"""Percentile of a band's absolute values that counts as its largest."""
LINEAR = 0.02
"""Fraction of a band's largest value below which the power law is a line: its slope at 0 would be infinite."""
GATE = 3.0
"""A coefficient of so many deviations of the noise gets half of its gain; weaker ones less."""

WINDOW = 15
"""Side in coefficients of the areas that the noise of a band is measured in."""
FLATTEST = 0.1
"""Fraction of them that is taken for flat."""

Remap = Callable[[int, np.ndarray], np.ndarray]
"""(number of the band, 0 the finest; its coefficients (h, w)) -> the new coefficients."""


def levels(shape: Sequence[int]) -> int:
    """The number of bands of a plane (H, W)."""
    side, count = min(shape[:2]), 0
    while side >= 2 * LEAST_SIDE and count < MOST_LEVELS:
        side, count = -(-side // 2), count + 1
    return count


def remapped(plane: np.ndarray, remap: Remap) -> np.ndarray:
    """A plane (H, W) float32 whose bands were remapped. With bands that stay as they are the plane does, but for rounding."""
    sizes, bands = [], []
    for _ in range(levels(plane.shape)):
        coarse = cv2.pyrDown(plane)
        sizes.append(plane.shape[1::-1])
        bands.append(plane - cv2.pyrUp(coarse, dstsize=sizes[-1]))
        plane = coarse
    for number in reversed(range(len(bands))):
        plane = cv2.pyrUp(plane, dstsize=sizes[number])
        plane += remap(number, bands.pop())
    return plane


def noise_of(number: int) -> float:
    """Standard deviation of white noise of deviation 1 in a band."""
    last = len(NOISE) - 1
    return NOISE[number] if number <= last else NOISE[last] * 0.5 ** (number - last)


def flattest(band: np.ndarray, deviation: np.ndarray, where: np.ndarray) -> float:
    """Noise of a band in units of the finest noise, from its flattest areas: correlated noise has more in coarse bands than white noise.

    Args:
        band: (h, w) coefficients.
        deviation: (h, w) the noise of a pixel.
        where: (h, w) bool, the coefficients that count.
    """
    mean = np.sqrt(np.maximum(cv2.boxFilter(np.square(band), -1, (WINDOW, WINDOW)), 0))[where]
    ratios = mean / np.maximum(deviation[where], np.float32(1e-9))
    return float(np.quantile(ratios[:: max(1, ratios.size // 100_000)], FLATTEST)) if ratios.size else 0.0


def power_law(band: np.ndarray, exponent: float) -> np.ndarray:
    """The gain of each coefficient (h, w) by the power law, at least 1 where the exponent is at most 1."""
    size = np.abs(band)
    top = float(np.percentile(size[:: max(1, size.shape[0] // 512), :: max(1, size.shape[1] // 512)], TOP))
    if top <= 0:
        return np.ones_like(band)
    relative = np.clip(size / np.float32(top), np.float32(LINEAR), 1)
    return np.asarray(relative ** np.float32(exponent - 1), np.float32)


def gated(band: np.ndarray, gain: np.ndarray | float, sigma: np.ndarray | float) -> np.ndarray:
    """The band times its gain, which falls to 1 for coefficients within the noise.

    Args:
        band: (h, w) coefficients.
        gain: of each coefficient.
        sigma: standard deviation of the band's noise, for each coefficient or for all.
    """
    energy = np.square(band)
    floor = np.square(GATE * np.asarray(sigma, np.float32))
    share = energy / np.maximum(energy + floor, np.float32(1e-20))
    return np.asarray(band * (1 + (gain - np.float32(1)) * share), np.float32)
