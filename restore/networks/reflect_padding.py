"""A convolution with reflect padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.networks.meta_device import without_autocast


class ReflectConv2d(nn.Conv2d):
    """`nn.Conv2d` with `padding_mode="reflect"`, (B, C, H, W) -> (B, O, h, w), that pads in the precision of its input.

    Under autocast on a CPU, PyTorch converts every feature map to float32 to pad it, and back. That took a quarter of CycleGAN's step.
    """

    def __init__(self, before: int, after: int, size: int, *, bias: bool = True) -> None:
        super().__init__(before, after, size, padding=size // 2, padding_mode="reflect", bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, h, w)."""
        if self.padding_mode != "reflect":  # a caller whose feature maps are too small to reflect sets it to zeros
            return super().forward(x)
        side = self.kernel_size[0] // 2
        if x.device.type == "cuda" and not torch.compiler.is_compiling():
            x = _ReflectPad.apply(x, side)
        else:
            with without_autocast(x):
                x = F.pad(x, (side, side, side, side), mode="reflect")
        return F.conv2d(x, self.weight, self.bias)


class _ReflectPad(torch.autograd.Function):
    """`F.pad(..., mode="reflect")` by the same number of pixels on all sides, for GPUs.

    PyTorch's own changes the layout of a channels-last map twice. Its gradient is summed with atomic additions: slow in half precision,
    and in an order that differs from run to run.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, side: int) -> Tensor:
        ctx.side = side
        for axis in (2, 3):
            low, high = x.narrow(axis, 1, side), x.narrow(axis, x.shape[axis] - 1 - side, side)
            x = torch.cat([_flipped(low, axis), x, _flipped(high, axis)], axis)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        side = ctx.side
        for axis in (3, 2):
            length = gradient.shape[axis] - 2 * side
            low, high = gradient.narrow(axis, 0, side), gradient.narrow(axis, length + side, side)
            inner = gradient.narrow(axis, side, length).clone(memory_format=_layout(gradient))
            inner.narrow(axis, 1, side).add_(_flipped(low, axis))
            inner.narrow(axis, length - 1 - side, side).add_(_flipped(high, axis))
            gradient = inner
        return gradient, None


def _flipped(strip: Tensor, axis: int) -> Tensor:
    return strip if strip.shape[axis] == 1 else strip.flip(axis)


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
