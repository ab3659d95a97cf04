"""Layers with an equalised learning rate (Karras et al. 2018, "Progressive growing of GANs", section 4.1).

Weights are drawn from N(0, 1) and scaled when they are used, by 1 / sqrt(inputs). So an optimizer that normalises its gradients, as Adam
does, moves all layers at the same speed. `rate` below 1 slows a layer down (Karras et al. 2019, appendix C: 0.01 in the mapping network).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2


class EqualisedLinear(nn.Module):
    """x W^T rate / sqrt(before) + b rate, (B, before) -> (B, after).

    Args:
        before, after: features.
        rate: of learning, relative to other layers.
        bias: the bias at the start.
    """

    def __init__(self, before: int, after: int, *, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / rate)
        self.bias = nn.Parameter(torch.full((after,), bias / rate))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, before) -> (B, after)."""
        return F.linear(x, self.weight * (self.rate / math.sqrt(self.weight.shape[1])), self.bias * self.rate)


class EqualisedConv2d(nn.Module):
    """A convolution with its weights scaled by 1 / sqrt(before k^2), (B, before, H, W) -> (B, after, H, W).

    Args:
        before, after: channels.
        kernel: side k of the kernel, odd.
        bias: whether it has one.
    """

    def __init__(self, before: int, after: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(after)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H, W)."""
        scale = 1 / math.sqrt(self.weight[0].numel())
        return F.conv2d(x, self.weight * scale, self.bias, padding=self.weight.shape[2] // 2)


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels are scaled by a style, and its output channels back to unit variance.

    Karras et al. 2020, "Analyzing and improving the image quality of StyleGAN", section 2.2, eq. 1 (modulation) and eq. 3 (demodulation).
    Input and output are scaled instead of the weights, which is the same and needs no weights of its own for each sample.

    Args:
        before, after: channels.
        kernel: side of the kernel, odd.
        style: length of the style vector.
        demodulate: whether the output is scaled back.
    """

    def __init__(self, before: int, after: int, kernel: int, *, style: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before, kernel, kernel))
        self.affine = EqualisedLinear(style, before, bias=1.0)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, before, H, W) and (B, style) -> (B, after, H, W)."""
        weight = self.weight / math.sqrt(self.weight[0].numel())
        scale = self.affine(style)
        convolved = F.conv2d(x * scale[:, :, None, None], weight, padding=weight.shape[2] // 2)
        return convolved * demodulation(weight, scale)[:, :, None, None] if self.demodulate else convolved


def demodulation(weight: Tensor, scale: Tensor) -> Tensor:
    """Weights (O, I, k, k), scales (B, I) -> (B, O): 1 / sqrt(sum (scale weight)^2) (Karras et al. 2020, eq. 3)."""
    return torch.rsqrt(scale.square() @ weight.square().sum((2, 3)).T + 1e-8)


def leaky(x: Tensor) -> Tensor:
    """Leaky rectifier times sqrt(2), which keeps the variance about the same (Karras et al. 2020)."""
    return F.leaky_relu(x, SLOPE) * math.sqrt(2)
