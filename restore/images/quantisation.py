"""The quantisation of JPEG's luma: tables, and the pattern of steps that a picture's blocks of 8 x 8 pixels had.

A pattern is (8, 8) float32: the step (1..255, on the scale of 8-bit samples) of the coefficient (v, u) at the pixel (v, u) of each block,
so it tells the table and where the blocks begin. `pattern[y % 8, x % 8]` belongs to the pixel (y, x) of the upright picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.images.orientation import upright

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


def quality_of(pattern: np.ndarray) -> int:
    """The quality whose mean step is nearest to a pattern's, 1..100."""
    return min(range(1, 101), key=lambda quality: abs(float(np.log(table(quality).mean() / pattern.mean()))))


def from_file(steps: Sequence[int], height: int, width: int, orientation: int) -> np.ndarray | None:
    """The pattern of the upright picture of a JPEG file.

    Args:
        steps: its luma table in natural order.
        height, width: as stored, before `orientation` (the tag's value, 1 to 8) is applied.

    Returns:
        The pattern; None where the table is not one of 64 steps.
    """
    if len(steps) != BLOCK * BLOCK or min(steps) < 1:
        return None
    rows, columns = BLOCK + height % BLOCK, BLOCK + width % BLOCK
    surrogate = np.tile(np.minimum(np.asarray(steps, np.float32), 255).reshape(BLOCK, BLOCK), (2, 2))[:rows, :columns]
    return np.ascontiguousarray(upright(surrogate, orientation)[:BLOCK, :BLOCK])


def shifted(steps: np.ndarray, top: int, left: int) -> np.ndarray:
    """The pattern of a picture whose first whole block begins at the row `top` and the column `left`, 0..7 each."""
    return np.roll(steps, (top, left), (0, 1))


def condition(pattern: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """The map that a network takes, for a region of the picture: (h, w, 1) float32."""
    y, x = (np.arange(part.start, part.stop) % BLOCK for part in (rows, columns))
    return np.asarray(pattern[y[:, None], x[None]] * STEP_ERROR)[:, :, None]
