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

NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "instance": InstanceNorm,
    "batch": nn.BatchNorm2d,
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
