"""The spectrum of noise that is correlated between pixels, and random fields that have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDE = 32
"""Side in pixels of the windows whose spectrum is measured; correlation farther than that is not seen, but for whole lines."""


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Noise power by frequency, in units of that of white noise of the measured noise level, which is that of the finest detail.

    Attributes:
        power: (SIDE, SIDE), as `numpy.fft.fft2` orders frequencies; symmetric, because the noise is real.
        lines: variances of the offsets of whole rows and of whole columns, in the same units, in addition to `power`.
    """

    power: np.ndarray
    lines: tuple[float, float] = (0.0, 0.0)

    @property
    def variance(self) -> float:
        """The variance of a pixel in units of that of the measured level."""
        return float(self.power.mean()) + sum(self.lines)

    @property
    def white(self) -> bool:
        """Whether all frequencies have the same power."""
        return bool((self.power == 1).all()) and not any(self.lines)

    def field(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw noise.

        Args:
            shape: (H, W, C).
            rng: the source of randomness.

        Returns:
            The same shape, float32, of variance `variance`, independent in the channels.
        """
        values = self._without_lines(shape, rng)
        height, width, channels = shape
        for variance, line in zip(self.lines, ((height, 1, channels), (1, width, channels)), strict=True):
            if variance:
                values = values + np.float32(np.sqrt(variance)) * rng.standard_normal(line, dtype=np.float32)
        return values

    def _without_lines(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        values = rng.standard_normal(shape, dtype=np.float32)
        if (self.power == 1).all():
            return values
        height, width = shape[:2]
        # zero-padded kernel: the shape's own, finer grid of frequencies; rolled, so that negative shifts lie at the end
        kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(self.power)).real)
        padded = np.zeros((max(height, SIDE), max(width, SIDE)))
        padded[:SIDE, :SIDE] = kernel
        response = np.fft.rfft2(np.roll(padded, (-(SIDE // 2), -(SIDE // 2)), (0, 1)))
        large = values if padded.shape == shape[:2] else rng.standard_normal((*padded.shape, shape[2]), dtype=np.float32)
        planes = np.fft.irfft2(np.fft.rfft2(large, axes=(0, 1)) * response[:, :, None], padded.shape, axes=(0, 1))
        return np.asarray(planes[:height, :width], np.float32)


WHITE = NoiseSpectrum(np.ones((SIDE, SIDE)))
