"""`ConfidenceEstimator`: maps of a denoised picture's expected absolute error, and of a bound that 90 % of its pixels keep.

The bound holds for pictures like the calibration pictures: denoised by the same weights, with white noise of a calibrated band. For other
pictures the maps come with warnings and without a promise. See `networks.error_head` for the network and `risk_control` for the bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from restore import networks, weights
from restore.images.noise_model import NoiseLevel
from restore.inference.confidence_calibration import Calibration, Traits, read
from restore.inference.loading import check_task
from restore.inference.ranges import NARROW, Range, range_of
from restore.networks.error_head import SIDE, Errors, block_means
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

TASK, WEIGHTS = "confidence", "confidence"
ROWS_OF_PIXELS = 1 << 20
"""Pixels that run together."""
LEAST_SIGMA = 1e-4
"""Smallest standard deviation of the noise in the network's range."""
STRIP, STRIPS = 16, 24
"""Height and number of the strips of rows whose residual is examined."""


@dataclass(frozen=True)
class ErrorMaps:
    """How far a result is expected to be from the clean picture, in the picture's units.

    Attributes:
        expected: (H, W) float32, the expected absolute error; for colours, the mean over the channels.
        bound: (H, W) float32, a bound of the absolute error.
        doubts: why the bound is not promised to hold, one sentence each; empty where it holds for 90 % of the pixels.
        white: whether what was removed looks like white noise.
        psnr: the expected PSNR in dB, white being 1; None without calibration.
    """

    expected: np.ndarray
    bound: np.ndarray
    doubts: tuple[str, ...] = ()
    white: bool = True
    psnr: float | None = None


class ConfidenceEstimator:
    """An error head ready to use. It keeps no state between pictures, so threads may share one.

    Args:
        network: the error head.
        calibration: what its bound holds for; None where it was not calibrated.
        runtime: device and precision.
    """

    def __init__(self, network: RestorationNetwork, calibration: Calibration | None, runtime: Runtime) -> None:
        self.spec, self.calibration = network.spec, calibration
        self.runtime = runtime if runtime.device.type == "cpu" else runtime.in_precision("fp32")
        self._network = self.runtime.prepare(network.eval().requires_grad_(False))

    @classmethod
    def load(cls, name: str | Path, head: str, runtime: Runtime) -> Self:
        """The head called `head` (the denoiser's name) of the weights called `name`.

        Raises:
            ValueError: the weights or the head do not exist, or the weights are for another task.
        """
        entry = weights.find(name)
        check_task(entry.recipe, TASK, str(name))
        tensors, recipe = weights.load(entry.path)
        network = networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe, head))
        return cls(network, read(recipe, head), runtime)

    def __call__(self, noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel) -> ErrorMaps:
        """Estimate the error of a denoised picture.

        Args:
            noisy: (H, W, 1|3) float32, what the denoiser was given.
            restored: the same shape, its result with the whole correction.
            level: the noise level that it used.
        """
        span = span_of(noisy, level)
        maps, traits = self.examine(noisy, restored, level, span)
        if self.calibration is None:
            return ErrorMaps(maps.expected, maps.bound, ("the confidence weights were not calibrated, so their bound is not promised",))
        band, doubts = self.calibration.judge(traits)
        psnr = _psnr(maps.expected, band.square_factor)
        for plane, factor in ((maps.expected, band.error_factor), (maps.bound, band.factor)):
            plane *= np.float32(factor)
        low, high = band.ranges["correlation"]
        return ErrorMaps(maps.expected, maps.bound, doubts, low <= traits.correlation <= high, psnr)

    def examine(self, noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range) -> tuple[ErrorMaps, Traits]:
        """The maps without calibration, and what of the picture decides whether it is like the calibration pictures."""
        height, width = noisy.shape[:2]
        expected, bound = (np.empty((height, width), np.float32) for _ in range(2))
        for rows, context in _bands(height, width, self.spec.overlap):
            errors = self._predict(noisy[context], restored[context], level, span)
            inside = slice(rows.start - context.start, rows.stop - context.start)
            for plane, values in ((expected, errors.expected), (bound, errors.bound)):
                plane[rows] = values[0, inside, :width].cpu().numpy()
        for plane in (expected, bound):
            plane *= np.float32(span.span)
        still = (noisy == restored).all(axis=2)
        if still.any():  # what the denoiser excludes, such as mats, has none of the noise
            expected[still] = bound[still] = 0
        return ErrorMaps(expected, bound), _traits(noisy, restored, level, span, expected)

    @torch.inference_mode()
    def _predict(self, noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range) -> Errors:
        result: Errors = self._network(*head_inputs(noisy, restored, level, span, self.runtime.device))
        return result


def _psnr(expected: np.ndarray, square_factor: float) -> float | None:
    """The expected PSNR of the pixels that changed; None where none did."""
    changed = expected[expected > 0]
    if not changed.size:
        return None
    return float(-10 * np.log10(square_factor * np.square(changed, dtype=np.float64).mean()))


def span_of(noisy: np.ndarray, level: NoiseLevel) -> Range:
    """The range of a noisy picture, in which the head sees it."""
    return range_of(noisy, level, homogeneous=True, narrow=NARROW)


def head_inputs(
    noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """What `ErrorHead.forward` takes of a picture, (1, C, H, W); H and W are padded to multiples of a block."""
    one, two = (torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1)[None] for picture in (restored, noisy))
    rows, columns = (-length % SIDE for length in noisy.shape[:2])
    if rows or columns:
        one, two = (torch.nn.functional.pad(picture, (0, columns, 0, rows), mode="replicate") for picture in (one, two))
    brightness = block_means(one)
    variance = level.slope * (brightness - level.black).clamp_min(0) + level.constant
    sigma = (variance.sqrt() / span.span).clamp_min(LEAST_SIGMA)
    return (one - span.offset) / span.span, (two - one) / span.span, sigma


def _bands(height: int, width: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Bands of rows, and the same with their context; both start at the edge of a block."""
    rows = max(SIDE, ROWS_OF_PIXELS // max(1, width) // SIDE * SIDE)
    for top in range(0, height, rows):
        stop = min(height, top + rows)
        yield slice(top, stop), slice(max(0, top - overlap), min(height, stop + overlap))


def _traits(noisy: np.ndarray, restored: np.ndarray, level: NoiseLevel, span: Range, expected: np.ndarray) -> Traits:
    """What is compared with the calibration pictures, from strips of rows."""
    height = len(noisy)
    tops = np.unique(np.linspace(0, max(0, height - STRIP), STRIPS).astype(int)) if height > STRIP * STRIPS else [0]
    size = STRIP if height > STRIP * STRIPS else height
    sums = np.zeros(5)
    for top in tops:
        rows = slice(int(top), int(top) + size)
        before, after = (picture[rows].mean(axis=2) for picture in (noisy, restored))
        sigma = np.sqrt(np.maximum(level.variance(after), (LEAST_SIGMA * span.span) ** 2)).astype(np.float32)
        sigma *= np.float32(1 / np.sqrt(noisy.shape[2]))
        noise = (before - after) / sigma
        used = noise != 0
        pairs = (noise[:, 1:] * noise[:, :-1]).sum() + (noise[1:] * noise[:-1]).sum()
        sums += (used.sum(), np.square(noise).sum(), pairs / 2, (expected[rows] / sigma)[used].sum(), 0)
    count, energy = max(sums[0], 1.0), max(sums[1], 1e-12)
    return Traits(level.sigma() / span.span, float(sums[3] / count), float(sums[2] / energy), float(sums[1] / count))
