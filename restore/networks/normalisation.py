"""Layers that normalise, one table `NORMS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016), (B, C, H, W) -> the same, that keeps the channels-last layout.

    PyTorch's own turns such a picture about and back, for four times as long on a CPU; normalising each picture as a batch of one is the
    same sum and does not.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.affine or self.track_running_stats:
            return super().forward(x)
        if torch.compiler.is_compiling():  # written out: then the compiler keeps the layout, and makes one kernel of it and its neighbours
            variance, mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
            return ((x.float() - mean) * torch.rsqrt(variance + self.eps)).to(x.dtype)
        if len(x) > MOST_APART.get(x.device.type, 0):
            return super().forward(x)
        apart = [F.batch_norm(picture, None, None, training=True, eps=self.eps) for picture in x.split(1)]
        return apart[0] if len(apart) == 1 else torch.cat(apart)


MOST_APART = {"cpu": 16, "cuda": 4}
"""Pictures of a batch that are normalised one after the other; with more of them the calls would cost more, on a GPU sooner."""


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
