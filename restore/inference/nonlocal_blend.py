"""Blends a network's result with a non-local estimate; Stein's unbiased risk estimate chooses the weight for each picture.

With the network's result f, the non-local estimate g and d = g - f, the expected squared error of f + w d is a parabola in w, least at

    w = (mean (y - f) d - mean v b (d(y + eps b) - d(y)) / eps) / mean d^2

with the noisy picture y, the noise's variance v and one random probe b; see `sure`. The probe's answer is noisy, so the weight is drawn
to that of most pictures as far as its own standard error says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from restore.images.frame import BAND
from restore.images.noise_model import NoiseLevel
from restore.inference import nonlocal_filter
from restore.inference.nonlocal_filter import LEAST_SIDE
from restore.inference.sure import STEP, Denoise

SIDE, REGIONS = 192, 2
"""The weight comes from REGIONS x REGIONS evenly spread regions of SIDE pixels; a smaller picture is used whole."""
CELL = 64
"""Side of the cells whose spread gives the weight's standard error."""
USUAL, SPREAD = 0.2, 0.15
"""Mean and standard deviation of the best weights of pictures."""
HIGHEST = 1.0
OVERLAP = 64
"""Rows that bands of a large picture share."""


@dataclass(frozen=True)
class Weight:
    """The weight of the non-local estimate.

    Attributes:
        value: 0..HIGHEST.
        measured: by the risk estimate alone.
        deviation: its standard error.
    """

    value: float
    measured: float
    deviation: float


def blended(
    pixels: np.ndarray, restored: np.ndarray, level: NoiseLevel, denoise: Denoise, device: torch.device
) -> tuple[np.ndarray, Weight | None]:  # fmt: skip
    """Blend a result with the non-local estimate.

    Args:
        pixels: (H, W, C) float32, the noisy picture.
        restored: the same shape, the network's result with its whole correction.
        level: the noise; white.
        denoise: the network at this level.
        device: where the non-local estimate is computed.

    Returns:
        (H, W, C) float32; and the weight, None for pictures that are too small or have no noise, whose result does not change.
    """
    if min(pixels.shape[:2]) < LEAST_SIDE or not level.sigma() > 0:
        return restored, None
    weight = measured_weight(pixels, level, denoise, device)
    if not weight.value > 0:
        return restored, weight
    result = np.empty_like(restored)
    rows = max(2 * OVERLAP, BAND // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        bottom = min(len(pixels), top + rows)
        above = max(0, min(top, len(pixels) - LEAST_SIDE) - OVERLAP)
        part = slice(above, bottom + OVERLAP)
        estimate = nonlocal_estimate(pixels[part], restored[part], level, device)[top - above : bottom - above]
        result[top:bottom] = restored[top:bottom] + np.float32(weight.value) * (estimate - restored[top:bottom])
    return result, weight


def nonlocal_estimate(pixels: np.ndarray, guide: np.ndarray, level: NoiseLevel, device: torch.device) -> np.ndarray:
    """The non-local estimate of (H, W, C) float32 pixels; `guide` is a network's result."""
    variance = level.variance(guide.mean(axis=2, keepdims=True)).astype(np.float32)
    noisy, result, noise = (_planes(one, device) for one in (pixels, guide, variance))
    with torch.inference_mode():
        return np.ascontiguousarray(nonlocal_filter.filtered(noisy, result, noise).cpu().numpy().transpose(1, 2, 0))


def measured_weight(pixels: np.ndarray, level: NoiseLevel, denoise: Denoise, device: torch.device) -> Weight:
    """The weight that the risk estimate gives for a picture, drawn to USUAL by its uncertainty."""
    rng = np.random.default_rng(0)
    gains, squares, low, high = [], [], pixels.min(), pixels.max()
    for region in _regions(*pixels.shape[:2]):
        picture = np.ascontiguousarray(pixels[region])
        signs = rng.choice(np.array([-1, 1], np.float32), picture.shape)
        step = np.float32(STEP) * level.map(picture)
        before, distance = _distance(picture, level, denoise, device)
        _, moved = _distance(picture + step * signs, level, denoise, device)
        divergence = level.variance(picture.astype(np.float64)) * signs * (moved - distance) / np.maximum(step, 1e-12)
        inside = (picture > low) & (picture < high)  # clipped noise is not what the estimate assumes
        gains += _cells(inside * ((picture - before) * distance - divergence))
        squares += _cells(inside * np.square(distance))
    gain, square = np.array(gains), np.array(squares)
    total = float(square.sum())
    if not total > 0:
        return Weight(0.0, 0.0, 0.0)
    measured = float(gain.sum()) / total
    count = len(gain)
    # a ratio's standard error from the spread over cells (Cochran 1977, "Sampling techniques", eq. 6.13)
    deviation = float(np.sqrt(np.square(gain - measured * square).sum() * count / max(1, count - 1))) / total if count > 3 else np.inf
    trust = SPREAD**2 / (SPREAD**2 + deviation**2)
    return Weight(float(np.clip(USUAL + trust * (measured - USUAL), 0, HIGHEST)), measured, deviation)


def _distance(picture: np.ndarray, level: NoiseLevel, denoise: Denoise, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """The network's result, and the non-local estimate minus it, in float64."""
    result = denoise(picture)
    return result, nonlocal_estimate(picture, result, level, device).astype(np.float64) - result


def _cells(values: np.ndarray) -> list[float]:
    """Sums over cells of CELL pixels; the last ones may be smaller."""
    height, width = values.shape[:2]
    starts = [np.arange(0, max(1, length - CELL // 2), CELL) for length in (height, width)]
    return list(np.add.reduceat(np.add.reduceat(values.sum(axis=2), starts[0], 0), starts[1], 1).ravel())


def _regions(height: int, width: int) -> list[tuple[slice, slice]]:
    return [(rows, columns) for rows in _spans(height) for columns in _spans(width)]


def _spans(length: int) -> list[slice]:
    if length <= REGIONS * SIDE:
        return [slice(0, length)]
    return [slice(int(start), int(start) + SIDE) for start in np.linspace(0, length - SIDE, REGIONS)]


def _planes(picture: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)).to(device)
