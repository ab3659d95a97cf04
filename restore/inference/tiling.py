"""Cutting a picture into overlapping tiles whose results blend into one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


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


Tile = tuple[Span, Span]
"""Rows and columns."""


def spans(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Divide one side into spans of at most `tile` pixels that start at a multiple of `multiple`.

    Only so does a network that halves its resolution see the same grid in every tile as in the whole picture. The spans are of
    one length, but for the last; they overlap by at least `overlap` pixels or half a tile.
    Of the smallest overlap the outer quarter at either end gets no weight, since there a tile knows its surroundings least;
    the weights cross over linearly in its inner half.
    """
    if length <= tile:
        return [Span(0, length, np.ones(length, np.float32))]
    overlap = min(overlap, tile // 2)
    stride = max(1, (tile - overlap) // multiple) * multiple
    count = 1 + -(-(length - tile) // stride)
    # no larger than so many tiles need: what lies in two tiles is paid for twice
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
        # what has risen and not yet risen again: over all spans the differences sum to 1, however many lie over one pixel
        weight = _rise(position, middles[index], reach) - _rise(position, middles[index + 1], reach)
        result.append(Span(start, stop, weight))
    return result


def _rise(position: np.ndarray, middle: float, reach: float) -> np.ndarray:
    """0 before middle - reach, 1 after middle + reach, linear between."""
    return np.clip((position - middle) / max(2 * reach, 1e-6) + 0.5, 0, 1).astype(np.float32)


def stretched(weight: np.ndarray, scale: int) -> np.ndarray:
    """A span's weights, (n,), for a result `scale` times as fine, (scale n,): still 1 in sum over all spans."""
    return np.repeat(weight, scale)


def grid(height: int, width: int, tile: int, overlap: int, multiple: int = 1) -> Iterator[Tile]:
    """Every tile of a picture, row by row: (rows, columns)."""
    columns = spans(width, tile, overlap, multiple)
    for rows in spans(height, tile, overlap, multiple):
        for column in columns:
            yield rows, column


def batches(tiles: Iterator[Tile], size: int) -> Iterator[list[Tile]]:
    """Up to `size` neighbours of one shape at a time."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (
            len(batch) >= size or any(a.weight.shape != b.weight.shape for a, b in zip(tile, batch[0], strict=True))
        ):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch
