"""Keep local means where a picture is flat. There the noise averages out, so a mean that a correction adds is an error.

A network shifts flat areas by some levels if the specified noise exceeds the real one, or if it has seldom seen such a level or value.
Where the picture varies no more than its noise, the local mean of the correction is subtracted. This brings back noise, but only that of
the mean of some hundred pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from restore.images.frame import BAND
from restore.images.noise import NoiseLevel

CELL = 4
"""Side in pixels of the cells in which means and variances are taken."""
WINDOW = 7
"""Cells on either side of a window over which they are averaged: 28 pixels."""
SIGNIFICANT = 1.5
"""Standard deviations of a window's mean that a shift may have by chance; it is reduced by so much."""
FLAT = (1.25, 2.0)
"""Of the noise's variance: up to the first a window is flat, from the second on it is not."""
CLIPPED = 0.005
"""Share of clipped pixels in a window from which its mean is not the light's: what is cut off is missing from it."""


STILL, CONSTANT = 0.02, 1e-4
"""Of the noise's variance: a window that varies less than the first is no clipped noise, whatever its value; one that varies less than the
second has no noise at all, and stays as it is."""


def keep(shown: np.ndarray, restored: np.ndarray, level: NoiseLevel, strength: float = 1.0) -> None:
    """Subtract the correction's local mean, in place, where the picture is flat.

    Args:
        shown: (H, W, C) float32.
        restored: the same shape; it is changed.
        level: the noise level that the network was given.
        strength: the fraction of its correction that was applied.
    """
    if min(shown.shape[:2]) < 2 * CELL or not max(level.slope, level.constant) > 0:
        return
    for channel in range(shown.shape[2]):
        shift, constant = _shift(shown[:, :, channel], restored[:, :, channel], level, strength)
        if np.abs(shift).max() > 0:
            _take_off(restored[:, :, channel], shift)
        if constant.any():
            height, width = shown.shape[:2]
            rows, columns = (np.minimum(np.arange(n) // CELL, m - 1) for n, m in zip((height, width), constant.shape, strict=True))
            where = constant[rows[:, None], columns]
            restored[:, :, channel][where] = shown[:, :, channel][where]


def _shift(shown: np.ndarray, restored: np.ndarray, level: NoiseLevel, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """(h, w) float32, a value a cell: what the correction adds on the whole where the picture is flat, else 0; and where it is constant."""
    middle = np.float32(shown[:: 4 * CELL, :: 4 * CELL].mean())  # squares of a narrow range about it keep their precision
    mean, square, change, dark, bright = _cells(shown, restored, middle)
    mean, square, dark, bright = (_averaged(one) for one in (mean, square, dark, bright))
    noise = level.variance(mean + middle)
    variance = np.maximum(square - mean**2, 0) / np.maximum(noise, 1e-20)
    flat = np.clip((FLAT[1] - variance) / (FLAT[1] - FLAT[0]), 0, 1)
    # dark pixels are cut off where there is noise without light; counts of photons are not
    clipped = (bright > CLIPPED) | ((dark > CLIPPED) & (2 * level.constant > noise))
    flat[clipped & (variance > STILL)] = 0
    shift = _averaged(flat * change) / np.maximum(_averaged(flat), 1e-6) * flat
    # a mean that the noise alone may have is no error of the network
    chance = strength * SIGNIFICANT * np.sqrt(noise) / (CELL * WINDOW)
    return (np.sign(shift) * np.maximum(np.abs(shift) - chance, 0)).astype(np.float32), variance < CONSTANT


def _cells(shown: np.ndarray, restored: np.ndarray, middle: np.float32) -> list[np.ndarray]:
    """Means over cells, (h, w) float32 each: the picture less `middle`, its square, the correction, darkest and brightest pixels."""
    height, width = shown.shape[0] // CELL, shown.shape[1] // CELL
    found = [np.empty((height, width), np.float32) for _ in range(5)]
    low, high = shown.min(), shown.max()
    for top, bottom in _bands(height, width):
        part = np.s_[top * CELL : bottom * CELL, : width * CELL]
        picture = np.ascontiguousarray(shown[part])
        centred = picture - middle
        kinds = (centred, centred * centred, restored[part] - picture, picture == low, picture == high)
        for cells, kind in zip(found, kinds, strict=True):
            cells[top:bottom] = cv2.resize(kind.astype(np.float32, copy=False), (width, bottom - top), interpolation=cv2.INTER_AREA)
    return found


def _take_off(restored: np.ndarray, shift: np.ndarray) -> None:
    """Subtract a value a cell from (H, W), in place, going over from one cell to the next."""
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
    """Rows of cells, first and behind the last, of so few that what is made of them takes little memory."""
    rows = max(1, BAND // max(1, width * CELL * CELL))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def _averaged(cells: np.ndarray) -> np.ndarray:
    return cv2.blur(cells, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)
