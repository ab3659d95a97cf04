"""Blind noise estimation: the variance of a picture's noise as a line over brightness.

The method is that of Ponomarenko et al. 2007 and Colom and Buades 2013 (IPOL, "Analysis and extension of the Ponomarenko et al. method").
The 8 x 8 DCT blocks with the least energy at low frequencies have the least content, and their high frequencies are mostly noise. The
blocks are grouped by brightness. The line a x + b of Foi et al. 2008 is fitted to a low quantile of the groups' variances, because texture
only adds variance. A frame, a mat or the background of a magnitude picture may be less noisy, but it is one group among many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from scipy.optimize import nnls

from restore.images.frame import BAND
from restore.images.noise_model import BLOCK, NoiseLevel, dct
from restore.inference import camera_noise, drawings, falling_noise, noise_blocks
from restore.inference.noise_blocks import FEWEST, LOW, TOP, PaperNoise, clipped_normal, energy
from restore.inference.noise_estimate import Estimate
from restore.inference.uniform_borders import framed, inner, is_still

MAX_BLOCKS = 40_000  # of one channel; more do not improve the estimate
FLATTEST = 0.07  # fraction of a group's blocks that is used
GROUPS = 16
QUANTILES = (0.2, 0.5)  # of the groups' variances that the line is fitted to: weak noise may be texture in part, strong noise hides it
BETWEEN = (8.0, 25.0)  # sigma: the lower quantile up to the first, the higher from the second on
GAIN = 0.2  # the line must reduce a constant's loss by this fraction, or the noise does not depend on the signal
MANY_DARK = 20 / BLOCK**2  # fraction of a block at the darkest value: few photons leave some pixels dark, a collimator all
TEXTURED = (1.5, 2.0)  # range of `Estimate.spread` over which texture hides the line
FAINT = (6.0, 14.0)  # sigma: texture easily hides signal-independent noise up to the first, not from the second on
QUIETEST = 0.2  # fraction of the groups' blocks that is measured if the line is in doubt
MANY_BLACK = 0.5  # above this fraction of black blocks, the other blocks of a group are not typical of it
LEAST_WHITE, MANY_WHITE = 0.005, 0.35  # fractions of clipped pixels between which the clipping can be undone
TELLING = 0.1  # fraction of black pixels from which clipped noise and photon counts differ enough
STILL = 0.25  # of the line; a group with less has no noise, so that it does not tell strokes from noise
UNEVEN = 1.08  # blocks of one group differ in brightness; this corrects mean^2 / variance of their black pixels


def estimate(picture: np.ndarray, valid: np.ndarray | None = None) -> Estimate:
    """Estimate the noise of a picture, with that of cameras; see `measured`."""
    result = measured(picture, valid)
    return replace(result, camera=camera_noise.detect(picture, result, valid)) if result.level.sigma() > 0 else result


def measured(picture: np.ndarray, valid: np.ndarray | None = None) -> Estimate:
    """Measure the noise of a picture.

    Args:
        picture: (H, W, C) float32 in any range; the level is that of a single channel.
        valid: (H, W) bool, the pixels that hold picture; None for all.

    Returns:
        The estimate; no noise for a picture with fewer than 16 blocks, and for line art, text and dithered pictures.
    """
    if drawings.has_few_values(picture):
        return Estimate()
    channels = [_blocks(picture[:, :, channel], valid) for channel in range(picture.shape[2])]
    blocks, dark, white = (np.concatenate([parts[index] for parts in channels]) for index in range(3))
    if len(blocks) < 16:
        return Estimate()
    chosen = _groups(blocks, dark > MANY_DARK, white)
    groups = [blocks[group] for group in chosen]
    at_black, at_white = ([float(fraction[group].mean()) for group in chosen] for fraction in (dark, white))
    brightness, finest = _unclipped(groups, at_black, at_white, (float(picture.min()), float(picture.max())))
    level = _line(brightness, finest)
    fallen = falling_noise.curve(brightness, finest, groups) if level.slope == 0 else None
    level = level if fallen is None else fallen
    above = finest / np.maximum(level.variance(brightness), 1e-30)
    near = [group for group, excess in zip(groups, above, strict=True) if excess <= np.median(above)]
    colour = float(np.median([noise_blocks.colour(group) for group in near]))
    strong = [group for group, excess in zip(groups, above, strict=True) if excess >= min(STILL, float(np.median(above)))]
    drawing = _of_drawing(picture, Estimate(level, colour), strong, noise_blocks.paper_noise(blocks, np.maximum(dark, white)))
    if drawing is not None:
        return drawing
    result = Estimate(level, colour, float(np.quantile(above, 0.9)), float(np.median([noise_blocks.normality(group) for group in near])))
    quietest = _quietest(groups)
    doubt = float(np.interp(result.spread, TEXTURED, (0, 1)))
    if level.even:
        doubt = max(doubt, float(np.interp(255 * np.sqrt(quietest), FAINT, (1, 0))))
    if doubt and not level.curve:
        result = replace(result, level=_toward(level, quietest, doubt))
    return result


def _of_drawing(picture: np.ndarray, found: Estimate, groups: list[np.ndarray], paper: PaperNoise | None) -> Estimate | None:
    """The estimate for text, line art and screened pictures, whose strokes were `found`: the paper's noise, or none; None for others."""
    sigma = found.level.sigma() / max(float(np.ptp(picture)), 1e-30)
    strokes = drawings.are_strokes(groups, sigma, found.colour)
    if not strokes and not drawings.is_too_strong(sigma, found.colour):
        return None
    if paper is not None and paper.tail > drawings.NORMAL and paper.variance < float(found.level.variance(np.float64(1))):
        return Estimate(NoiseLevel(0.0, paper.variance), paper.colour)
    return Estimate() if strokes and drawings.has_paper(picture) else None


