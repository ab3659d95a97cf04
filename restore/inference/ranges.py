"""Normalizes pictures for a network: an affine map to about [0, 1], which scales the noise too.

A network without biases is homogeneous, f(a x, a s) = a f(x, s), for positive a (Mohan et al. 2020). Its training had no negative values,
such as those below a window's black, and it pulls them towards zero. A network with biases works in one range only. So a picture with
another range is mapped to [0, 1], and its correction is scaled back. Pictures in [0, 1] do not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from restore.images.frame import bands
from restore.images.noise_model import NoiseLevel

CELL = 8
"""Side in pixels of the cells whose means define the picture's range. Their noise is an eighth of a pixel's."""
NARROW, NARROW_INHOMOGENEOUS = 0.25, 1 / 12
"""A range narrower than this is stretched to [0, 1]: a 12-bit camera in 16-bit samples, floats of 0 to 0.01. The second is for networks
that are not homogeneous: they treat low and high contrast differently, on purpose."""
SLACK = 0.02
"""How far cells may lie outside [0, 1], besides their noise, before the picture is mapped."""
LOWEST, HIGHEST = -1.0, 2.0
"""Limits of a network's input: a hot pixel or a marker a thousand times as bright as the picture would affect a large area."""


@dataclass(frozen=True)
class Range:
    """The map from a picture to a network's input: input = (pixels - offset) / span."""

    offset: float = 0.0
    span: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether the map is the identity."""
        return self.offset == 0 and self.span == 1

    def normalize(self, pixels: np.ndarray) -> np.ndarray:
        """Map (H, W, C) float32 to the network's range, clipped to LOWEST..HIGHEST. A plain map returns the same array."""
        if self.plain:
            return pixels
        inputs = (pixels - np.float32(self.offset)) / np.float32(self.span)
        return np.clip(inputs, LOWEST, HIGHEST, out=inputs)

    def denormalize(self, restored: np.ndarray) -> np.ndarray:
        """Undo `normalize`, in place."""
        if not self.plain:
            restored *= np.float32(self.span)
            restored += np.float32(self.offset)
        return restored


def range_of(pixels: np.ndarray, level: NoiseLevel, *, homogeneous: bool, narrow: float) -> Range:
    """Choose the range of a picture for a network.

    Args:
        pixels: (H, W, C) float32.
        level: its noise; the limits of [0, 1] are widened by the noise of the cells' means.
        homogeneous: whether the network's correction scales with the picture and its noise. If so, positive pictures are not shifted.
        narrow: a range narrower than this is stretched to [0, 1].
    """
    low, high = _extremes(pixels)
    slack = SLACK + 4.5 / CELL * level.sigma(0.5) / 255
    if low >= -slack and high <= 1 + slack and high - low >= narrow:
        return Range()
    if homogeneous and low >= 0 and high > 0:
        return Range(0.0, high)
    if high <= low:  # a constant picture is shifted but not scaled, and only from outside [0, 1]
        return Range() if 0 <= low <= 1 else Range(low, 1.0)
    return Range(low, high - low)


def _extremes(pixels: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest cell mean of all channels."""
    height, width = pixels.shape[:2]
    if min(height, width) < CELL:
        return float(pixels.min()), float(pixels.max())
    ends = []
    for rows in bands((height // CELL * CELL, width)):
        start, stop = rows.start // CELL * CELL, rows.stop // CELL * CELL
        if stop > start:
            cells = cv2.resize(pixels[start:stop], (width // CELL, (stop - start) // CELL), interpolation=cv2.INTER_AREA)
            ends.append((float(cells.min()), float(cells.max())))
    return min(low for low, _ in ends), max(high for _, high in ends)
