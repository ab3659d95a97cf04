"""Normalisation layers, one table `NORMS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.meta_device import without_autocast


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation (Ulyanov et al. 2016), (B, C, H, W) -> the same, that keeps the channels-last layout.

    PyTorch's own converts such a batch to the other layout and back, which takes four times as long on a CPU. Batch normalisation of
    each picture as a batch of one computes the same without that.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, each picture and channel normalised."""
        if self.affine or self.track_running_stats:
            return super().forward(x)
        # written out, so that the compiler keeps the layout and fuses it with its neighbours, and a trace fits any batch
        if torch.compiler.is_compiling() or _is_tracing():
            variance, mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
            return ((x.float() - mean) * torch.rsqrt(variance + self.eps)).to(x.dtype)
        if len(x) > MOST_SEPARATE.get(x.device.type, 0):
            return super().forward(x)
        separate = [F.batch_norm(picture, None, None, training=True, eps=self.eps) for picture in torch.split(x, 1)]
        return separate[0] if len(separate) == 1 else torch.cat(separate)


def _is_tracing() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]  # documented, and not annotated


MOST_SEPARATE = {"cpu": 16, "cuda": 4}
"""Largest batch whose pictures are normalised one by one; in a larger one the calls would cost more than they save."""


class PixelNorm(nn.Module):
    """Each pixel's channels to mean 0 and deviation 1, (B, C, H, W) -> the same: layer normalisation (Ba et al. 2016) as in ConvNeXt.

    It sees one pixel only, so tiles are exact. Without a mean over the picture, the network needs no bright blots to carry brightness
    past the normalisation (Karras et al. 2020, StyleGAN2, section 2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, each pixel normalised."""
        with without_autocast(x):  # in the input's type: the sums are in float32 anyway
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
        ValueError: an unknown name.
    """
    if name not in NORMS:
        raise ValueError(f"unknown norm {name!r}: there are {', '.join(NORMS)}")
    return NORMS[name](channels)