def resolve_level(
    picture: np.ndarray, specified: Estimate | NoiseLevel | float | None, valid: np.ndarray | None = None
) -> Estimate | NoiseLevel:
    """The specified level (a number is a Gaussian's sigma on the 0..255 scale), or else an estimate."""
    if specified is None:
        return estimate(picture, valid)
    return specified if isinstance(specified, NoiseLevel | Estimate) else NoiseLevel.gaussian(float(specified))


def _blocks(channel: np.ndarray, valid: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """DCT blocks on a regular grid.

    Blocks with invalid pixels are left out. If enough others remain, so are blocks near pixels that equal all their neighbours, as in
    mats, frames and labels.

    Returns:
        (N, 8, 8) orthonormal DCT blocks; and the fractions (N,) of their pixels with the picture's darkest and with its brightest value.
    """
    still = is_still(channel)
    inside = inner(framed(still) if valid is None else framed(still) | ~valid)
    channel, still, valid = channel[inside], still[inside], None if valid is None else valid[inside]
    if min(channel.shape) < BLOCK:
        return np.zeros((0, BLOCK, BLOCK), np.float32), np.zeros(0), np.zeros(0)
    windows = np.lib.stride_tricks.sliding_window_view(channel, (BLOCK, BLOCK))
    step = max(1, int(np.ceil(np.sqrt(windows.shape[0] * windows.shape[1] / MAX_BLOCKS))))
    windows = windows[::step, ::step]
    near = cv2.dilate(still, np.ones((5, 5), np.uint8)) > 0

    def fraction(where: Callable[[slice], np.ndarray]) -> np.ndarray:
        """The fraction of each block's pixels for which `where` is true, computed in bands of rows to limit memory."""
        several = max(1, BAND // (channel.shape[1] * step))
        bands = []
        for top in range(0, len(windows), several):
            rows = slice(top * step, (min(len(windows), top + several) - 1) * step + BLOCK)
            sums = cv2.boxFilter(where(rows).astype(np.uint8), -1, (BLOCK, BLOCK), anchor=(0, 0), normalize=False)
            bands.append(sums[: 1 - BLOCK : step, : 1 - BLOCK : step])
        return np.asarray(np.concatenate(bands) / BLOCK**2)

    darkest, brightest = channel.min(), channel.max()
    dark, white = fraction(lambda rows: channel[rows] == darkest), fraction(lambda rows: channel[rows] == brightest)
    picture = np.ones(dark.shape, bool) if valid is None else fraction(lambda rows: ~valid[rows]) == 0
    moving = picture & (fraction(lambda rows: near[rows]) == 0) if still.any() else picture
    chosen = moving if (moving & (dark <= MANY_DARK) & (white < MANY_WHITE)).sum() >= 8 * FEWEST else picture
    return dct(windows[chosen]), dark[chosen], white[chosen]


def _groups(blocks: np.ndarray, black: np.ndarray, white: np.ndarray) -> list[np.ndarray]:
    """The indices of the flattest blocks, (N, 8, 8), of each brightness group, dark to bright.

    Black and white groups count only if there are no others.
    """
    means = blocks[:, 0, 0]
    darkest, spread = float(means.min()), float(np.ptp(means)) or 1.0
    # 16 bits resolve brightness well enough and sort several times faster than floats
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
    """The brightness and the variance of each group before the file format clipped the values at both `ends`."""
    mean = np.array([float(group[:, 0, 0].mean()) / BLOCK for group in groups])
    variance = np.array([energy(group, TOP) for group in groups])
    fraction = np.clip(dark, 0, MANY_WHITE)
    trust = _clipped_at_black(mean - ends[0], variance, fraction)
    if trust:
        z, _, left = clipped_normal(fraction)
        clipped = fraction > LEAST_WHITE
        wide = variance / np.maximum(left, 0.05)
        mean = np.where(clipped, mean + trust * (ends[0] + z * np.sqrt(wide) - mean), mean)
        variance = np.where(clipped, variance + trust * (wide - variance), variance)
    fraction = np.clip(white, 0, MANY_WHITE)
    z, _, left = clipped_normal(fraction)
    clipped = fraction > LEAST_WHITE
    variance = np.where(clipped, variance / np.maximum(left, 0.05), variance)
    return np.where(clipped, ends[1] - z * np.sqrt(variance), mean), variance


def _clipped_at_black(height: np.ndarray, variance: np.ndarray, fraction: np.ndarray) -> float:
    """Decide whether dark pixels are clipped noise (1) or photon counts (0), which are never negative.

    Both have a fraction f of dark pixels. Photon counts have mean^2 / variance = -ln f. For a clipped normal distribution it is about 0.3
    less.

    Args:
        height: (groups,) mean above black.
        variance: (groups,).
        fraction: (groups,) of black pixels.
    """
    telling = fraction > TELLING
    if not telling.any():
        return 0.0
    _, inside, left = clipped_normal(fraction[telling])
    normal, counts = inside**2 / left, -np.log(fraction[telling])
    ratio = UNEVEN * height[telling] ** 2 / np.maximum(variance[telling], 1e-30)
    return float(np.interp(np.median((counts - ratio) / (counts - normal)), (0.4, 0.8), (0, 1)))


def _quietest(groups: list[np.ndarray]) -> float:
    """The variance of the flattest blocks of all groups."""
    blocks = np.concatenate(groups)
    content = np.square(blocks[:, LOW]).sum(axis=1)
    many = max(FEWEST, int(QUIETEST * len(blocks)))
    return energy(blocks[np.argpartition(content, min(many, len(blocks)) - 1)[:many]], TOP)


def _toward(level: NoiseLevel, constant: float, doubt: float) -> NoiseLevel:
    """Interpolate between a line and a lower constant variance: texture usually grows with brightness."""
    keep = 1 - doubt
    return NoiseLevel(keep * level.slope, keep * level.constant + doubt * min(constant, float(level.variance(np.float64(1)))), level.black)


def _line(x: np.ndarray, y: np.ndarray) -> NoiseLevel:
    """Fit the line of variance y over brightness x: first at a low quantile, then at the quantile for the resulting sigma."""
    first = _quantile_line(x, y, QUANTILES[0])
    quantile = float(np.interp(first.sigma(), BETWEEN, QUANTILES))
    return first if quantile == QUANTILES[0] else _quantile_line(x, y, quantile)


def _quantile_line(x: np.ndarray, y: np.ndarray, quantile: float) -> NoiseLevel:
    """Quantile regression of relative errors by iteratively reweighted non-negative least squares."""
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
