"""The quality at which an encoder codes a picture in as many bytes as its file takes.

Some lossy formats do not record the quality of their files. Bytes measure it: a coarser coding of the same picture is smaller. So the
decoded picture is coded anew at some qualities, and the one that gives the size of the file is used for the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

TRIES = 5
"""The most encodings of one search."""
LEAST, MOST = 0.97, 1.06
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

    The search is the secant method on the logarithm of the size, which halves the bracket where a step would leave it.

    Args:
        size_of: codes the decoded picture at a quality, and gives its bytes.
        size: of the file, in bytes.

    Returns:
        A quality of the scale; its finest one where none that was tried is enough.
    """
    too_coarse: tuple[float, float] | None = None
    enough: tuple[float, float] | None = None
    quality = scale.first
    for _ in range(TRIES):
        excess = math.log(max(1, size_of(quality)) / max(1, size))
        if excess < math.log(LEAST):
            too_coarse = quality, excess
        else:
            enough = quality, excess
            if excess <= math.log(MOST):
                break
        following = _following(quality, excess, too_coarse, enough, scale)
        if following == quality:
            break
        quality = following
    return scale.finest if enough is None else enough[0]


def _following(
    quality: float, excess: float, too_coarse: tuple[float, float] | None, enough: tuple[float, float] | None, scale: Scale
) -> float:
    """The quality to try after one that is off by `excess`."""
    if too_coarse is None or enough is None:
        return scale.clipped(quality - excess / scale.growth)
    (coarse, below), (fine, above) = too_coarse, enough
    share = -below / (above - below) if above > below else 0.5
    return coarse + (fine - coarse) * min(max(share, 0.2), 0.8)
