"""Noise that falls with brightness: that of cameras, whose tone curve is steep in the dark and flat in the light."""

from __future__ import annotations

import numpy as np

from restore.images.noise_model import NoiseLevel
from restore.inference import noise_blocks

FALL = 1.5
"""Ratio of the darkest group's variance to the brightest one's from which noise is taken to fall."""
STRONGER = 1.3
"""Ratio to the quietest group's variance from which a group must look like noise."""
COLOUR, NORMAL = 2.0, 0.25
"""Most `noise_blocks.colour` and least `noise_blocks.tail` of such a group. White noise has 1 and 0.44 to 0.48, in a JPEG of quality 88
down to 0.3; texture has more colour."""
ALIKE = 0.12
"""Most difference of a group's tail to the largest: a JPEG changes those of all groups, strokes are in some of them."""
SHARE, FIT = 0.6, 1.4
"""Fraction of the groups whose variance is at most so many times the curve's: else bright groups are noisier than the middle ones."""
STEEP = 1.5
"""Most ratio of the darkest group's variance to the next one's: one group alone may be strokes."""
FEWEST = 3
"""Groups of noise that a curve takes at least."""


def curve(brightness: np.ndarray, variance: np.ndarray, groups: list[np.ndarray]) -> NoiseLevel | None:
    """The noise of brightness groups as a curve that falls; None if it does not, or if texture in the dark may be why.

    Groups of texture are left out. One that is noisier than a darker one has texture too: the curve is the largest falling one that no
    group lies below.

    Args:
        brightness, variance: (N,) of the groups.
        groups: the flattest blocks (n, 8, 8) of each.
    """
    strong = variance > STRONGER * variance.min()
    tails = np.array([noise_blocks.tail(group) for group in groups])
    noise = (tails > max(NORMAL, float(tails.max()) - ALIKE)) & np.array([noise_blocks.colour(group) < COLOUR for group in groups])
    order = [index for index in np.argsort(brightness, kind="stable") if noise[index] or not strong[index]]
    if (noise & strong).sum() < FEWEST:
        return None
    falling = np.minimum.accumulate(variance[order])
    if len(falling) > 1:
        falling[0] = min(falling[0], STEEP * falling[1])
    if falling[-1] <= 0 or falling[0] < FALL * falling[-1]:
        return None
    if np.quantile(variance / np.interp(brightness, brightness[order], falling), SHARE) > FIT:
        return None
    points = dict(zip(brightness[order].tolist(), falling.tolist(), strict=True))
    return NoiseLevel(constant=float(falling[0]), curve=tuple(points.items()))
