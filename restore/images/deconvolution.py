"""Wiener's filter for a Gaussian blur, on a picture that is mirrored at its edges, by the cosine transform.

A symmetric kernel is diagonal in the cosine transform of half-sample symmetric pictures (Martucci 1994). The power of photographs falls
with the square of the frequency (Field 1987, "Relations between the statistics of natural images and the response properties of cortical
cells"), so one number, measured in the picture, says how much of a frequency is noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.fft

CAUTION = 3.0
"""The noise counts so many times: between 2 and 4, which were measured on eight photographs, widths of 1 to 3 and noise of sigma 0.3 to 3,
against the constant ratio of noise and signal that is the best for each picture: 2 gave -0.8 to +0.8 dB, 4 gave -0.2 to +0.9."""
COARSE, FINE = 0.03, 0.15
"""Cycles a pixel between which the signal is measured; the second is divided by the width of the blur, behind which noise prevails."""
BLOCK, MARGIN = 1024, 96
"""Side of the blocks of a large picture, and how far they reach into each other."""


NOISE_SCALE = np.float32(10)
"""By which the noise in a network's condition is multiplied: noise of sharp pictures is small beside their contrast."""
GRID = 64
"""Frequencies along an axis at which a filter's gain is computed."""


@dataclass(frozen=True)
class WienerFilter:
    """Wiener's filter for one blur.

    Attributes:
        width: standard deviation of the Gaussian blur in pixels; 0 changes nothing.
        ratio: of noise and signal at a frequency of one cycle a pixel; it grows with the square of the frequency.
    """

    width: float
    ratio: float

    @property
    def gain(self) -> float:
        """The factor by which the standard deviation of white noise grows."""
        if self.width <= 0:
            return 1.0
        response, squared = _response((GRID, GRID), self.width)
        return float(np.sqrt(np.mean(self._factors(response, squared) ** 2)))

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """Sharpen a plane, (H, W) float32. The mean stays. The result does not depend on the blocks that large planes are processed in."""
        if self.width <= 0:
            return plane
        if max(plane.shape) <= BLOCK + 2 * MARGIN:
            return self._filtered(plane)
        result = np.empty_like(plane)
        for top in range(0, plane.shape[0], BLOCK):
            for left in range(0, plane.shape[1], BLOCK):
                rows, columns = (slice(max(0, start - MARGIN), start + BLOCK + MARGIN) for start in (top, left))
                block = self._filtered(plane[rows, columns])
                result[top : top + BLOCK, left : left + BLOCK] = block[top - rows.start :, left - columns.start :][:BLOCK, :BLOCK]
        return result

    def _filtered(self, plane: np.ndarray) -> np.ndarray:
        response, squared = _response(plane.shape, self.width)
        spectrum = scipy.fft.dctn(np.asarray(plane, np.float32), norm="ortho", overwrite_x=False)
        spectrum *= self._factors(response, squared)
        return np.asarray(scipy.fft.idctn(spectrum, norm="ortho", overwrite_x=True), np.float32)

    def _factors(self, response: np.ndarray, squared: np.ndarray) -> np.ndarray:
        return np.asarray(response / (response * response + np.float32(self.ratio) * squared))


def wiener(plane: np.ndarray, width: float, noise: float) -> WienerFilter:
    """The filter for a plane that a Gaussian blurred.

    Args:
        plane: (H, W) float32, any range.
        width: standard deviation of the blur in pixels.
        noise: standard deviation of the noise, in units of the plane.

    Returns:
        The filter; one that changes nothing where no signal exceeds the noise.
    """
    middle = plane[tuple(slice(max(0, (side - BLOCK) // 2), max(0, (side - BLOCK) // 2) + BLOCK) for side in plane.shape)]
    signal = _signal(middle, width, noise) if width > 0 else 0.0
    return WienerFilter(width, CAUTION * noise**2 / signal) if signal > 0 else WienerFilter(0.0, 0.0)


@dataclass(frozen=True)
class Inversion:
    """What a filter made of a blurred plane, and the condition of the network after it.

    Attributes:
        blurred: (H, W) float32.
        filter: the filter.
        noise: standard deviation of the noise of `blurred`, in its units.
        sharper: (H, W) float32, the filter's result.
    """

    blurred: np.ndarray
    filter: WienerFilter
    noise: float
    sharper: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sharper", self.filter(self.blurred))

    def condition(self, rows: slice, columns: slice) -> np.ndarray:
        """(h, w, 3) float32 of a region: what the filter took away, the noise that it left, and the noise times the blur's width.

        All are in units of the plane, the last two times `NOISE_SCALE`, so that a homogeneous network scales with the picture.
        """
        taken = self.blurred[rows, columns] - self.sharper[rows, columns]
        levels = (NOISE_SCALE * self.noise * self.filter.gain, NOISE_SCALE * self.noise * self.filter.width)
        return np.stack([taken, *(np.full_like(taken, level) for level in levels)], axis=2)


def _signal(plane: np.ndarray, width: float, noise: float) -> float:
    """The power of the sharp picture's coefficients times the square of their frequency, 0 where none can be measured."""
    response, squared = _response(plane.shape, width)
    fine = FINE / width
    band = (squared > min(COARSE, fine / 2) ** 2) & (squared < fine**2)  # wide blur leaves coarse detail alone
    if not band.any():
        return 0.0
    power = scipy.fft.dctn(np.asarray(plane, np.float32), norm="ortho")[band] ** 2
    return float(np.mean(np.maximum(power - noise**2, 0) / response[band] ** 2 * squared[band]))


def _response(shape: tuple[int, ...], width: float) -> tuple[np.ndarray, np.ndarray]:
    """The blur's factor for each coefficient, (H, W) float32, at least 1e-6; and the square of its frequency in cycles a pixel."""
    down, across = ((np.arange(side) / (2 * side)) ** 2 for side in shape)
    squared = np.asarray(down[:, None] + across[None], np.float32)
    return np.maximum(np.exp(np.float32(-2 * (np.pi * width) ** 2) * squared), np.float32(1e-6)), squared
