"""The noise model of a picture: variance a x + b at brightness x, and the noise map that a network takes.

Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data": photon counting gives the
part that grows with the signal, readout the constant part. Plain Gaussian noise is a = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft

BLOCK = 8
ORDER = np.add.outer(np.arange(BLOCK), np.arange(BLOCK))
HIGH = ORDER >= 6
_ROWS = scipy.fft.dct(np.eye(BLOCK), axis=0, norm="ortho")
BASIS = np.ascontiguousarray(np.kron(_ROWS, _ROWS).T, np.float32)
"""(64, 64): a block's pixels as a row, times this, are its coefficients as a row."""
FINE = 4096
"""Entries of a table of variances."""
SMOOTHING = 2.0  # px; the brightness that sets the variance is read off the noisy picture, smoothed by this much


@dataclass(frozen=True)
class NoiseLevel:
    """Noise of variance `slope` * max(x - `black`, 0) + `constant` at brightness x, in units of a picture in nominal [0, 1]; or of a curve.

    Attributes:
        slope: variance gained per unit of brightness; 1 / slope is the photon count at white.
        constant: variance in the dark.
        black: the brightness at which there is no light: 0, but for pictures with an offset or negative values.
        curve: (brightness, variance) of ascending brightness, between which the variance is interpolated; empty for the line. With a curve
            `slope` is 0 and `constant` the largest variance.
    """

    slope: float = 0.0
    constant: float = 0.0
    black: float = 0.0
    curve: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not (self.slope >= 0 and self.constant >= 0):
            raise ValueError(f"a noise level cannot be negative: slope {self.slope}, constant {self.constant}")

    @classmethod
    def gaussian(cls, sigma: float) -> NoiseLevel:
        """White Gaussian noise of standard deviation `sigma` on the 0..255 scale."""
        return cls(0.0, (sigma / 255) ** 2)

    @classmethod
    def of(cls, noise: np.ndarray) -> NoiseLevel:
        """The level that the blind estimate would measure on a noise field (H, W, C), in picture units: of its finest detail only.

        For white noise that is its standard deviation; for correlated noise it is less.
        """
        if min(noise.shape[:2]) < BLOCK:  # without a block, the standard deviation itself
            return cls(0.0, float(noise.var()))
        height, width = (length // BLOCK * BLOCK for length in noise.shape[:2])
        cells = noise[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, -1)
        return cls(0.0, fine_variance(dct(cells.transpose(0, 2, 4, 1, 3).reshape(-1, BLOCK, BLOCK))))

    @property
    def even(self) -> bool:
        """Whether it does not depend on brightness."""
        return self.slope == 0 and not self.curve

    def sigma(self, brightness: float = 0.5) -> float:
        """Standard deviation at `brightness` (0..1), on the 0..255 scale."""
        return 255 * float(np.sqrt(self.variance(np.float64(brightness))))

    def variance(self, brightness: np.ndarray | np.floating) -> np.ndarray:
        """Variance at each brightness of an array of any shape."""
        if self.curve:
            return self._of_curve(brightness)
        return np.asarray(self.slope * np.clip(brightness - self.black, 0, None) + self.constant)

    def _of_curve(self, brightness: np.ndarray | np.floating) -> np.ndarray:
        """The variances of a curve; of many values from a fine table, for to interpolate each takes seven times as long."""
        levels, variances = np.array(self.curve).T
        if np.size(brightness) <= FINE:
            return np.asarray(np.interp(brightness, levels, variances), brightness.dtype)
        low, span = levels[0], max(float(levels[-1] - levels[0]), 1e-12)
        table = np.interp(low + np.linspace(0, span, FINE), levels, variances).astype(brightness.dtype)
        places = np.clip((brightness - low) * ((FINE - 1) / span), 0, FINE - 1)
        return np.asarray(table[np.rint(places).astype(np.int32)])

    def map(self, noisy: np.ndarray) -> np.ndarray:
        """Standard deviation at each pixel of a noisy picture.

        Args:
            noisy: (H, W, C) float32, nominal [0, 1].

        Returns:
            (H, W, 1) float32 in the picture's units. A clean picture is never needed, so training and use see the same map.
        """
        if self.even:
            return np.full((*noisy.shape[:2], 1), np.sqrt(self.constant), np.float32)
        brightness = noisy[:, :, 0] if noisy.shape[2] == 1 else noisy.mean(axis=2)
        smooth = cv2.GaussianBlur(brightness, (0, 0), SMOOTHING, borderType=cv2.BORDER_REFLECT)
        if self.curve:
            return np.asarray(np.sqrt(self.variance(smooth)), np.float32)[:, :, None]
        variance = np.float32(self.slope) * np.clip(smooth - np.float32(self.black), 0, None) + np.float32(self.constant)
        return np.asarray(np.sqrt(variance, out=variance)[:, :, None])

    def scaled(self, factor: float) -> NoiseLevel:
        """The level whose standard deviation is `factor` times this one's."""
        curve = tuple((x, variance * factor**2) for x, variance in self.curve)
        return NoiseLevel(self.slope * factor**2, self.constant * factor**2, self.black, curve)

    def within(self, offset: float, span: float) -> NoiseLevel:
        """The level of the same noise where a value x is (x - `offset`) / `span`."""
        curve = tuple(((x - offset) / span, variance / span**2) for x, variance in self.curve)
        return NoiseLevel(self.slope / span, self.constant / span**2, (self.black - offset) / span, curve)

    def __str__(self) -> str:
        if self.even:
            return f"sigma {self.sigma():.1f} of 255"
        return f"sigma {self.sigma(0.1):.1f} in the dark to {self.sigma(0.9):.1f} in the light, of 255"


@dataclass(frozen=True)
class PhotonSteps:
    """Pixels of `zero` + `step` times the number of photons, as a detector that counts them writes.

    Attributes:
        step: brightness of a photon.
        zero: brightness without light.
    """

    step: float
    zero: float = 0.0


def dct(blocks: np.ndarray) -> np.ndarray:
    """(N, 8, 8) pixels -> (N, 8, 8) float32 coefficients of the orthonormal DCT."""
    side = BLOCK * BLOCK
    pixels = np.ascontiguousarray(blocks, np.float32).reshape(-1, side)
    whole = len(pixels) // side * side
    # three times as quick as fast transforms of so short rows; in small products, since large ones have BLAS start threads that go on
    # spinning for a tenth of a second, while a network runs
    coefficients = np.empty_like(pixels)
    np.matmul(pixels[:whole].reshape(-1, side, side), BASIS, out=coefficients[:whole].reshape(-1, side, side))
    np.matmul(pixels[whole:], BASIS, out=coefficients[whole:])
    return coefficients.reshape(-1, BLOCK, BLOCK)


def fine_variance(coefficients: np.ndarray) -> float:
    """The noise variance that the high frequencies of (N, 8, 8) flat DCT blocks show; 0 without blocks."""
    return float(np.median(np.square(coefficients[:, HIGH]).mean(axis=0))) if len(coefficients) else 0.0
