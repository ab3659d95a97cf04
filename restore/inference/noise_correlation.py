"""Measures how noise is correlated between pixels: its spectrum in the flattest windows of pictures.

Welch 1967, "The use of fast Fourier transform for the estimation of power spectra": periodograms of tapered windows are averaged. The
windows with the least power count, since texture only adds power.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.images.noise_model import NoiseLevel
from restore.images.noise_spectrum import SIDE, WHITE, NoiseSpectrum
from restore.inference.noise_estimate import CORRELATED, Estimate

QUIET, SLACK = 0.1, 1.4
"""A window is flat if its power is at most SLACK times the quantile QUIET of its picture."""
FEWEST = 12
"""Windows below which the spectrum is not known."""
STEP = SIDE // 2
TREND = 1.6 / SIDE
"""Cycles per pixel up to which a window's own trend hides the noise."""
LINES = 1.5
"""Ratio of the power along an axis to that beside it above which there is line noise."""
HIGH = 0.15
"""Cycles per pixel from which that ratio is taken: content has little power there."""
_FREQUENCY = np.abs(np.fft.fftfreq(SIDE))
_TAPER = np.outer(*(2 * [np.hanning(SIDE + 2)[1:-1]]))


def measured_spectrum(pictures: Sequence[np.ndarray], estimates: Sequence[Estimate]) -> NoiseSpectrum | None:
    """The spectrum that the noise of some pictures has in common.

    Args:
        pictures: (H, W, C) float32 each.
        estimates: the noise of each.

    Returns:
        WHITE where it is not correlated: most estimates say so, and there is no line noise. None where it is not known: texture and
        correlated noise cannot be distinguished in most pictures, or the noise is correlated and there are too few flat windows.
    """
    if 2 * sum(one.colour > CORRELATED and not one.correlated for one in estimates) > len(estimates):
        return None
    correlated = 2 * sum(estimate.correlated for estimate in estimates) > len(estimates)
    periodograms = np.concatenate([_periodograms(picture, one.level) for picture, one in zip(pictures, estimates, strict=True)])
    if len(periodograms) < FEWEST:
        return None if correlated else WHITE
    power = periodograms.mean(axis=0)
    power = (power + _mirrored(power)) / 2
    if correlated:
        return NoiseSpectrum(_without_trend(power))
    lines = (_line_variance(power, 0), _line_variance(power, 1))
    return NoiseSpectrum(np.ones_like(power), lines) if any(lines) else WHITE


def _line_variance(power: np.ndarray, axis: int) -> float:
    """The variance of the offsets of whole rows (axis 0) or columns (1), in units of the level; 0 where there is no line noise.

    Offsets put power at the frequency 0 along the lines alone: their variance times (sum of the taper)^2 / (sum of its squares). It
    is measured at high frequencies across the lines and holds for all, because lines have offsets independent of each other.
    """
    profile = power if axis == 0 else power.T
    high = _FREQUENCY >= HIGH
    beside = float(np.median(profile[high][:, high]))
    along = float(profile[high, 0].mean())
    taper = np.hanning(SIDE + 2)[1:-1]
    return max(0.0, along - beside) * float(np.square(taper).sum() / taper.sum() ** 2) if along > LINES * beside else 0.0


def _periodograms(picture: np.ndarray, level: NoiseLevel) -> np.ndarray:
    """(N, SIDE, SIDE): of a picture's flattest windows, in units of the level."""
    chosen = []
    for channel in range(picture.shape[2]):
        if min(picture.shape[:2]) < SIDE or not level.sigma() > 0:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(picture[:, :, channel], (SIDE, SIDE))[::STEP, ::STEP].reshape(-1, SIDE, SIDE)
        windows = windows[(windows.std(axis=(1, 2)) > 0)].astype(np.float64)
        if not len(windows):
            continue
        mean = windows.mean(axis=(1, 2), keepdims=True)
        variance = np.maximum(level.variance(mean), 1e-30)
        spectra = np.square(np.abs(np.fft.fft2((windows - mean) * _TAPER))) / (variance * np.square(_TAPER).sum())
        energy = spectra.mean(axis=(1, 2))
        chosen.append(spectra[energy <= SLACK * np.quantile(energy, QUIET)])
    return np.concatenate(chosen) if chosen else np.zeros((0, SIDE, SIDE))


def _mirrored(power: np.ndarray) -> np.ndarray:
    """The power at the negative vertical frequencies: noise of detectors has no slant, and the mean of both is steadier."""
    return np.roll(power[::-1], 1, axis=0)


def _without_trend(power: np.ndarray) -> np.ndarray:
    """Replace the lowest frequencies, where content hides the noise, by the least of those next to them."""
    low = np.hypot(_FREQUENCY[:, None], _FREQUENCY) <= TREND
    ring = (np.hypot(_FREQUENCY[:, None], _FREQUENCY) <= 2 * TREND) & ~low
    result = power.copy()
    result[low] = np.minimum(result[low], np.quantile(power[ring], 0.5))
    return result
