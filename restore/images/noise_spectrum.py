"""The spectrum of noise that is correlated between pixels, and random fields that have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDE = 32
"""Side in pixels of the windows whose spectrum is measured; correlation farther than that is not seen."""


@dataclass(frozen=True, eq=False)
class NoiseSpectrum:
    """Noise power by frequency, in units of that of white noise of the measured noise level, which is that of the finest detail.

    Attributes:
        power: (SIDE, SIDE), as `numpy.fft.fft2` orders frequencies; symmetric, because the noise is real.
    """

    power: np.ndarray

    @property
    def variance(self) -> float:
        """The variance of a pixel in units of that of the measured level."""
        return float(self.power.mean())

    @property
    def white(self) -> bool:
        """Whether all frequencies have the same power."""
        return bool((self.power == 1).all())

    def field(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw noise.

        Args:
            shape: (H, W, C).
            rng: the source of randomness.

        Returns:
            The same shape, float32, of variance `variance`, independent in the channels.
        """
        values = rng.standard_normal(shape, dtype=np.float32)
        if self.white:
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
