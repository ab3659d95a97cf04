"""Finds out whether pictures count single photons: their values lie on steps as large as the noise's slope says a photon is.

For photon counts of gain a the variance is a x and the values are multiples of a. Readout noise of standard deviation r blurs the steps:
the mean of exp(2 pi i x / a), the characteristic function at the steps' frequency, is exp(-2 (pi r / a)^2) instead of 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.images.noise_model import PhotonSteps
from restore.inference.noise_estimate import Estimate

RATIOS = (0.8, 1.25)
"""Range of a photon's step relative to the median slope of the noise."""
DISTINCT = 0.5
"""Least absolute mean of exp(2 pi i x / a): readout noise of a fifth of a step."""
VALUES = 4096
"""Pixels that are looked at, evenly spread over a picture."""
MANY = 100.0
"""Photons above which counts are as good as Gaussian, and the steps are below the uncertainty of the slope."""
LEAST_SPREAD = 0.6
"""Standard deviation of the pixels in steps; less always looks like one step."""


def photon_steps(pictures: Sequence[np.ndarray], estimates: Sequence[Estimate]) -> PhotonSteps | None:
    """The steps that some pictures have in common.

    Args:
        pictures: (H, W, C) float32 each.
        estimates: the noise of each.

    Returns:
        None where single photons cannot be distinguished: the noise has another cause, there are too many photons, or the readout noise
        hides the steps.
    """
    levels = [one.level for one in estimates if one.level.slope > 0]
    if 2 * len(levels) <= len(estimates):
        return None
    slope = float(np.median([one.slope for one in levels]))
    dark = float(np.median([one.black - one.constant / one.slope for one in levels]))
    values = np.concatenate([one.reshape(-1)[:: max(1, one.size // VALUES)] for one in pictures]).astype(np.float64)
    values = values[:: max(1, len(values) // (4 * VALUES))]
    extent = max(float(np.quantile(values, 0.95)) - dark, slope) / slope
    if extent > MANY or values.std() < LEAST_SPREAD * slope:
        return None
    steps = slope * np.geomspace(*RATIOS, int(24 * extent))
    best = steps[int(np.argmax([_regular(values, step) for step in steps]))]
    steps = best * np.linspace(1 - 0.05 / extent, 1 + 0.05 / extent, 41)
    step = float(steps[int(np.argmax([_regular(values, step) for step in steps]))])
    if _regular(values, step) < DISTINCT:
        return None
    phase = float(np.angle(np.exp(2j * np.pi / step * values).mean())) / (2 * np.pi)
    lowest = min(dark, float(np.quantile(values, 0.001)))
    return PhotonSteps(step, float((np.rint(lowest / step - phase) + phase) * step))


def _regular(values: np.ndarray, step: float) -> float:
    """The absolute mean of exp(2 pi i x / step): 1 for multiples of the step, 0 for a continuum."""
    return float(np.abs(np.exp(2j * np.pi / step * values).mean()))
