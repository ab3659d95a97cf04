"""The range in which a network sees a picture: an affine map into about [0, 1], and the noise with it.

A network without biases is homogeneous, f(a x, a s) = a f(x, s) (Mohan et al. 2020), but for positive a only. It has never seen
negative values, such as those below a window's black, and pulls them towards zero. A network with biases knows one range alone. So a
picture with another range is first mapped into [0, 1], and its correction is scaled back. Pictures in [0, 1] pass unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from restore.images.frame import bands
from restore.images.noise import NoiseLevel

CELL = 8
"""Side in pixels of the cells whose means are the picture's range: their noise is an eighth of a pixel's."""
NARROW, NARROW_OF_OTHERS = 0.25, 1 / 12
"""A range narrower than this is widened to [0, 1]: a 12-bit camera in 16-bit samples, floats of 0 to 0.01. The second is for networks
that are not homogeneous: they treat a dull photograph differently from a vivid one, on purpose."""
SLACK = 0.02
"""Cells may lie so far outside [0, 1], beside what noise does, before the picture counts as one that does."""
LOWEST, HIGHEST = -1.0, 2.0
"""What a network sees at most: a hot pixel or a marker a thousand times as bright as the picture would be felt far around it."""


@dataclass(frozen=True)
class Range:
    """seen = (shown - offset) / span."""

    offset: float = 0.0
    span: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether the network sees the picture as it is."""
        return self.offset == 0 and self.span == 1

    def into(self, shown: np.ndarray) -> np.ndarray:
        """(H, W, C) float32 as the network sees it; the same array where that is plain."""
        if self.plain:
            return shown
        seen = (shown - np.float32(self.offset)) / np.float32(self.span)
        return np.clip(seen, LOWEST, HIGHEST, out=seen)

    def back(self, restored: np.ndarray) -> np.ndarray:
        """Undo `into`, in place."""
        if not self.plain:
            restored *= np.float32(self.span)
            restored += np.float32(self.offset)
        return restored


def range_of(shown: np.ndarray, level: NoiseLevel, *, homogeneous: bool, narrow: float) -> Range:
    """How a network should see a picture.

    Args:
        shown: (H, W, C) float32.
        level: its noise; that of the cells' means is not taken for structure.
        homogeneous: whether the network's correction scales with the picture and its noise: then what is positive is not shifted.
        narrow: a range narrower than this is widened.
    """
    low, high = _extremes(shown)
    slack = SLACK + 4.5 / CELL * level.sigma(0.5) / 255
    if low >= -slack and high <= 1 + slack and high - low >= narrow:
        return Range()
    if homogeneous and low >= 0 and high > 0:
        return Range(0.0, high)
    if high <= low:  # a constant picture is shifted alone, and only from outside [0, 1]
        return Range() if 0 <= low <= 1 else Range(low, 1.0)
    return Range(low, high - low)


def _extremes(shown: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest mean of a cell, over the channels."""
    height, width = shown.shape[:2]
    if min(height, width) < CELL:
        return float(shown.min()), float(shown.max())
    ends = []
    for rows in bands((height // CELL * CELL, width)):
        start, stop = rows.start // CELL * CELL, rows.stop // CELL * CELL
        if stop > start:
            cells = cv2.resize(shown[start:stop], (width // CELL, (stop - start) // CELL), interpolation=cv2.INTER_AREA)
            ends.append((float(cells.min()), float(cells.max())))
    return min(low for low, _ in ends), max(high for _, high in ends)
