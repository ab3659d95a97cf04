"""Cutting a picture into overlapping tiles whose results blend into one, and how large a tile may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SMALLEST = 64
STEP = 64


@dataclass(frozen=True)
class Span:
    """One tile's extent along one side, in pixels.

    Attributes:
        start: its first pixel.
        stop: one past its last.
        weight: (stop - start,) float32; over all spans of a side the weights of every pixel sum to 1.
    """

    start: int
    stop: int
    weight: np.ndarray


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Divide one side into equal spans of at most `tile` pixels that overlap by at least `overlap`.

    In an overlap the outer quarter at either end gets no weight, since there a tile knows its surroundings least; between them
    the weights cross over linearly.
    """
    if length <= tile:
        return [Span(0, length, np.ones(length, np.float32))]
    overlap = min(overlap, tile // 2)
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(index * (length - tile) / (count - 1)) for index in range(count)]
    cuts = [((starts[i] + tile + starts[i + 1]) / 2, (starts[i] + tile - starts[i + 1]) / 4) for i in range(count - 1)]
    result = []
    for index, start in enumerate(starts):
        position = np.arange(start, start + tile, dtype=np.float32) + 0.5
        weight = np.ones(tile, np.float32)
        if index > 0:
            weight *= _rise(position, *cuts[index - 1])
        if index < count - 1:
            weight *= 1 - _rise(position, *cuts[index])
        result.append(Span(start, start + tile, weight))
    return result


def _rise(position: np.ndarray, middle: float, reach: float) -> np.ndarray:
    """0 before middle - reach, 1 after middle + reach, linear between."""
    return np.clip((position - middle) / max(2 * reach, 1e-6) + 0.5, 0, 1).astype(np.float32)


def grid(height: int, width: int, tile: int, overlap: int) -> Iterator[tuple[Span, Span]]:
    """Every tile of a picture, row by row: (rows, columns)."""
    columns = spans(width, tile, overlap)
    for rows in spans(height, tile, overlap):
        for column in columns:
            yield rows, column


def largest(free_bytes: int, bytes_per_pixel: float, *, most: int) -> int:
    """The largest tile side, a multiple of 64 and at most `most`, whose work fits into half of the free memory."""
    side = int((free_bytes / 2 / max(bytes_per_pixel, 1e-9)) ** 0.5)
    return max(SMALLEST, min(most, side // STEP * STEP))
