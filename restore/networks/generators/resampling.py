"""Doubling and halving of feature maps by the binomial filter 1, 3, 3, 1 of StyleGAN2 and R3GAN (Zhang 2019; Karras et al. 2019)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W): bilinear, which is the binomial filter after zeros between the pixels."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halved(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2): the binomial filter, then every second pixel; zeros lie outside."""
    # three means of two pixels are the filter 1, 3, 3, 1; on a CPU they are faster than a convolution of one channel each
    wider = F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 2, 1), 2, 1)
    return F.avg_pool2d(wider, 2, 2)
