"""Quantisation tables for results that must be coded finer than their source."""

from __future__ import annotations

from restore.images import quantisation

FINE_QUALITY = 95
"""Of files that come from other formats, and of results that must be coded finer than their source."""


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
