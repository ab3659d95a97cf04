"""Tells text, line art and dithered pictures from noisy ones: strokes on flat paper look like strong noise to an estimate of it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from restore.inference.noise_blocks import tail
from restore.inference.uniform_borders import STROKES, is_still

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
MUCH_PAPER, SOLID, LEAST_INK = 0.25, 0.03, 0.005
"""Of a page: fraction of paper at least, of solid areas at most, of ink at least. 17 gray pages and drawings have 0.58 to 0.84 paper and
nothing solid. Of 51 X-rays, as they are, inverted, with letters, and tilted within white paper, those with as much have 0.18 solid at
least, but for a fluoroscopy with 0.05."""
NEAR, INK = 0.02, 0.1
"""Difference from the paper up to which a pixel is paper, which JPEG changes a little, and from which it is ink, not blur or ringing."""
DARKEST = 0.97
"""Quantile of the differences that is their unit: letters burned into a dim radiograph are brighter."""
PAGE_SIDE = 400
"""Shorter side to which larger pages are reduced: enlarged strokes are as wide as small areas."""


def has_few_values(picture: np.ndarray) -> bool:
    """Whether each channel of (H, W, C) has so few different values that it was made with them: text, line art or dithering of one bit."""
    step = max(1, picture.shape[0] * picture.shape[1] // SAMPLE)
    channels = picture.reshape(-1, picture.shape[2]).T
    return all(len(np.unique(one[::step])) <= FEW_VALUES for one in channels) and all(len(np.unique(one)) <= FEW_VALUES for one in channels)


def has_paper(picture: np.ndarray) -> bool:
    """Whether many pixels of (H, W, C) equal all their neighbours."""
    return float(is_still(np.ascontiguousarray(picture[:, :, 0])).mean()) > PAPER


def is_page(picture: np.ndarray) -> bool:
    """Whether a gray picture (H, W, 1), without its mat, is paper of one value with thin strokes: text or line art, white on black too.

    A radiograph within paper, or in a wide black field, is a solid area.
    """
    reduction = max(1, min(picture.shape[:2]) // PAGE_SIDE)
    gray = np.ascontiguousarray(picture[:, :, 0])
    if reduction > 1:
        gray = cv2.resize(gray, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
    still = is_still(gray) > 0
    values, counts = np.unique(np.rint(255 * gray[still]), return_counts=True)
    if not len(values):
        return False
    apart = np.abs(gray - values[counts.argmax()] / 255)
    unit = float(np.quantile(apart, DARKEST))
    if (apart <= max(NEAR * unit, 0.5 / 255)).mean() < MUCH_PAPER:
        return False
    ink = (apart > INK * unit) & ~still
    solid = cv2.erode(ink.astype(np.uint8), STROKES, borderValue=0)
    return bool(ink.mean() > LEAST_INK and solid.mean() < SOLID)


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
