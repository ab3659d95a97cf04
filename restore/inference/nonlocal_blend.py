"""Blends a network's result with a non-local estimate; the risk estimate chooses the weight for each picture (see `blend_weight`)."""

from __future__ import annotations

import numpy as np
import torch

from restore.images.frame import BAND
from restore.images.noise_model import NoiseLevel
from restore.inference import nonlocal_filter
from restore.inference.blend_weight import Prior, Weight, measured_weight
from restore.inference.nonlocal_filter import LEAST_SIDE
from restore.inference.sure import Denoise

USUAL = Prior(0.2, 0.15)
"""The best weights of pictures."""
OVERLAP = 64
"""Rows that bands of a large picture share."""


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
    weight = measured_weight(pixels, level, lambda region: _distance(region, level, denoise, device), USUAL)
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


def _distance(picture: np.ndarray, level: NoiseLevel, denoise: Denoise, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """The network's result, and the non-local estimate minus it, in float64."""
    result = denoise(picture)
    return result, nonlocal_estimate(picture, result, level, device).astype(np.float64) - result


def _planes(picture: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)).to(device)
