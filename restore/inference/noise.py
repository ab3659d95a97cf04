"""Blind denoising's first step: how noisy is this picture, and how does its noise grow with the signal?

Ponomarenko et al. 2007 and Colom and Buades 2013 (IPOL, "Analysis and extension of the Ponomarenko et al. method"): among the
8 x 8 DCT blocks of a picture those with the least energy at low frequencies show the least content, and the high frequencies
of these few show little but noise. The blocks are grouped by brightness. The line a x + b of Foi et al. 2008 is fitted to a low
quantile of the groups' variances: texture in a group only adds variance. A frame, a mat or the background of a magnitude
picture may be quieter than the rest, but is one group among many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtr, ndtri

from restore.images.frame import BAND
from restore.images.noise import BLOCK, ORDER, NoiseLevel, dct
from restore.inference.mats import framed, inner, is_still

MOST_BLOCKS = 40_000  # a channel; more tell nothing new and cost time
FLATTEST = 0.07  # share of a group's blocks that is used
FEWEST = 64  # blocks of a group
GROUPS = 16
QUANTILES = (0.2, 0.5)  # of the groups' variances, that the line is fitted to: little noise may be texture in part, loud noise hides it
BETWEEN = (8.0, 25.0)  # of sigma: up to the first the lower quantile, from the second on the higher
GAIN = 0.2  # by how much of its loss the line must better a constant, or the noise does not depend on the signal
LOW = (ORDER > 0) & (ORDER <= 3)
MIDDLE, TOP = (ORDER >= 4) & (ORDER <= 6), ORDER >= 9
CORRELATED, MIXED = 2.0, 1.6  # of `Estimate.colour` and `spread`: noise blurred by half a pixel has 2.5 and 1.2, clean photographs 8 and 5
WHITE, EVEN = (1.4, 2.4), (1.4, 2.4)  # of the same: a photograph's noise from where to where trust in it falls
QUIET, LOUD = 4.0, 8.0  # of sigma: a photograph's estimate up to the first may be texture, from the second on it is noise
MANY_DARK = 20 / BLOCK**2  # fraction of a block at the darkest value: few photons leave some pixels dark, a collimator all
TEXTURED = (1.5, 2.0)  # of `Estimate.spread`: from where to where texture hides the line
FAINT = (6.0, 14.0)  # of sigma: up to the first texture easily hides equal noise, from the second on it does not
QUIETEST = 0.2  # fraction of the groups' blocks that is measured instead
MANY_BLACK = 0.5  # fraction of a group's blocks from which the few that are not black are not typical of it
LEAST_WHITE, MANY_WHITE = 0.005, 0.35  # fractions of pixels at the brightest value between which their clipping can be undone
TELLING = 0.1  # fraction of black pixels from which clipped noise and counts differ enough
UNEVEN = 1.08  # blocks of one group differ in brightness, which makes mean^2 / variance so much too small for their black pixels


@dataclass(frozen=True)
class Estimate:
    """What a picture's own pixels tell of its noise.

    Attributes:
        level: variance a x + b.
        colour: energy of the flattest blocks at middle frequencies, of that at the finest: 1 for white noise, more for noise that is alike
            in neighbouring pixels, and for texture.
        spread: by how much the noisiest groups of blocks exceed the line: 1.1 for noise, more where texture hides in them.
    """

    level: NoiseLevel = field(default_factory=NoiseLevel)
    colour: float = 1.0
    spread: float = 1.0

    @property
    def correlated(self) -> bool:
        """Whether the noise is alike in neighbouring pixels; then `level` is that of its finest detail only."""
        return self.colour > CORRELATED and self.spread < MIXED and self.level.sigma() > 0

    def confidence(self, span: float = 1.0) -> float:
        """How far to trust a photograph's estimate, 0.6..1: the fraction of the correction that is applied.

        Fine texture reads as noise of a sigma of up to about 5, or more where all of a picture is textured. But texture is neither white
        nor equal in dark and bright places. An estimate that is both is trusted; any other low estimate is applied in part. A fraction
        of 0.6 costs the PolyU photographs 0.2 dB of 0.6 and spares clean pictures four.

        Args:
            span: the range in which a network sees the picture.
        """
        care = float(np.clip(max(self.spread / MIXED, self.colour - WHITE[0]), 1, 2))
        loud = float(np.interp(self.level.sigma() / span, (QUIET * care, LOUD * care), (0, 1)))
        white, even = (float(np.interp(value, ends, (1, 0))) for value, ends in ((self.colour, WHITE), (self.spread, EVEN)))
        return 0.6 + 0.4 * max(loud, min(white, even))


def estimate(picture: np.ndarray, valid: np.ndarray | None = None) -> Estimate:
    """Estimate the noise of a picture.

    Args:
        picture: (H, W, C) float32 in any range; the level is that of a single channel.
        valid: (H, W) bool, where it is a picture; None where all of it is.

    Returns:
        The estimate; no noise for a picture with fewer than 16 blocks.
    """
    found = [_blocks(picture[:, :, channel], valid) for channel in range(picture.shape[2])]
    blocks, dark, white = (np.concatenate([parts[index] for parts in found]) for index in range(3))
    if len(blocks) < 16:
        return Estimate()
    chosen = _groups(blocks, dark > MANY_DARK, white)
    groups = [blocks[group] for group in chosen]
    at_black, at_white = ([float(fraction[group].mean()) for group in chosen] for fraction in (dark, white))
    brightness, finest = _unclipped(groups, at_black, at_white, (float(picture.min()), float(picture.max())))
    level = _line(brightness, finest)
    above = finest / np.maximum(level.variance(brightness), 1e-30)
    near = [group for group, excess in zip(groups, above, strict=True) if excess <= np.median(above)]
    colour = float(np.median([_energy(group, MIDDLE) / max(_energy(group, TOP), 1e-30) for group in near]))
    made = Estimate(level, colour, float(np.quantile(above, 0.9)))
    quietest = _quietest(groups)
    doubt = float(np.interp(made.spread, TEXTURED, (0, 1)))
    if level.slope == 0:
        doubt = max(doubt, float(np.interp(255 * np.sqrt(quietest), FAINT, (1, 0))))
    if doubt:
        made = replace(made, level=_toward(level, quietest, doubt))
    return made


def level_of(picture: np.ndarray, told: Estimate | NoiseLevel | float | None, valid: np.ndarray | None = None) -> Estimate | NoiseLevel:
    """What to work with: the level told (a number is a Gaussian's standard deviation of 255), or else the estimate."""
    if told is None:
        return estimate(picture, valid)
    return told if isinstance(told, NoiseLevel | Estimate) else NoiseLevel.gaussian(float(told))


def _blocks(channel: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 8, 8) orthonormal DCT blocks on a regular grid; (N,) which fractions of their pixels are dark; (N,) and white.

    Dark are pixels of the picture's darkest value, white those of its brightest. Left out, where enough others remain,
    are blocks with pixels that are no picture, and those near pixels that equal all their neighbours, as mats, frames and labels have.
    """
    still = is_still(channel)
    inside = inner(framed(still) if valid is None else framed(still) | ~valid)
    channel, still, valid = channel[inside], still[inside], None if valid is None else valid[inside]
    if min(channel.shape) < BLOCK:
        return np.zeros((0, BLOCK, BLOCK), np.float32), np.zeros(0), np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(channel, (BLOCK, BLOCK))
    step = max(1, int(np.ceil(np.sqrt(windows.shape[0] * windows.shape[1] / MOST_BLOCKS))))
    windows = windows[::step, ::step]
    near = cv2.dilate(still, np.ones((5, 5), np.uint8)) > 0

    def fraction(where: Callable[[slice], np.ndarray]) -> np.ndarray:
        """Which fraction of each block's pixels is so; in bands of rows, which take little memory."""
        several = max(1, BAND // (channel.shape[1] * step))
        made = []
        for top in range(0, len(windows), several):
            rows = slice(top * step, (min(len(windows), top + several) - 1) * step + BLOCK)
            sums = cv2.boxFilter(where(rows).astype(np.uint8), -1, (BLOCK, BLOCK), anchor=(0, 0), normalize=False)
            made.append(sums[: 1 - BLOCK : step, : 1 - BLOCK : step])
        return np.asarray(np.concatenate(made) / BLOCK**2)

    darkest, brightest = channel.min(), channel.max()
    dark, white = fraction(lambda rows: channel[rows] == darkest), fraction(lambda rows: channel[rows] == brightest)
    picture = np.ones(dark.shape, bool) if valid is None else fraction(lambda rows: ~valid[rows]) == 0
    moving = picture & (fraction(lambda rows: near[rows]) == 0) if still.any() else picture
    chosen = moving if (moving & (dark <= MANY_DARK) & (white < MANY_WHITE)).sum() >= 8 * FEWEST else picture
    return dct(windows[chosen]), dark[chosen], white[chosen]


def _groups(blocks: np.ndarray, black: np.ndarray, white: np.ndarray) -> list[np.ndarray]:
    """The numbers of the flattest (N, 8, 8) blocks of each brightness group, dark to bright; black and white groups only if all are."""
    means = blocks[:, 0, 0]
    darkest, spread = float(means.min()), float(np.ptp(means)) or 1.0
    # 16 bits tell brightness well enough, and sort several times quicker than floats
    order = np.argsort(np.rint((means - darkest) * (65535 / spread)).astype(np.uint16), kind="stable")
    groups = np.array_split(order, max(1, min(GROUPS, len(blocks) // FEWEST)))
    usable = [group[~black[group]] for group in groups if black[group].mean() <= MANY_BLACK and white[group].mean() <= MANY_WHITE]
    content = np.square(blocks[:, LOW]).sum(axis=1)
    chosen = []
    for group in usable or groups:
        many = min(len(group), max(FEWEST, int(FLATTEST * len(group))))
        chosen.append(group[np.argpartition(content[group], many - 1)[:many]])
    return chosen


def _unclipped(groups: list[np.ndarray], dark: list[float], white: list[float], ends: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The brightness and the variance of each group, as they were before the file format clipped them at both `ends`."""
    mean = np.array([float(group[:, 0, 0].mean()) / BLOCK for group in groups])
    variance = np.array([_energy(group, TOP) for group in groups])
    fraction = np.clip(dark, 0, MANY_WHITE)
    trust = _clipped_at_black(mean - ends[0], variance, fraction)
    if trust:
        z, _, left = _normal(fraction)
        clipped = fraction > LEAST_WHITE
        wide = variance / np.maximum(left, 0.05)
        mean = np.where(clipped, mean + trust * (ends[0] + z * np.sqrt(wide) - mean), mean)
        variance = np.where(clipped, variance + trust * (wide - variance), variance)
    fraction = np.clip(white, 0, MANY_WHITE)
    z, _, left = _normal(fraction)
    clipped = fraction > LEAST_WHITE
    variance = np.where(clipped, variance / np.maximum(left, 0.05), variance)
    return np.where(clipped, ends[1] - z * np.sqrt(variance), mean), variance


def _normal(fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A normal distribution of which a fraction is clipped: how many deviations its mean is from the end, and what clipping leaves.

    Returns:
        z with a fraction 1 - Phi(z) beyond the end; the distance of the clipped mean from the end, and the clipped variance, of sigma = 1.
    """
    z = -ndtri(np.maximum(fraction, 1e-6))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    inside = density + z * ndtr(z)
    return z, inside, (1 + z**2) * ndtr(z) + z * density - inside**2


def _clipped_at_black(height: np.ndarray, variance: np.ndarray, fraction: np.ndarray) -> float:
    """Whether dark pixels are noise that was clipped, 1, or counts of photons, 0, which are never negative.

    Both leave a fraction f of dark pixels. A count has mean^2 / variance = -ln f; of a clipped normal distribution it is about 0.3 less.

    Args:
        height: (groups,) mean above black.
        variance: (groups,).
        fraction: (groups,) of black pixels.
    """
    telling = fraction > TELLING
    if not telling.any():
        return 0.0
    _, inside, left = _normal(fraction[telling])
    normal, counts = inside**2 / left, -np.log(fraction[telling])
    ratio = UNEVEN * height[telling] ** 2 / np.maximum(variance[telling], 1e-30)
    return float(np.interp(np.median((counts - ratio) / (counts - normal)), (0.4, 0.8), (0, 1)))


def _quietest(groups: list[np.ndarray]) -> float:
    """The variance of the flattest blocks of all groups."""
    blocks = np.concatenate(groups)
    content = np.square(blocks[:, LOW]).sum(axis=1)
    many = max(FEWEST, int(QUIETEST * len(blocks)))
    return _energy(blocks[np.argpartition(content, min(many, len(blocks)) - 1)[:many]], TOP)


def _toward(level: NoiseLevel, constant: float, doubt: float) -> NoiseLevel:
    """A level between a line and a constant variance that is lower: texture grows with brightness more often than not."""
    keep = 1 - doubt
    return NoiseLevel(keep * level.slope, keep * level.constant + doubt * min(constant, float(level.variance(np.float64(1)))), level.black)


def _line(x: np.ndarray, y: np.ndarray) -> NoiseLevel:
    """The line of variance y over brightness x: at a low quantile first, then at that which fits so much noise."""
    first = _quantile_line(x, y, QUANTILES[0])
    quantile = float(np.interp(first.sigma(), BETWEEN, QUANTILES))
    return first if quantile == QUANTILES[0] else _quantile_line(x, y, quantile)


def _quantile_line(x: np.ndarray, y: np.ndarray, quantile: float) -> NoiseLevel:
    """Quantile regression of relative errors, by non-negative least squares reweighted."""
    black = float(x.min())
    constant = float(np.quantile(y, quantile))
    least = 1e-6 * max(float(y.max()), 1e-30)
    line = np.full_like(y, max(constant, least))
    plain = _loss(y, line, quantile)
    slope, offset = 0.0, constant
    for _ in range(20):
        error = (y - line) / line
        weight = np.sqrt(np.where(error > 0, quantile, 1 - quantile) / np.maximum(np.abs(error), 0.02)) / line
        (slope, offset), _ = nnls(np.stack([x - black, np.ones_like(x)], axis=1) * weight[:, None], y * weight)
        line = np.maximum(slope * (x - black) + offset, least)
    if _loss(y, line, quantile) > (1 - GAIN) * plain:
        return NoiseLevel(0.0, constant)
    in_the_dark = float(offset - slope * black)
    return NoiseLevel(float(slope), in_the_dark) if black >= 0 and in_the_dark >= 0 else NoiseLevel(float(slope), float(offset), black)


def _loss(y: np.ndarray, line: np.ndarray, quantile: float) -> float:
    error = (y - line) / line
    return float((np.where(error > 0, quantile, quantile - 1) * error).mean())


def _energy(blocks: np.ndarray, where: np.ndarray) -> float:
    """The median over the coefficients `where` of what (n, 8, 8) blocks hold there: of white noise its variance, at any frequency."""
    return float(np.median(np.square(blocks[:, where]).mean(axis=0)))
