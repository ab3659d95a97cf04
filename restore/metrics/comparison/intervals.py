"""Confidence intervals of means over pictures, by the paired bootstrap (Efron 1979, percentile intervals)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RESAMPLES, SEED, LEVEL = 10_000, 0, 0.95
METHOD = f"percentiles of {RESAMPLES:,} bootstrap means; pictures are drawn for all contenders together (paired), seed {SEED}"
_CHUNK = 2_000_000
"""Indices that are drawn at once, which bounds the memory to some 50 MB for three contenders."""


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; `low` and `high` are None for fewer than two pictures."""

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def intervals(scores: np.ndarray, *, resamples: int = RESAMPLES, seed: int = SEED) -> tuple[list[Interval], list[Interval]]:
    """The mean of each contender, and of each contender's difference to the first one.

    Pictures are drawn with replacement. One draw holds for all contenders, so the differences are paired.

    Args:
        scores: (N, K) finite: N pictures, K contenders; N at least 1.
        resamples: number of bootstrap samples.
        seed: of the draws; the same scores give the same intervals.

    Returns:
        K intervals of the means and K of the differences (the first is 0).
    """
    differences = scores - scores[:, :1]
    columns = np.concatenate([scores, differences], axis=1)
    means = columns.mean(axis=0)
    count, contenders = scores.shape
    if count < 2:
        found = [Interval(float(mean)) for mean in means]
    else:
        tail = 50 * (1 - LEVEL)
        low, high = np.percentile(_means(columns, resamples, seed), (tail, 100 - tail), axis=0)
        found = [Interval(*map(float, three)) for three in zip(means, low, high, strict=True)]
    return found[:contenders], found[contenders:]


def _means(columns: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """(N, C) -> (resamples, C): the means of samples of N rows, drawn with replacement."""
    generator = np.random.default_rng(seed)
    count = len(columns)
    rows = max(1, _CHUNK // count)
    parts = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(count, size=(min(rows, resamples - start), count))
        parts.append(np.stack([column[drawn].mean(axis=1) for column in columns.T], axis=1))
    return np.concatenate(parts)
