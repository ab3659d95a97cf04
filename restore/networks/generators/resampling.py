"""Doubling and halving of feature maps by the binomial filter 1, 3, 3, 1 of StyleGAN2 and R3GAN (Zhang 2019; Karras et al. 2019)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2 H, 2 W): bilinear, which is the binomial filter after zeros between the pixels."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halved(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H / 2, W / 2): the binomial filter, then every second pixel; zeros lie outside."""
    # sums of slices: on a CPU they are several times faster than pooling, or a convolution of one channel each
    rows = _every_second(F.pad(x, (0, 0, 1, 1)), 2)
    return _every_second(F.pad(rows, (1, 1)), 3)


def _every_second(x: Tensor, axis: int) -> Tensor:
    """The filter 1, 3, 3, 1 along one axis at every second position of an array with a margin of one."""
    even, odd = (x[:, :, start::2] if axis == 2 else x[:, :, :, start::2] for start in (0, 1))
    length = even.shape[axis] - 1
    outer = even.narrow(axis, 0, length) + odd.narrow(axis, 1, length)
    inner = odd.narrow(axis, 0, length) + even.narrow(axis, 1, length)
    return outer / 8 + inner * 0.375
