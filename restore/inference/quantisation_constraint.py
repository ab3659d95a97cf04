"""Keeps a restored picture near what the JPEG says: its coefficients lie within their quantisation intervals.

A coefficient of the original differs from the decoded one by half a step at most. The set of such pictures is convex, so the projection
onto it brings a restored picture nearer to the original (Zakhor 1992, "Iterative procedures for reduction of blocking effects in transform
image coding"). A narrower interval is better still, for coefficients lie near its middle (Park & Lee 1999, "Blocking artifacts reduction in
block-coded images using a narrow quantization constraint set").
"""

from __future__ import annotations

import numpy as np

from restore.images.luma import luma
from restore.images.noise_model import BASIS
from restore.images.quantisation import BLOCK, Quantisation

HALF_WIDTH = 0.3
"""Half of the interval in steps; 0.5 is the whole one. 12 gray training scenes of BSDS500, which the network did not see, in dB at
none / 0.5 / 0.4 / 0.3 / 0.2 / 0.1: quality 10: 28.36, 28.37, 28.39, 28.38, 28.31, 28.06; 40: 32.35, 32.36, 32.38, 32.38, 32.31, 32.06;
90: 40.03, 40.06, 40.07, 40.04, 39.89, 39.46. Classic5, gain at 0.5 / 0.3 / 0.2: quality 95: 0.35, 0.75, 0.86; 10 and then 90: -0.04,
-0.12, -0.20."""
ROWS = 64
"""Rows of blocks that are transformed at a time."""


def constrain(pixels: np.ndarray, restored: np.ndarray, quantisation: Quantisation) -> None:
    """Limit the change of each coefficient of luma, in place. All colours of a pixel change by as much as its luma.

    Args:
        pixels: (H, W, 1|3) float32 as decoded, in [0, 1].
        restored: of the same shape. Blocks that the picture cuts off are left as they are.
        quantisation: of the picture.
    """
    limits = HALF_WIDTH / 255 * quantisation.steps.reshape(-1)
    height, width = ((side - start) // BLOCK for side, start in zip(pixels.shape, (quantisation.top, quantisation.left), strict=False))
    if not width:
        return
    columns = slice(quantisation.left, quantisation.left + width * BLOCK)
    for first in range(0, height, ROWS):
        count = min(ROWS, height - first)
        rows = slice(quantisation.top + first * BLOCK, quantisation.top + (first + count) * BLOCK)
        change = restored[rows, columns] - pixels[rows, columns]
        blocks = luma(change).reshape(count, BLOCK, width, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK * BLOCK)
        coefficients = blocks @ BASIS
        excess = (np.clip(coefficients, -limits, limits) - coefficients) @ BASIS.T
        restored[rows, columns] += excess.reshape(count, width, BLOCK, BLOCK).swapaxes(1, 2).reshape(count * BLOCK, width * BLOCK, 1)
