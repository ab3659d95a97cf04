"""Noise that falls with brightness: that of cameras, whose tone curve is steep in the dark and flat in the light."""

from __future__ import annotations

import numpy as np

from restore.images.noise_model import NoiseLevel
from restore.inference import noise_blocks

FALL = 1.5
"""Ratio of the darkest group's variance to the brightest one's from which noise is taken to fall."""
COLOUR, NORMAL = 2.0, 0.4
"""Most `noise_blocks.colour` and least `noise_blocks.tail` of a group: white noise has 1 and 0.44 to 0.48, texture more and less."""
FIT = 1.3
"""Most ratio of the median group's variance to the curve; more where bright groups are noisier than the middle ones."""
FEWEST = 4
"""Groups that a curve takes at least; half of all groups must be such."""


def curve(brightness: np.ndarray, variance: np.ndarray, groups: list[np.ndarray]) -> NoiseLevel | None:
    """The noise of brightness groups as a curve that falls; None if it does not, or if texture in the dark may be why.

    Only groups that look like white noise count. One that is noisier than a darker one has texture all the same: the curve is the largest
    falling one that no group lies below.

    Args:
        brightness, variance: (N,) of the groups.
        groups: the flattest blocks (n, 8, 8) of each.
    """
    white = [noise_blocks.colour(group) < COLOUR and noise_blocks.tail(group) > NORMAL for group in groups]
    order = [index for index in np.argsort(brightness, kind="stable") if white[index]]
    if len(order) < max(FEWEST, len(groups) / 2):
        return None
    falling = np.minimum.accumulate(variance[order])
    if falling[-1] <= 0 or falling[0] < FALL * falling[-1] or np.median(variance[order] / falling) > FIT:
        return None
    points = dict(zip(brightness[order].tolist(), falling.tolist(), strict=True))
    return NoiseLevel(constant=float(falling[0]), curve=tuple(points.items()))
