"""The residual block x + conv(relu(conv(x))) in two passes over memory instead of four, where a CPU runs it in bfloat16.

At full resolution a network of few channels waits for memory, not for the matrix units: the rectifier and the sum took 40 % of the time.
oneDNN does both while a convolution writes its result. The operators are those that torch.compile calls; they need no compiler, but are
no public interface, so they are tried out once before they are trusted, and the plain way is always there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """x + second(relu(first(x))), (B, C, H, W) -> (B, C, H, W), see `residual`; who extends it makes the two convolutions."""

    first: nn.Conv2d
    second: nn.Conv2d

    def forward(self, x: Tensor, spent: bool = False) -> Tensor:
        return residual(x, self.first, self.second, spent)


class ResidualStack(nn.Sequential):
    """`Residual` blocks one after the other, of which all but the first overwrite what they are given."""

    def forward(self, x: Tensor, spent: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W). `spent`: nobody needs `x` any more, so that the first block, too, may overwrite it."""
        for block in self:
            x, spent = block(x, spent), True
        return x


def residual(x: Tensor, first: nn.Conv2d, second: nn.Conv2d, spent: bool = False) -> Tensor:
    """x + second(relu(first(x))), (B, C, H, W) -> (B, C, H, W), both convolutions with a stride of 1 and C channels out.

    Args:
        spent: `x` may be overwritten by the result, which saves a seventh of the second convolution's time.
    """
    if _applies(x, first.weight) and _works():
        return _fused(x, first, second, spent)
    # in place on the convolutions' own results, which nothing else needs: fresh ones cost their page faults
    return second(F.relu(first(x), inplace=True)).add_(x)  # type: ignore[no-any-return]


def added(x: Tensor, layer: nn.Conv2d, other: Tensor, spent: bool = False) -> Tensor:
    """layer(x) + other, the convolution's stride being 1, (B, C, H, W) -> (B, C', H, W). `spent`: `other` may be overwritten."""
    if _applies(x, layer.weight) and _works():
        return _convolved(x, layer, other, spent and other is not x)
    return layer(x).add_(other)  # type: ignore[no-any-return]


def _applies(x: Tensor, weight: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and x.dtype == weight.dtype == torch.bfloat16
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
    )


def _fused(x: Tensor, first: nn.Conv2d, second: nn.Conv2d, spent: bool) -> Tensor:
    run = torch.ops.mkldnn._convolution_pointwise
    hidden = run(x, first.weight, first.bias, *_places(first), "relu", [], "")
    return _convolved(hidden, second, x, spent)


def _convolved(x: Tensor, layer: nn.Conv2d, other: Tensor, spent: bool) -> Tensor:
    rest = (layer.weight, layer.bias, *_places(layer), "add", None, None, [], None)
    run = torch.ops.mkldnn
    made: Tensor = run._convolution_pointwise_(other, x, *rest) if spent else run._convolution_pointwise(x, other, *rest)
    return made


def _places(layer: nn.Conv2d) -> tuple[Any, ...]:
    assert not isinstance(layer.padding, str)
    return [*layer.padding], [*layer.stride], [*layer.dilation], layer.groups


@cache
def _works() -> bool:
    """Whether this build of torch has the operators, and they do what is expected of them."""
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        first, second = (nn.Conv2d(4, 4, 3, padding=1).bfloat16().to(memory_format=torch.channels_last) for _ in range(2))
        for parameter in (*first.parameters(), *second.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 4)
        x = torch.randn(2, 4, 9, 11, generator=generator).bfloat16().contiguous(memory_format=torch.channels_last)
        expected = x + second(F.relu(first(x)))
        try:
            results = [_fused(x, first, second, False), _fused(x, first, second, True)]
        except (RuntimeError, AttributeError, TypeError):
            return False
    return all(made.shape == expected.shape and bool((made - expected).abs().max() < 0.1) for made in results)
