"""Layers that normalise, one table `NORMS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016), (B, C, H, W) -> the same, that keeps the channels-last layout on a CPU.

    PyTorch's own turns such a picture about and back, for four times as long; normalising each picture as a batch of one is the same
    sum and does not. (Other devices have kernels of their own.)
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or self.affine or self.track_running_stats or len(x) > MOST_APART:
            return super().forward(x)
        apart = [F.batch_norm(picture, None, None, training=True, eps=self.eps) for picture in x.split(1)]
        return apart[0] if len(apart) == 1 else torch.cat(apart)


MOST_APART = 16
"""Pictures of a batch that are normalised one after the other; with more of them (which are small) the calls would cost more."""


class PixelNorm(nn.Module):
    """Each pixel's channels to mean 0 and deviation 1, (B, C, H, W) -> the same: layer normalisation (Ba et al. 2016) as in ConvNeXt.

    It looks no further than the pixel: a picture in tiles is the same picture, and there is no mean over the picture past which
    brightness has to be smuggled as a bright blot (Karras et al. 2020, StyleGAN2, section 2; their cure is local, too).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # in whatever type comes; the sums are in float32 anyway
            return F.layer_norm(x.permute(0, 2, 3, 1), (self.channels,)).permute(0, 3, 1, 2)


NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "instance": InstanceNorm,
    "batch": nn.BatchNorm2d,
    "pixel": PixelNorm,
    "none": nn.Identity,
}


def normalisation(name: str, channels: int) -> nn.Module:
    """A layer of NORMS.

    Raises:
        ValueError: there is no such.
    """
    if name not in NORMS:
        raise ValueError(f"unknown norm {name!r}: there are {', '.join(NORMS)}")
    return NORMS[name](channels)
