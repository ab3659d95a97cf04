"""Rows that an uncompressed picture lacks: refused, or salvaged with a warning."""

from __future__ import annotations

import math
from pathlib import Path

from restore.images.errors import missing_rows, salvage_warning

_SMALL = 4_000_000
"""The most samples of an incomplete picture that is salvaged whatever is missing."""
_SALVAGED = 64
"""How many times as many rows as are present a larger picture may claim."""


def check_rows(path: Path, kind: str, shape: tuple[int, ...], there: int, *, salvage: bool, upward: bool = False) -> tuple[str, ...]:
    """Check that the rows are there, before memory is taken for them.

    Args:
        kind: the format's name.
        shape: of the samples, (H, W[, C]).
        there: number of complete rows in the file.
        salvage: whether rows may be missing, but not nearly all.
        upward: whether rows are stored from the bottom up, so that the first ones are missing.

    Returns:
        The warning for missing rows, which are 0; none if all are there.

    Raises:
        ImageError: rows are missing that may not be.
    """
    height = shape[0]
    if there >= height:
        return ()
    first = 0 if upward else there
    believable = math.prod(shape) <= _SMALL or there * _SALVAGED >= height
    if not (salvage and believable):
        raise missing_rows(path, kind, first, height, height - there)
    return (salvage_warning(first, height, "0", height - there),)
