"""Luma and chroma: a picture's gray values, colours added to them, and rounding that keeps the gray values exactly.

Luma (ITU-R BT.601) is a weighted sum of the stored red, green and blue, and what converters to gray compute. Chroma is the differences of
blue and red from it (Cb, Cr). The split is linear, so adding chroma cannot change the luma; in CIELAB, whose lightness is not linear in the
stored values, a gray picture would come back with other gray values.
"""

from __future__ import annotations

import numpy as np

WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue."""
CHROMA_TO_RGB = np.array([[0.0, -0.344136, 1.772], [1.402, -0.714136, 0.0]], np.float32)
"""Cb and Cr (nominal -0.5..0.5) -> what they add to red, green and blue."""


def luma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 1|3) -> (H, W) float32; a picture of one channel is its own luma."""
    return np.asarray(picture[:, :, 0] if picture.shape[2] == 1 else picture @ WEIGHTS)


def chroma(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> (H, W, 2): Cb and Cr."""
    gray = picture @ WEIGHTS
    return np.stack([(picture[:, :, 2] - gray) / 1.772, (picture[:, :, 0] - gray) / 1.402], 2)


def with_chroma(gray: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Colour whose luma is `gray`. Where it would leave the gamut, its saturation is reduced, not its luma.

    Args:
        gray: (H, W) float32; black is 0, white is 1. Beyond them there is no colour.
        chroma: (H, W, 2): Cb and Cr.

    Returns:
        (H, W, 3) float32, within [0, 1] where `gray` is.
    """
    change = chroma @ CHROMA_TO_RGB
    room = np.clip(np.where(change > 0, 1 - gray[:, :, None], gray[:, :, None]), 0, None)
    share = np.min(room / np.maximum(np.abs(change), 1e-6), axis=2, keepdims=True)
    return np.asarray(gray[:, :, None] + change * np.minimum(share, 1), np.float32)


def on_grid(picture: np.ndarray, gray: np.ndarray, levels: int) -> np.ndarray:
    """Round colours to integer samples whose luma rounds to that of `gray`.

    Red and blue are rounded, then green makes up for their errors. What remains is at most half a step of green, 0.29 steps of luma.

    Args:
        picture: (H, W, 3) float32, a result of `with_chroma`.
        gray: (H, W) float32, its luma.
        levels: steps from black to white: 255, 65535.

    Returns:
        (H, W, 3) float32, multiples of 1 / levels; equal channels where there is no colour.
    """
    samples = np.rint(picture * np.float64(levels))
    target = np.rint(gray * np.float64(levels))
    red, green, blue = WEIGHTS.astype(np.float64)
    samples[:, :, 1] = np.rint((target - red * samples[:, :, 0] - blue * samples[:, :, 2]) / green)
    return np.asarray(np.clip(samples, 0, levels) / levels, np.float32)
