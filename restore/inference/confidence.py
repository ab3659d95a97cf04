"""`ConfidenceHead`: an error head ready to use, with what its bound was calibrated for.

Maps of a result's expected absolute error, and of a bound that 90 % of its pixels keep. The bound holds for results like those of the
calibration pictures: of the same weights, in a calibrated band. For others the maps come with warnings and without a promise. See
`networks.error_head` for the network, `risk_control` for the bound, and `denoising_confidence` and `upscaling_confidence` for its input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore import networks, weights
from restore.inference.confidence_calibration import Calibration, Traits, read
from restore.inference.loading import check_task
from restore.networks.error_head import SIDE, Errors
from restore.networks.spec import RestorationNetwork
from restore.runtime import Runtime

TASK, WEIGHTS = "confidence", "confidence"
ROWS_OF_PIXELS = 1 << 20
"""Pixels that run together."""
STRIP, STRIPS = 16, 24
"""Height and number of the strips of rows that are examined for traits."""
UNCALIBRATED = "the confidence weights were not calibrated, so their bound is not promised"
HeadInputs = tuple[Tensor, Tensor, Tensor]
"""The arguments of `ErrorHead.forward`."""


@dataclass(frozen=True)
class ErrorMaps:
    """How far a result is expected to be from the true picture, in the picture's units.

    Attributes:
        expected: (H, W) float32, the expected absolute error; for colours, the mean over the channels.
        bound: (H, W) float32, a bound of the absolute error.
        doubts: why the bound is not promised to hold, one sentence each; empty where it holds for 90 % of the pixels.
        odd: the traits in which the picture differs from the calibration pictures.
        psnr: the expected PSNR in dB, white being 1; None without calibration.
    """

    expected: np.ndarray
    bound: np.ndarray
    doubts: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    psnr: float | None = None


class ConfidenceHead:
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
        """The head called `head` (the name of the weights whose results it judges) of the weights called `name`.

        Raises:
            ValueError: the weights or the head do not exist, or the weights are for another task.
        """
        entry = weights.find(name)
        check_task(entry.recipe, TASK, str(name))
        tensors, recipe = weights.load(entry.path)
        network = networks.load(recipe["network"], recipe["settings"], weights.select_network(tensors, recipe, head))
        return cls(network, read(recipe, head), runtime)

    def predict(self, height: int, width: int, inputs: Callable[[slice], HeadInputs]) -> ErrorMaps:
        """The maps without calibration, in units of the head's input.

        Args:
            height, width: of the result.
            inputs: rows -> the head's input for these rows, padded to multiples of a block.
        """
        expected, bound = (np.empty((height, width), np.float32) for _ in range(2))
        for rows, context in _bands(height, width, self.spec.overlap):
            errors = self._run(inputs(context))
            inside = slice(rows.start - context.start, rows.stop - context.start)
            for plane, values in ((expected, errors.expected), (bound, errors.bound)):
                plane[rows] = values[0, inside, :width].cpu().numpy()
        return ErrorMaps(expected, bound)

    def calibrated(self, maps: ErrorMaps, traits: Traits) -> ErrorMaps:
        """The maps with the factors of the picture's band, in place, and why the bound is not promised for it."""
        if self.calibration is None:
            return ErrorMaps(maps.expected, maps.bound, (UNCALIBRATED,))
        band = self.calibration.band(traits)
        psnr = _psnr(maps.expected, band.square_factor)
        for plane, factor in ((maps.expected, band.error_factor), (maps.bound, band.factor)):
            plane *= np.float32(factor)
        return ErrorMaps(maps.expected, maps.bound, self.calibration.doubts(traits), band.odd(traits), psnr)

    @torch.inference_mode()
    def _run(self, inputs: HeadInputs) -> Errors:
        result: Errors = self._network(*inputs)
        return result


def planes_of(picture: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, C) -> (1, C, H', W') float32; the sides are padded to multiples of a block by the last row and column."""
    planes = torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1)[None]
    rows, columns = (-length % SIDE for length in picture.shape[:2])
    return F.pad(planes, (0, columns, 0, rows), mode="replicate") if rows or columns else planes


def strips(height: int) -> list[slice]:
    """Strips of rows, spread over a picture; all rows of a low one."""
    if height <= STRIP * STRIPS:
        return [slice(0, height)]
    return [slice(int(top), int(top) + STRIP) for top in np.linspace(0, height - STRIP, STRIPS).astype(int)]


def _psnr(expected: np.ndarray, square_factor: float) -> float | None:
    """The expected PSNR of the pixels that changed; None where none did."""
    changed = expected[expected > 0]
    if not changed.size:
        return None
    return float(-10 * np.log10(square_factor * np.square(changed, dtype=np.float64).mean()))


def _bands(height: int, width: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Bands of rows, and the same with their context; both start at the edge of a block."""
    rows = max(SIDE, ROWS_OF_PIXELS // max(1, width) // SIDE * SIDE)
    for top in range(0, height, rows):
        stop = min(height, top + rows)
        yield slice(top, stop), slice(max(0, top - overlap), min(height, stop + overlap))
