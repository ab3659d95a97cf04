"""`UpscalingConfidence`: maps of an upscaled picture's expected absolute error, and of its bound; see `confidence`.

The head sees the result, and what the network added to the cubic kernel's picture, in units of the latter's size around each block: detail
is missing where the network found some to add. The bands are those of this detail. The calibration pictures were downscaled cleanly, by
the antialiased cubic kernel, and rounded to 8 bits: a noisy, soft or JPEG picture differs from them in a trait.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.inference.confidence import ConfidenceHead, ErrorMaps, HeadInputs, planes_of, strips
from restore.inference.confidence_calibration import Traits
from restore.inference.ranges import Range
from restore.networks.error_head import SIDE
from restore.runtime import Runtime

LEAST_UNIT = 0.5 / 255
"""Added to the size of what the network added, in its range: the rounding of 8 bits leaves as much."""
NEAR, FAR = np.array([[1, -2, 1]], np.float32), np.array([[1, 0, -2, 0, 1]], np.float32)
"""Second differences over one and over two pixels."""
FLAT_CELL, FLATTEST = 6, 0.1
"""Side in pixels of the cells in which noise is looked for, and the fraction of them that is used, from the flattest."""
BLOCK = 8
"""Side in pixels of a JPEG block."""
EDGE = 8 / 255
"""Third differences above this are edges of the picture, not of a block."""


class UpscalingConfidence:
    """Estimates the error of upscaled pictures. It keeps no state between pictures, so threads may share one.

    Args:
        head: the head of the upscaler.
    """

    def __init__(self, head: ConfidenceHead) -> None:
        self.head = head

    @classmethod
    def load(cls, name: str | Path, head: str, runtime: Runtime) -> Self:
        """With the head called `head` of the weights called `name`; see `ConfidenceHead.load`."""
        return cls(ConfidenceHead.load(name, head, runtime))

    def __call__(self, picture: np.ndarray, restored: np.ndarray, span: Range) -> ErrorMaps:
        """Estimate the error of an upscaled picture.

        Args:
            picture: (h, w, 1|3) float32, what the upscaler was given.
            restored: (H, W, 1|3) float32, its result with the whole correction.
            span: the range in which its network saw the picture.
        """
        return self.head.calibrated(*self.examine(picture, restored, span))

    def examine(self, picture: np.ndarray, restored: np.ndarray, span: Range) -> tuple[ErrorMaps, Traits]:
        """The maps without calibration, and what of the picture decides whether it is like the calibration pictures."""
        height, width = restored.shape[:2]
        small, large = (span.normalize(_brightness(pixels)) for pixels in (picture, restored))
        enlarged = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        device = self.head.runtime.device
        maps = self.head.predict(height, width, lambda rows: head_inputs(enlarged[rows], large[rows], device))
        level, relative = _detail(enlarged, large, maps.expected)
        for plane in (maps.expected, maps.bound):
            plane *= np.float32(span.span)
        values = {"relative": relative, "noise": white_noise(small), "sharpness": sharpness(small), "blocks": blockiness(small)}
        return maps, Traits(255 * level, values)


def head_inputs(enlarged: np.ndarray, restored: np.ndarray, device: torch.device) -> HeadInputs:
    """The head's input for a result, (1, 1, H, W); H and W are padded to multiples of a block.

    Args:
        enlarged: (H, W) float32, the brightness of the cubic kernel's picture, in the network's range.
        restored: (H, W) float32, that of the result.
        device: where the tensors go.
    """
    result, input = (planes_of(plane[:, :, None], device) for plane in (restored, enlarged))
    residual = input - result
    return result, residual, _units(residual)


def _units(residual: Tensor) -> Tensor:
    """(1, 1, H, W) -> (1, 1, H / 4, W / 4): the root mean square of the residual around each block."""
    energy = F.avg_pool2d(residual.square(), SIDE)
    return (F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False) + LEAST_UNIT**2).sqrt()


def _brightness(picture: np.ndarray) -> np.ndarray:
    """(H, W, 1|3) -> (H, W): the mean of the channels. The head needs no colours, and is twice as fast without."""
    channels = picture.shape[2]
    return picture[:, :, 0] if channels == 1 else cv2.transform(picture, np.full((1, channels), 1 / channels, np.float32))


def _detail(enlarged: np.ndarray, restored: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The root mean square of what the network added, and the mean expected error in units of it; from strips of rows."""
    energy = error = count = 0.0
    for rows in strips(len(restored)):
        added = restored[rows] - enlarged[rows]
        energy, error, count = energy + float(np.vdot(added, added)), error + float(expected[rows].sum()), count + added.size
    level = float(np.sqrt(energy / count))
    return level, error / count / max(level, LEAST_UNIT)


def white_noise(gray: np.ndarray) -> float:
    """How much white noise the flattest cells may have, of 255: their finest detail, less by the square of how coloured it is.

    Noise is as strong in second differences over one pixel as over two; texture and smooth shading are weaker over one.
    """
    if min(gray.shape) < 4 * FLAT_CELL:
        return 0.0
    near, far = (_cells(np.square(cv2.sepFilter2D(gray, -1, kernel, kernel))).ravel() for kernel in (NEAR, FAR))
    flattest = np.argsort(far)[: max(4, round(FLATTEST * far.size))]
    fine, coarse = (max(float(energy[flattest].mean()), 1e-12) for energy in (near, far))
    return 255 * float(np.sqrt(fine)) / 6 * min(1.0, fine / coarse) ** 2  # 36 is the energy of the near kernel


def _cells(plane: np.ndarray) -> np.ndarray:
    height, width = (side // FLAT_CELL for side in plane.shape)
    return cv2.resize(plane[: height * FLAT_CELL, : width * FLAT_CELL], (width, height), interpolation=cv2.INTER_AREA)


def sharpness(gray: np.ndarray) -> float:
    """The mean square of differences over one pixel, divided by that over two: 1 for white noise, 0.25 for a smooth picture."""
    near, far = (_difference(gray, step) for step in (1, 2))
    return near / far if far > 0 else 0.0


def _difference(gray: np.ndarray, step: int) -> float:
    parts = (gray[step:] - gray[:-step], gray[:, step:] - gray[:, :-step])
    return float(sum(np.vdot(part, part) / part.size for part in parts if part.size))


def blockiness(gray: np.ndarray) -> float:
    """The mean third difference at the most marked of the eight phases of JPEG's grid, divided by the median phase's; 1 without blocks."""
    return float(np.mean([_most_marked(plane) for plane in (gray, gray.T)]))


def _most_marked(plane: np.ndarray) -> float:
    """Of vertical edges."""
    columns = (plane.shape[1] - 3) // BLOCK * BLOCK
    if columns < 2 * BLOCK:
        return 1.0
    third = np.abs(np.diff(plane, 3, axis=1))[:, :columns]
    phases = np.minimum(third, EDGE).mean(axis=0).reshape(-1, BLOCK).mean(axis=0)
    return float((phases.max() + 1e-4) / (np.median(phases) + 1e-4))
