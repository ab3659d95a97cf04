"""Blind denoising's first step: how noisy is this picture?

Ponomarenko et al. 2007 and Colom and Buades 2013 (IPOL, "Analysis and extension of the Ponomarenko et al. method"): among the
8 x 8 DCT blocks of a picture those with the least energy at low frequencies show the least content, and the high frequencies
of these few show little but noise. For signal-dependent noise the blocks are grouped by brightness, and the line a x + b of
Foi et al. 2008 is fitted through the groups' variances.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.optimize import nnls

from restore.images.noise import BLOCK, ORDER, NoiseLevel, dct, fine_variance

MOST_BLOCKS = 40_000  # a channel; more tell nothing new and cost time
FLATTEST = 0.05  # share of a picture's blocks that is used
FLATTEST_OF_GROUP = 0.5  # of a brightness group: fewer would be its darkest, which are its least noisy too
FEWEST = 64
GROUPS = 16
LOW = (ORDER > 0) & (ORDER <= 3)


def estimate(picture: np.ndarray, *, signal_dependent: bool = False) -> NoiseLevel:
    """Estimate the noise level of a picture.

    Args:
        picture: (H, W, C) float32, nominal [0, 1]; the level is that of a single channel.
        signal_dependent: fit variance a x + b instead of one constant.

    Returns:
        The level; zero for a picture with fewer than 16 blocks.
    """
    found = [_blocks(picture[:, :, channel]) for channel in range(picture.shape[2])]
    if min(len(blocks) for blocks in found) < 16:
        return NoiseLevel()
    if signal_dependent:
        return _fit(np.concatenate(found))
    return NoiseLevel(0.0, float(np.mean([fine_variance(blocks[_flattest(_content(blocks), FLATTEST)]) for blocks in found])))


def level_of(picture: np.ndarray, told: NoiseLevel | float | None, *, signal_dependent: bool) -> NoiseLevel:
    """The level to work with: the one told (a number is a Gaussian's standard deviation of 255), or else the estimate."""
    if told is None:
        return estimate(picture, signal_dependent=signal_dependent)
    return told if isinstance(told, NoiseLevel) else NoiseLevel.gaussian(float(told))


def confidence(level: NoiseLevel) -> float:
    """How far a blind estimate for a photograph is to be trusted, 0.6..1: the share of the correction that is taken.

    Fine texture reads as noise of a sigma of up to about 5, so that below it a clean picture cannot be told from a noisy one.
    Six tenths of the correction there cost the PolyU photographs 0.2 dB of 0.6, and spare clean pictures four.
    """
    return float(np.interp(level.sigma(), (4.0, 8.0), (0.6, 1.0)))


def _content(blocks: np.ndarray) -> np.ndarray:
    """(N,) energy of (N, 8, 8) DCT blocks at low frequencies."""
    return np.asarray(np.square(blocks[:, LOW]).sum(axis=1))


def _flattest(content: np.ndarray, share: float) -> np.ndarray:
    """Where the `share` of (N,) blocks with the least content is, but not too few."""
    count = min(len(content), max(FEWEST, int(share * len(content))))
    return np.argpartition(content, count - 1)[:count]


def _blocks(channel: np.ndarray) -> np.ndarray:
    """(N, 8, 8) orthonormal DCT blocks on a regular grid.

    Blocks with more than one pixel at the picture's very darkest or brightest value are left out where enough others remain:
    the file format has clipped their noise.
    """
    if min(channel.shape) < BLOCK:
        return np.zeros((0, BLOCK, BLOCK), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(channel, (BLOCK, BLOCK))
    step = max(1, int(np.ceil(np.sqrt(windows.shape[0] * windows.shape[1] / MOST_BLOCKS))))
    windows = windows[::step, ::step]
    clipped = ((channel == channel.min()) | (channel == channel.max())).astype(np.uint8)
    counts = cv2.boxFilter(clipped, -1, (BLOCK, BLOCK), anchor=(0, 0), normalize=False)
    inside = counts[: 1 - BLOCK : step, : 1 - BLOCK : step] <= 1
    pixels = windows[inside] if inside.sum() >= 8 * FEWEST else windows.reshape(-1, BLOCK, BLOCK)
    return dct(pixels)


def _fit(blocks: np.ndarray) -> NoiseLevel:
    """The line of variance over brightness, by non-negative least squares of relative errors."""
    # 16 bits tell brightness well enough, and sort several times quicker than floats
    brightness = np.rint((blocks[:, 0, 0] / BLOCK).clip(0, 1) * 65535).astype(np.uint16)
    order, content = np.argsort(brightness, kind="stable"), _content(blocks)
    groups = [
        blocks[group[_flattest(content[group], FLATTEST_OF_GROUP)]] for group in np.array_split(order, GROUPS) if len(group) >= FEWEST
    ]
    if not groups:
        return NoiseLevel(0.0, fine_variance(blocks))
    x = np.array([group[:, 0, 0].mean() / BLOCK for group in groups]).clip(0)
    y = np.array([fine_variance(group) for group in groups])
    weight = 1 / np.maximum(y, 1e-8)
    for _ in range(5):
        system = np.stack([x, np.ones_like(x)], axis=1) * weight[:, None]
        (slope, constant), _ = nnls(system, y * weight)
        line = np.maximum(slope * x + constant, 1e-8)
        # content that hides in a group only adds variance: groups above the line count less
        weight = 1 / line / np.maximum(1, (y - line) / (0.05 * line))
    return NoiseLevel(float(slope), float(constant))
