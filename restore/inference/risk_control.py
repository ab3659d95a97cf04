"""Conformal risk control: the factor that makes a bound hold for a stated share of pixels.

Angelopoulos, Bates, Fisch, Lei and Schuster 2022, "Conformal risk control" (arXiv 2208.02814), theorem 1, for a loss that is at most 1 and
falls with the factor. The loss of one picture is the share of its pixels whose absolute error exceeds the factor times the bound. Pixels of
one picture depend on each other, so the sample size is the number of pictures. For a new picture that is exchangeable with the calibration
pictures, the expected loss is at most alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ALPHA = 0.1
"""The share of pixels that may exceed the bound."""


def fewest_pictures(alpha: float = ALPHA) -> int:
    """The fewest calibration pictures for which a factor exists."""
    return int(np.ceil(round(1 / alpha - 1, 9)))


def smallest_factor(ratios: Sequence[np.ndarray], alpha: float = ALPHA) -> float:
    """The smallest factor with N / (N + 1) R + 1 / (N + 1) <= alpha, where R is the mean loss of N pictures.

    Args:
        ratios: for each picture, the absolute errors of its pixels divided by the bound, (pixels,) each.
        alpha: the allowed risk, 0..1.

    Raises:
        ValueError: there are too few pictures, or one without pixels.
    """
    count = len(ratios)
    if count < fewest_pictures(alpha):
        raise ValueError(f"{count} calibration pictures are too few for a risk of {alpha:g}: at least {fewest_pictures(alpha)} are needed")
    if not all(len(ratio) for ratio in ratios):
        raise ValueError("a calibration picture has no pixels")
    allowed = (alpha * (count + 1) - 1) / count
    values = np.concatenate(ratios)
    weights = np.concatenate([np.full(len(ratio), 1 / (count * len(ratio))) for ratio in ratios])
    order = np.argsort(-values, kind="stable")
    values, above = values[order], np.cumsum(weights[order])
    # the mean loss at values[i] is the weight of all larger values; equal values do not exceed it
    first = np.searchsorted(-values, -values, side="left")
    loss = np.where(first > 0, above[first - 1], 0.0)
    return float(values[np.flatnonzero(loss <= allowed + 1e-12)[-1]])


def mean_loss(ratios: Sequence[np.ndarray], factor: float) -> float:
    """The mean over pictures of the share of pixels whose ratio exceeds the factor."""
    return float(np.mean([np.mean(ratio > factor) for ratio in ratios]))
