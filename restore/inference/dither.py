"""Smooth areas of 8-bit pictures whose values a curve spreads: without bands.

A sky in 8 bits is a stair. A curve of slope 3 makes its steps three levels high, which the eye sees. Where a picture is smooth, a mean of
the surroundings lies within half a step of the rounded value and is nearer to what was rounded (Daly & Feng 2004, "Decontouring"). The
result is rounded to 8 bits again, so it gets seeded noise of half a step there (Roberts 1962, "Picture coding using pseudo-random noise").
"""

from __future__ import annotations

import cv2
import numpy as np

LEVELS = 256
STEP = np.float32(1 / (LEVELS - 1))
RADIUS = 16
"""Half the side in pixels of the mean, which is taken twice."""
SMOOTH = 1.5
"""A pixel is in a smooth area if its 5 x 5 neighbours differ by less than so many steps."""
FAR = 1.5
"""The mean does not count if it is further away than so many steps: the area is no slope."""
RANGE = 20.0
"""Nor if the smooth pixels around differ by more than so many steps: they belong to several areas."""
LEAST = 0.02
"""A smaller change, in steps, is none."""
WINDOW = np.ones((5, 5), np.uint8)


def unrounded(picture: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """An 8-bit picture with what was rounded off estimated where it is smooth and a curve will spread it.

    Args:
        picture: (H, W, C) float32, multiples of 1 / 255.
        slopes: (256, C) the curve's slope at each value.

    Returns:
        (H, W, C) float32, within half a step of the picture. Large areas of one value, textures and clipped values stay.
    """
    if slopes.max(initial=0) <= 1:
        return picture
    amount = np.clip(slopes - 1, 0, 1).astype(np.float32)
    amount[[0, -1]] = 0
    result = picture.copy()
    smooth = _smooth(picture)
    count = _mean(smooth)
    for channel in range(picture.shape[2]):
        plane = picture[:, :, channel]
        change = _mean(plane * smooth) / np.maximum(count, np.float32(1e-6)) - plane
        size = np.abs(change)
        change[(size > FAR * STEP) | (size < LEAST * STEP) | (_range(plane, smooth) > RANGE * STEP)] = 0
        change = np.clip(change, -STEP / 2, STEP / 2) * smooth
        index = np.clip(np.rint(plane * (LEVELS - 1)), 0, LEVELS - 1).astype(np.uint8)
        result[:, :, channel] += change * amount[index, channel]
    return result


def dithered(result: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Add noise of up to half a step of 8 bits to (H, W, C) float32 where (H, W, C) bool says. The noise is the same at every call."""
    if not where.any():
        return result
    noise = np.random.default_rng(0).random(result.shape, np.float32) - np.float32(0.5)
    return np.asarray(result + noise * STEP * where, np.float32)


def _smooth(picture: np.ndarray) -> np.ndarray:
    """(H, W) float32, 1 in smooth areas."""
    span = cv2.dilate(picture, WINDOW) - cv2.erode(picture, WINDOW)
    return np.asarray((span.reshape(picture.shape).max(axis=2) < SMOOTH * STEP).astype(np.float32))


def _range(plane: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """(H, W) range of the smooth pixels around each pixel."""
    window = np.ones((4 * RADIUS + 1, 4 * RADIUS + 1), np.uint8)
    where, black, white = smooth > 0, np.float32(0), np.float32(1)
    return np.asarray(cv2.dilate(np.where(where, plane, black), window) - cv2.erode(np.where(where, plane, white), window))


def _mean(plane: np.ndarray) -> np.ndarray:
    """(H, W) -> the mean of the means around each pixel."""
    size = (2 * RADIUS + 1, 2 * RADIUS + 1)
    return np.asarray(cv2.blur(cv2.blur(plane, size), size))
