"""Results that must be coded finer than their source: their quantisation tables, and those for which coding is not worth it."""

from __future__ import annotations

import numpy as np

from restore.images import quantisation
from restore.images.frame import bands

FINE_QUALITY = 95
"""Of files that come from other formats, and of results that must be coded finer than their source."""
NEGLIGIBLE = 0.35
"""Mean square change, of 255, that coding with the finest tables undoes: rounding to 8 bits as RGB, as YCbCr and as coefficients. With six
photographs of quality 90 and 95, smaller changes lost up to 0.5 dB by it."""


def hardly_differ(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether coding `after` would cost more than what was removed from `before` can have been worth; both (H, W[, C]) uint8."""
    if before.shape != after.shape:
        return False
    parts = [np.square(before[rows].astype(np.float32) - after[rows]).sum(dtype=np.float64) for rows in bands(before.shape)]
    return bool(sum(parts) < NEGLIGIBLE * after.size)


def finer(tables: dict[int, list[int]]) -> dict[int, list[int]]:
    """Tables by number, in natural order, with steps so small that rounding costs little of what was won: a tenth of a decibel.

    None is coarser than quality 95.
    """
    return {
        number: [min(max(1, step // 6), finest) for step, finest in zip(table, _finest(number), strict=True)]
        for number, table in tables.items()
    }


def _finest(number: int) -> list[int]:
    """The table of quality 95 for luma (number 0) or chroma, in natural order."""
    return [int(step) for step in quantisation.table(FINE_QUALITY, chroma=number > 0).flatten()]
