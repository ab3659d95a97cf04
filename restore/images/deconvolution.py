"""Wiener's filter for a Gaussian blur, on a picture that is mirrored at its edges, by the cosine transform.

A symmetric kernel is diagonal in the cosine transform of half-sample symmetric pictures (Martucci 1994). What a network has to learn
after this linear step is small: Dong et al. 2020, "Deep Wiener deconvolution".
"""

from __future__ import annotations

import numpy as np
import scipy.fft

RATIO = 2e-3
"""The assumed power of noise for that of the signal: detail that the blur weakened to 1/22 is strengthened most, eleven times."""
BLOCK, MARGIN = 1024, 96
"""Side of the blocks of a large picture, and how far they reach into each other."""


def wiener(plane: np.ndarray, width: float) -> np.ndarray:
    """Sharpen a plane that a Gaussian blurred; noise and what the blur left out need a further step.

    Args:
        plane: (H, W) float32, any range.
        width: standard deviation of the blur in pixels; 0 changes nothing.

    Returns:
        (H, W) float32 with the same mean. It does not depend on the blocks that large planes are processed in.
    """
    if width <= 0:
        return plane
    if max(plane.shape) <= BLOCK + 2 * MARGIN:
        return _whole(plane, width)
    result = np.empty_like(plane)
    for top in range(0, plane.shape[0], BLOCK):
        for left in range(0, plane.shape[1], BLOCK):
            rows, columns = (slice(max(0, start - MARGIN), start + BLOCK + MARGIN) for start in (top, left))
            block = _whole(plane[rows, columns], width)
            inner = block[top - rows.start :, left - columns.start :][:BLOCK, :BLOCK]
            result[top : top + BLOCK, left : left + BLOCK] = inner
    return result


def _whole(plane: np.ndarray, width: float) -> np.ndarray:
    down, across = (np.exp(-((np.pi * width * np.arange(side) / side) ** 2) / 2).astype(np.float32) for side in plane.shape)
    response = down[:, None] * across[None]
    spectrum = scipy.fft.dctn(np.asarray(plane, np.float32), norm="ortho", overwrite_x=False)
    spectrum *= response * np.float32(1 + RATIO) / (response * response + np.float32(RATIO))
    return np.asarray(scipy.fft.idctn(spectrum, norm="ortho", overwrite_x=True), np.float32)
