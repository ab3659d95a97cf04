"""The quality at which an encoder codes a picture in as many bytes as its file takes.

Some lossy formats do not record the quality of their files. Bytes measure it: a coarser coding of the same picture is smaller. So the
decoded picture is coded anew at some qualities, and the one that gives the size of the file is used for the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

TRIES = 6
"""The most encodings of one search; two to four are usual."""
LEAST, MOST = 0.95, 1.06
"""The sizes, as fractions of the file's, that end a search."""


@dataclass(frozen=True)
class Scale:
    """A scale of qualities.

    Attributes:
        coarsest, finest: its ends, in either order.
        first: where a search begins.
        growth: what one unit adds to the logarithm of the size, about; negative where larger numbers are coarser.
    """

    coarsest: float
    finest: float
    first: float
    growth: float

    def clipped(self, quality: float) -> float:
        """The nearest quality of the scale."""
        low, high = sorted((self.coarsest, self.finest))
        return min(max(quality, low), high)


def matched_quality(size_of: Callable[[float], int], size: int, scale: Scale) -> float:
    """The coarsest quality tried whose size is at least `LEAST` of the file's.

    The search steps by the scale's growth, each further step on the same side twice as far as the one before at least, until the size
    lies in a bracket; then by the secant in it.

    Args:
        size_of: codes the decoded picture at a quality, and gives its bytes.
        size: of the file, in bytes.

    Returns:
        A quality of the scale; its finest one where none that was tried is enough.
    """
    least, most = math.log(LEAST), math.log(MOST)
    too_coarse: _Point | None = None
    enough: _Point | None = None
    quality, step = scale.first, 0.0
    for _ in range(TRIES):
        excess = math.log(max(1, size_of(quality)) / max(1, size))
        if excess < least:
            too_coarse = quality, excess
        else:
            enough = quality, excess
            if excess <= most:
                break
        if too_coarse is not None and enough is not None:
            following = _between(too_coarse, enough)
        else:
            step = math.copysign(max(abs(excess / scale.growth), 2 * abs(step)), -excess * scale.growth)
            following = scale.clipped(quality + step)
        if following == quality:
            break
        quality = following
    return scale.finest if enough is None else enough[0]


_Point = tuple[float, float]
"""A quality, and the logarithm of its size over the file's."""


def _between(too_coarse: _Point, enough: _Point) -> float:
    """Where the secant of a bracket comes to the size of the file, not near its ends."""
    (coarse, below), (fine, above) = too_coarse, enough
    fraction = -below / (above - below) if above > 0 else 1.0
    return coarse + (fine - coarse) * min(max(fraction, 0.2), 0.8)
