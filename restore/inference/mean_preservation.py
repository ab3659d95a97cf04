"""Preserve local means where a picture is flat. There the noise averages out, so a mean that a correction adds is an error.

A network shifts flat areas slightly if the specified noise exceeds the real one, or if its training had few such levels or values. Where
the picture varies no more than its noise, the local mean of the correction is subtracted. This restores some noise, but only that of the
mean of some hundred pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from restore.images.frame import BAND
from restore.images.noise_model import NoiseLevel

CELL = 4
"""Side in pixels of the cells in which means and variances are taken."""
WINDOW = 7
"""Side of an averaging window, in cells: 28 pixels."""
SIGNIFICANT = 1.5
"""A shift may reach this many standard deviations of a window's mean by chance; it is reduced by as much."""
FLAT = (1.25, 2.0)
"""Ratios to the noise's variance: up to the first a window is flat, above the second it is not."""
CLIPPED = 0.005
"""Fraction of clipped pixels in a window above which its mean is biased by the clipping."""


STILL, CONSTANT = 0.02, 1e-4
"""Ratios to the noise's variance: a window that varies less than the first is not clipped noise; one that varies less than the second
has no noise and does not change."""


def preserve(pixels: np.ndarray, restored: np.ndarray, level: NoiseLevel, strength: float = 1.0) -> None:
    """Subtract the correction's local mean, in place, where the picture is flat.

    Args:
        pixels: (H, W, C) float32.
        restored: the same shape; it is modified.
        level: the noise level that the network was given.
        strength: the fraction of its correction that was applied.
    """
    if min(pixels.shape[:2]) < 2 * CELL or not max(level.slope, level.constant) > 0:
        return
    for channel in range(pixels.shape[2]):
        shift, constant = _shift(pixels[:, :, channel], restored[:, :, channel], level, strength)
        if np.abs(shift).max() > 0:
            _subtract(restored[:, :, channel], shift)
        if constant.any():
            height, width = pixels.shape[:2]
            rows, columns = (np.minimum(np.arange(n) // CELL, m - 1) for n, m in zip((height, width), constant.shape, strict=True))
            where = constant[rows[:, None], columns]
            restored[:, :, channel][where] = pixels[:, :, channel][where]


def _shift(pixels: np.ndarray, restored: np.ndarray, level: NoiseLevel, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """The shift of each cell, (h, w) float32: the correction's mean where the picture is flat, else 0; and constant cells, (h, w) bool."""
    middle = np.float32(pixels[:: 4 * CELL, :: 4 * CELL].mean())  # centred values keep the squares precise in a narrow range
    mean, square, change, dark, bright = _cells(pixels, restored, middle)
    mean, square, dark, bright = (_averaged(one) for one in (mean, square, dark, bright))
    noise = level.variance(mean + middle)
    variance = np.maximum(square - mean**2, 0) / np.maximum(noise, 1e-20)
    flat = np.clip((FLAT[1] - variance) / (FLAT[1] - FLAT[0]), 0, 1)
    # noise that is present without light is clipped at black; photon counts are not
    clipped = (bright > CLIPPED) | ((dark > CLIPPED) & (2 * level.constant > noise))
    flat[clipped & (variance > STILL)] = 0
    shift = _averaged(flat * change) / np.maximum(_averaged(flat), 1e-6) * flat
    # the noise alone can cause a mean of this size
    chance = strength * SIGNIFICANT * np.sqrt(noise) / (CELL * WINDOW)
    return (np.sign(shift) * np.maximum(np.abs(shift) - chance, 0)).astype(np.float32), variance < CONSTANT


def _cells(pixels: np.ndarray, restored: np.ndarray, middle: np.float32) -> list[np.ndarray]:
    """Cell means, (h, w) float32 each: of the picture minus `middle`, its square, the correction, the darkest and the brightest pixels."""
    height, width = pixels.shape[0] // CELL, pixels.shape[1] // CELL
    results = [np.empty((height, width), np.float32) for _ in range(5)]
    low, high = pixels.min(), pixels.max()
    for top, bottom in _bands(height, width):
        part = np.s_[top * CELL : bottom * CELL, : width * CELL]
        picture = np.ascontiguousarray(pixels[part])
        centred = picture - middle
        kinds = (centred, centred * centred, restored[part] - picture, picture == low, picture == high)
        for cells, kind in zip(results, kinds, strict=True):
            cells[top:bottom] = cv2.resize(kind.astype(np.float32, copy=False), (width, bottom - top), interpolation=cv2.INTER_AREA)
    return results


def _subtract(restored: np.ndarray, shift: np.ndarray) -> None:
    """Subtract one value for each cell from (H, W), in place, interpolated linearly between cells."""
    height, width = restored.shape
    for top, bottom in _bands(*shift.shape):
        above, below = max(0, top - 1), min(len(shift), bottom + 1)
        size = shift.shape[1] * CELL, (below - above) * CELL
        smooth = cv2.resize(shift[above:below], size, interpolation=cv2.INTER_LINEAR)[(top - above) * CELL :]
        stop = height if bottom == len(shift) else bottom * CELL
        rows = np.minimum(np.arange(stop - top * CELL), len(smooth) - 1)
        columns = np.minimum(np.arange(width), smooth.shape[1] - 1)
        restored[top * CELL : stop] -= smooth[rows][:, columns]


def _bands(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Bands of cell rows as (first, one past the last), small enough to limit memory."""
    rows = max(1, BAND // max(1, width * CELL * CELL))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def _averaged(cells: np.ndarray) -> np.ndarray:
    return cv2.blur(cells, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)
