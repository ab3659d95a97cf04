"""How coarsely a JPEG quantises luma, and where its blocks of 8 x 8 pixels lie in the upright picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restore.images.orientation import swaps_sides, upright

BLOCK = 8
STEP_ERROR = np.float32(1 / (255 * np.sqrt(12)))
"""A step times this is the standard deviation of a coefficient's rounding error, for a picture in [0, 1]."""
LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
"""The table for luma of quality 50 (ITU-T T.81, table K.1), rows of rising vertical frequency."""
CHROMA = np.full((BLOCK, BLOCK), 99)
"""The table for chroma of quality 50 (ITU-T T.81, table K.2)."""
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


def table(quality: int, *, chroma: bool = False) -> np.ndarray:
    """The table of a quality of 1 to 100, scaled as libjpeg does: (8, 8) float32, 1..255."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = np.clip(((CHROMA if chroma else LUMA) * percent + 50) // 100, 1, 255)
    return np.asarray(scaled, np.float32)


@dataclass(frozen=True, eq=False)
class Quantisation:
    """The quantisation of a picture's luma.

    Attributes:
        steps: (8, 8) float32, the step of each coefficient (vertical, horizontal frequency) on the scale of 8-bit samples, 1..255.
        top, left: the row and the column at which the first whole block begins, 0..7.
    """

    steps: np.ndarray
    top: int = 0
    left: int = 0

    @classmethod
    def of_quality(cls, quality: int, top: int = 0, left: int = 0) -> Quantisation:
        """That of libjpeg's quality, 1..100."""
        return cls(table(quality), top, left)

    @property
    def mean_step(self) -> float:
        """The mean of all steps."""
        return float(self.steps.mean())

    @property
    def quality(self) -> int:
        """The quality of libjpeg whose mean step is nearest, 1..100."""
        return min(range(1, 101), key=lambda quality: abs(float(np.log(table(quality).mean() / self.mean_step))))

    def condition(self, rows: slice, columns: slice) -> np.ndarray:
        """The map that a network takes, for a region of the picture: (h, w, 1) float32.

        The pixel (v, u) of each block has the step of the coefficient (v, u), as the standard deviation of its error. So the map tells the
        table and where the blocks begin.
        """
        y, x = (
            (np.arange(part.start, part.stop) - start) % BLOCK for part, start in zip((rows, columns), (self.top, self.left), strict=True)
        )
        return np.asarray(self.steps[y[:, None], x[None]] * STEP_ERROR)[:, :, None]


def from_file(steps: Sequence[int], height: int, width: int, orientation: int) -> Quantisation | None:
    """The quantisation of the upright picture of a JPEG file.

    Args:
        steps: its luma table in natural order.
        height, width: as stored, before `orientation` (the tag's value, 1 to 8) is applied.

    Returns:
        None where the table is not one of 64 steps.
    """
    if len(steps) != BLOCK * BLOCK or min(steps) < 1:
        return None
    # a small picture whose blocks have numbers, turned as the whole one
    rows, columns = (np.arange(2 * BLOCK + side % BLOCK) // BLOCK for side in (height, width))
    turned = upright(10 * rows[:, None] + columns[None], orientation)
    top, left = (int(np.flatnonzero(np.diff(line))[0] + 1) % BLOCK for line in (turned[:, 0], turned[0]))
    square = np.minimum(np.asarray(steps, np.float32), 255).reshape(BLOCK, BLOCK)
    return Quantisation(np.ascontiguousarray(square.T if swaps_sides(orientation) else square), top, left)
