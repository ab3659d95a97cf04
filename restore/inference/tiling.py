"""Divides a picture into overlapping tiles with blending weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Span:
    """The extent of one tile along one side, in pixels.

    Attributes:
        start: the first pixel.
        stop: one past the last pixel.
        weight: (stop - start,) float32; the weights of all spans of a side sum to 1 at every pixel.
    """

    start: int
    stop: int
    weight: np.ndarray


Tile = tuple[Span, Span]
"""Rows and columns."""


def spans(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Divide one side into spans of at most `tile` pixels that start at a multiple of `multiple`.

    This keeps the grid of a network that halves its resolution the same in every tile as in the whole picture. All spans but the last
    have the same length. They overlap by at least `overlap` pixels or half a tile. The weights cross over linearly in the inner half of
    the smallest overlap. Its outer quarters get no weight, because tiles are least accurate near their edges.
    """
    if length <= tile:
        return [Span(0, length, np.ones(length, np.float32))]
    overlap = min(overlap, tile // 2)
    stride = max(1, (tile - overlap) // multiple) * multiple
    count = 1 + -(-(length - tile) // stride)
    # no larger than this number of tiles needs, because overlapping pixels are computed twice
    needed = -(-(length + (count - 1) * overlap) // count) + multiple
    tile = min(tile, -(-needed // multiple) * multiple)
    starts = [-(-index * (length - tile) // ((count - 1) * multiple)) * multiple for index in range(count)]
    stops = [min(start + tile, length) for start in starts]
    overlaps = list(zip(starts[1:], stops[:-1], strict=True))
    reach = min(stop - start for start, stop in overlaps) / 4
    middles = [-np.inf, *((start + stop) / 2 for start, stop in overlaps), np.inf]
    result = []
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        position = np.arange(start, stop, dtype=np.float32) + 0.5
        # differences of successive ramps sum to 1, however many spans cover a pixel
        weight = _rise(position, middles[index], reach) - _rise(position, middles[index + 1], reach)
        result.append(Span(start, stop, weight))
    return result


def _rise(position: np.ndarray, middle: float, reach: float) -> np.ndarray:
    """0 before middle - reach, 1 after middle + reach, linear between."""
    return np.clip((position - middle) / max(2 * reach, 1e-6) + 0.5, 0, 1).astype(np.float32)


def stretched(weight: np.ndarray, scale: int) -> np.ndarray:
    """A span's weights (n,) at `scale` times the resolution, (scale n,). The weights of all spans still sum to 1."""
    return np.repeat(weight, scale)


def grid(height: int, width: int, tile: int, overlap: int, multiple: int = 1) -> Iterator[Tile]:
    """Every tile of a picture, row by row: (rows, columns)."""
    columns = spans(width, tile, overlap, multiple)
    for rows in spans(height, tile, overlap, multiple):
        for column in columns:
            yield rows, column


def batches(tiles: Iterator[Tile], size: int) -> Iterator[list[Tile]]:
    """Group consecutive tiles of equal shape, up to `size` at a time."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (len(batch) >= size or any(a.weight.shape != b.weight.shape for a, b in zip(tile, batch[0], strict=True))):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch
