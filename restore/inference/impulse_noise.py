"""Impulse noise (salt and pepper): samples that were replaced by black or white, at random places.

The noise model of the networks does not hold them, so they are removed before. Lone extremes are no proof: stars, glints, strokes and dots
of screens are like them. A picture is taken for noisy where black and white ones are about equally frequent, lie at the ends of the
picture's range, are spread evenly, and are neighbours as often as chance makes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import bdtrc

from restore.inference.arrays import is_eight_bit
from restore.inference.uniform_borders import pieces

AROUND = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
AT_END = 0.004
"""Fraction of the range: samples within it of black or white can be impulses. It is a step of 8 bits."""
BEYOND = 0.2
"""Fraction of the range by which an impulse that counts as proof differs from each of its neighbours that cannot be one."""
MOST_SAME = 3
"""Neighbours at the same end, of eight, above which a sample is the edge of a region and proves nothing."""
LEAST_SHARE, FEWEST, MOST_SHARE = 0.001, 30, 0.2
"""Impulses of each end: the least fraction and number that are removed, and the largest fraction."""
BALANCE = 4.0
"""Largest ratio of the fractions of black and white impulses."""
AT_ENDS = 0.7
"""Least fraction of the samples that differ from all neighbours by BEYOND that are at the ends."""
OFFSETS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))
"""Places of neighbours, rows and columns, at which impulses must be independent."""
CLUSTERED = 1.5
"""Largest ratio of the pairs of impulses to those of chance, and its inverse the least; three deviations more are allowed."""
CELLS, EVEN, SPREAD = 6, 0.3, 0.85
"""Parts along each axis; the fraction of the mean share that a part must have; the fraction of the parts that must."""
REGION_SIDES, CHANCE, PASSES = (3, 5), 0.003, 3
"""Windows in pixels: a sample belongs to a region at an end where one of them holds more such samples than impulses do with this chance.
Each pass looks at the samples that the one before left. One pass leaves 28.1 dB at a share of 0.2, three 34.1, true places 35.1."""
PROVEN = 0.8
"""Least fraction of the proofs that belong to no region: 0.997 of salt and pepper, none where squares of random brightness touch."""
LEVELS, SAMPLE = 16, 200_000
"""Fewest values of the other samples, of so many: pictures of few levels are dithered."""
LOOK = 700
"""Side in pixels of the part of a large picture that is looked at first."""
SIDES = (3, 5, 7, 11)
"""Windows in which unaffected neighbours are looked for, in pixels."""
LEAST_WEIGHT = 1.5
"""Weight of the neighbours in a window that suffices; a direct neighbour weighs 1."""


@dataclass(frozen=True)
class _Extremes:
    """One end of the range.

    Attributes:
        at_end: (H, W, C) bool, samples at it.
        proof: (H, W, C) bool, those that differ from all their neighbours by BEYOND.
        visible: (H, W, C) bool, where an impulse would.
    """

    at_end: np.ndarray
    proof: np.ndarray
    visible: np.ndarray

    @property
    def share(self) -> float:
        """The fraction of impulses."""
        places = int(np.count_nonzero(self.visible))
        return float(np.count_nonzero(self.proof)) / max(1, places)


def find(pixels: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray | None:
    """The samples that impulse noise replaced.

    Args:
        pixels: (H, W, C) float32, any range.
        valid: (H, W) bool, the pixels that hold picture; None for all.

    Returns:
        (H, W, C) bool; None for a picture without impulse noise.
    """
    if min(pixels.shape[:2]) < 8 * CELLS or (valid is not None and not valid.any()):
        return None
    if valid is None and min(pixels.shape[:2]) > 2 * LOOK and find(_middle(pixels)) is None:  # impulses are everywhere
        return None
    inside = pixels if valid is None else pixels[valid]
    low, high = float(inside.min()), float(inside.max())
    if high <= low or min(np.count_nonzero(inside == end) for end in (low, high)) < LEAST_SHARE * inside.size / 4:
        return None
    dark, bright, others = _extremes(pixels, valid, low, high)
    if not _are_balanced(dark, bright, others):
        return None
    proof, visible = dark.proof | bright.proof, dark.visible | bright.visible
    if not (_is_even(proof, visible) and _is_independent(proof, visible)):
        return None
    step = max(1, int(np.sqrt(pixels.size / SAMPLE)))
    if len(np.unique(pixels[::step, ::step][~(dark.at_end | bright.at_end)[::step, ::step]])) < LEVELS:
        return None
    impulses = np.asarray(_impulses(dark) | _impulses(bright))
    if np.count_nonzero(impulses & proof) < PROVEN * np.count_nonzero(proof):  # corners of regions
        return None
    return impulses


def _middle(pixels: np.ndarray) -> np.ndarray:
    """The LOOK x LOOK pixels in the middle."""
    top, left = ((side - LOOK) // 2 for side in pixels.shape[:2])
    return pixels[top : top + LOOK, left : left + LOOK]


def cleaned(pixels: np.ndarray, valid: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """A picture without impulse noise, and the fraction of its samples that were impulses; the picture itself where it has none.

    Arguments as those of `find`.
    """
    impulses = find(pixels, valid)
    return (
        (pixels, 0.0)
        if impulses is None
        else (removed(pixels, impulses, valid), float((impulses if valid is None else impulses[valid]).mean()))
    )


def removed(pixels: np.ndarray, impulses: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """A picture whose impulses are replaced by a weighted mean of their neighbours, in windows that grow until they hold enough of them.

    A picture of 8 bits stays one.

    Args:
        pixels: (H, W, C) float32.
        impulses: (H, W, C) bool.
        valid: (H, W) bool, the pixels that hold picture; None for all.
    """
    result = pixels.copy()
    for channel in range(pixels.shape[2]):
        plane, missing = result[:, :, channel], impulses[:, :, channel]
        usable = (~missing if valid is None else ~missing & valid).astype(np.float32)
        values = np.where(missing, 0, plane) * usable
        for side in SIDES:
            weights = _weights(side)
            total = cv2.filter2D(usable, -1, weights, borderType=cv2.BORDER_CONSTANT)
            enough = missing & (total >= (LEAST_WEIGHT if side != SIDES[-1] else 1e-6))
            plane[enough] = cv2.filter2D(values, -1, weights, borderType=cv2.BORDER_CONSTANT)[enough] / total[enough]
            missing = missing & ~enough
    if is_eight_bit(pixels):  # such pictures run faster
        result[impulses] = np.rint(np.float32(255) * result[impulses]) / np.float32(255)
    return result


def _weights(side: int) -> np.ndarray:
    """(side, side) float32: the sixth power of the inverse distance, zero at the centre."""
    y, x = np.mgrid[:side, :side] - side // 2
    return np.where((y == 0) & (x == 0), 0, 1 / np.maximum(y**2 + x**2, 1) ** 3).astype(np.float32)


def _extremes(pixels: np.ndarray, valid: np.ndarray | None, low: float, high: float) -> tuple[_Extremes, _Extremes, int]:
    """The dark and the bright end, and how many other samples differ from all their neighbours by BEYOND."""
    margin, beyond = AT_END * (high - low), BEYOND * (high - low)
    dark, bright = (_Extremes(*(np.empty(pixels.shape, bool) for _ in range(3))) for _ in range(2))
    others = 0
    usable = np.ones(pixels.shape[:2], bool) if valid is None else valid
    for (rows, piece, inside), (_, part, _) in zip(pieces(pixels), pieces(usable), strict=True):
        at_ends = [(piece <= low + margin) & part[:, :, None], (piece >= high - margin) & part[:, :, None]]
        unusable = at_ends[0] | at_ends[1] | ~part[:, :, None]
        least = cv2.erode(np.where(unusable, np.float32(np.inf), piece), AROUND).reshape(piece.shape)[inside]
        most = cv2.dilate(np.where(unusable, np.float32(-np.inf), piece), AROUND).reshape(piece.shape)[inside]
        under, over = least - piece[inside] > beyond, piece[inside] - most > beyond
        some = least <= most  # a neighbour that cannot be an impulse
        for end, at_end, proof, visible in (
            (dark, at_ends[0], under, least - low > beyond),
            (bright, at_ends[1], over, high - most > beyond),
        ):
            same = cv2.filter2D(at_end.view(np.uint8), -1, AROUND.astype(np.float32), borderType=cv2.BORDER_ISOLATED).reshape(piece.shape)
            lone = (at_end & (same <= MOST_SAME))[inside]
            end.at_end[rows], end.proof[rows], end.visible[rows] = at_end[inside], some & proof & lone, some & visible
        others += int(np.count_nonzero(some & (under | over) & ~unusable[inside]))
    return dark, bright, others


def _are_balanced(dark: _Extremes, bright: _Extremes, others: int) -> bool:
    """Whether black and white impulses are about equally frequent, and most lone extremes are impulses."""
    shares, counts = sorted((dark.share, bright.share)), [np.count_nonzero(one.proof) for one in (dark, bright)]
    if min(counts) < FEWEST or shares[0] < LEAST_SHARE or shares[1] > min(MOST_SHARE, BALANCE * shares[0]):
        return False
    return bool(sum(counts) >= AT_ENDS * (sum(counts) + others))


def _is_independent(proof: np.ndarray, visible: np.ndarray) -> bool:
    """Whether impulses are neighbours as often as chance makes them."""
    share = np.count_nonzero(proof) / np.count_nonzero(visible)
    pairs = places = 0
    for down, right in OFFSETS:
        first = np.s_[: proof.shape[0] - down, max(0, -right) : proof.shape[1] - max(0, right)]
        second = np.s_[down:, max(0, right) : proof.shape[1] + min(0, right)]
        pairs += int(np.count_nonzero(proof[first] & proof[second]))
        places += int(np.count_nonzero(visible[first] & visible[second]))
    expected = share**2 * places
    deviation = 3 * np.sqrt(expected) + 3
    return bool(expected / CLUSTERED - deviation <= pairs <= CLUSTERED * expected + deviation)


def _is_even(proof: np.ndarray, visible: np.ndarray) -> bool:
    """Whether nearly all parts of the picture have their share of the impulses."""
    share = np.count_nonzero(proof) / np.count_nonzero(visible)
    rows, columns = (np.linspace(0, side, CELLS + 1).astype(int) for side in proof.shape[:2])
    counts, room = (
        np.add.reduceat(np.add.reduceat(mask.sum(axis=2), rows[:-1], axis=0), columns[:-1], axis=1) for mask in (proof, visible)
    )
    expected = share * room
    tested = expected >= 3
    return bool(tested.any()) and float(np.mean(counts[tested] >= EVEN * expected[tested] - 1)) >= SPREAD


def _most_by_chance(neighbours: int, share: float) -> int:
    """The number of impulses among so many neighbours that more are found with a probability of CHANCE at most."""
    return int(np.argmax(bdtrc(np.arange(neighbours + 1), neighbours, share) <= CHANCE))


def _impulses(end: _Extremes) -> np.ndarray:
    """The samples at an end that are impulses: all but those of regions at that end, (H, W, C) bool."""
    region = end.at_end
    for _ in range(PASSES):
        exceeds = np.zeros(region.shape, bool)
        for side in REGION_SIDES:
            around = np.ones((side, side), np.float32)
            around[side // 2, side // 2] = 0
            same = cv2.filter2D(region.view(np.uint8), -1, around, borderType=cv2.BORDER_REFLECT_101).reshape(region.shape)
            exceeds |= same > _most_by_chance(side**2 - 1, end.share)
        region = region & exceeds
    return np.asarray(end.at_end & ~region)
