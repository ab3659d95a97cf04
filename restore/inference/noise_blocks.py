"""What blocks of a picture's DCT say of its noise: energies, tails, and the noise of paper that is partly clipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from restore.images.noise_model import ORDER

LOW = (ORDER > 0) & (ORDER <= 3)
MIDDLE, TOP = (ORDER >= 4) & (ORDER <= 6), ORDER >= 9
FEWEST = 64
"""Blocks that a measurement takes at least."""
PAPER_SHARE = 0.02
"""Fraction of the blocks that are measured as paper: those with the least content."""
MOST_CLIPPED = 0.7
"""Fraction of clipped pixels up to which what is left of a block's noise shows how strong it was."""


@dataclass(frozen=True)
class PaperNoise:
    """The noise of a picture's emptiest blocks, such as paper around text.

    Attributes:
        variance: before the values were clipped.
        colour: see `Estimate.colour`.
        tail: see `tail`.
    """

    variance: float
    colour: float
    tail: float


def energy(blocks: np.ndarray, where: np.ndarray) -> float:
    """The median energy of blocks (n, 8, 8) over the coefficients `where`. For white noise this is its variance at any frequency."""
    return float(np.median(np.square(blocks[:, where]).mean(axis=0)))


def colour(blocks: np.ndarray) -> float:
    """Ratio of the energy of blocks (n, 8, 8) at middle frequencies to that at the highest: 1 for white noise."""
    return energy(blocks, MIDDLE) / max(energy(blocks, TOP), 1e-30)


def tail(blocks: np.ndarray) -> float:
    """Median^2 / mean square of the highest frequencies of blocks (n, 8, 8): 0.44 to 0.48 for white noise, less for strokes."""
    finest = blocks[:, TOP]
    return float(np.median(np.abs(finest)) ** 2 / max(np.square(finest).mean(), 1e-30))


def normality(blocks: np.ndarray) -> float:
    """The same for each of the highest frequencies by itself, and their median: 0.40 to 0.46 for noise of any colour, less after a JPEG."""
    finest = blocks[:, TOP]
    return float(np.median(np.median(np.abs(finest), axis=0) ** 2 / np.maximum(np.square(finest).mean(axis=0), 1e-30)))


def clipped_normal(fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Describe a normal distribution with sigma 1 whose given fraction is clipped.

    Returns:
        z, the distance of its mean from the end, with 1 - Phi(z) = fraction; the distance of the clipped mean; the clipped variance.
    """
    z = -ndtri(np.maximum(fraction, 1e-6))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    inside = density + z * ndtr(z)
    return z, inside, (1 + z**2) * ndtr(z) + z * density - inside**2


def paper_noise(blocks: np.ndarray, clipped: np.ndarray) -> PaperNoise | None:
    """Measure the noise of the emptiest blocks.

    Args:
        blocks: (n, 8, 8).
        clipped: (n,) fraction of each block's pixels at the darkest or the brightest value of the picture.

    Returns:
        Their noise; None if too few blocks are left that are not clipped as a whole.
    """
    usable = clipped <= MOST_CLIPPED
    blocks, clipped = blocks[usable], clipped[usable]
    if len(blocks) < FEWEST:
        return None
    content = np.square(blocks[:, LOW]).sum(axis=1)
    chosen = np.argpartition(content, many := max(FEWEST, int(PAPER_SHARE * len(blocks))) - 1)[: many + 1]
    left = float(clipped_normal(np.median(clipped[chosen])[None])[2][0])
    paper = blocks[chosen]
    return PaperNoise(energy(paper, TOP) / left, colour(paper), tail(paper))
