"""Finds the traces of JPEG compression in decoded pixels: where its blocks begin and how coarsely it quantised the luma.

The coefficients of a decoded block are multiples of their quantisation steps. Fan & de Queiroz 2003, "Identification of bitmap compression
history: JPEG detection and quantizer estimation", find the steps so; here the tables are those of libjpeg's qualities.
"""

from __future__ import annotations

import numpy as np

from restore.images import quantisation
from restore.images.luma import luma as luma_of
from restore.images.noise_model import BASIS
from restore.images.quantisation import BLOCK, Quantisation
from restore.inference import clipped_traces
from restore.inference.arrays import first_of_each, is_eight_bit

BLOCKS = 1500
"""Blocks that are looked at, spread over the picture."""
LOWEST = [(v, u) for v in range(4) for u in range(4) if 0 < v + u < 4]
"""The coefficients whose steps are compared, vertical and horizontal frequency."""
QUALITIES = range(1, 98)
"""Finer steps than those of quality 97 drown in the rounding of the pixels."""
ENOUGH = 40
"""Different values that are not zero, without which a coefficient says nothing. Copies of a few blocks, as the frames and patterns of a
screen have them, fit some step perfectly."""
SAME = 0.01
"""Values nearer than this are equal, as those of a pattern on two grays. The rounding of its pixels moves those of a JPEG by 0.3."""
CERTAIN, CHANCE = 0.5, 0.25
"""The least score of a found table, and the highest that it may have on a grid where there can be no blocks.

A likely table must only exceed the latter: on 25 stacks of 8 noisy frames, tables at wrong blocks scored 0.02 at most, the right ones
of quality 88 and below 0.5 or more."""


def find(pixels: np.ndarray) -> Quantisation | None:
    """The quantisation of a picture that was decoded from a JPEG. Of several, that with the most visible blocks.

    Args:
        pixels: (H, W, 1|3) float32, nominal [0, 1].

    Returns:
        None where no compression is found: not 8-bit values, a resized or filtered picture, or a quality above 97.
    """
    if not _can_show(pixels):
        return None
    luma = 255 * luma_of(pixels)
    corners = dict.fromkeys((_corner(luma), (0, 0)))  # in drawings edges do not show; most pictures are whole
    for top, left in corners:
        expected, score = _likeliest(luma, top, left)
        if score >= CERTAIN and _score_elsewhere(luma, expected) <= CHANCE:
            return expected
    ends = clipped_traces.clipped(pixels)
    for top, left in corners:
        quality, score = clipped_traces.best(luma, ends, top, left)
        expected = Quantisation.of_quality(quality, top, left)
        if score >= clipped_traces.CERTAIN and quality <= clipped_traces.FINEST:
            top, left = _elsewhere(expected)
            if clipped_traces.score(luma, ends, top, left, expected.steps) <= CHANCE:
                return expected
    return None


def confirm(pixels: np.ndarray, expected: Quantisation) -> bool:
    """Whether a picture has the traces of a compression that is likely, as that of another frame of its film.

    Args:
        pixels: (H, W, 1|3) float32, nominal [0, 1].
        expected: the quantisation. It is looked for at its own blocks, so that it is found where their edges do not show.
    """
    if not _can_show(pixels):
        return False
    luma = 255 * luma_of(pixels)
    score = _score(_coefficients(luma, expected.top, expected.left), expected.steps)
    return score > CHANCE and _score_elsewhere(luma, expected) <= CHANCE


def _can_show(pixels: np.ndarray) -> bool:
    """Whether a picture is large enough and of 8-bit values."""
    return min(pixels.shape[:2]) >= 4 * BLOCK and is_eight_bit(pixels)


def _score_elsewhere(luma: np.ndarray, expected: Quantisation) -> float:
    """The score of a table between its blocks, where there can be none."""
    top, left = _elsewhere(expected)
    return _score(_coefficients(luma, top, left), expected.steps)


def _elsewhere(expected: Quantisation) -> tuple[int, int]:
    """The corner of a grid between its blocks."""
    return (expected.top + BLOCK // 2) % BLOCK, (expected.left + BLOCK // 2) % BLOCK


def _corner(luma: np.ndarray) -> tuple[int, int]:
    """Where the first whole block begins: the row and the column after which steps of brightness stand out."""
    return _edge(luma), _edge(luma.T)


def _edge(luma: np.ndarray) -> int:
    """The row of the first block edge, 0..7, by how much the slope changes between rows there, compared with the rows beside."""
    rows = luma.shape[0] // BLOCK * BLOCK
    difference = np.diff(luma, axis=0)
    change = np.abs(2 * difference[1:-1] - difference[:-2] - difference[2:])  # at the step between row y + 1 and y + 2
    profile = np.minimum(change, 16).mean(axis=1)[: rows - 2 * BLOCK]
    count = len(profile) // BLOCK
    by_phase = np.median(profile[: count * BLOCK].reshape(count, BLOCK), axis=0)
    return int(np.argmax(by_phase) + 2) % BLOCK


def _coefficients(luma: np.ndarray, top: int, left: int) -> np.ndarray:
    """The coefficients of up to BLOCKS different blocks of a grid, (blocks, 8, 8)."""
    height, width = ((side - start) // BLOCK * BLOCK for side, start in zip(luma.shape, (top, left), strict=True))
    grid = luma[top : top + height, left : left + width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2)
    blocks = grid.reshape(-1, BLOCK * BLOCK)
    # blocks that reach black or white were clipped, so their coefficients were changed
    inside = blocks[(blocks.min(axis=1) > 1) & (blocks.max(axis=1) < 254) & (np.ptp(blocks, axis=1) > 0)]
    inside = inside[first_of_each(inside)]
    chosen = inside[:: max(1, len(inside) // BLOCKS)]
    return np.asarray(chosen @ BASIS).reshape(-1, BLOCK, BLOCK)


def _likeliest(luma: np.ndarray, top: int, left: int) -> tuple[Quantisation, float]:
    """The quantisation whose steps fit the blocks of a grid best, and its score. A picture may have been turned by 90 degrees since."""
    coefficients = _coefficients(luma, top, left)
    (quality, score), (turned, turned_score) = _quality(coefficients), _quality(coefficients.swapaxes(1, 2))
    if turned_score <= score:
        return Quantisation.of_quality(quality, top, left), score
    return Quantisation(np.ascontiguousarray(quantisation.table(turned).T), top, left), turned_score


def _quality(coefficients: np.ndarray) -> tuple[int, float]:
    """The quality whose steps fit best, and its score."""
    scores = {quality: _score(coefficients, quantisation.table(quality)) for quality in QUALITIES}
    best = max(scores, key=scores.__getitem__)
    return best, scores[best]


def _score(coefficients: np.ndarray, steps: np.ndarray) -> float:
    """How near to multiples of their steps the coefficients are: 1 on them, 0 by chance; 0 where too few say anything."""
    scores = []
    for v, u in LOWEST:
        values = coefficients[:, v, u]
        step = steps[v, u]
        telling = values[np.abs(values) > step / 2]
        if len(np.unique(np.rint(telling / SAME))) >= ENOUGH:
            scores.append(float(np.cos(2 * np.pi / step * telling).mean()))
    return float(np.mean(scores)) if len(scores) >= 2 else 0.0
