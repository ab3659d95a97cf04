"""The residual block x + conv(relu(conv(x))) in two passes over memory instead of four, on CPUs in bfloat16 and float32.

At the full resolution a network of few channels waits for memory, not for the matrix units: the rectifier and the sum took 40 % of the
time. oneDNN computes both while a convolution writes its result. `torch.compile` calls the same operators. They need no compiler, but
they are no public interface: `_operators_work` tests them once, and the plain computation is the fallback.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FUSED = {torch.bfloat16: 0.1, torch.float32: 1e-4}
"""Precisions in which the operators are used, and the largest error in their test."""


class Residual(nn.Module):
    """x + second(relu(first(x))), (B, C, H, W) -> (B, C, H, W), see `residual`. A subclass makes the two convolutions."""

    first: nn.Conv2d
    second: nn.Conv2d

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W). `inplace`: the result may overwrite `x`."""
        return residual(x, self.first, self.second, inplace)


class ResidualStack(nn.Sequential):
    """`Residual` blocks in sequence. All but the first overwrite their input."""

    def forward(self, x: Tensor, inplace: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W). `inplace`: the first block may overwrite `x`, too."""
        for block in self:
            x, inplace = block(x, inplace), True
        return x


def residual(x: Tensor, first: nn.Conv2d, second: nn.Conv2d, inplace: bool = False) -> Tensor:
    """x + second(relu(first(x))), (B, C, H, W) -> (B, C, H, W), both convolutions with a stride of 1 and C channels out.

    Args:
        inplace: the result may overwrite `x`, which saves a seventh of the second convolution's time.
    """
    if _is_fusible(x, first.weight) and _operators_work(x.dtype):
        return _fused(x, first, second, inplace)
    # in place on the convolutions' own results: new memory would cost its page faults
    change: Tensor = second(F.relu(first(x), inplace=True))
    return change.add_(x)


def conv_add(x: Tensor, layer: nn.Conv2d, other: Tensor, inplace: bool = False) -> Tensor:
    """layer(x) + other with a stride of 1, (B, C, H, W) -> (B, C', H, W). `inplace`: the result may overwrite `other`."""
    if _is_fusible(x, layer.weight) and _operators_work(x.dtype):
        return _conv_add(x, layer, other, inplace and other is not x)
    result: Tensor = layer(x)
    return result.add_(other)


def _is_fusible(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and x.dtype == weight.dtype
        and x.dtype in FUSED
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
    )


def _fused(x: Tensor, first: nn.Conv2d, second: nn.Conv2d, inplace: bool) -> Tensor:
    run = torch.ops.mkldnn._convolution_pointwise
    hidden = run(x, first.weight, first.bias, *_geometry(first), "relu", [], "")
    return _conv_add(hidden, second, x, inplace)


def _conv_add(x: Tensor, layer: nn.Conv2d, other: Tensor, inplace: bool) -> Tensor:
    rest = (layer.weight, layer.bias, *_geometry(layer), "add", None, None, [], None)
    run = torch.ops.mkldnn
    result: Tensor = run._convolution_pointwise_(other, x, *rest) if inplace else run._convolution_pointwise(x, other, *rest)
    return result


def _geometry(layer: nn.Conv2d) -> tuple[object, ...]:
    assert not isinstance(layer.padding, str)
    return [*layer.padding], [*layer.stride], [*layer.dilation], layer.groups


@cache
def _operators_work(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch has the operators, and they compute what is expected."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        first, second = (nn.Conv2d(4, 4, 3, padding=1).to(dtype=dtype).to(memory_format=torch.channels_last) for _ in range(2))
        for parameter in (*first.parameters(), *second.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
        x = torch.randn(2, 4, 9, 11, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
        expected = x + second(F.relu(first(x)))
        try:
            results = [_fused(x, first, second, False), _fused(x, first, second, True)]
        except (RuntimeError, AttributeError, TypeError):
            return False
    return all(result.shape == expected.shape and bool((result - expected).abs().max() < FUSED[dtype]) for result in results)
