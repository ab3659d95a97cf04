"""`DenoisingConfidence`: maps of a denoised picture's expected absolute error, and of its bound; see `confidence`.

The bands are those of the noise level. The calibration pictures have white noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch

from restore.images.noise_model import NoiseLevel
from restore.inference.confidence import ConfidenceHead, ErrorMaps, HeadInputs, planes_of, strips
from restore.inference.confidence_calibration import Traits
from restore.inference.ranges import NARROW, Range, range_of
from restore.networks.error_head import block_means
from restore.runtime import Runtime

LEAST_SIGMA = 1e-4
"""Smallest standard deviation of the noise in the network's range."""


class DenoisingConfidence:
    """Estimates the error of denoised pictures. It keeps no state between pictures, so threads may share one.

    Args:
        head: the head of the denoiser.
    """

    def __init__(self, head: ConfidenceHead) -> None:
        self.head = head

    @classmethod
    def load(cls, name: str | Path, head: str, runtime: Runtime) -> Self:
        """With the head called `head` of the weights called `name`; see `ConfidenceHead.load`."""
        return cls(ConfidenceHead.load(name, head, runtime))

    def __call__(self, noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel) -> ErrorMaps:
        """Estimate the error of a denoised picture.

        Args:
            noisy: (H, W, 1|3) float32, what the denoiser was given.
            restored: the same shape, its result with the whole correction.
            level: the noise level that it used.
        """
        return self.head.calibrated(*self.examine(noisy, restored, level, span_of(noisy, level)))

    def examine(self, noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range) -> tuple[ErrorMaps, Traits]:
        """The maps without calibration, and what of the picture decides whether it is like the calibration pictures."""
        device = self.head.runtime.device
        height, width = noisy.shape[:2]
        maps = self.head.predict(height, width, lambda rows: head_inputs(noisy[rows], restored[rows], level, span, device))
        still = (noisy == restored).all(axis=2)
        for plane in (maps.expected, maps.bound):
            plane *= np.float32(span.span)
            if still.any():  # what the denoiser excludes, such as mats, has none of the noise
                plane[still] = 0
        return maps, _traits(noisy, restored, level, span, maps.expected)


def span_of(noisy: np.ndarray, level: NoiseLevel) -> Range:
    """The range of a noisy picture, in which the head sees it."""
    return range_of(noisy, level, homogeneous=True, narrow=NARROW)


def head_inputs(noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range, device: torch.device) -> HeadInputs:
    """The head's input for a picture, (1, C, H, W); H and W are padded to multiples of a block."""
    one, two = planes_of(restored, device), planes_of(noisy, device)
    brightness = block_means(one)
    variance = torch.as_tensor(level.variance(brightness.cpu().numpy()), dtype=brightness.dtype, device=brightness.device)
    sigma = (variance.sqrt() / span.span).clamp_min(LEAST_SIGMA)
    return (one - span.offset) / span.span, (two - one) / span.span, sigma


def _traits(noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range, expected: np.ndarray) -> Traits:
    """What is compared with the calibration pictures, from strips of rows."""
    sums = np.zeros(4)
    for rows in strips(len(noisy)):
        before, after = (picture[rows].mean(axis=2) for picture in (noisy, restored))
        sigma = np.sqrt(np.maximum(level.variance(after), (LEAST_SIGMA * span.span) ** 2)).astype(np.float32)
        sigma *= np.float32(1 / np.sqrt(noisy.shape[2]))
        noise = (before - after) / sigma
        used = noise != 0
        pairs = (noise[:, 1:] * noise[:, :-1]).sum() + (noise[1:] * noise[:-1]).sum()
        sums += (used.sum(), np.square(noise).sum(), pairs / 2, (expected[rows] / sigma)[used].sum())
    count, energy = max(sums[0], 1.0), max(sums[1], 1e-12)
    relative, correlation = float(sums[3] / count), float(sums[2] / energy)
    return Traits(level.sigma() / span.span, {"relative": relative, "correlation": correlation, "energy": float(sums[1] / count)})
