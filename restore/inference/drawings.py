"""Tells text, line art and dithered pictures from noisy ones: strokes on flat paper look like strong noise to an estimate of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.inference.uniform_borders import is_still

FEW_VALUES, SAMPLE = 2, 100_000
"""Different values of a picture of one bit (of three photons at most a picture has four); samples that are looked at first."""
LOUD = 10.0
"""Sigma of 255 above which noise may be strokes."""
PAPER = 0.02
"""Fraction of pixels that equal all their neighbours; none do in noise of that sigma."""
HEAVY = 0.3
"""Median^2 / mean square of the highest frequencies: 0.44 to 0.48 for noise, of photons too and clipped; 0.09 to 0.22 for strokes."""


def has_few_values(picture: np.ndarray) -> bool:
    """Whether each channel of (H, W, C) has so few different values that it was made with them: text, line art or dithering of one bit."""
    step = max(1, picture.shape[0] * picture.shape[1] // SAMPLE)
    channels = picture.reshape(-1, picture.shape[2]).T
    return all(len(np.unique(one[::step])) <= FEW_VALUES for one in channels) and all(len(np.unique(one)) <= FEW_VALUES for one in channels)


def is_drawn(picture: np.ndarray, groups: Sequence[np.ndarray]) -> bool:
    """Whether what looks like strong noise are strokes: on flat paper, and far from normally distributed, as noise never is.

    Args:
        picture: (H, W, C).
        groups: the coefficients (n, K) of the highest frequencies in the flattest blocks of each brightness.
    """
    paper = float(is_still(np.ascontiguousarray(picture[:, :, 0])).mean())
    tails = [float(np.median(np.abs(group)) ** 2 / max(np.square(group).mean(), 1e-30)) for group in groups]
    return paper > PAPER and float(np.median(tails)) < HEAVY
