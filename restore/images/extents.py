"""Ranges of values that a few hot or dead pixels do not stretch."""

from __future__ import annotations

import numpy as np

_MARKER = 1e30
"""Samples of this magnitude are markers of missing pixels, however many they are: they do not stretch the range."""
_FAR = 1.0
"""A pixel is hot or dead if it lies further outside the range of 99.8 % of the pixels than this many times that range."""


def extent_of(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest of some integers, without a few hot or dead pixels far from all others."""
    low, high = float(values.min()), float(values.max())
    flat = values.ravel()
    inner, outer = inner_range(flat[:: max(1, flat.size // 500_000)])
    reach = _FAR * max(outer - inner, 1.0)
    return low if inner - low <= reach else inner, high if high - outer <= reach else outer


def inner_range(sample: np.ndarray) -> tuple[float, float]:
    """The range of a sample without its lowest and highest thousandth, which are one value each at least."""
    aside = max(1, round(sample.size / 1000)) if sample.size > 16 else 0
    ordered = np.partition(sample.ravel(), (aside, sample.size - 1 - aside))
    return float(ordered[aside]), float(ordered[-1 - aside])


def is_measured(samples: np.ndarray, missing: float | None) -> np.ndarray:
    """Which samples are of a picture, bool: finite, and no marker of a missing pixel."""
    measured = np.isfinite(samples)
    if samples.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            measured &= np.abs(samples) < _MARKER
    return np.asarray(measured if missing is None else measured & (samples != missing))
