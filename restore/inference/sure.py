"""Monte-Carlo SURE: a denoised picture's expected PSNR, without the clean picture.

Stein's unbiased risk estimate with the divergence from one random probe (Ramani, Blu and Unser 2008, "Monte-Carlo SURE", eq. 11 to 14):

    MSE = mean (y - f(y))^2 - mean v + 2 mean(v b (f(y + eps b) - f(y)) / eps)

with the noise's variance v at each pixel, a probe b of random signs, and a step eps in proportion to the noise of each pixel. For
signal-dependent noise v = slope x + constant this is the first-order form for Poisson-Gaussian noise (Le Montagner et al. 2014, "An
unbiased risk estimator for image denoising in the presence of mixed Poisson-Gaussian noise"). It holds for white noise of a known level.
So there is no estimate for correlated noise, and none where many pixels are clipped. The probe's step is a fiftieth of the noise, so the
network runs in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from restore.images.noise_model import NoiseLevel

STEP = 0.02
"""The probe's step in units of the noise. At 0.3 the estimate is 1.2 dB off."""
SIDE, REGIONS = 192, 3
"""The divergence comes from at most REGIONS x REGIONS regions of SIDE pixels, evenly spread; a smaller picture runs whole."""
CLIPPED = 0.01
"""Fraction of pixels with the picture's darkest or brightest value above which clipping biases the estimate."""
CORRELATED = "no PSNR is expected by SURE for correlated noise: it holds for white noise only"
TRIMMED = "no PSNR is expected by SURE where noise is clipped: {fraction:.0%} of the pixels have the darkest or the brightest value"
LARGEST_UNCERTAINTY = 0.75
"""In dB, one standard deviation: an estimate that is less certain is withheld."""
ESTIMATED = 0.02
"""Relative uncertainty of the variance of an estimated noise level: its deviation on X-rays; on textured photographs it is more."""
VAGUE = "no PSNR is expected by SURE: the noise removed is known too coarsely for so clean a result"
TOO_LOW = "no PSNR is expected by SURE: the removed noise is smaller than the noise level, so the level is too high"

Denoise = Callable[[np.ndarray], np.ndarray]
"""Denoises (H, W, C) float32 at a fixed noise level, in float32."""


@dataclass(frozen=True)
class ExpectedQuality:
    """What SURE says of a result.

    Attributes:
        psnr: expected PSNR in dB of the denoised pixels, white being 1; None where the estimate does not hold.
        doubt: why there is none, as one sentence; "" where there is one.
        uncertainty: of `psnr` in dB, one standard deviation: chance, and the uncertainty of the noise level.
    """

    psnr: float | None
    doubt: str = ""
    uncertainty: float | None = None


def expected_psnr(
    pixels: np.ndarray, restored: np.ndarray, level: NoiseLevel, denoise: Denoise, *, correlated: bool, uncertainty: float = 0.0
) -> ExpectedQuality:  # fmt: skip
    """The expected PSNR of a denoised picture.

    Args:
        pixels: (H, W, C) float32, the noisy picture.
        restored: the same shape, its result; pixels that did not change are not counted.
        level: its noise.
        denoise: what made the result, at this level.
        correlated: whether the noise is known to be correlated between neighbouring pixels.
        uncertainty: relative uncertainty of the level's variance; 0 for a known level, ESTIMATED for an estimate.
    """
    if correlated:
        return ExpectedQuality(None, CORRELATED)
    changed = restored != pixels
    if not changed.any() or not level.sigma() > 0:
        return ExpectedQuality(None, TOO_LOW)
    fraction = clipped_fraction(pixels[changed], level)
    if fraction > CLIPPED:
        return ExpectedQuality(None, TRIMMED.format(fraction=fraction))
    residual = float(np.square(pixels[changed] - restored[changed], dtype=np.float64).mean())
    variance = float(level.variance(pixels[changed].astype(np.float64)).mean())
    divergence, chance = _divergence(pixels, level, denoise)
    error = residual - variance + 2 * divergence
    # the mean of n squared normal values of variance v has the standard deviation v sqrt(2 / n)
    deviation = np.hypot(variance * np.hypot(uncertainty, np.sqrt(2 / np.count_nonzero(changed))), 2 * chance)
    if error <= -3 * deviation:
        return ExpectedQuality(None, TOO_LOW)
    within = float(10 * np.log10(1 + deviation / error)) if error > 0 else np.inf
    if within > LARGEST_UNCERTAINTY:
        return ExpectedQuality(None, VAGUE)
    return ExpectedQuality(float(-10 * np.log10(error)), uncertainty=within)


def clipped_fraction(values: np.ndarray, level: NoiseLevel) -> float:
    """The fraction of values at either end of their range. Photon counts of zero are not clipped."""
    low, high = values.min(), values.max()
    dark = 0.0 if level.constant < level.slope / 4 and low == 0 else float((values == low).mean())
    return max(dark, float((values == high).mean()))


def _divergence(pixels: np.ndarray, level: NoiseLevel, denoise: Denoise) -> tuple[float, float]:
    """The mean over the changed pixels of v b (f(y + eps b) - f(y)) / eps, and its standard error."""
    rng = np.random.default_rng(0)
    total, square, count = 0.0, 0.0, 0
    for rows, columns in regions(*pixels.shape[:2]):
        picture = np.ascontiguousarray(pixels[rows, columns])
        signs = rng.choice(np.array([-1, 1], np.float32), picture.shape)
        step = np.float32(STEP) * level.map(picture)
        before = denoise(picture)
        after = denoise(picture + step * signs)
        changed = before != picture
        variance = level.variance(picture.astype(np.float64))
        terms = (variance * signs * (after.astype(np.float64) - before) / np.maximum(step, 1e-12))[changed]
        total, square, count = total + float(terms.sum()), square + float(np.square(terms).sum()), count + terms.size
    count = max(1, count)
    return total / count, float(np.sqrt(max(square / count - (total / count) ** 2, 0) / count))


def regions(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Evenly spread regions of a picture."""
    for rows in _spans(height):
        for columns in _spans(width):
            yield rows, columns


def _spans(length: int) -> list[slice]:
    if length <= REGIONS * SIDE:
        return [slice(0, length)]
    return [slice(int(start), int(start) + SIDE) for start in np.linspace(0, length - SIDE, REGIONS)]
