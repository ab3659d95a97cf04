"""Finds the traces of JPEG compression in blocks that reach black or white: paper around text, bright skies, saturated colours.

Clipping changes the coefficients of a block, so they are no multiples of their steps any more. For a table under test, the clipped pixels
are continued beyond black and white by alternating projections: the coefficients are set to multiples of their steps, then the other
pixels to their values. With the right table the block that results equals the picture where it is not clipped. The measure is this error,
compared with that of the same steps between the multiples, which fits a picture that was never compressed as well as the multiples do.
"""

from __future__ import annotations

import numpy as np

from restore.images import quantisation
from restore.images.noise_model import BASIS
from restore.images.quantisation import BLOCK
from restore.inference.arrays import first_of_each

BLOCKS, FEWEST = 160, 40
"""Different blocks that are looked at, and the number below which they say nothing."""
LEAST_INSIDE, LEAST_CONTRAST = 32, 8
"""Pixels of a block that are not clipped, and their range (of 255), below which it is not looked at."""
FIRST, LAST, CANDIDATES = 1, 4, 5
"""Projections for all tables, and those for the best few. Twelve change no score by more than 0.01; one leaves 0.7 to 0.98."""
QUALITIES = range(1, 98)
FINEST = 88
"""The highest quality that is reported: with finer steps, photographs whose tones were changed since still score 0.9."""
CERTAIN = 0.85
"""The least score of a table. Decoded pages, charts, maps and skies score 0.95 or more, thin saturated lines 0.86. Of 354 other pictures,
pixel art scores 0.42 at most, photographs with noise over their JPEG 0.72 and a sharpened JPEG 0.79."""


def clipped(pixels: np.ndarray) -> np.ndarray:
    """Where luma may have been lower and higher before it was clipped: (H, W, 1|3) in [0, 1] -> (H, W, 2) bool.

    A pixel of a saturated colour has samples at black and at white, and may have had either.
    """
    return np.stack([(pixels <= 0).any(axis=2), (pixels >= 1).any(axis=2)], 2)


def best(luma: np.ndarray, ends: np.ndarray, top: int, left: int) -> tuple[int, float]:
    """The quality whose steps fit best, and its score: 1 for multiples of the steps, about 0 by chance or where too few blocks help.

    Args:
        luma: (H, W) float32, 0..255.
        ends: (H, W, 2) bool, see `clipped`.
        top, left: where the first whole block begins, 0..7.
    """
    blocks = _blocks(luma, ends, top, left)
    if len(blocks[0]) < FEWEST:
        return QUALITIES[0], 0.0
    scores = {quality: _score(*blocks, quantisation.table(quality), FIRST) for quality in QUALITIES}
    likely = sorted(scores, key=scores.__getitem__)[-CANDIDATES:]
    scores = {quality: _score(*blocks, quantisation.table(quality), LAST) for quality in likely}
    quality = max(scores, key=scores.__getitem__)
    return quality, scores[quality]


def score(luma: np.ndarray, ends: np.ndarray, top: int, left: int, steps: np.ndarray) -> float:
    """The score of a table, (8, 8). Other arguments as those of `best`."""
    blocks = _blocks(luma, ends, top, left)
    return _score(*blocks, steps, LAST) if len(blocks[0]) >= FEWEST else 0.0


def _blocks(luma: np.ndarray, ends: np.ndarray, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to about BLOCKS different blocks of a grid that hold something, (blocks, 64), and their part of `ends`, (2, blocks, 64)."""
    height, width = ((side - start) // BLOCK * BLOCK for side, start in zip(luma.shape, (top, left), strict=True))
    values, low, high = (
        plane[top : top + height, left : left + width]
        .reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        .swapaxes(1, 2)
        .reshape(-1, BLOCK * BLOCK)
        for plane in (luma, ends[:, :, 0], ends[:, :, 1])
    )
    inside = ~(low | high)
    contrast = np.where(inside, values, 0).max(axis=1) - np.where(inside, values, 255).min(axis=1)
    useful = np.flatnonzero((np.count_nonzero(inside, axis=1) >= LEAST_INSIDE) & (contrast > LEAST_CONTRAST))
    useful = useful[first_of_each(values[useful])]  # copies, as the frames of a screen have them, fit some steps well
    useful = useful[:: max(1, len(useful) // BLOCKS)]
    return values[useful], np.stack([low[useful], high[useful]])


def _score(blocks: np.ndarray, ends: np.ndarray, steps: np.ndarray, times: int) -> float:
    """1 - the error of the multiples of the steps / that of the values between them."""
    between = _error(blocks, ends, steps.reshape(-1), times, between=True)
    return 1 - _error(blocks, ends, steps.reshape(-1), times, between=False) / between if between > 0 else 0.0


def _error(blocks: np.ndarray, ends: np.ndarray, steps: np.ndarray, times: int, *, between: bool) -> float:
    """The sum of squared differences of pixels that are not clipped, after so many projections; see `_score`."""
    least, most = (np.where(end, np.float32(far), blocks) for end, far in zip(ends, (-np.inf, np.inf), strict=True))
    completed = projected = blocks
    for _ in range(times):
        coefficients = completed @ BASIS
        multiples = coefficients / steps
        nearest = np.where(np.abs(multiples) > 0.5, np.rint(multiples - 0.5) + 0.5, 0) if between else np.rint(multiples)
        nearest *= steps
        nearest[:, 0] = coefficients[:, 0]  # pages of even paper have one mean, which is near a multiple by chance
        projected = nearest @ BASIS.T
        completed = np.clip(projected, least, most)
    return float(((projected - blocks)[least == most] ** 2).sum())
