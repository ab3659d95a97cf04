"""A small network that predicts how far a restored picture is from the true one, pixel by pixel.

It sees what a network returned, and what it changed, in a unit for each block: of a denoiser the standard deviation of the noise, so that
one head serves every noise level; of an upscaler the size of its correction. Both outputs are logarithms in the same units: the expected
absolute error and the 90 % quantile of the absolute error. All layers work on blocks of 4 x 4 pixels (pixel unshuffle, Shi et al. 2016),
which keeps the head within a few percent of the restoring network's operations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.spec import NAME_HELP, ModelSpec, NetworkConfig, RestorationNetwork

SIDE = 4
"""Side in pixels of a block."""
PLANES = 2 * SIDE * SIDE + 4
KNEE = 8.0
"""Contrast in units above which it is compressed: an edge must not drown its surroundings."""
LEAST = 1e-3
"""Smallest energy of the residual, in squared units."""


@dataclass(frozen=True)
class ErrorHeadConfig(NetworkConfig):
    """The settings of the error head."""

    name: str = field(default="error_head", metadata={"help": NAME_HELP})
    width: int = field(default=40, metadata={"help": "channels of the hidden layers", "range": (1, 4096), "count": True})


class Errors(NamedTuple):
    """The prediction for each pixel, (B, H, W) each, in the picture's units.

    Attributes:
        expected: the expected absolute error.
        bound: the 90 % quantile of the absolute error, not calibrated.
    """

    expected: Tensor
    bound: Tensor


class ErrorHead(RestorationNetwork):
    """Predicts the absolute error of a restored picture; for colours, the mean over the three channels.

    Args:
        config: see `ErrorHeadConfig`.
        channels: of the picture, 1 or 3.
    """

    def __init__(self, config: ErrorHeadConfig, channels: int = 1) -> None:
        super().__init__()
        self.spec = ModelSpec(channels, 2, 4 * SIDE + 2, multiple=SIDE, overlap=5 * SIDE, conditions=("noise",), output="errors")
        wide = config.width
        self.layers = nn.Sequential(
            nn.Conv2d(PLANES, wide, 3, padding=1), nn.ReLU(),
            nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(),
            nn.Conv2d(wide, 2 * SIDE * SIDE, 3, padding=1),
        )  # fmt: skip

    def forward(self, restored: Tensor, residual: Tensor, unit: Tensor) -> Errors:
        """Predict the errors of restored pictures.

        Args:
            restored: (B, C, H, W) float32, the result in nominal [0, 1]; H and W are multiples of 4.
            residual: (B, C|1, H, W) float32, the network's input minus the result; an upscaler's input is enlarged by the cubic kernel.
            unit: (B, 1, H / 4, W / 4) float32, the unit of each block, above 0.
        """
        planes = features(restored, residual, unit)
        dtype = next(self.parameters()).dtype
        logarithms = self.layers(planes.to(dtype, memory_format=torch.channels_last)).float()
        errors = F.pixel_shuffle(torch.exp(logarithms.clamp(-12, 4)) * unit, SIDE)
        return Errors(errors[:, 0], errors[:, 1])


def features(restored: Tensor, residual: Tensor, unit: Tensor) -> Tensor:
    """The head's input, (B, PLANES, H / 4, W / 4); the arguments are those of `ErrorHead.forward`."""
    gray = restored.mean(1, keepdim=True)
    blocks = F.pixel_unshuffle(gray, SIDE)
    brightness = blocks.mean(1, keepdim=True)
    detail = _compressed((blocks - _smooth(brightness)) / unit)
    noise = F.pixel_unshuffle(residual.mean(1, keepdim=True), SIDE) / unit
    energy = _smooth(noise.square().mean(1, keepdim=True))
    if restored.shape[1] == 3:
        chroma = F.avg_pool2d((restored - gray).abs().mean(1, keepdim=True), SIDE)
    else:
        chroma = torch.zeros_like(brightness)
    return torch.cat([detail, _compressed(noise), brightness, torch.log(unit) / 2, torch.log(energy + LEAST), chroma], 1)


def block_means(picture: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H / 4, W / 4): the mean brightness of each block."""
    return F.avg_pool2d(picture.mean(1, keepdim=True), SIDE)


def _smooth(blocks: Tensor) -> Tensor:
    return F.avg_pool2d(blocks, 3, 1, 1, count_include_pad=False)


def _compressed(contrast: Tensor) -> Tensor:
    return contrast / (1 + contrast.abs() / KNEE)
