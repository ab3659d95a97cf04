"""The weight with which one result goes over into another, chosen for each picture by Stein's unbiased risk estimate.

With a result f, another g and d = g - f, the expected squared error of f + w d is a parabola in w, least at

    w = (mean (y - f) d - mean v b (d(y + eps b) - d(y)) / eps) / mean d^2

with the noisy picture y, the noise's variance v and one random probe b; see `sure`. The probe's answer is noisy, so the weight is drawn
to that of most pictures as far as its own standard error says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from restore.images.noise_model import NoiseLevel
from restore.inference.sure import STEP

SIDE, REGIONS = 192, 2
"""The weight comes from REGIONS x REGIONS evenly spread regions of SIDE pixels; a smaller picture is used whole."""
CELL = 64
"""Side of the cells whose spread gives the weight's standard error."""
HIGHEST = 1.0

Pair = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""A noisy picture (H, W, C) -> a result, and another result minus it in float64."""


@dataclass(frozen=True)
class Prior:
    """The best weights of pictures: their mean and standard deviation.

    Attributes:
        optimism: by how much the risk estimate finds the weight too high on average, where the other result depends on the noise in a way
            that the probe does not see.
    """

    mean: float
    deviation: float
    optimism: float = 0.0


@dataclass(frozen=True)
class Weight:
    """The weight of the other result.

    Attributes:
        value: 0..HIGHEST.
        measured: by the risk estimate alone.
        deviation: its standard error.
    """

    value: float
    measured: float
    deviation: float


def measured_weight(
    pixels: np.ndarray, level: NoiseLevel, pair: Pair, prior: Prior, *, averaged: Pair | None = None, seed: int = 0
) -> Weight:  # fmt: skip
    """The weight that the risk estimate gives for a picture, drawn to the prior by its uncertainty.

    Args:
        pixels: (H, W, C) float32, the noisy picture.
        level: its noise; white.
        pair: what makes both results, in float32.
        prior: of weights like this one.
        averaged: makes the results whose weight is asked, where they are averages over a self-ensemble and `pair` is one run of it.
            A probe's answer is on average the same for both.
        seed: of the probe.
    """
    rng = np.random.default_rng(seed)
    gains, squares, low, high = [], [], pixels.min(), pixels.max()
    for region in _regions(*pixels.shape[:2]):
        picture = np.ascontiguousarray(pixels[region])
        signs = rng.choice(np.array([-1, 1], np.float32), picture.shape)
        step = np.float32(STEP) * level.map(picture)
        before, distance = pair(picture)
        _, moved = pair(picture + step * signs)
        divergence = level.variance(picture.astype(np.float64)) * signs * (moved - distance) / np.maximum(step, 1e-12)
        if averaged is not None:
            before, distance = averaged(picture)
        inside = (picture > low) & (picture < high)  # clipped noise is not what the estimate assumes
        gains += _cells(inside * ((picture - before) * distance - divergence))
        squares += _cells(inside * np.square(distance))
    return _weight(np.array(gains), np.array(squares), prior)


def _weight(gain: np.ndarray, square: np.ndarray, prior: Prior) -> Weight:
    """The weight from sums over cells: of the gain by the distance, and of the distance's square."""
    total = float(square.sum())
    if not total > 0:
        return Weight(0.0, 0.0, 0.0)
    measured = float(gain.sum()) / total
    count = len(gain)
    # a ratio's standard error from the spread over cells (Cochran 1977, "Sampling techniques", eq. 6.13)
    deviation = float(np.sqrt(np.square(gain - measured * square).sum() * count / max(1, count - 1))) / total if count > 3 else np.inf
    trust = prior.deviation**2 / (prior.deviation**2 + deviation**2)
    value = prior.mean + trust * (measured - prior.optimism - prior.mean)
    return Weight(float(np.clip(value, 0, HIGHEST)), measured, deviation)


def _cells(values: np.ndarray) -> list[float]:
    """Sums over cells of CELL pixels; the last ones may be smaller."""
    height, width = values.shape[:2]
    starts = [np.arange(0, max(1, length - CELL // 2), CELL) for length in (height, width)]
    return list(np.add.reduceat(np.add.reduceat(values.sum(axis=2), starts[0], 0), starts[1], 1).ravel())


def _regions(height: int, width: int) -> list[tuple[slice, slice]]:
    return [(rows, columns) for rows in _spans(height) for columns in _spans(width)]


def _spans(length: int) -> list[slice]:
    if length <= REGIONS * SIDE:
        return [slice(0, length)]
    return [slice(int(start), int(start) + SIDE) for start in np.linspace(0, length - SIDE, REGIONS)]
