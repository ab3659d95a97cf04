"""Tells text, line art and dithered pictures from noisy ones: strokes on flat paper look like strong noise to an estimate of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.inference.noise_blocks import tail
from restore.inference.uniform_borders import is_still

FEW_VALUES, SAMPLE = 2, 100_000
"""Different values of a picture of one bit (of three photons at most a picture has four); samples that are looked at first."""
LOUD = 10.0
"""Sigma of 255 above which noise may be strokes."""
PAPER = 0.02
"""Fraction of pixels that equal all their neighbours; none do in noise of that sigma."""
COLOURS, HEAVY = (1.0, 2.4, 5.0, 10.0), (0.4, 0.41, 0.35, 0.28)
"""Median^2 / mean square of the highest frequencies below which they are strokes, by `Estimate.colour`. White noise has 0.44 to 0.48, of
photons too and clipped; noise that is blurred by 0.5 and 0.7 pixels has colours of 2.4 and 11 and 0.43 and 0.32. Antialiased text has
colours of 3 to 9 and 0.3 to 0.39, line art 9 and 0.24."""
STRONG, SOFT, STRONG_HEAVY = 20.0, 2.8, 0.41
"""Sigma of 255 and colour above which noise would be stronger than in almost any picture, and what is heavy then."""
NORMAL = 0.42
"""`noise_blocks.tail` above which the emptiest blocks hold noise and nothing else."""


def has_few_values(picture: np.ndarray) -> bool:
    """Whether each channel of (H, W, C) has so few different values that it was made with them: text, line art or dithering of one bit."""
    step = max(1, picture.shape[0] * picture.shape[1] // SAMPLE)
    channels = picture.reshape(-1, picture.shape[2]).T
    return all(len(np.unique(one[::step])) <= FEW_VALUES for one in channels) and all(len(np.unique(one)) <= FEW_VALUES for one in channels)


def has_paper(picture: np.ndarray) -> bool:
    """Whether many pixels of (H, W, C) equal all their neighbours."""
    return float(is_still(np.ascontiguousarray(picture[:, :, 0])).mean()) > PAPER


def are_strokes(groups: Sequence[np.ndarray], sigma: float, colour: float) -> bool:
    """Whether what looks like strong noise is far from normally distributed, as noise never is.

    Args:
        groups: the flattest blocks (n, 8, 8) of each brightness; one group at least.
        sigma: what the noise would be, on a scale where the picture's range is 255.
        colour: see `Estimate.colour`.
    """
    heavy = STRONG_HEAVY if is_too_strong(sigma, colour) else float(np.interp(colour, COLOURS, HEAVY))
    return sigma > LOUD and float(np.median([tail(group) for group in groups])) < heavy


def is_too_strong(sigma: float, colour: float) -> bool:
    """Whether noise would be stronger than in almost any picture: alike in neighbouring pixels, yet strong in its finest detail."""
    return sigma > STRONG and colour > SOFT
